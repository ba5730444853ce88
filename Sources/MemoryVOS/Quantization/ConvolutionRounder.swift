// One convolution's weights rounded to whole numbers: scales per output channel, for int8 within the
// kernels' limits. Quantizer calls it for checkpoints, Distill in every step of training with rounding.

/// Rounds the weights of one convolution.
struct ConvolutionRounder {
  private let convolution: PlanCompiler.NamedConvolution
  private let weight: [Float]
  private let bias: [Float]
  private let sources: [RoundingRange]
  private let result: RoundingRange
  private let precision: QuantizationPrecision
  /// Means of the operands' channels, in the order of concatenation.
  private let means: [Double]
  /// Units of the result per unit of the addend.
  private let addend: Double?
  private let taps: Int
  private let perOutput: Int
  /// For each weight of an output channel, the operand that it multiplies.
  private let sourceOfOffset: [Int]

  /// 16-bit sums hold 258 times 127 (CKernelsInt8.h); rounding may add half a unit per weight.
  private static let limit: Float = 258

  init(
    _ convolution: PlanCompiler.NamedConvolution, weight: [Float], bias: [Float],
    ranges: [String: RoundingRange], means: [[Double]], precision: QuantizationPrecision = .kernels
  ) {
    func range(_ name: String) -> RoundingRange {
      // Activations that stay float leave weights as they are.
      if precision.activationBits == 32 { return .init(scale: 1, zeroPoint: 0, highest: 255) }
      guard let range = ranges[name] else { preconditionFailure("no range of \(name)") }
      return range
    }
    self.precision = precision
    self.convolution = convolution
    self.weight = weight
    self.bias = bias
    sources = convolution.sources.map(range)
    result = range(convolution.result)
    addend = convolution.addend.map { [result] in Double(range($0).scale / result.scale) }
    self.means = means.flatMap(\.self)
    let kernel = convolution.node.kernel
    taps = kernel * kernel
    perOutput = weight.count / bias.count
    let area = taps
    sourceOfOffset =
      convolution.isDepthwise
      ? [Int](repeating: 0, count: perOutput)
      : convolution.sourceChannels.enumerated().flatMap { source, channels in
        [Int](repeating: source, count: channels * area)
      }
  }

  /// The convolution in whole numbers.
  func rounded() -> QuantizedParameters.Convolution {
    guard precision == .kernels, !convolution.isDepthwise else {
      return rounded(.init(least: 0x1p-16 * result.scale, exact: fixedPoint))
    }
    // Scales may grow past the next shift: whoever packs them finds the shift by the finest of them.
    var scaling = wordScaling()
    while true {
      let rounded = rounded(steps(scaling))
      let finest = Double((rounded.scales.min() ?? 1) / result.scale)
      let packed = WordScaling(finest: finest, addend: addend)
      if packed.shift >= scaling.shift { return rounded }
      scaling = packed
    }
  }

  private func rounded(_ steps: KernelSteps) -> QuantizedParameters.Convolution {
    var rounded = QuantizedParameters.Convolution(weights: [], scales: [], bias: bias)
    rounded.weights.reserveCapacity(weight.count)
    for output in bias.indices {
      let (weights, scale) = channel(output, steps)
      rounded.weights += weights
      rounded.scales.append(scale)
      rounded.bias[output] -= Float(meanError(output, weights, scale))
    }
    return rounded
  }

  /// What the rounded weights stand for, in the order of the weights, and the biases.
  ///
  /// `isCut` says of each weight whether it lies beyond the largest number, which then stands for it.
  func reals() -> (weights: [Float], bias: [Float], isCut: [Bool]) {
    let rounded = rounded()
    var weights = [Float](repeating: 0, count: weight.count)
    var isCut = [Bool](repeating: false, count: weight.count)
    let factors = sources.map { 1 / $0.scale }
    for (output, scale) in rounded.scales.enumerated() {
      let units = factors.map { $0 * scale }
      for (offset, source) in sourceOfOffset.enumerated() {
        let index = output * perOutput + offset
        let number = rounded.weights[index]
        weights[index] = Float(number) * units[source]
        isCut[index] =
          Int(number.magnitude) == precision.highestWeight
          && abs(weight[index]) > abs(weights[index]) + 0.5 * units[source]
      }
    }
    return (weights, rounded.bias, isCut)
  }

