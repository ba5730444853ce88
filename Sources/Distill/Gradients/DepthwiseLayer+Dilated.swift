// Depthwise convolution whose taps are some pixels apart, and its gradient: tap by tap, because maps that
// are read so are small. DepthwiseLayer calls.

import CKernels
import MemoryVOS

extension DepthwiseLayer {
  /// Calls `body(tap, row, first, column, count)` for each tap that falls inside the map: it takes
  /// output pixels `first` ..< `first + count` of row `y` to input pixels from `column` on of `row`.
  private func forEachTap(
    _ y: Int, _ body: (_ tap: Int, _ row: Int, _ first: Int, _ column: Int, _ count: Int) -> Void
  ) {
    let (kernel, dilation, padding) = (
      convolution.kernel, convolution.dilation, convolution.padding
    )
    for i in 0..<kernel {
      let row = y + i * dilation - padding
      guard row >= 0, row < shape.height else { continue }
      for j in 0..<kernel {
        let offset = j * dilation - padding
        let (first, end) = (max(0, -offset), min(shape.width, shape.width - offset))
        if first < end { body(i * kernel + j, row, first, first + offset, end - first) }
      }
    }
  }

  func forwardDilated(_ pass: GradientPass) {
    let width = shape.width * channels
    pass.forEachPiece(rows: shape.height) { _, sample, rows in
      let map = pass.activation(source, sample)
      for y in rows {
        let out = pass.activation(output, sample) + y * width
        for x in 0..<shape.width { (out + x * channels).update(from: bias.base, count: channels) }
        forEachTap(y) { tap, row, first, column, count in
          pass.training.depthwise_tap(
            map + row * width + column * channels, weights.base + tap * channels, count, channels,
            out + first * channels)
        }
        for index in 0..<width { out[index] = min(max(out[index], clamp.low), clamp.high) }
      }
    }
  }

  func backwardDilated(_ pass: GradientPass) {
    let width = shape.width * channels
    pass.forEachPiece(rows: shape.height) { part, sample, rows in
      let sums = pass.accumulator(self, part)
      let map = pass.activation(source, sample)
      for y in rows {
        let g = pass.gradient(output, sample) + y * width
        let result = gate.isActive ? pass.activation(output, sample) + y * width : nil
        pass.training.clamp_gradient(
          result, shape.width, channels, gate, g, sums + taps * channels)
        forEachTap(y) { tap, row, first, column, count in
          pass.training.depthwise_tap_weights(
            map + row * width + column * channels, g + first * channels, count, channels,
            sums + tap * channels)
        }
      }
    }
    // At stride 1 the gradient is the same convolution of g with the kernel turned round.
    let turned = weights.base + taps * channels
    pass.addGradient(of: source) { sample, y, to in
      let g = pass.gradient(output, sample)
      forEachTap(y) { tap, row, first, column, count in
        pass.training.depthwise_tap(
          g + row * width + column * channels, turned + tap * channels, count, channels,
          to + first * channels)
      }
    }
  }
}
