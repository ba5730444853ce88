import Foundation
import TestSupport
import Testing

@testable import MemoryVOS

/// The shipped network, or another one, quantised on a few frames of a synthetic clip.
enum QuantizedFixture {
  static let size = FrameSize(width: 96, height: 64)
  static let scene = SampleScene(named: .standard, size: size, frameCount: 72)
  static let configuration: Tracker.Configuration = {
    var configuration = Tracker.Configuration()
    configuration.inputSize = .exact(size)
    return configuration
  }()

  static func quantizer(
    frames: Int, checkpoint path: String = ShippedCheckpoint.path
  ) throws -> Quantizer {
    var quantizer = try Quantizer(Checkpoint(path: path))
    let clip = (0..<frames).map { scene.frame(at: $0) }
    try quantizer.observe(
      clip.map(\.frame), mask: clip[0].labels, configuration: configuration)
    return quantizer
  }

  static let checkpoint = Result { try quantizer(frames: 20).quantized(keepingFloat: []) }
}

@Suite struct QuantizedPlanTests {
  @Test(arguments: EngineVariant.all)
  func everyVariantGivesTheSameBytes(_ variant: EngineVariant) throws {
    let network = try Network(QuantizedFixture.checkpoint.get())
    let reference = EngineVariant(instructionSet: .scalar, fusesChains: false, threads: 1)
    #expect(features(of: network, variant) == features(of: network, reference))
  }

  /// The base network with ImageNet's encoder and context of fixed numbers, all in integers and with one layer of the decoder in
  /// floats: the features at stride 16 are a sum in floats, converted once.
  @Test(arguments: EngineVariant.all, [0, 1])
  func featuresWithContextAreBytes(_ variant: EngineVariant, _ index: Int) throws {
    let network = try Network(Self.context.get()[index])
    let reference = EngineVariant(instructionSet: .scalar, fusesChains: false, threads: 1)
    let size = QuantizedFixture.size
    #expect(features(of: network, variant, size) == features(of: network, reference, size))
  }

  private static let context = Result {
    let folder = TemporaryFolder()
    var checkpoint = try Checkpoint(path: ShippedCheckpoint.basePath)
    let encoder = try Checkpoint(
      path: ShippedCheckpoint.folder + "/recipes/mobilenet_v2_imagenet.safetensors")
    var configuration = try Network(checkpoint).configuration
    configuration.contextBlocks = 3
    checkpoint.metadata["configuration"] = String(
      decoding: try JSONEncoder().encode(configuration), as: UTF8.self)
    for (name, tensor) in encoder.tensors { checkpoint.tensors["k." + name] = tensor }
    var random = SeededGenerator(seed: 8)
    for parameter in NetworkGraphs(configuration).parameters
    where parameter.name.hasPrefix("c16.") {
      checkpoint.tensors[parameter.name] = CheckpointTensor(
        shape: parameter.shape,
        floats: (0..<parameter.count).map { _ in .random(in: -0.1...0.1, using: &random) })
    }
    try checkpoint.write(to: folder.path("context.safetensors"))
    let quantizer = try QuantizedFixture.quantizer(
      frames: 16, checkpoint: folder.path("context.safetensors"))
    return try [[], ["d16"]].map { try quantizer.quantized(keepingFloat: $0) }
  }

  private func features(
    of network: Network, _ variant: EngineVariant,
    _ size: FrameSize = FrameSize(width: 160, height: 96)
  ) -> [String: [UInt8]] {
    var options = PlanOptions()
    options.fusesChains = variant.fusesChains
    let plans = NetworkPlans(
      network, size: size, kernels: Kernels(variant.instructionSet),
      pool: ThreadPool(threadCount: variant.threads), options: options)
    var random = SeededGenerator(seed: 5)
    let image = (0..<size.area * 3).map { _ in Float.random(in: -1...1, using: &random) }
    plans.keyEncoder.inputs["image"]?.assign(image)
    // Twice: what a run leaves in buffers and rings must not show.
    plans.keyEncoder.run()
    plans.keyEncoder.run()
    #expect(Set(plans.keyEncoder.byteOutputs.keys) == ["f4", "f8", "f16"])
    return plans.keyEncoder.byteOutputs.mapValues { $0.map.scalars }
  }

