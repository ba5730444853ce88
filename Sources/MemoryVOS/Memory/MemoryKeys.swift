// A frame's keys as the kernels multiply queries by them: floats, or bytes with integer sums.
//
// Held by `MemoryBank`, multiplied by `MemoryReader`. Contracts: `gemm` in CKernels.h;
// `quantize_queries`, `pack_keys` and `gemm_to_float` in CKernelsInt8.h.

import CKernels

/// Keys of one frame, packed.
enum MemoryKeys {
  /// `[ceil(positions / 16)][channels][16]`.
  case floats(AlignedBuffer)
  case bytes(ByteKeys)

  /// Memory for the keys of `positions` positions.
  init(areBytes: Bool, positions: Int, channels: Int) {
    let panel = Int(VOS_PANEL)
    let padded = (positions + panel - 1) / panel * panel
    self =
      areBytes
      ? .bytes(ByteKeys(columns: padded, depth: ByteKeys.rowCount(channels)))
      : .floats(AlignedBuffer(count: padded * channels))
  }

  /// Packs the keys of a map without padding.
  func fill(from key: FeatureMap, kernels: Kernels, pool: ThreadPool) {
    let panel = Int(VOS_PANEL)
    let (depth, count) = (key.shape.channels, key.shape.height * key.shape.width)
    pool.parallelFor((count + panel - 1) / panel) { index, _ in
      let first = index * panel
      let (rows, left) = (key.row(0) + first * depth, min(panel, count - first))
      switch self {
      case .floats(let buffer):
        kernels.table.pack_columns(rows, depth, left, depth, buffer.base + first * depth)
      case .bytes(let keys):
        kernels.integers.pack_keys(
          rows, depth, left, depth, keys.weights.base + first * ByteKeys.rowCount(depth),
          keys.bias.base + first, keys.scale.base + first)
      }
    }
  }

  /// Memory in floats' size.
  var floatCount: Int {
    switch self {
    case .floats(let buffer): buffer.count
    case .bytes(let keys): keys.weights.count / 4 + keys.bias.count + keys.scale.count
    }
  }
}

/// Keys in int8, each with its own unit: columns of a `vos_int8_factor`.
final class ByteKeys {
  /// `[columns / 16][depth / 4][16][4]`.
  let weights: AlignedStorage<Int8>
  let bias: AlignedStorage<Int32>
  let scale: AlignedBuffer

  init(columns: Int, depth: Int) {
    weights = AlignedStorage(count: columns * depth)
    bias = AlignedStorage(count: columns)
    scale = AlignedBuffer(count: columns)
  }

  /// Bytes of a query or key with its zeros at the end.
  static func rowCount(_ channels: Int) -> Int { (channels + 3) & ~3 }

  var factor: vos_int8_factor {
    vos_int8_factor(
      weights: weights.base, bias: bias.base, scale: scale.base, multiplier: nil, shift: 0,
      addend_multiplier: 0)
  }
}
