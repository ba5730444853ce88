// Networks that simulate integers in floats, and what groups of layers lose in int8.

import TestSupport
import Testing

@testable import MemoryVOS

@Suite struct SimulationTests {
  /// The object's probabilities over some frames.
  private func probabilities(_ checkpoint: Checkpoint) throws -> [Float] {
    let scene = QuantizedFixture.scene
    var tracker = try Tracker(
      network: Network(checkpoint), frameSize: scene.size,
      configuration: QuantizedFixture.configuration)
    _ = try tracker.step(scene.frame(at: 30).frame, mask: scene.frame(at: 30).labels)
    var result: [Float] = []
    for index in 31..<35 {
      _ = try tracker.step(scene.frame(at: index).frame)
      for object in tracker.objects { result += try tracker.probabilities(of: object) }
    }
    return result
  }

  private func difference(_ a: [Float], _ b: [Float]) -> Float {
    zip(a, b).reduce(0) { $0 + abs($1.0 - $1.1) } / Float(max(1, a.count))
  }

  private func deviation(_ a: [Float], _ b: [Float]) -> [Double] {
    zip(a, b).map { Double($0 - $1) }
  }

  @Test func fewerBitsLoseMore() throws {
    let quantizer = try QuantizedFixture.quantizer(frames: 20)
    let float = try probabilities(Checkpoint(path: ShippedCheckpoint.path))
    func loss(_ bits: String) throws -> Float {
      let precision = try #require(QuantizationPrecision(bits))
      return difference(
        try probabilities(quantizer.simulated(precision, keepingFloat: [])), float)
    }
    #expect(try loss("32/32") == 0)
    let losses = try ["8/8", "6/6", "3/3"].map(loss)
    #expect(0 < losses[0] && losses[0] < losses[1] && losses[1] < losses[2], "\(losses)")
    #expect(losses[0] < 0.01)
    #expect(try loss("4/8") > losses[0])
    #expect(try loss("4/32") > 0)
    #expect(try loss("32/4") > losses[0])
  }

  @Test func layersThatStayFloatAreAsTheyWere() throws {
    let quantizer = try QuantizedFixture.quantizer(frames: 20)
    let mixed = try quantizer.simulated(.kernels, keepingFloat: ["d16", "k.features.0."])
    let old = try Checkpoint(path: ShippedCheckpoint.path)
    #expect(mixed.tensors["d16.weight"]?.bytes == old.tensors["d16.weight"]?.bytes)
    #expect(mixed.tensors["s8.weight"]?.bytes != old.tensors["s8.weight"]?.bytes)
    let names = try #require(Network(mixed).simulation)
    #expect(names["image"] == nil && names["k.features.2.conv.0.0"] != nil)
    #expect(names["key"] == nil && names["p"] == nil)
  }

  /// These networks stay what they are: whether the simulation or the float network is nearer is close
  /// enough to depend on the weights.
  @Test(arguments: [ShippedCheckpoint.basePath, ShippedCheckpoint.liteStartPath])
  func simulatedIntegersAreNearerToIntegersThanFloatsAre(path: String) throws {
    let quantizer = try QuantizedFixture.quantizer(frames: 20, checkpoint: path)
    let float = try probabilities(Checkpoint(path: path))
    let integers = try probabilities(quantizer.quantized(keepingFloat: []))
    let simulated = try probabilities(quantizer.simulated(.kernels, keepingFloat: []))
    let (error, lost) = (difference(simulated, integers), difference(integers, float))
    #expect(error < lost, "\(error), \(lost)")
  }

  @Test func theSimulationLosesWhatIntegersLose() throws {
    let quantizer = try QuantizedFixture.quantizer(frames: 20)
    let float = try probabilities(Checkpoint(path: ShippedCheckpoint.path))
    let integers = try probabilities(quantizer.quantized(keepingFloat: []))
    let simulated = try probabilities(quantizer.simulated(.kernels, keepingFloat: []))
    // Words and eighths of the kernels' sums are not simulated, so the two differ by about as much as
    // each loses; but they lose alike, in the same places, and fewer bits are further away.
    let (lost, simulatedLost) = (difference(integers, float), difference(simulated, float))
    #expect(abs(simulatedLost - lost) < 0.3 * lost, "\(simulatedLost), \(lost)")
    let (errors, others) = (deviation(integers, float), deviation(simulated, float))
    let product = zip(errors, others).reduce(0) { $0 + $1.0 * $1.1 }
    let squares = errors.reduce(0) { $0 + $1 * $1 } * others.reduce(0) { $0 + $1 * $1 }
    #expect(product > 0.4 * squares.squareRoot(), "\(product / squares.squareRoot())")
    let six = try #require(QuantizationPrecision("6/6"))
    let coarse = try probabilities(quantizer.simulated(six, keepingFloat: []))
    #expect(2 * difference(simulated, integers) < difference(coarse, integers))
  }

