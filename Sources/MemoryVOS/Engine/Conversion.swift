// The border between floats and bytes in an integer plan.

import CKernels

/// Converts a map, row by row.
final class Conversion {
  enum Direction { case toBytes, toFloats }

  private let direction: Direction
  /// Read or written; may be exchanged for another map of the same shape between runs.
  var floats: FeatureMap
  private let bytes: ByteTensor
  private let kernels: vos_int8_kernels

  init(_ direction: Direction, floats: FeatureMap, bytes: ByteTensor, kernels: Kernels) {
    precondition(floats.shape == bytes.map.shape, "\(floats.shape) as \(bytes.map.shape)")
    self.direction = direction
    self.floats = floats
    self.bytes = bytes
    self.kernels = kernels.integers
  }

  func run(_ pool: ThreadPool) {
    let shape = floats.shape
    let count = shape.width * shape.channels
    let blocks = min(shape.height, 4 * pool.threadCount)
    let (scale, zeroPoint) = (bytes.range.scale, bytes.range.zeroPoint)
    pool.parallelFor(blocks) { block, _ in
      for y in shape.height * block / blocks..<shape.height * (block + 1) / blocks {
        switch direction {
        case .toBytes:
          kernels.quantize(floats.row(y), count, 1 / scale, Float(zeroPoint), bytes.map.row(y))
          bytes.map.clearPadding(row: y)
        case .toFloats:
          kernels.dequantize(bytes.map.row(y), count, scale, Int32(zeroPoint), floats.row(y))
          floats.clearPadding(row: y)
        }
      }
    }
  }
}
