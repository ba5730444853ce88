// One convolution's weights rounded to int8: scales per output channel, within the kernels' limits.

/// Rounds the weights of one convolution.
struct ConvolutionRounder {
  private let convolution: PlanCompiler.NamedConvolution
  private let weight: [Float]
  private let bias: [Float]
  private let sources: [ByteRange]
  private let result: ByteRange
  /// Means of the operands' channels, in the order of concatenation.
  private let means: [Double]
  private let taps: Int
  private let perOutput: Int

  /// 16-bit sums hold 258 times 127 (CKernelsInt8.h); rounding may add half a unit per weight.
  private static let limit: Float = 258

  init(
    _ convolution: PlanCompiler.NamedConvolution, weight: [Float], bias: [Float],
    ranges: [String: ByteRange], means: [[Double]]
  ) {
    func range(_ name: String) -> ByteRange {
      guard let range = ranges[name] else { preconditionFailure("no range of \(name)") }
      return range
    }
    self.convolution = convolution
    self.weight = weight
    self.bias = bias
    sources = convolution.sources.map(range)
    result = range(convolution.result)
    self.means = means.flatMap(\.self)
    let kernel = convolution.node.kernel
    taps = kernel * kernel
    perOutput = weight.count / bias.count
  }

  /// The convolution in int8.
  func rounded() -> QuantizedParameters.Convolution {
    var rounded = QuantizedParameters.Convolution(weights: [], scales: [], bias: bias)
    rounded.weights.reserveCapacity(weight.count)
    for output in bias.indices {
      let (weights, scale) = channel(output)
      rounded.weights += weights
      rounded.scales.append(scale)
      rounded.bias[output] -= Float(meanError(output, weights, scale))
    }
    return rounded
  }

  /// One output channel: the smallest scale at which its weights fit.
  ///
  /// A unit of the sum is at most half a unit of the result. What needs more is a channel whose
  /// operand is next to nothing and whose weights are huge (folded normalisation of a dead channel):
  /// its weights are cut.
  private func channel(_ output: Int) -> ([Int8], Float) {
    let scaled = scaledWeights(output)
    var scale = leastScale(output)
    while true {
      let exact =
        convolution.isDepthwise ? fixedPoint(scale) : min(scale, 0.499 * result.scale)
      let divisor = max(scale, exact)
      let weights = scaled.map { Int8(min(max(($0 / divisor).rounded(), -127), 127)) }
      let sum = convolution.sums.reduce(0) { most, sum in
        max(most, sum.reduce(0) { $0 + Int(weights[$1].magnitude) })
      }
      if sum <= Int(Self.limit) { return (weights, exact) }
      scale *= 1.004
    }
  }

  /// Weights times the scales of what they multiply.
  private func scaledWeights(_ output: Int) -> [Float] {
    (0..<perOutput).map { offset in
      weight[output * perOutput + offset] * sources[source(of: offset)].scale
    }
  }

  /// The smallest scale at which one output channel's weights fit before rounding.
  private func leastScale(_ output: Int) -> Float {
    let scaled = scaledWeights(output)
    let largest = scaled.reduce(0) { max($0, abs($1)) }
    let largestSum = convolution.sums.reduce(Float(0)) { most, sum in
      max(most, sum.reduce(0) { $0 + abs(scaled[$1]) })
    }
    // A channel of zeros takes any scale.
    let scale = max(largest / 127, largestSum / Self.limit, result.scale * 0x1p-16)
    return convolution.isDepthwise ? max(scale, abs(bias[output]) / 32000) : scale
  }

  /// The next scale up that the depthwise kernels' Q15 multiplier stands for exactly.
  private func fixedPoint(_ scale: Float) -> Float {
    let fixed = (scale / result.scale * 65536).rounded(.up)
    return min(max(fixed, 1), 32767) * result.scale / 65536
  }

  /// What rounding the weights adds to the channel's mean (Nagel et al., ICCV 2019, section 4.2).
  private func meanError(_ output: Int, _ weights: [Int8], _ scale: Float) -> Double {
    guard !means.isEmpty else { return 0 }
    var error = 0.0
    for (offset, rounded) in weights.enumerated() {
      let real = Double(rounded) * Double(scale) / Double(sources[source(of: offset)].scale)
      let channel = convolution.isDepthwise ? output : offset / taps
      error += (real - Double(weight[output * perOutput + offset])) * means[channel]
    }
    return error
  }

  /// The operand that a weight at `offset` within an output channel multiplies.
  private func source(of offset: Int) -> Int {
    var channel = offset / taps
    for (index, channels) in convolution.sourceChannels.enumerated() {
      if channel < channels { return index }
      channel -= channels
    }
    return 0
  }
}