  /// Scales of the convolution that the kernels stand for exactly.
  private struct KernelSteps {
    /// No scale is below.
    let least: Float
    /// The next one up, at most the largest that there is.
    let exact: (Float) -> Float
  }

  /// Shift and unit for the scales that all channels have before rounding.
  private func wordScaling() -> WordScaling {
    let scales = bias.indices.map { Double(leastScale($0, scaledWeights($0)) / result.scale) }
    let ordinary = scales.filter { $0 < WordScaling.coarsest(addend: addend) }
    let coarsest = ordinary.max() ?? WordScaling.coarsest(addend: addend)
    let finest = WordScaling.finest(besides: coarsest, addend: addend)
    return WordScaling(finest: max(ordinary.min() ?? 0, finest), addend: addend)
  }

  private func steps(_ scaling: WordScaling) -> KernelSteps {
    let unit = result.scale
    let most = Float(WordScaling.coarsest(addend: addend))
    return .init(least: Float(scaling.leastMultiplier * scaling.unit) * unit) {
      min(Float(scaling.exact(above: Double($0 / unit))), most) * unit
    }
  }

  /// One output channel: for the kernels, the smallest scale at which its weights fit.
  ///
  /// What needs a coarser scale than there is, is a channel whose operand is next to nothing and whose
  /// weights are huge (folded normalisation of a dead channel): its weights are cut.
  private func channel(_ output: Int, _ steps: KernelSteps) -> ([Int8], Float) {
    let scaled = scaledWeights(output)
    guard precision == .kernels else { return plainChannel(scaled) }
    var scale = max(leastScale(output, scaled), steps.least)
    while true {
      let exact = steps.exact(scale)
      let divisor = max(scale, exact)
      let weights = scaled.map { Int8(min(max(($0 / divisor).rounded(), -127), 127)) }
      let sum = convolution.sums.reduce(0) { most, sum in
        max(most, sum.reduce(0) { $0 + Int(weights[$1].magnitude) })
      }
      if sum <= Int(Self.limit) { return (weights, exact) }
      scale *= 1.004
    }
  }

  /// One output channel without the kernels' limits: of 8 bits all weights fit, of fewer the scale has
  /// the least squared error.
  private func plainChannel(_ scaled: [Float]) -> ([Int8], Float) {
    let highest = Float(precision.highestWeight)
    let largest = max(scaled.reduce(0) { max($0, abs($1)) }, 1e-20)
    func numbers(_ scale: Float) -> [Float] {
      let inverse = 1 / scale
      return scaled.map { min(max(($0 * inverse).rounded(.toNearestOrEven), -highest), highest) }
    }
    var best = (error: Float.infinity, scale: largest / highest)
    if precision.weightBits < 8 {
      for share in stride(from: Float(0.5), through: 1, by: 0.0625) {
        let scale = share * largest / highest
        let error = zip(scaled, numbers(scale)).reduce(Float(0)) { sum, pair in
          let difference = pair.0 - pair.1 * scale
          return sum + difference * difference
        }
        if error < best.error { best = (error, scale) }
      }
    }
    return (numbers(best.scale).map { Int8($0) }, best.scale)
  }

  /// Weights times the scales of what they multiply.
  private func scaledWeights(_ output: Int) -> [Float] {
    sourceOfOffset.enumerated().map { offset, source in
      weight[output * perOutput + offset] * sources[source].scale
    }
  }

  /// The smallest scale at which one output channel's weights fit before rounding.
  private func leastScale(_ output: Int, _ scaled: [Float]) -> Float {
    let largest = scaled.reduce(0) { max($0, abs($1)) }
    let largestSum = convolution.sums.reduce(Float(0)) { most, sum in
      max(most, sum.reduce(0) { $0 + abs(scaled[$1]) })
    }
    // A channel of zeros takes any scale.
    let scale = max(largest / 127, largestSum / Self.limit, result.scale * 0x1p-20)
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
      let real = Double(rounded) * Double(scale) / Double(sources[sourceOfOffset[offset]].scale)
      let channel = convolution.isDepthwise ? output : offset / taps
      error += (real - Double(weight[output * perOutput + offset])) * means[channel]
    }
    return error
  }
}