  @Test func sizesAreThoseOfTheBits() throws {
    let quantizer = try QuantizedFixture.quantizer(frames: 20)
    let float = quantizer.byteCount(.init(weightBits: 32, activationBits: 32))
    #expect(float == 4 * quantizer.network.parameterCount)
    let sizes = [8, 6, 4].map {
      quantizer.byteCount(.init(weightBits: $0, activationBits: 8), keepingFloat: [])
    }
    #expect(sizes[0] > sizes[1] && sizes[1] > sizes[2] && 10 * sizes[0] < 3 * float)
    let tensors = try quantizer.quantized(keepingFloat: []).tensors.values
    #expect(sizes[0] == tensors.reduce(0) { $0 + $1.bytes.count })
  }

  @Test func precisionsAreReadStrictly() {
    for text in ["8/7", "2/2", "32/32", "4/32"] {
      #expect(QuantizationPrecision(text)?.description == text)
    }
    for text in ["", "8", "8/", "/8", "1/8", "8/9", "16/16", "8/8/8", "a/b", "-8/8", " 8/8"] {
      #expect(QuantizationPrecision(text) == nil, "\(text)")
    }
  }

  @Test func damagedAndWrongFilesAreRefused() throws {
    let quantizer = try QuantizedFixture.quantizer(frames: 20)
    let simulated = try quantizer.simulated(.kernels)
    #expect { _ = try Quantizer(simulated) } throws: { "\($0)".contains("already rounded") }
    for json in [
      nil, "", "[]", "{\"weight_bits\": 8}",
      "{\"weight_bits\":9,\"activation_bits\":8,\"float\":[],\"ranges\":{}}",
      "{\"weight_bits\":8,\"activation_bits\":7,\"float\":[],\"ranges\":{\"d16\":[0,3,127]}}",
      "{\"weight_bits\":8,\"activation_bits\":7,\"float\":[],\"ranges\":{\"d16\":[1,128,127]}}",
      "{\"weight_bits\":8,\"activation_bits\":7,\"float\":[],\"ranges\":{\"d16\":[1,3,255]}}",
      "{\"weight_bits\":8,\"activation_bits\":7,\"float\":[],\"ranges\":{\"d16\":[1]}}",
    ] {
      var damaged = simulated
      damaged.metadata["simulation"] = json
      #expect(throws: CheckpointError.self, "\(json ?? "nil")") { _ = try Network(damaged) }
    }
  }

  // MARK: - Sensitivity

  @Test func everyGroupIsMeasured() throws {
    let quantizer = try QuantizedFixture.quantizer(frames: 20)
    let scene = QuantizedFixture.scene
    let frames = (40..<43).map { scene.frame(at: $0) }
    var seen: [Int] = []
    let measured = try quantizer.sensitivities(
      on: [.init(frames: frames.map(\.frame), mask: frames[0].labels)],
      configuration: QuantizedFixture.configuration
    ) { seen.append($0) }
    #expect(measured.map(\.group) == quantizer.layerGroups)
    #expect(seen == Array(1...measured.count))
    #expect(quantizer.layerGroups.contains("k.features.13.") && measured.count > 20)
    for layer in quantizer.layers {
      #expect(quantizer.layerGroups.filter { layer.hasPrefix($0) }.count == 1, "\(layer)")
    }
    #expect(measured.allSatisfy { $0.loss >= 0 && $0.loss < 0.5 })
    #expect(measured.contains { $0.loss > 0 })
    #expect(abs(measured.reduce(0) { $0 + $1.weights } - 1) < 1e-9)
    #expect(abs(measured.reduce(0) { $0 + $1.multiplyAdds } - 1) < 1e-9)
    let few = try QuantizedFixture.quantizer(frames: 3)
    #expect(throws: CheckpointError.self) { _ = try few.sensitivities(on: []) }
  }

  @Test func theWorstStayFloatWithinTheBudget() {
    func group(
      _ name: String, _ loss: Double, _ multiplyAdds: Double, weights: Double = 0
    ) -> LayerSensitivity {
      .init(group: name, loss: loss, weights: weights, multiplyAdds: multiplyAdds)
    }
    let groups = [
      group("a", 0.001, 0.3), group("b", 0.02, 0.03), group("c", 0.05, 0.2),
      group("d", 0.03, 0.04), group("e", 0.0015, 0.01), group("f", 0.04, 0.001, weights: 0.3),
      group("g", 0.0012, 0.1), group("h", 0.0011, 0.1), group("i", 0.0009, 0.1),
    ]
    // c takes too many multiply-adds, f too many weights; e loses little.
    #expect(Quantizer.layersToKeep(groups, budget: 0.08) == ["d", "b"])
    #expect(Quantizer.layersToKeep(groups, budget: 0.05) == ["d"])
    #expect(Quantizer.layersToKeep(groups, budget: 0) == [])
    #expect(Quantizer.layersToKeep(groups, budget: 1) == ["c", "d", "b"])
    #expect(Quantizer.layersToKeep([], budget: 1) == [])
    let equal = (0..<5).map { group("\($0)", 0.01, 0.01) }
    #expect(Quantizer.layersToKeep(equal, budget: 1) == [])
    #expect(Quantizer.softOverlap([0, 0], [0, 0]) == 1)
    #expect(Quantizer.softOverlap([1, 0], [0.5, 0]) == 0.5)
  }
}
