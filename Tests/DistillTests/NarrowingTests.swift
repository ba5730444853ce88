// Narrow networks from wide ones: which channels stay, and that they still belong together.

import Foundation
import MemoryVOS
import TestSupport
import Testing

@testable import Distill

@Suite("Narrowing") struct NarrowingTests {
  private let folder = TemporaryFolder()

  /// The default network with half the channels in decoder and value encoder.
  private func halved() throws -> NetworkConfiguration {
    var configuration = try #require(NetworkConfiguration(preset: "vos-mobile"))
    configuration.decoderWidth = 0.5
    return configuration
  }

  @Test func theSameWidthsChangeNothing() throws {
    let shipped = try Checkpoint(path: ShippedCheckpoint.path)
    let same = try shipped.narrowed(to: Network(shipped).configuration)
    #expect(same.metadata == shipped.metadata && same.path == shipped.path)
    #expect(same.names == shipped.names)
    for (name, tensor) in shipped.tensors { #expect(same.tensors[name]?.bytes == tensor.bytes) }
    // Through the whole computation too: a part that only one of the networks has, at one width.
    var refined = NetworkConfiguration()
    refined.refinementChannels = 12
    let wide = try checkpoint(.random(seed: 1, configuration: refined))
    refined.refinementChannels = 8
    let narrow = try wide.narrowed(to: refined)
    let heads = Set(wide.names.filter { $0.hasPrefix("h2.") })
    #expect(narrow.names == wide.names && heads.count == 16)
    for (name, tensor) in wide.tensors where !heads.contains(name) {
      #expect(narrow.tensors[name]?.bytes == tensor.bytes, "\(name)")
    }
  }

  @Test func shapesAreTheTargets() throws {
    let shipped = try Checkpoint(path: ShippedCheckpoint.path)
    let narrow = try shipped.narrowed(to: halved())
    try narrow.check(expected: ParameterSet(halved()).entries.map { ($0.name, $0.shape) })
    var configuration = try Network(shipped).configuration
    configuration.decoderWidth = 0.5
    #expect(try Network(narrow).configuration == configuration)
    var teacher = try #require(NetworkConfiguration(preset: "vos-teacher"))
    let wide = try checkpoint(.random(seed: 2, configuration: teacher))
    teacher.decoderWidth = 0.75
    teacher.valueChannels = 128
    #expect(try Network(wide.narrowed(to: teacher)).configuration == teacher)
  }

  @Test func theStrongestStayInOrder() throws {
    let shipped = try Checkpoint(path: ShippedCheckpoint.path)
    let narrow = try shipped.narrowed(to: halved())
    // A group of one layer: what a residual branch computes between its two projections.
    for layer in ["r16.0.a", "r8.1.a", "r4.0.a"] {
      let weight = try shipped.floats(layer + ".weight")
      let bias = try shipped.floats(layer + ".bias")
      let size = weight.count / bias.count
      let norms = bias.indices.map { row in
        weight[row * size..<(row + 1) * size].reduce(0) { $0 + abs(Double($1)) }
      }
      let threshold = norms.sorted(by: >)[bias.count / 2 - 1]
      let expected = bias.indices.filter { norms[$0] >= threshold }.map { bias[$0] }
      #expect(try narrow.floats(layer + ".bias") == expected, "\(layer)")
    }
    // No one layer of a group decides: filters that are stronger throughout change nothing.
    var scaled = shipped
    let entry = try #require(ParameterSet(NetworkConfiguration()).entry("s8.weight"))
    scaled.tensors[entry.name] = CheckpointTensor(
      shape: entry.shape, floats: try shipped.floats(entry.name).map { $0 * 1024 })
    let other = try scaled.narrowed(to: halved())
    for layer in ["u8", "r8.0.d", "r8.1.b"] {
      #expect(other.tensors[layer + ".bias"]?.bytes == narrow.tensors[layer + ".bias"]?.bytes)
    }
  }

  // MARK: - Dead channels

  static let widenings: [(narrow: NetworkConfiguration, wide: NetworkConfiguration)] = {
    var lite = NetworkConfiguration()
    lite.decoderWidth = 0.5
    var narrow = NetworkConfiguration.examples[1]
    narrow.asppRates = [1, 3]
    narrow.encoderWidth = 0.5
    var wide = narrow
    wide.encoderWidth = 1
    wide.keyChannels = 24
    wide.valueChannels = 48
    wide.decoderChannels = [40, 16, 12]
    wide.valueEncoderChannels = [12, 20, 16]
    wide.refinementChannels = 11
    var (deep, deeper) = (narrow, wide)
    deep.contextBlocks = 3
    deeper.contextBlocks = 3
    return [(lite, .init()), (narrow, wide), (deep, deeper)]
  }()

  /// Channels that compute zero, in random places, go; the network that is left is the one before.
  @Test(arguments: widenings)
  func deadChannelsGo(narrow: NetworkConfiguration, wide: NetworkConfiguration) throws {
    let small = Network.random(seed: 3, configuration: narrow)
    let large = try widened(small, to: wide)
    let found = try large.narrowed(to: narrow)
    let expected = try checkpoint(small)
    #expect(found.names == expected.names)
    for (name, tensor) in expected.tensors {
      #expect(found.tensors[name]?.shape == tensor.shape, "\(name)")
      #expect(found.tensors[name]?.bytes == tensor.bytes, "\(name)")
    }
    // The wide one computes the same: its dead channels are where they do nothing.
    let difference = InitialCheckpointTests.difference
    #expect(try difference(Network(large), small) < 1e-3)
    #expect(try difference(.random(seed: 4, configuration: narrow), small) > 1e-2)
  }

  /// A wider network with the function of `network`: the filters of new channels are zero, what reads
  /// them has random weights.
  private func widened(
    _ network: Network, to configuration: NetworkConfiguration
  ) throws -> Checkpoint {
    let small = ParameterSet(network.configuration)
    let large = ParameterSet(configuration)
    var random = SeededGenerator(seed: 5)
    var places = ["image": [0, 1, 2], "mask": [0], "others": [0], "previous": [0]]
    var widths = places.mapValues(\.count)
    let layers = Self.layers(configuration)
    for layer in layers where places[layer.output] == nil {
      let count = try #require(small.entry(layer.name + ".bias")).shape[0]
      let width = try #require(large.entry(layer.name + ".bias")).shape[0]
      places[layer.output] = (0..<width).shuffled(using: &random).prefix(count).sorted()
      widths[layer.output] = width
    }
    var tensors = large
    tensors["t"] = network.weights["t"]
    for layer in layers {
      let (weight, bias) = (network.weights[layer.name + ".weight"], layer.name + ".bias")
      let shape = try #require(large.entry(layer.name + ".weight")).shape
      let taps = shape[2] * shape[3]
      var columns: [Int] = []
      var depth = 0
      for input in layer.inputs {
        columns += try #require(places[input]).map { depth + $0 }
        depth += try #require(widths[input])
      }
      if layer.inputs.isEmpty { (columns, depth) = ([0], 1) }
      #expect(depth == shape[1], "\(layer.name)")
      var (values, biases) = (tensors[layer.name + ".weight"], tensors[bias])
      for (row, place) in try #require(places[layer.output]).enumerated() {
        biases[place] = network.weights[bias][row]
        for index in 0..<depth * taps {
          values[place * depth * taps + index] = .random(in: -1...1, using: &random)
        }
        for (column, target) in columns.enumerated() {
          for tap in 0..<taps {
            values[(place * depth + target) * taps + tap] =
              weight[(row * columns.count + column) * taps + tap]
          }
        }
      }
      (tensors[layer.name + ".weight"], tensors[bias]) = (values, biases)
    }
    #expect(layers.count * 2 + 1 == large.entries.count)
    return Checkpoint(
      metadata: try InitialCheckpointTests.metadata(configuration), tensors: tensors.tensors)
  }

