// 8-bit planar YCbCr to RGB, for JPEG to the bit as libjpeg does it. FrameConverter uses it;
// libswscale, which rounds chroma coarsely, converts the rarer formats.

import CLibAV

/// The colour matrix and range of a YCbCr picture, in 16-bit fixed point.
///
///     R = l·(Y − o) + r·Cr,  G = l·(Y − o) − gb·Cb − gr·Cr,  B = l·(Y − o) + b·Cb
struct ColorMatrix: Equatable {
  let offset: Int32
  let luma: Int32
  let redFromRed: Int32
  let greenFromBlue: Int32
  let greenFromRed: Int32
  let blueFromBlue: Int32

  /// From the weights of red and blue in luma (BT.601: 0.299 and 0.114), for full range (JPEG) or
  /// limited range (Y 16…235, C 16…240).
  init(redWeight: Double, blueWeight: Double, isFullRange: Bool) {
    let greenWeight = 1 - redWeight - blueWeight
    let chroma = isFullRange ? 65536 : 65536 * 255 / 224.0
    offset = isFullRange ? 0 : 16
    luma = Int32((isFullRange ? 65536 : 65536 * 255 / 219.0).rounded())
    redFromRed = Int32((chroma * 2 * (1 - redWeight)).rounded())
    blueFromBlue = Int32((chroma * 2 * (1 - blueWeight)).rounded())
    greenFromBlue = Int32((chroma * 2 * (1 - blueWeight) * blueWeight / greenWeight).rounded())
    greenFromRed = Int32((chroma * 2 * (1 - redWeight) * redWeight / greenWeight).rounded())
  }

  /// One of libswscale's names for matrices (`SWS_CS_ITU709` …).
  init(swscale matrix: Int32, isFullRange: Bool) {
    let weights: (red: Double, blue: Double) =
      switch matrix {
      case SWS_CS_ITU709: (0.2126, 0.0722)
      case SWS_CS_BT2020: (0.2627, 0.0593)
      case SWS_CS_SMPTE240M: (0.212, 0.087)
      case SWS_CS_FCC: (0.30, 0.11)
      default: (0.299, 0.114)
      }
    self.init(redWeight: weights.red, blueWeight: weights.blue, isFullRange: isFullRange)
  }
}

/// Conversion of one picture with chroma at full or half resolution.
///
/// Chroma is interpolated linearly. Samples in the centre between pixels weigh 3/4 and 1/4 in each
/// halved direction, with the rounding of libjpeg's "fancy upsampling" (`jdsample.c`), so that
/// BT.601 at full range equals libjpeg to the bit. Samples at the left pixel of two (MPEG-2 and
/// later video) weigh 1, or 1/2 and 1/2, horizontally.
struct PlanarColor {
  /// One plane of 8-bit samples.
  struct Plane {
    let base: UnsafePointer<UInt8>
    let stride: Int
  }

  let size: FrameSize
  let matrix: ColorMatrix
  /// Whether chroma planes have half the width.
  let halvesWidth: Bool
  /// Whether chroma planes have half the height; only together with `halvesWidth`.
  let halvesHeight: Bool
  /// Whether chroma lies at the left pixel of two instead of between them.
  let isLeft: Bool

  /// Converts a picture to interleaved RGB, `[height, width, 3]`.
  func convert(luma: Plane, blue: Plane, red: Plane, into rgb: UnsafeMutablePointer<UInt8>) {
    let width = size.width
    // Rows are upsampled in pairs of pixels.
    let capacity = width + 1
    let rows = UnsafeMutablePointer<UInt8>.allocate(capacity: capacity * 2)
    let sums = UnsafeMutablePointer<Int32>.allocate(capacity: capacity)
    defer {
      rows.deallocate()
      sums.deallocate()
    }
    let m = matrix
    for y in 0..<size.height {
      upsample(blue, row: y, sums: sums, into: rows)
      upsample(red, row: y, sums: sums, into: rows + capacity)
      let lumaRow = luma.base + y * luma.stride
      let target = rgb + y * width * 3
      for x in 0..<width {
        // Sums stay below 2^26: 255 · 76309 + 128 · 148000.
        let light = (Int32(lumaRow[x]) &- m.offset) &* m.luma &+ 32768
        let b = Int32(rows[x]) &- 128
        let r = Int32(rows[capacity + x]) &- 128
        target[3 * x] = clamp((light &+ m.redFromRed &* r) >> 16)
        target[3 * x + 1] = clamp((light &- m.greenFromBlue &* b &- m.greenFromRed &* r) >> 16)
        target[3 * x + 2] = clamp((light &+ m.blueFromBlue &* b) >> 16)
      }
    }
  }

  @inline(__always)
  private func clamp(_ value: Int32) -> UInt8 {
    UInt8(truncatingIfNeeded: max(0, min(255, value)))
  }

  /// One chroma row at the picture's full width.
  private func upsample(
    _ plane: Plane, row: Int, sums: UnsafeMutablePointer<Int32>,
    into target: UnsafeMutablePointer<UInt8>
  ) {
    guard halvesWidth else {
      target.update(from: plane.base + row * plane.stride, count: size.width)
      return
    }
    let count = (size.width + 1) / 2
    let near = halvesHeight ? row / 2 : row
    let nearRow = plane.base + near * plane.stride
    // libjpeg replicates where a row has no inner samples.
    guard count > 2 else {
      for x in 0..<size.width { target[x] = nearRow[x / 2] }
      return
    }
    guard halvesHeight else {
      for x in 0..<count { sums[x] = Int32(nearRow[x]) }
      spread(sums, count: count, scale: 0, into: target)
      return
    }
    let lastRow = (size.height + 1) / 2 - 1
    let far = min(lastRow, max(0, row & 1 == 0 ? near - 1 : near + 1))
    let farRow = plane.base + far * plane.stride
    for x in 0..<count { sums[x] = 3 &* Int32(nearRow[x]) &+ Int32(farRow[x]) }
    spread(sums, count: count, scale: 2, into: target)
  }

  /// `count` samples, each multiplied by 2^scale, to `size.width` pixels.
  private func spread(
    _ sums: UnsafePointer<Int32>, count: Int, scale: Int32, into target: UnsafeMutablePointer<UInt8>
  ) {
    // Left: one sample, or the mean of two, rounded. Centre: libjpeg's biases, 1 and 2 of 4 for a
    // halved width, 8 and 7 of 16 for a halved width and height.
    let weight: Int32 = isLeft ? 1 : 3
    let shift = isLeft ? scale + 1 : scale + 2
    let even: Int32 = isLeft ? 1 << scale : scale == 0 ? 1 : 8
    let odd: Int32 = isLeft ? 1 << scale : scale == 0 ? 2 : 7
    for x in 0..<count {
      let before = x > 0 ? sums[x - 1] : sums[x]
      let after = x + 1 < count ? sums[x + 1] : sums[x]
      let first = isLeft ? 2 &* sums[x] : 3 &* sums[x] &+ before
      target[2 * x] = UInt8(truncatingIfNeeded: (first &+ even) >> shift)
      if 2 * x + 1 < size.width {
        let second = weight &* sums[x] &+ after
        target[2 * x + 1] = UInt8(truncatingIfNeeded: (second &+ odd) >> shift)
      }
    }
  }
}
