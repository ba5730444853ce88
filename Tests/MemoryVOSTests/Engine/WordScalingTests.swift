import Foundation
import TestSupport
import Testing

@testable import MemoryVOS

@Suite struct WordScalingTests {
  @Test(arguments: [nil, 0.3, 1, 2.5, 4])
  func multipliersStandForScales(_ addend: Double?) {
    var random = SeededGenerator(seed: 11)
    for _ in 0..<1000 {
      let most = WordScaling.coarsest(addend: addend)
      let coarsest = most * exp2(Double.random(in: -14...0, using: &random))
      let finest =
        WordScaling.finest(besides: coarsest, addend: addend)
        * exp2(Double.random(in: 0...1, using: &random))
      let scaling = WordScaling(finest: finest, addend: addend)
      // What saturates lies beyond all that an addend of 127 and the bytes leave room for.
      let range = finest * exp2(Double(scaling.shift)) * 32768
      let needed = 128 * max(1, addend ?? 1)
      #expect(range >= needed * 0.9999)
      #expect(scaling.shift == 0 || range < 2 * needed)
      for _ in 0..<10 {
        let scale = Double.random(in: min(finest, coarsest)...coarsest, using: &random)
        let exact = scaling.exact(above: scale)
        #expect(Double(scaling.multiplier(exact)) * scaling.unit == exact)
        #expect(exact >= scale * 0.9999 && exact <= scale + scaling.unit)
        let nearest = Double(scaling.multiplier(scale)) * scaling.unit
        #expect(abs(nearest - scale) <= scaling.unit / 2)
      }
    }
  }

  /// Whatever the weights and ranges are: the file can be loaded, and who packs it finds multipliers that
  /// stand for the very scales that the weights were rounded by.
  @Test func scalesOfRoundedConvolutionsAreExact() throws {
    let network = try ShippedCheckpoint.network.get()
    var random = SeededGenerator(seed: 13)
    for graph in [network.graphs.keyEncoder, network.graphs.valueEncoder, network.graphs.decoder] {
      var parameters = QuantizedParameters()
      let convolutions = PlanCompiler.convolutions(in: graph)
      func scale() -> Float { Float(exp2(Double.random(in: -6...0, using: &random))) }
      for convolution in convolutions {
        for name in convolution.sources + [convolution.addend].compactMap(\.self)
        where parameters.ranges[name] == nil {
          parameters.ranges[name] = ByteRange(scale: scale(), zeroPoint: 60)
        }
        // Addends up to the largest: 4 units of the result.
        let addend = convolution.addend.flatMap { parameters.ranges[$0]?.scale }
        let unit = addend.map { $0 / Float.random(in: 0.2...4, using: &random) } ?? scale()
        parameters.ranges[convolution.result] = ByteRange(scale: unit, zeroPoint: 60)
      }
      for convolution in convolutions where convolution.isSupported {
        let outputs = network.weights[convolution.name + ".bias"].count
        let weight = network.weights[convolution.name + ".weight"]
        let perOutput = weight.count / outputs
        let sizes = (0..<outputs).map { _ in
          Float(exp2(Double.random(in: -12...3, using: &random)))
        }
        let rounder = ConvolutionRounder(
          convolution,
          weight: weight.enumerated().map { $0.element * sizes[$0.offset / perOutput] },
          bias: [Float](repeating: 0.1, count: outputs),
          ranges: parameters.ranges.mapValues { RoundingRange($0) }, means: [])
        let rounded = rounder.rounded()
        parameters.convolutions[convolution.name] = rounded
        guard !convolution.isDepthwise, let result = parameters.ranges[convolution.result] else {
          continue
        }
        let addend = convolution.addend.flatMap { parameters.ranges[$0] }
          .map { Double($0.scale / result.scale) }
        let scales = rounded.scales.map { Double($0 / result.scale) }
        let scaling = WordScaling(finest: scales.min() ?? 1, addend: addend)
        for scale in scales where scale < 0.998 * WordScaling.coarsest(addend: addend) {
          let multiplier = Double(scaling.multiplier(scale))
          #expect(abs(multiplier * scaling.unit / scale - 1) < 1e-6, "\(convolution.name)")
        }
      }
      let problem = parameters.problem(in: graph)
      #expect(problem == nil, "\(problem?.layer ?? ""): \(problem?.found ?? "")")
    }
  }

  /// A product with everything around it, against the same in real numbers: bytes are the nearest to
  /// within what the words and eighths of the contract cost, and not too high or too low on average.
  @Test(arguments: [(8, nil), (8, 0.7), (96, nil), (96, 3.9), (600, 1.2)])
  func bytesAreThoseOfRealArithmetic(_ depth: Int, _ ratio: Float?) throws {
    let (rows, outputs) = (200, 24)
    var random = SeededGenerator(seed: 12)
    let source = ByteRange(scale: 0.31, zeroPoint: 17)
    let result = ByteRange(scale: 0.4, zeroPoint: 53)
    let addend = ratio.map { ByteRange(scale: $0 * result.scale, zeroPoint: 61) }
    let finest = 0.008 / Double(depth)
    let scaling = WordScaling(finest: finest, addend: ratio.map(Double.init))
    var parameters = QuantizedParameters()
    parameters.convolutions["c"] = .init(
      weights: (0..<outputs * depth).map { _ in Int8.random(in: -60...60, using: &random) },
      scales: (0..<outputs).map {
        Float(scaling.exact(above: finest * (1 + 2 * Double($0) / Double(outputs)))) * result.scale
      },
      bias: (0..<outputs).map { _ in Float.random(in: -4...4, using: &random) })
    let factor = parameters.packedDense(
      "c", kernel: 1, outputs: outputs,
      .init(
        sources: [(depth, source)], result: result, addend: addend, low: -.infinity,
        high: .infinity))
    let arithmetic = ByteArithmetic(kernels: Kernels(try .preferred()).integers)
    let bytes = (0..<rows * depth).map { _ in UInt8.random(in: 0...127, using: &random) }
    let added = (0..<rows * outputs).map { _ in UInt8.random(in: 0...127, using: &random) }
    var out = [UInt8](repeating: 0, count: rows * outputs)
    bytes.withUnsafeBufferPointer { left in
      var segment = arithmetic.segment(base: left.baseAddress!, stride: depth, depth: depth)
      arithmetic.dense(
        factor, width: rows, channels: outputs, segments: &segment, count: 1,
        addend: addend == nil ? nil : added, out: &out)
    }
    let convolution = try #require(parameters.convolutions["c"])
    var (sum, count, worst) = (0.0, 0, 0.0)
    for row in 0..<rows {
      for output in 0..<outputs {
        var total = 0
        for k in 0..<depth {
          total += (Int(bytes[row * depth + k]) - 17) * Int(convolution.weights[output * depth + k])
        }
        var real = Double(total) * Double(convolution.scales[output])
        real += Double(convolution.bias[output])
        if let addend {
          real += Double(Int(added[row * outputs + output]) - 61) * Double(addend.scale)
        }
        let exact = real / Double(result.scale) + 53
        guard exact > 2, exact < 125 else { continue }
        let error = Double(out[row * outputs + output]) - exact
        sum += error
        count += 1
        worst = max(worst, abs(error))
      }
    }
    #expect(count > rows * outputs / 8, "\(count)")
    #expect(worst < 0.75, "\(worst)")
    #expect(abs(sum / Double(count)) < 0.03, "\(sum / Double(count)) of \(count)")
  }
}