  /// Every layer, the set of channels that it writes and those that it reads side by side, none for a
  /// depthwise one: written down by hand, to have a second opinion on what belongs together.
  private static func layers(
    _ configuration: NetworkConfiguration
  ) -> [(name: String, output: String, inputs: [String])] {
    typealias Layer = (name: String, output: String, inputs: [String])
    func residual(_ name: String, _ set: String) -> [Layer] {
      [(name + ".d", set, []), (name + ".a", name, [set]), (name + ".b", set, [name])]
    }
    var layers: [Layer] = [("k.features.0.0", "e0", ["image"])]
    var block = 0
    for (row, count) in [1, 2, 3, 4, 3, configuration.contextBlocks].enumerated() {
      for repetition in 0..<count {
        block += 1
        let name = "k.features.\(block).conv."
        let (input, output) = ("e\(repetition == 0 ? row : row + 1)", "e\(row + 1)")
        let inside = block == 1 ? input : name
        if block > 1 { layers.append((name + "0.0", inside, [input])) }
        layers.append((name + (block > 1 ? "1.0" : "0.0"), inside, []))
        layers.append((name + (block > 1 ? "2" : "1"), output, [inside]))
      }
    }
    let (f4, f8, f16) = ("e2", "e3", "e5")
    if configuration.contextBlocks > 0 { layers.append(("c16.b", f16, ["e6"])) }
    layers += [
      ("key", "key", [f16]), ("m1", "m1", ["mask", "others"]), ("m2", "m2", ["m1", f4]),
      ("m3", "m2", []), ("m4", "m4", ["m2", f8]), ("m5", "m4", []), ("m6", "value", ["m4", f16]),
    ]
    layers += residual("mr.0", "value") + residual("mr.1", "value")
    layers.append(("d16", "d16", ["value", f16, "previous"]))
    let rates = configuration.asppRates
    if !rates.isEmpty {
      layers += rates.map { ("a16.r\($0)", "d16", []) }
      layers.append(("a16.b", "d16", rates.map { _ in "d16" }))
    }
    layers += residual("r16.0", "d16") + residual("r16.1", "d16")
    layers += [("u8", "d8", ["d16"]), ("s8", "d8", [f8, "previous"])]
    layers += residual("r8.0", "d8") + residual("r8.1", "d8")
    layers += [("u4", "d4", ["d8"]), ("s4", "d4", [f4, "previous"])]
    layers += residual("r4.0", "d4") + residual("r4.1", "d4")
    layers.append(("p", "logit", ["d4"]))
    if configuration.refinementChannels > 0 {
      layers += [
        ("h2.i", "f2", ["image"]), ("h2.u", "h2", ["d4", "logit"]),
        ("h2.s", "h2", ["f2", "previous"]), ("h2.0.d", "h2", []), ("h2.0.a", "h2.0", ["h2"]),
        ("h2.1.d", "h2.0", []), ("h2.1.a", "h2.1", ["h2.0"]), ("h2.b", "logit", ["h2.1"]),
      ]
    }
    return layers
  }

