// Networks with new parts from checkpoints without them: same function, and what is said about it.

import Foundation
import MemoryVOS
import TestSupport
import Testing

@testable import Distill

@Suite("Initial checkpoints") struct InitialCheckpointTests {
  static let base = Result { try Network(checkpoint: ShippedCheckpoint.basePath) }

  /// Additions to the base network, and how the names of their tensors begin.
  static let additions: [(prefixes: [String], configuration: NetworkConfiguration)] = {
    let base = (try? Self.base.get().configuration) ?? NetworkConfiguration()
    var refined = base
    refined.refinementChannels = 16
    var pyramid = base
    pyramid.asppRates = [1, 3, 6]
    var context = base
    context.contextBlocks = 3
    let blocks = (14...16).map { "k.features.\($0)." }
    return [(["h2."], refined), (["a16."], pyramid), (["c16."] + blocks, context)]
  }()

  @Test(arguments: additions)
  func anAdditionChangesNothingAtFirst(
    prefixes: [String], configuration: NetworkConfiguration
  ) throws {
    let base = try Self.base.get()
    var parameters = ParameterSet(configuration)
    parameters.initialize(seed: 3)
    let notes = try parameters.load(initial: try Checkpoint(path: ShippedCheckpoint.basePath))
    let added = parameters.entries.filter { prefixes.contains(where: $0.name.hasPrefix) }
    #expect(added.count >= 4 && notes.count == added.count)
    for (note, entry) in zip(notes, added) {
      #expect(note.contains("vos-mobile-base.safetensors has no \(entry.name) \(entry.shape)"))
      #expect(note.hasSuffix("zero") == entry.name.hasPrefix("\(prefixes[0])b."))
    }
    var tensors = parameters.tensors
    let extended = try Network(Checkpoint(metadata: Self.metadata(configuration), tensors: tensors))
    #expect(try Self.difference(extended, base) < 1e-4)

    // The comparison sees the addition as soon as its last layer is not zero.
    for name in tensors.keys where name.hasPrefix("\(prefixes[0])b.") {
      let shape = tensors[name]?.shape ?? []
      tensors[name] = CheckpointTensor(
        shape: shape, floats: [Float](repeating: 0.3, count: shape.reduce(1, *)))
    }
    let changed = try Network(Checkpoint(metadata: Self.metadata(configuration), tensors: tensors))
    #expect(try Self.difference(changed, base) > 1e-3)
  }

  @Test func contextFromThePretrainedEncoder() throws {
    let (_, configuration) = Self.additions[2]
    let initial = try Checkpoint(path: ShippedCheckpoint.basePath)
    let encoder = try Checkpoint(
      path: ShippedCheckpoint.folder + "/recipes/mobilenet_v2_imagenet.safetensors")
    var parameters = ParameterSet(configuration)
    parameters.initialize(seed: 3)
    let notes = try parameters.load(initial: initial, over: encoder)
    for entry in parameters.entries where entry.name.hasPrefix("k.") {
      let isOld = initial.tensors[entry.name] != nil
      let expected =
        try isOld ? initial.floats(entry.name) : encoder.floats(String(entry.name.dropFirst(2)))
      #expect(parameters[entry.name] == expected, "\(entry.name)")
    }
    #expect(notes.count { $0.hasSuffix("starts as in \(encoder.path)") } == 18)
    #expect(notes.count { $0.hasSuffix("at zero") } == 2 && notes.count == 20)
  }

  static func metadata(_ configuration: NetworkConfiguration) throws -> [String: String] {
    [
      "architecture": Network.architecture,
      "configuration": String(
        decoding: try JSONEncoder().encode(configuration), as: UTF8.self),
    ]
  }

  /// The largest difference of an object's probabilities over three frames.
  static func difference(_ a: Network, _ b: Network) throws -> Float {
    let scene = SampleScene(
      named: .standard, size: FrameSize(width: 160, height: 96), frameCount: 3)
    var configuration = Tracker.Configuration()
    configuration.inputSize = .exact(scene.size)
    var first = try Tracker(network: a, frameSize: scene.size, configuration: configuration)
    var second = try Tracker(network: b, frameSize: scene.size, configuration: configuration)
    let objects = scene.frame(at: 0).labels.objects
    #expect(!objects.isEmpty)
    var worst: Float = 0
    for index in 0..<3 {
      let (frame, labels) = scene.frame(at: index)
      _ = try first.step(frame, mask: index == 0 ? labels : nil)
      _ = try second.step(frame, mask: index == 0 ? labels : nil)
      for object in objects {
        let expected = try second.probabilities(of: object)
        worst = max(worst, Difference(try first.probabilities(of: object), expected).maximum)
      }
    }
    return worst
  }

  @Test func whatDoesNotFitIsAnError() throws {
    let base = try Checkpoint(path: ShippedCheckpoint.basePath)
    func problem(_ configuration: NetworkConfiguration, _ checkpoint: Checkpoint) -> String {
      var parameters = ParameterSet(configuration)
      do {
        _ = try parameters.load(initial: checkpoint)
        return "no error"
      } catch { return error.description }
    }
    var wider = NetworkConfiguration()
    wider.decoderChannels = [128, 64, 48]
    #expect(problem(wider, base).contains("shape"))
    var extended = base
    extended.tensors["h2.b.bias"] = CheckpointTensor(shape: [1], floats: [0])
    #expect(problem(.init(), extended).contains("tensor 'h2.b.bias': expected no tensor"))
    #expect(problem(.init(), Checkpoint()).contains("no such tensor"))
    extended.tensors["h2.b.bias"] = CheckpointTensor(shape: [1], floats: [.nan])
    var refined = NetworkConfiguration()
    refined.refinementChannels = 16
    #expect(problem(refined, extended).contains("tensor 'h2.b.bias': expected finite"))
  }
}
