// Depthwise convolution with bias and activation, and its gradient: with g = dy where the clamp let y
// through, dbias = Σ g, dw[i, j] = Σ x[y + i, x + j] g[y, x], and dx is g convolved with the kernel
// turned round (for stride 2: with the taps that reach an even position). Dilated ones are in
// DepthwiseLayer+Dilated.swift.

import CKernels
import MemoryVOS

final class DepthwiseLayer: GradientLayer {
  let output: Int
  let accumulatorCount: Int
  var accumulatorOffset = 0

  let convolution: MemoryVOS.Operation.Convolution
  let source: Int
  let clamp: Clamp
  let gate: Clamp
  let input: FeatureShape
  let shape: FeatureShape
  /// `[taps, channels]`, then the same turned round.
  let weights: AlignedBuffer
  let bias: AlignedBuffer

  var taps: Int { convolution.kernel * convolution.kernel }
  var channels: Int { shape.channels }

  init(
    _ specification: LayerSpecification, _ convolution: MemoryVOS.Operation.Convolution,
    shapes: [FeatureShape]
  ) {
    precondition([3, 5].contains(convolution.kernel) && [1, 2].contains(convolution.stride))
    output = specification.output
    source = specification.sources[0]
    clamp = specification.clamp
    gate = specification.gate
    self.convolution = convolution
    input = shapes[source]
    shape = shapes[output]
    let taps = convolution.kernel * convolution.kernel
    accumulatorCount = (taps + 1) * shape.channels
    weights = AlignedBuffer(count: 2 * taps * shape.channels)
    bias = AlignedBuffer(count: shape.channels)
  }

  func load(_ parameters: ParameterSet, _ kernels: vos_kernels) {
    let weight = parameters.range(convolution.weight).lowerBound
    let first = parameters.range(convolution.bias).lowerBound
    for channel in 0..<channels {
      bias.base[channel] = parameters.scalars[first + channel]
      for tap in 0..<taps {
        let value = parameters.scalars[weight + channel * taps + tap]
        weights.base[tap * channels + channel] = value
        weights.base[(2 * taps - 1 - tap) * channels + channel] = value
      }
    }
  }

  func collect(from sums: UnsafePointer<Float>, into gradients: inout ParameterSet) {
    let weight = gradients.range(convolution.weight).lowerBound
    let first = gradients.range(convolution.bias).lowerBound
    for channel in 0..<channels {
      gradients.scalars[first + channel] = sums[taps * channels + channel]
      for tap in 0..<taps {
        gradients.scalars[weight + channel * taps + tap] = sums[tap * channels + channel]
      }
    }
  }

  /// The rows of `map` that output row `y` reads; nil beyond the map.
  private func withRows(
    _ y: Int, stride: Int, _ map: UnsafePointer<Float>, _ shape: FeatureShape,
    _ body: (UnsafePointer<UnsafePointer<Float>?>) -> Void
  ) {
    let kernel = convolution.kernel
    withUnsafeTemporaryAllocation(of: UnsafePointer<Float>?.self, capacity: kernel) { rows in
      guard let base = rows.baseAddress else { return }
      for i in 0..<kernel {
        let row = y * stride + i - kernel / 2
        let isInside = row >= 0 && row < shape.height
        (base + i).initialize(to: isInside ? map + row * shape.width * channels : nil)
      }
      body(base)
    }
  }

  func forward(_ pass: GradientPass) {
    guard convolution.dilation == 1 else { return forwardDilated(pass) }
    pass.forEachPiece(rows: shape.height) { _, sample, rows in
      let map = pass.activation(source, sample)
      let out = pass.activation(output, sample)
      for y in rows {
        withRows(y, stride: convolution.stride, map, input) { pointers in
          pass.training.depthwise(
            pointers, convolution.kernel, convolution.stride, input.width, shape.width, channels,
            weights.base, bias.base, nil, out + y * shape.width * channels, clamp)
        }
      }
    }
  }

  func backward(_ pass: GradientPass) {
    guard convolution.dilation == 1 else { return backwardDilated(pass) }
    pass.forEachPiece(rows: shape.height) { part, sample, rows in
      let sums = pass.accumulator(self, part)
      let map = pass.activation(source, sample)
      for y in rows {
        let offset = y * shape.width * channels
        let g = pass.gradient(output, sample) + offset
        let result = gate.isActive ? pass.activation(output, sample) + offset : nil
        pass.training.clamp_gradient(
          result, shape.width, channels, gate, g, sums + taps * channels)
        withRows(y, stride: convolution.stride, map, input) { pointers in
          pass.training.depthwise_weights(
            pointers, convolution.kernel, convolution.stride, input.width, shape.width, channels,
            g, sums)
        }
      }
    }
    guard pass.plan.isLive(source) else { return }
    let accumulates = pass.plan.claim(source)
    pass.forEachPiece(rows: input.height) { _, sample, rows in
      let g = pass.gradient(output, sample)
      for y in rows {
        let to = pass.gradient(source, sample) + y * input.width * channels
        if convolution.stride == 1 {
          withRows(y, stride: 1, g, shape) { pointers in
            pass.training.depthwise(
              pointers, convolution.kernel, 1, shape.width, input.width, channels,
              weights.base + taps * channels, nil, accumulates ? to : nil, to, .none)
          }
        } else {
          if !accumulates { to.update(repeating: 0, count: input.width * channels) }
          withResultRows(reading: y, g) { pointers in
            pass.training.depthwise_input2(
              pointers, convolution.kernel, input.width, shape.width, channels, weights.base, to)
          }
        }
      }
    }
  }

  /// For each kernel row the row of `g` whose result reads input row `y` through it, or nil.
  private func withResultRows(
    reading y: Int, _ g: UnsafePointer<Float>,
    _ body: (UnsafePointer<UnsafePointer<Float>?>) -> Void
  ) {
    let kernel = convolution.kernel
    withUnsafeTemporaryAllocation(of: UnsafePointer<Float>?.self, capacity: kernel) { rows in
      guard let base = rows.baseAddress else { return }
      for i in 0..<kernel {
        let position = y + kernel / 2 - i
        let isRead = position >= 0 && position % 2 == 0 && position / 2 < shape.height
        (base + i).initialize(to: isRead ? g + position / 2 * shape.width * channels : nil)
      }
      body(base)
    }
  }
}