  private func checkpoint(_ network: Network) throws -> Checkpoint {
    var tensors: [String: CheckpointTensor] = [:]
    for entry in ParameterSet(network.configuration).entries {
      tensors[entry.name] = CheckpointTensor(
        shape: entry.shape, floats: network.weights[entry.name])
    }
    return Checkpoint(
      metadata: try InitialCheckpointTests.metadata(network.configuration), tensors: tensors)
  }

  // MARK: - Training

  @Test func trainingStartsThere() throws {
    var recipe = Recipe()
    recipe.data = [try SyntheticData.davis(folder)]
    recipe.samples.size = 64
    recipe.network = try halved()
    recipe.initial = ShippedCheckpoint.path
    recipe.threads = 1
    let trainer = try Trainer(recipe, output: folder.path + "/o")
    let shipped = try Checkpoint(path: ShippedCheckpoint.path)
    let narrow = try shipped.narrowed(to: halved())
    #expect(trainer.notes.count == 1)
    let counts = "\(narrow.parameterCount) of \(shipped.parameterCount) parameters"
    #expect(trainer.notes[0].contains("strongest channels, \(counts)"))
    for (name, tensor) in narrow.tensors {
      #expect(trainer.student.tensors[name]?.bytes == tensor.bytes, "\(name)")
    }
  }

