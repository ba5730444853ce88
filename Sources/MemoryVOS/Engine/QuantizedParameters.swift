// The int8 half of a network as a checkpoint holds it, and the layouts the integer kernels want.
// Made by Sources/MemoryVOS/Quantization, packed once per plan.

import CKernels

/// How bytes 0…127 stand for reals: real = (byte - zeroPoint) · scale.
package struct ByteRange: Sendable, Hashable {
  /// Real distance of two neighbouring bytes, more than 0.
  package let scale: Float
  /// The byte that means 0.
  package let zeroPoint: UInt8

  package init(scale: Float, zeroPoint: UInt8) {
    precondition(scale > 0 && zeroPoint <= UInt8(VOS_INT8_HIGHEST), "\(scale), \(zeroPoint)")
    self.scale = scale
    self.zeroPoint = zeroPoint
  }

  /// The byte nearest to `real`.
  func byte(_ real: Float) -> UInt8 {
    let byte = (real / scale).rounded(.toNearestOrEven) + Float(zeroPoint)
    return UInt8(min(max(byte, 0), Float(VOS_INT8_HIGHEST)))
  }
}

/// A map of bytes and what they mean.
package struct ByteTensor: Sendable {
  package let map: ByteMap
  package let range: ByteRange
}

/// Convolutions in int8, and the ranges of what they read and write.
package struct QuantizedParameters: Sendable {
  /// One convolution.
  package struct Convolution: Sendable {
    /// In PyTorch's order, within the kernels' limit (`VOS_INT8_WEIGHT_SUM`).
    package var weights: [Int8]
    /// Per output channel, the real value of one unit of the sum over (byte - zero point) · weight.
    package var scales: [Float]
    package var bias: [Float]
  }

  /// By layer name; convolutions that are not here stay float.
  package var convolutions: [String: Convolution] = [:]
  /// By `PlanCompiler`'s names of values: the convolution that ends in it, or the input's name and
  /// what is done to it.
  package var ranges: [String: ByteRange] = [:]

  package init() {}
}

/// The order in which the kernels read a dense convolution's weights.
struct DenseLayout {
  /// For each segment (kernel row, source), the offsets (channel, row, column) within one output
  /// channel's weights in the order of the segment's bytes.
  let segments: [[Int]]

  init(kernel: Int, sources: [Int]) {
    var segments: [[Int]] = []
    for ky in 0..<kernel {
      var first = 0
      for channels in sources {
        var segment: [Int] = []
        for kx in 0..<kernel {
          for channel in first..<first + channels {
            segment.append((channel * kernel + ky) * kernel + kx)
          }
        }
        segments.append(segment)
        first += channels
      }
    }
    self.segments = segments
  }

  /// The offsets whose weights share a 16-bit sum in the kernels: the sum of |weight| over each is
  /// at most `VOS_INT8_WEIGHT_SUM`.
  var sums: [[Int]] {
    var sums: [[Int]] = []
    for segment in segments {
      for block in stride(from: 0, to: segment.count, by: 8) {
        for parts in [[0, 1, 4, 5], [2, 3, 6, 7]] {
          sums.append(parts.map { $0 + block }.filter { $0 < segment.count }.map { segment[$0] })
        }
      }
    }
    return sums.filter { !$0.isEmpty }
  }

  /// The same of a depthwise convolution: two halves of the pairs of taps.
  static func depthwiseSums(kernel: Int) -> [[Int]] {
    let taps = kernel * kernel
    let middle = ((taps + 1) / 2 + 1) / 2 * 2
    return [Array(0..<middle), Array(middle..<taps)]
  }
}

// MARK: - Packing

extension QuantizedParameters {
  /// What surrounds a convolution: ranges of its operands and of its result.
  struct Surroundings {
    /// Channels and range of each operand, in the order of concatenation.
    var sources: [(channels: Int, range: ByteRange)]
    /// `nil` when the result is float.
    var result: ByteRange?
    var addend: ByteRange?
    /// The activation.
    var low: Float
    var high: Float

    var clamp: vos_int8_clamp {
      guard let result else { return .init(low: 0, high: UInt8(VOS_INT8_HIGHEST)) }
      return .init(
        low: low == -.infinity ? 0 : result.byte(low),
        high: high == .infinity ? UInt8(VOS_INT8_HIGHEST) : result.byte(high))
    }
  }

  private subscript(name: String) -> Convolution {
    guard let convolution = convolutions[name] else {
      preconditionFailure("\(name) is not quantised")
    }
    return convolution
  }

