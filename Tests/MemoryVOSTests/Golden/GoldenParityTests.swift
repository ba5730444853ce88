// The engine against the independent reference in PyTorch: every instruction set, fused and plain.

import CKernels
import TestSupport
import Testing

@testable import MemoryVOS

private let goldenPath = SharedData.path + "/reference/vos-mobile-golden.safetensors"
private let weightsPath = SharedData.path + "/weights/vos-mobile-prototype.safetensors"

/// Golden tensors, reordered from `[1, C, H, W]` to `[H, W, C]`.
private struct Golden {
  let checkpoint: Checkpoint

  init() throws { checkpoint = try Checkpoint(path: goldenPath) }

  func map(_ name: String) throws -> (shape: FeatureShape, scalars: [Float]) {
    let tensor = try #require(checkpoint.tensors[name], "\(name)")
    let floats = try tensor.floats()
    let (c, h, w) = (tensor.shape[1], tensor.shape[2], tensor.shape[3])
    var scalars = [Float](repeating: 0, count: floats.count)
    for channel in 0..<c {
      for pixel in 0..<h * w { scalars[pixel * c + channel] = floats[channel * h * w + pixel] }
    }
    return (FeatureShape(height: h, width: w, channels: c), scalars)
  }

  func image(_ index: Int) throws -> Frame {
    let tensor = try #require(checkpoint.tensors["image.\(index)"])
    return Frame(
      size: FrameSize(width: tensor.shape[1], height: tensor.shape[0]), pixels: Array(tensor.bytes))
  }
}

@Suite("Golden parity", .enabled(if: SharedData.has("reference/vos-mobile-golden.safetensors")))
struct GoldenParityTests {
  private let golden: Golden
  private let network: Network

  init() throws {
    golden = try Golden()
    let checkpoint = try Checkpoint(path: weightsPath)
    var tensors: [String: [Float]] = [:]
    for (name, tensor) in checkpoint.tensors { tensors[name] = try tensor.floats() }
    network = Network(configuration: .init(), weights: Weights(tensors))
  }

  private let size = FrameSize(width: 432, height: 240)

  private func makePlans(_ variant: EngineVariant) -> (NetworkPlans, Kernels, ThreadPool) {
    let kernels = Kernels(variant.instructionSet)
    let pool = ThreadPool(threadCount: variant.threads)
    var options = PlanOptions()
    options.fusesChains = variant.fusesChains
    let plans = NetworkPlans(network, size: size, kernels: kernels, pool: pool, options: options)
    return (plans, kernels, pool)
  }