  /// What a training with this network says to this start.
  private func problem(_ configuration: NetworkConfiguration, _ checkpoint: Checkpoint) -> String {
    var parameters = ParameterSet(configuration)
    do {
      _ = try parameters.load(initial: checkpoint.narrowed(to: configuration))
      return "no error"
    } catch { return error.description }
  }

  @Test func partsAreAddedAndChannelsTaken() throws {
    var plus = try halved()
    plus.asppRates = [1, 3]
    plus.refinementChannels = 8
    let shipped = try Checkpoint(path: ShippedCheckpoint.path)
    #expect(problem(plus, shipped) == "no error")
    let narrow = try shipped.narrowed(to: plus)
    #expect(narrow.names == shipped.names)
    for (name, tensor) in try shipped.narrowed(to: halved()).tensors {
      #expect(narrow.tensors[name]?.bytes == tensor.bytes, "\(name)")
    }
  }

  @Test func whatDoesNotFitIsAnError() throws {
    let shipped = try Checkpoint(path: ShippedCheckpoint.path)
    var partlyWider = try halved()
    partlyWider.decoderChannels = [128, 64, 80]
    #expect(
      problem(partlyWider, shipped)
        .contains("tensor 'u4.weight': expected shape [40, 32, 1, 1] or wider, found shape [32, "))
    let teacher = try #require(NetworkConfiguration(preset: "vos-teacher"))
    #expect(problem(teacher, shipped).contains("or wider"))
    var residual = NetworkConfiguration()
    residual.encoder = .resNet18
    let text = problem(residual, shipped)
    #expect(text.contains("shape") && text.contains("belongs to another"), "\(text)")
    // Without the pyramid that the checkpoint has.
    var pyramid = NetworkConfiguration.examples[1]
    pyramid.asppRates = [1, 3]
    let large = try checkpoint(.random(seed: 6, configuration: pyramid))
    pyramid.asppRates = []
    pyramid.decoderWidth = 0.5
    #expect(problem(pyramid, large).contains("expected no tensor of this name"))
    // So narrow that an image of 16 and of 32 channels becomes one of 8, which is then added.
    var thin = NetworkConfiguration()
    thin.encoderWidth = 0.1
    #expect(problem(thin, shipped).contains("residual connections as in encoder_width 0.1"))
    // A description of other tensors; no numbers; integers.
    var changed = shipped
    changed.metadata["configuration"] = "{\"key_channels\": 65}"
    #expect(try problem(halved(), changed).contains("tensor 'key.weight': expected shape [65, "))
    changed.metadata["configuration"] = "{\"key_channels\": 0}"
    #expect(try problem(halved(), changed).contains("not all in 1"))
    changed = shipped
    changed.tensors["u8.bias"] = CheckpointTensor(
      shape: [64], floats: [Float](repeating: .nan, count: 64))
    #expect(try problem(halved(), changed).contains("tensor 'u8.bias': expected finite"))
    let integers = URL(filePath: ShippedCheckpoint.path).deletingLastPathComponent()
      .appending(path: "vos-mobile-int8.safetensors").path
    #expect(try problem(halved(), Checkpoint(path: integers)).contains("no tensor of this name"))
  }
}