  /// A dense convolution as `vos_int8_factor` wants it.
  ///
  /// All zero points are constants of an output channel, since maps have columns and rows of the zero
  /// point around them: they go into the bias.
  func packedDense(
    _ name: String, kernel: Int, outputs: Int, _ surroundings: Surroundings
  ) -> ByteArithmetic.Factor {
    let convolution = self[name]
    let sources = surroundings.sources
    let layout = DenseLayout(kernel: kernel, sources: sources.map(\.channels))
    let panel = Int(VOS_PANEL)
    let panels = (outputs + panel - 1) / panel
    let groups = layout.segments.reduce(0) { $0 + ($1.count + 3) / 4 }
    let unit = surroundings.result?.scale ?? 1
    let addend = surroundings.addend.map { Double($0.scale / unit) }
    let addendMultiplier = addend.map(WordScaling.addendMultiplier) ?? 0
    let finest = Double((convolution.scales.min() ?? 1) / unit)
    let scaling = WordScaling(finest: finest, addend: addend)
    let factor = ByteArithmetic.Factor(
      weightCount: panels * panel * groups * 4, columns: panels * panel, depthwiseChannels: 0,
      shift: scaling.shift, addendMultiplier: addendMultiplier, clamp: surroundings.clamp)
    // What bytes have on top of the sum. Shifts round down: the last one, of eighths, takes 7/16 on
    // average.
    var zero = Double(surroundings.result?.zeroPoint ?? 0) + (addend == nil ? 0 : 0.4375)
    zero -= Double(surroundings.addend?.zeroPoint ?? 0) * Double(addendMultiplier) / 2048
    let perOutput = convolution.weights.count / outputs
    for output in 0..<outputs {
      let scale = convolution.scales[output] / unit
      var bias = Double(convolution.bias[output]) / Double(convolution.scales[output])
      var group = 0
      for (index, segment) in layout.segments.enumerated() {
        let zeroPoint = Int(sources[index % sources.count].range.zeroPoint)
        for (k, offset) in segment.enumerated() {
          let weight = convolution.weights[output * perOutput + offset]
          let row = (output / panel * groups + group + k / 4) * panel + output % panel
          factor.weights.base[row * 4 + k % 4] = weight
          bias -= Double(zeroPoint * Int(weight))
        }
        group += (segment.count + 3) / 4
      }
      let multiplier = scaling.multiplier(Double(scale))
      if surroundings.result != nil {
        bias += zero / (Double(multiplier) * scaling.unit) + Double((1 << scaling.shift) / 2)
      }
      // Sums stay below 2^31: 4096 channels of 9 taps at 127 · 64 each are 3·10^8.
      factor.bias.base[output] = Int32(min(max(bias.rounded(), -0x4000_0000), 0x4000_0000))
      factor.scale.base[output] = scale
      factor.multiplier.base[output] = multiplier
    }
    return factor
  }

  /// A depthwise convolution as `vos_int8_depthwise` wants it.
  func packedDepthwise(
    _ name: String, kernel: Int, channels: Int, _ surroundings: Surroundings
  ) -> ByteArithmetic.Factor {
    let convolution = self[name]
    let taps = kernel * kernel
    guard let result = surroundings.result else {
      preconditionFailure("\(name): a depthwise convolution into floats")
    }
    let factor = ByteArithmetic.Factor(
      weightCount: (taps + 1) / 2 * channels * 2, columns: 0, depthwiseChannels: channels,
      zeroPoint: result.zeroPoint, clamp: surroundings.clamp)
    let zeroPoint = Int(surroundings.sources[0].range.zeroPoint)
    for channel in 0..<channels {
      var sum = 0
      for tap in 0..<taps {
        let weight = convolution.weights[channel * taps + tap]
        factor.weights.base[(tap / 2 * channels + channel) * 2 + tap % 2] = weight
        sum += zeroPoint * Int(weight)
      }
      // The kernel halves its sums.
      let scale = Double(convolution.scales[channel])
      let bias = (Double(convolution.bias[channel]) / scale - Double(sum)) / 2
      factor.narrowBias.base[channel] = Int16(
        min(max(bias.rounded(), Double(Int16.min)), Double(Int16.max)))
      let fixed = (scale / Double(result.scale) * 65536).rounded()
      factor.narrowScale.base[channel] = Int16(min(max(fixed, 0), Double(Int16.max)))
    }
    return factor
  }
}