  private func expect(
    _ map: FeatureMap?, _ name: String, relative: Float = 0, absolute: Float = 0,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let map = try #require(map, sourceLocation: sourceLocation)
    let expected = try golden.map(name)
    #expect(map.shape == expected.shape, sourceLocation: sourceLocation)
    let difference = Difference(map.scalars, expected.scalars)
    #expect(
      difference.maximum <= relative * difference.scale + absolute, "\(name): \(difference)",
      sourceLocation: sourceLocation)
  }

  @Test(arguments: EngineVariant.all)
  func everyStageFromGoldenInputs(_ variant: EngineVariant) throws {
    let (plans, kernels, pool) = makePlans(variant)
    let image = try #require(plans.keyEncoder.inputs["image"])
    let resizer = FrameResizer(from: size, to: size, channels: 3, kernels: kernels, pool: pool)
    for frame in 0..<3 {
      resizer.resize(
        try golden.image(frame).pixels, scale: 1 / 127.5, shift: -1, into: image)
      plans.keyEncoder.run()
      for name in ["f4", "f8", "f16", "key"] {
        try expect(plans.keyEncoder.outputs[name], "\(name).\(frame)", relative: 1e-4)
        try plans.keyEncoder.outputs[name]?.assign(golden.map("\(name).\(frame)").scalars)
      }
      let mask = frame == 0 ? "mask.0" : "probability.\(frame)"
      try plans.valueEncoder.inputs["mask"]?.assign(golden.map(mask).scalars)
      plans.valueEncoder.run()
      try expect(plans.valueEncoder.outputs["value"], "value.\(frame)", relative: 1e-4)
      if frame == 0 {
        try twoObjects(plans)
        continue
      }
      try plans.decoder.inputs["readout"]?.assign(golden.map("readout.\(frame)").scalars)
      let previous = frame == 1 ? "mask.0" : "probability.1"
      try plans.decoder.inputs["previous"]?.assign(golden.map(previous).scalars)
      plans.decoder.run()
      try expect(plans.decoder.outputs["logit"], "logit.\(frame)", absolute: 5e-3)
    }
  }

  private func twoObjects(_ plans: NetworkPlans) throws {
    for (own, other) in [("a", "b"), ("b", "a")] {
      try plans.valueEncoder.inputs["mask"]?.assign(golden.map("two.mask.\(own)").scalars)
      try plans.valueEncoder.inputs["others"]?.assign(golden.map("two.mask.\(other)").scalars)
      plans.valueEncoder.run()
      try expect(plans.valueEncoder.outputs["value"], "two.value.\(own)", relative: 1e-4)
    }
    let zeros = [Float](repeating: 0, count: size.area)
    plans.valueEncoder.inputs["others"]?.assign(zeros)
  }

  @Test(arguments: EngineVariant.all)
  func memoryRead(_ variant: EngineVariant) throws {
    let kernels = Kernels(variant.instructionSet)
    let pool = ThreadPool(threadCount: variant.threads)
    let object = try #require(ObjectID(1))
    let bank = MemoryBank(
      positions: size.area / 256, keyChannels: 64, valueChannels: 128, ringCapacity: 1,
      kernels: kernels, pool: pool)
    let reader = MemoryReader(
      topK: 30, logScale: network.weights["t"][0], kernels: kernels, pool: pool)
    for frame in 0..<3 {
      let key = try golden.featureMap("key.\(frame)")
      if frame > 0 {
        let readout = FeatureMap(try golden.map("readout.\(frame)").shape)
        reader.read(key, from: bank, into: [(object, readout)])
        try expect(readout, "readout.\(frame)", relative: 1e-3)
      }
      let entry = bank.addEntry(key: key, isPermanent: frame == 0)
      bank.store(try golden.featureMap("value.\(frame)"), of: object, in: entry)
      bank.finishEntry()
    }
  }

  @Test(arguments: EngineVariant.all)
  func threeFramesRunningFree(_ variant: EngineVariant) throws {
    var configuration = Tracker.Configuration()
    configuration.inputSize = .shortSide(240)
    configuration.instructionSet = variant.instructionSet
    configuration.threads = variant.threads
    var tracker = try Tracker(network: network, frameSize: size, configuration: configuration)
    let object = try #require(ObjectID(1))
    // The golden first mask is soft; a label map is not, so it is put in place by hand.
    let soft = try golden.map("mask.0").scalars
    let labels = LabelMap(size: size, labels: soft.map { $0 > 0.5 ? 1 : 0 })
    try tracker.session.begin(golden.image(0), mask: labels, soft: soft)
    for frame in 1..<3 {
      let result = try tracker.step(golden.image(frame))
      let expected = try golden.map("probability.\(frame)").scalars
      let difference = Difference(try tracker.probabilities(of: object), expected)
      #expect(difference.maximum <= 1e-3, "frame \(frame): \(difference)")
      let wrong = zip(result.labels.labels, expected).count { ($0 == 1) != ($1 > 0.5) }
      #expect(Double(wrong) <= 0.0002 * Double(size.area), "\(wrong) pixels differ")
    }
  }

  @Test(arguments: InstructionSet.supported)
  func softAggregation(_ instructionSet: InstructionSet) throws {
    let kernels = Kernels(instructionSet)
    let logits = try #require(golden.checkpoint.tensors["aggregate.logit"]).floats()
    let expected = try #require(golden.checkpoint.tensors["aggregate.probability"]).floats()
    let count = 256
    var actual = [Float](repeating: .nan, count: 4 * count)
    logits.withUnsafeBufferPointer { logits in
      actual.withUnsafeMutableBufferPointer { actual in
        guard let logits = logits.baseAddress, let actual = actual.baseAddress else { return }
        let planes: [UnsafePointer<Float>?] = (0..<3).map { logits + $0 * count }
        let results: [UnsafeMutablePointer<Float>?] = (0..<4).map { actual + $0 * count }
        kernels.table.aggregate(planes, 3, count, results)
      }
    }
    // 1 - p of a p near 1 has few digits left in float32, in the reference as here.
    let difference = Difference(actual, expected)
    #expect(difference.maximum <= 1e-4, "\(difference)")
  }

  @Test(arguments: InstructionSet.supported, ["down", "up"])
  func resizing(_ instructionSet: InstructionSet, _ direction: String) throws {
    let kernels = Kernels(instructionSet)
    let pool = ThreadPool(threadCount: 2)
    for (name, channels, tolerance) in [("image", 3, Float(1e-2)), ("mask", 1, 1e-5)] {
      let source = try #require(golden.checkpoint.tensors["resize.\(name)"])
      let expected = try golden.map("resize.\(direction).\(name)")
      let resizer = FrameResizer(
        from: FrameSize(width: source.shape[1], height: source.shape[0]),
        to: FrameSize(width: expected.shape.width, height: expected.shape.height),
        channels: channels, kernels: kernels, pool: pool)
      let map = FeatureMap(expected.shape)
      resizer.resize(Array(source.bytes), scale: 1, shift: 0, into: map)
      let difference = Difference(map.scalars, expected.scalars)
      #expect(difference.maximum <= tolerance, "\(name): \(difference)")
    }
  }
}

extension Golden {
  fileprivate func featureMap(_ name: String) throws -> FeatureMap {
    let (shape, scalars) = try map(name)
    let result = FeatureMap(shape)
    result.assign(scalars)
    return result
  }
}

extension TrackerSession {
  /// A first frame whose mask is soft at the network's size.
  fileprivate func begin(_ frame: Frame, mask: LabelMap, soft: [Float]) throws {
    load(frame)
    encode()
    give(mask, keepingOthers: true)
    objects[0].probability.assign(soft)
    memorize(annotated: mask, remember: true)
  }
}