  /// What a tracker does: the frame goes into the plan as bytes, where nothing reads it as floats.
  @Test(arguments: [(96, 64), (131, 77), (40, 30)])
  func anImageInBytesGivesTheSameFeatures(_ width: Int, _ height: Int) throws {
    let network = try Network(QuantizedFixture.checkpoint.get())
    let (from, to) = (FrameSize(width: width, height: height), QuantizedFixture.size)
    let (kernels, pool) = (Kernels(try .preferred()), ThreadPool(threadCount: 2))
    let resizer = FrameResizer(from: from, to: to, channels: 3, kernels: kernels, pool: pool)
    var random = SeededGenerator(seed: 6)
    let pixels = (0..<from.area * 3).map { _ in UInt8.random(in: 0...255, using: &random) }

    let converting = NetworkPlans(network, size: to, kernels: kernels, pool: pool)
    #expect(converting.keyEncoder.byteInputs.isEmpty)
    let floats = try #require(converting.keyEncoder.inputs["image"])
    resizer.resize(pixels, scale: 1 / 127.5, shift: -1, into: floats)
    converting.keyEncoder.run()

    let direct = NetworkPlans(
      network, size: to, kernels: kernels, pool: pool, imageMayBeBytes: true)
    #expect(direct.keyEncoder.inputs["image"] == nil)
    let bytes = try #require(direct.keyEncoder.byteInputs["image"])
    resizer.resize(pixels, scale: 1 / 127.5, shift: -1, into: bytes)
    direct.keyEncoder.run()

    for name in ["f4", "f8", "f16"] {
      let (expected, actual) = (converting.keyEncoder, direct.keyEncoder)
      #expect(
        try #require(actual.byteOutputs[name]).map.scalars
          == (try #require(expected.byteOutputs[name]).map.scalars), "\(name)")
    }
  }

  @Test func aFloatStemTakesTheImageInFloats() throws {
    let mixed = try QuantizedFixture.quantizer(frames: 16).quantized(
      keepingFloat: ["k.features.0"])
    for network in [try Network(mixed), try ShippedCheckpoint.network.get()] {
      let plans = NetworkPlans(
        network, size: QuantizedFixture.size, kernels: Kernels(.scalar),
        pool: ThreadPool(threadCount: 1), imageMayBeBytes: true)
      let encoder = plans.keyEncoder
      #expect(encoder.byteInputs.isEmpty && encoder.inputs["image"] != nil)
    }
  }

  @Test func bytesStandForTheFloatFeatures() throws {
    let quantized = try Network(QuantizedFixture.checkpoint.get())
    let float = try ShippedCheckpoint.network.get()
    let frame = QuantizedFixture.scene.frame(at: 30).frame
    func plans(_ network: Network) -> NetworkPlans {
      let kernels = Kernels(.scalar)
      let pool = ThreadPool(threadCount: 1)
      let plans = NetworkPlans(
        network, size: QuantizedFixture.size, kernels: kernels, pool: pool)
      plans.keyEncoder.inputs["image"]?.assign(frame.pixels.map { (Float($0) - 127.5) / 127.5 })
      plans.keyEncoder.run()
      return plans
    }
    let (actual, expected) = (plans(quantized).keyEncoder, plans(float).keyEncoder)
    for name in ["f4", "f8", "f16"] {
      let bytes = try #require(actual.byteOutputs[name])
      let reals = bytes.map.scalars.map {
        (Float($0) - Float(bytes.range.zeroPoint)) * bytes.range.scale
      }
      let floats = try #require(expected.outputs[name]).scalars
      let error = zip(reals, floats).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
      let power = floats.reduce(0) { $0 + $1 * $1 }
      #expect(error < 0.05 * power, "\(name): \(error / power)")
    }
  }

  @Test func layersThatStayFloatAreConvertedAtTheBorders() throws {
    let quantizer = try QuantizedFixture.quantizer(frames: 16)
    let mixed = try quantizer.quantized(keepingFloat: ["k.features.3", "d16", "m1", "p"])
    #expect(mixed.tensors["d16.weight"]?.dtype == .float32)
    #expect(mixed.tensors["s4.weight"]?.dtype == .int8)
    try expectSameMasks(Network(mixed))
  }

  @Test func masksAreThoseOfTheFloatNetwork() throws {
    try expectSameMasks(Network(QuantizedFixture.checkpoint.get()))
  }

  private func expectSameMasks(_ network: Network) throws {
    func masks(_ network: Network) throws -> [UInt8] {
      let scene = QuantizedFixture.scene
      var tracker = try Tracker(
        network: network, frameSize: scene.size, configuration: QuantizedFixture.configuration)
      _ = try tracker.step(scene.frame(at: 30).frame, mask: scene.frame(at: 30).labels)
      return try (31..<35).flatMap { try tracker.step(scene.frame(at: $0).frame).labels.labels }
    }
    let (actual, expected) = (try masks(network), try masks(ShippedCheckpoint.network.get()))
    let same = zip(actual, expected).filter { $0 == $1 }.count
    #expect(Double(same) > 0.95 * Double(expected.count), "\(same) of \(expected.count)")
  }

  // MARK: - Files

  @Test func fileIsSmallAndReadsBack() throws {
    let folder = TemporaryFolder()
    let checkpoint = try QuantizedFixture.checkpoint.get()
    try checkpoint.write(to: folder.path("q.safetensors"))
    let again = try Checkpoint(path: folder.path("q.safetensors"))
    #expect(again.isQuantized && again.metadata == checkpoint.metadata)
    #expect(try Network(again).isQuantized)
    func size(_ checkpoint: Checkpoint) -> Int {
      checkpoint.serializedHeader().bytes.count
        + checkpoint.tensors.values.reduce(0) { $0 + $1.bytes.count }
    }
    #expect(10 * size(again) <= 3 * size(try Checkpoint(path: ShippedCheckpoint.path)))
  }

  @Test func quantisingTwiceAndTooFewFramesAreErrors() throws {
    let checkpoint = try QuantizedFixture.checkpoint.get()
    #expect { _ = try Quantizer(checkpoint) } throws: { "\($0)".contains("already int8") }
    let few = try QuantizedFixture.quantizer(frames: 3)
    #expect { _ = try few.quantized() } throws: { "\($0)".contains("at least 16") }
  }

  @Test(arguments: [
    "ranges", "no range", "weights", "scale", "uneven scales", "addend", "missing scale", "dtype",
  ])
  func damagedFilesAreRefused(_ damage: String) throws {
    var checkpoint = try QuantizedFixture.checkpoint.get()
    let layer = "m2"
    func replace(_ name: String, by tensor: CheckpointTensor) { checkpoint.tensors[name] = tensor }
    let weight = try #require(checkpoint.tensors["\(layer).weight"])
    let scale = try #require(checkpoint.tensors["\(layer).scale"])
    switch damage {
    case "ranges": checkpoint.metadata["ranges"] = "{\"m2\": [0, 3]}"
    case "no range": checkpoint.metadata["ranges"] = "{}"
    case "weights":
      replace(
        "\(layer).weight",
        by: .init(
          shape: weight.shape, dtype: .int8, bytes: [UInt8](repeating: 127, count: weight.count)))
    case "scale":
      replace(
        "\(layer).scale",
        by: .init(shape: scale.shape, floats: [Float](repeating: 9, count: scale.count)))
    case "uneven scales":
      var floats = try scale.floats()
      floats[0] /= 2000
      replace("\(layer).scale", by: .init(shape: scale.shape, floats: floats))
    case "addend":
      var ranges = try #require(
        try? JSONDecoder().decode(
          [String: [Float]].self, from: Data((checkpoint.metadata["ranges"] ?? "").utf8)))
      ranges["d16"]?[0] *= 100
      checkpoint.metadata["ranges"] = String(
        decoding: try JSONEncoder().encode(ranges), as: UTF8.self)
    case "missing scale": checkpoint.tensors["\(layer).scale"] = nil
    default:
      replace("t", by: .init(shape: [], dtype: .int8, bytes: [1]))
    }
    #expect(throws: CheckpointError.self) { _ = try Network(checkpoint) }
  }
}
