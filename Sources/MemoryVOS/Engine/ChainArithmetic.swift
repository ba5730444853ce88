// The numbers that a chain computes with: floats here, bytes in ByteArithmetic.swift.

import CKernels

/// What `Chain` asks of a kind of numbers: its kernels, row by row.
protocol ChainArithmetic {
  associatedtype Scalar: MapScalar
  /// A segment of the left factor of a product, as the kernels take it.
  associatedtype Segment
  /// Packed weights and bias of one convolution, and what makes its result from their sums.
  associatedtype Factor

  func segment(base: UnsafePointer<Scalar>, stride: Int, depth: Int) -> Segment

  /// One row of a dense convolution: `width` pixels of `channels`.
  func dense(
    _ factor: Factor, width: Int, channels: Int, segments: UnsafePointer<Segment>, count: Int,
    addend: UnsafePointer<Scalar>?, out: UnsafeMutablePointer<Scalar>)

  /// The same without addend, into floats.
  func dense(
    _ factor: Factor, width: Int, channels: Int, segments: UnsafePointer<Segment>, count: Int,
    floats: UnsafeMutablePointer<Float>)

  /// Rounds `count` results to bytes that mean the same.
  func round(
    _ row: UnsafePointer<Scalar>, count: Int, to range: ByteRange, out: UnsafeMutablePointer<UInt8>)

  /// One row of a depthwise convolution.
  func depthwise(
    _ factor: Factor, rows: UnsafePointer<UnsafePointer<Scalar>?>, kernel: Int, stride: Int,
    dilation: Int, width: Int, channels: Int, out: UnsafeMutablePointer<Scalar>)

  /// One row of a bilinear ×2 enlargement of rows of `width` pixels.
  func upsample2(
    near: UnsafePointer<Scalar>, far: UnsafePointer<Scalar>, width: Int, channels: Int,
    out: UnsafeMutablePointer<Scalar>)
}

/// Float32.
struct FloatArithmetic: ChainArithmetic {
  /// Weights, bias and activation.
  struct Factor {
    let weights: AlignedBuffer
    let bias: AlignedBuffer
    let clamp: vos_clamp
  }

  let kernels: vos_kernels
  let integers: vos_int8_kernels

  func segment(base: UnsafePointer<Float>, stride: Int, depth: Int) -> vos_segment {
    vos_segment(base: base, stride: stride, depth: depth)
  }

  func dense(
    _ factor: Factor, width: Int, channels: Int, segments: UnsafePointer<vos_segment>, count: Int,
    addend: UnsafePointer<Float>?, out: UnsafeMutablePointer<Float>
  ) {
    kernels.gemm(
      width, channels, segments, count, factor.weights.base, factor.bias.base, addend, channels,
      out, channels, factor.clamp)
  }

  func dense(
    _ factor: Factor, width: Int, channels: Int, segments: UnsafePointer<vos_segment>, count: Int,
    floats: UnsafeMutablePointer<Float>
  ) {
    dense(
      factor, width: width, channels: channels, segments: segments, count: count, addend: nil,
      out: floats)
  }

  func round(
    _ row: UnsafePointer<Float>, count: Int, to range: ByteRange, out: UnsafeMutablePointer<UInt8>
  ) {
    integers.quantize(row, count, 1 / range.scale, Float(range.zeroPoint), out)
  }

  func depthwise(
    _ factor: Factor, rows: UnsafePointer<UnsafePointer<Float>?>, kernel: Int, stride: Int,
    dilation: Int, width: Int, channels: Int, out: UnsafeMutablePointer<Float>
  ) {
    guard dilation == 1 else {
      kernels.depthwise_dilated(
        rows, kernel, dilation, width, channels, factor.weights.base, factor.bias.base, out,
        factor.clamp)
      return
    }
    kernels.depthwise(
      rows, kernel, stride, width, channels, factor.weights.base, factor.bias.base, out,
      factor.clamp)
  }

  func upsample2(
    near: UnsafePointer<Float>, far: UnsafePointer<Float>, width: Int, channels: Int,
    out: UnsafeMutablePointer<Float>
  ) {
    kernels.upsample2(near, far, width, channels, out)
  }
}
