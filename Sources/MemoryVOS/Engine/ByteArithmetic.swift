// Chains over bytes 0…127 and int8 weights. Contracts of the kernels: CKernelsInt8.h.

import CKernels

/// Integers: every instruction set gives the same bytes.
struct ByteArithmetic: ChainArithmetic {
  /// A convolution's weights in the kernels' layout, and how sums become bytes.
  final class Factor: Sendable {
    let weights: AlignedStorage<Int8>
    /// Dense: int32 sums; scales of those that become floats, multipliers of those that become bytes.
    let bias: AlignedStorage<Int32>
    let scale: AlignedBuffer
    let multiplier: AlignedStorage<Int16>
    let shift: Int
    let addendMultiplier: Int16
    /// Depthwise: int16 sums, Q15 scales.
    let narrowBias: AlignedStorage<Int16>
    let narrowScale: AlignedStorage<Int16>
    let zeroPoint: UInt8
    let clamp: vos_int8_clamp

    /// Memory for a factor, all zeros.
    init(
      weightCount: Int, columns: Int, depthwiseChannels: Int, zeroPoint: UInt8 = 0, shift: Int = 0,
      addendMultiplier: Int16 = 0, clamp: vos_int8_clamp
    ) {
      weights = AlignedStorage(count: weightCount)
      bias = AlignedStorage(count: columns)
      scale = AlignedBuffer(count: columns)
      multiplier = AlignedStorage(count: columns)
      narrowBias = AlignedStorage(count: depthwiseChannels)
      narrowScale = AlignedStorage(count: depthwiseChannels)
      self.zeroPoint = zeroPoint
      self.shift = shift
      self.addendMultiplier = addendMultiplier
      self.clamp = clamp
    }

    var dense: vos_int8_factor {
      .init(
        weights: weights.base, bias: bias.base, scale: scale.base, multiplier: multiplier.base,
        shift: Int32(shift), addend_multiplier: addendMultiplier)
    }
    var depthwise: vos_int8_depthwise {
      .init(
        weights: weights.base, bias: narrowBias.base, scale: narrowScale.base,
        zero_point: zeroPoint)
    }
  }

  let kernels: vos_int8_kernels

  func segment(base: UnsafePointer<UInt8>, stride: Int, depth: Int) -> vos_int8_segment {
    vos_int8_segment(base: base, stride: stride, depth: depth)
  }

  func dense(
    _ factor: Factor, width: Int, channels: Int, segments: UnsafePointer<vos_int8_segment>,
    count: Int, addend: UnsafePointer<UInt8>?, out: UnsafeMutablePointer<UInt8>
  ) {
    var right = factor.dense
    kernels.gemm(
      width, channels, segments, count, &right, addend, channels, out, channels, factor.clamp)
  }

  func dense(
    _ factor: Factor, width: Int, channels: Int, segments: UnsafePointer<vos_int8_segment>,
    count: Int, floats: UnsafeMutablePointer<Float>
  ) {
    var right = factor.dense
    kernels.gemm_to_float(width, channels, segments, count, &right, floats, channels)
  }

  func round(
    _ row: UnsafePointer<UInt8>, count: Int, to range: ByteRange, out: UnsafeMutablePointer<UInt8>
  ) {
    preconditionFailure("bytes are rounded already")
  }

  func depthwise(
    _ factor: Factor, rows: UnsafePointer<UnsafePointer<UInt8>?>, kernel: Int, stride: Int,
    dilation: Int, width: Int, channels: Int, out: UnsafeMutablePointer<UInt8>
  ) {
    precondition(dilation == 1, "a dilated convolution of bytes")
    var right = factor.depthwise
    kernels.depthwise(rows, kernel, stride, width, channels, &right, out, factor.clamp)
  }

  func upsample2(
    near: UnsafePointer<UInt8>, far: UnsafePointer<UInt8>, width: Int, channels: Int,
    out: UnsafeMutablePointer<UInt8>
  ) {
    kernels.upsample2(near, far, width, channels, out)
  }
}
