// Training with rounding: what is rounded forward, where gradients pass straight through, and that both
// are what the integer engine computes.

import CKernels
import Foundation
import MemoryVOS
import TestSupport
import Testing

@testable import Distill

@Suite("Rounding in training") struct RoundingTests {
  // MARK: Kernels

  @Test(arguments: InstructionSet.supported)
  func roundedValuesAndGradients(_ instructionSet: InstructionSet) throws {
    let kernels = try #require(
      vos_training_kernels_for(Kernels(instructionSet).table.isa)
    ).pointee
    for (zeroPoint, highest) in [(0, 127), (127, 127), (40, 127), (3, 15), (0, 255), (1, 3)] {
      let range = RoundingRange(scale: 0.25, zeroPoint: zeroPoint, highest: highest)
      let (low, high) = range.limits
      // Every eighth of a unit, ties among them, from far below to far above.
      let inputs = (-400 * 8...400 * 8).map { Float($0) / 8 * range.scale } + [1e9, -1e9]
      for gate in [Clamp.none, .relu, .relu6] {
        var values = inputs
        var passes = [UInt8](repeating: 7, count: inputs.count)
        kernels.round_values(
          &values, inputs.count, range.scale, low, high, gate, &passes)
        var gradient = inputs.indices.map { Float($0 + 1) }
        kernels.round_gradient(passes, inputs.count, &gradient)
        for (index, input) in inputs.enumerated() {
          #expect(values[index] == range.rounded(input), "\(input) in \(range)")
          let whole = (input / range.scale).rounded(.toNearestOrEven)
          let isInside = whole >= low && whole <= high && input > gate.low && input < gate.high
          #expect(gradient[index] == (isInside ? Float(index + 1) : 0), "\(input) in \(range)")
        }
      }
    }
  }

  // MARK: Layers

  @Test func gradientsPassInsideTheRangeOnly() {
    // Inputs −4 … 4 through the identity, a clamp, and the range −1.5 … 2.25.
    let size = FrameSize(width: 16, height: 4)
    let range = RoundingRange(scale: 0.25, zeroPoint: 6, highest: 15)
    for (clamp, isInput) in [(Clamp.none, false), (.relu, false), (.none, true)] {
      var builder = GraphBuilder()
      let a = builder.input("a", channels: 1, stride: 1)
      var x = builder.convolution("l", [a], channels: 1)
      if clamp.isActive { x = builder.relu(x) }
      builder.output("out", x)
      var parameters = ParameterSet(builder.graph.parameters)
      parameters["l.weight"] = [1]
      let plan = GradientPlan(
        builder.graph, size: size, microBatch: 1, kernels: Kernels(.scalar),
        pool: ThreadPool(threadCount: 2), rounding: [isInput ? a : x: range])
      let tape = GradientTape(plan, samples: 1)
      let (values, slopes, seeds) = (
        AlignedBuffer(count: 64), AlignedBuffer(count: 64), AlignedBuffer(count: 64)
      )
      let inputs = (0..<64).map { Float($0 - 32) / 8 }
      for (index, input) in inputs.enumerated() {
        values.base[index] = input
        seeds.base[index] = Float(index + 1)
      }
      tape.bind("a", [values.base])
      tape.bindGradient("a", [slopes.base])
      tape.bindGradient(x, [seeds.base])
      plan.load(parameters)
      plan.reset()
      plan.forward(tape, samples: 0..<1)
      let result = UnsafeBufferPointer(start: tape.activation(x.index, 0), count: 64)
      for (index, input) in inputs.enumerated() {
        let clamped = min(max(input, clamp.low), clamp.high)
        #expect(result[index] == range.rounded(clamped), "\(input)")
      }
      plan.backward(tape, samples: 0..<1)
      var bias: Float = 0
      for (index, input) in inputs.enumerated() {
        // Of ties the even one counts: -6.5 becomes -6, 9.5 becomes 10, which is beyond.
        let isInside = input >= -1.625 && input < 2.375 && input > clamp.low && input < clamp.high
        let seed = Float(index + 1)
        #expect(slopes.base[index] == (isInside ? seed : 0), "\(input), \(clamp), \(isInput)")
        bias += isInput || isInside ? seed : 0
      }
      plan.collect(into: &parameters)
      #expect(parameters["l.bias"] == [bias])
    }
  }

  // MARK: Steps

  /// One clip of three frames of a moving square.
  private var batch: TrainingBatch {
    let size = FrameSize(width: 64, height: 64)
    var (images, masks): ([Float], [Float]) = ([], [])
    for frame in 0..<3 {
      for y in 0..<64 {
        for x in 0..<64 {
          let isInside = (10 + 3 * frame..<40 + 3 * frame).contains(x) && (20..<50).contains(y)
          images += [isInside ? 0.8 : Float(x % 8) / 8 - 0.5, Float(y % 16) / 16, -0.3]
          masks.append(isInside ? 1 : 0)
        }
      }
    }
    return TrainingBatch(
      batch: 1, frames: 3, objects: 1, size: size, images: images, masks: masks)
  }

  @Test func weightsPassStraightThroughUnlessTheyAreCut() throws {
    let configuration = SyntheticData.network
    var parameters = ParameterSet(configuration)
    parameters.initialize(seed: 5)
    let rounding = NetworkRounding(
      precision: .init(weightBits: 3, activationBits: 32), ranges: [:], keptFloat: ["key", "m1"])
    let graphs = rounding.graphs(NetworkGraphs(configuration))
    let weights = WeightRounding(graphs, pool: ThreadPool(threadCount: 2))
    let rounded = weights.rounded(parameters)
    #expect(rounded["key.weight"] == parameters["key.weight"])
    #expect(rounded["d16.bias"] == parameters["d16.bias"])
    let entry = try #require(parameters.entry("d16.weight"))
    let perOutput = entry.range.count / entry.shape[0]
    var cut = 0
    for output in 0..<entry.shape[0] {
      let part = output * perOutput..<(output + 1) * perOutput
      let (before, after) = (parameters["d16.weight"][part], rounded["d16.weight"][part])
      #expect(Set(after).count <= 7)
      let largest = after.map(abs).max() ?? 0
      for (old, new) in zip(before, after) {
        // Half a unit of the three that there are, unless beyond them.
        let isNear = abs(old - new) <= largest / 6 * 1.001
        #expect(isNear || (abs(new) == largest && abs(old) > largest))
        if !isNear { cut += 1 }
      }
    }
    #expect(cut > 0)

    // The gradient is that of an ordinary step with the rounded weights.
    let step = try TrainingStep(configuration, threads: 2)
    let expectedLoss = step.run(batch, parameters: rounded).total
    let expected = step.gradients
    step.rounding = rounding
    #expect(step.run(batch, parameters: parameters).total == expectedLoss)
    var ones = parameters
    for index in ones.scalars.indices { ones.scalars[index] = 1 }
    weights.gate(&ones)
    #expect(ones.scalars.filter { $0 == 0 }.count >= cut)
    for index in expected.scalars.indices {
      #expect(step.gradients.scalars[index] == expected.scalars[index] * ones.scalars[index])
    }
    step.rounding = nil
    _ = step.run(batch, parameters: rounded)
    #expect(step.gradients.scalars == expected.scalars)
  }

  // MARK: Against the integer engine

  @Test func forwardIsThatOfTheIntegerEngine() throws {
    let size = FrameSize(width: 96, height: 64)
    let scene = SampleScene(named: .standard, size: size, frameCount: 72)
    var configuration = Tracker.Configuration()
    configuration.inputSize = .exact(size)
    let checkpoint = try Checkpoint(path: ShippedCheckpoint.basePath)
    var quantizer = try Quantizer(checkpoint)
    let clip = (0..<16).map { scene.frame(at: $0) }
    try quantizer.observe(clip.map(\.frame), mask: clip[0].labels, configuration: configuration)
    let rounding = try quantizer.rounding(.kernels, keepingFloat: [])
    let float = try Network(checkpoint)
    // As after training: nothing is corrected that training has not seen.
    var trainedSo = checkpoint
    trainedSo.metadata[NetworkRounding.trainedKey] = rounding.json
    let integers = try Network(Quantizer(trainedSo).quantized())
    let image = scene.frame(at: 30).frame.pixels.map { (Float($0) - 127.5) / 127.5 }

    let pool = ThreadPool(threadCount: 1)
    let plans = NetworkPlans(integers, size: size, kernels: Kernels(.scalar), pool: pool)
    plans.keyEncoder.inputs["image"]?.assign(image)
    plans.keyEncoder.run()

    let graphs = rounding.graphs(float.graphs)
    var parameters = ParameterSet(float.configuration)
    try parameters.load(checkpoint)
    func forward(_ rounded: RoundedGraphs?) -> [String: [Float]] {
      let plan = GradientPlan(
        float.graphs.keyEncoder, size: size, microBatch: 1, kernels: Kernels(.scalar), pool: pool,
        rounding: rounded?.keyEncoder.values ?? [:])
      let tape = GradientTape(plan, samples: 1)
      let buffer = AlignedBuffer(count: image.count)
      for (index, value) in image.enumerated() { buffer.base[index] = value }
      tape.bind("image", [buffer.base])
      plan.load(rounded.map { WeightRounding($0, pool: pool).rounded(parameters) } ?? parameters)
      plan.forward(tape, samples: 0..<1)
      var result: [String: [Float]] = [:]
      for output in plan.graph.outputs {
        result[output.name] = Array(
          UnsafeBufferPointer(
            start: tape.activation(output.value.index, 0),
            count: plan.shapes[output.value.index].count))
      }
      return result
    }
    let (trained, plain) = (forward(graphs), forward(nil))
    for name in ["f4", "f8", "f16"] {
      let bytes = try #require(plans.keyEncoder.byteOutputs[name])
      let reals = bytes.map.scalars.map {
        (Float($0) - Float(bytes.range.zeroPoint)) * bytes.range.scale
      }
      func error(_ values: [Float]?) -> Float {
        zip(values ?? [], reals).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
      }
      let power = reals.reduce(0) { $0 + $1 * $1 }
      #expect(trained[name]?.count == reals.count)
      // The kernels round biases too, sums on their way to bytes, and both terms of a residual sum.
      #expect(error(trained[name]) < 0.015 * power, "\(name): \(error(trained[name]) / power)")
      #expect(
        error(trained[name]) < 0.5 * error(plain[name]),
        "\(name): \(error(trained[name]) / power), float \(error(plain[name]) / power)")
    }
  }
}

@Suite struct QuantizationRecipeTests {
  private let folder = TemporaryFolder()

  private func recipe() throws -> Recipe {
    var recipe = Recipe()
    recipe.data = [try SyntheticData.davis(folder)]
    recipe.samples = SyntheticData.samples
    recipe.samples.batch = 1
    recipe.network = SyntheticData.network
    recipe.steps = 4
    recipe.checkpointEvery = 2
    recipe.threads = 2
    return recipe
  }

  /// A trained start, and the recipe that goes on from it with rounding.
  private func roundingRecipe() throws -> Recipe {
    var recipe = try recipe()
    recipe.steps = 2
    try Trainer(recipe, output: folder.path + "/start").run()
    recipe.steps = 4
    recipe.initial = folder.path + "/start/student.safetensors"
    recipe.quantization.weightBits = 8
    recipe.quantization.calibrationFrames = 18
    return recipe
  }

  @Test func trainedRangesGoIntoTheIntegerNetwork() throws {
    var recipe = try roundingRecipe()
    let (whole, parts) = (folder.path + "/whole", folder.path + "/parts")
    try Trainer(recipe, output: whole).run()
    try Trainer(recipe, output: parts).run(limit: 2)
    try Trainer(recipe, output: parts).run()
    #expect(
      try Data(contentsOf: URL(filePath: whole + "/student.safetensors"))
        == Data(contentsOf: URL(filePath: parts + "/student.safetensors")))

    let student = try Checkpoint(path: whole + "/student.safetensors")
    let quantizer = try Quantizer(student)
    #expect(quantizer.trainedPrecision == .kernels)
    #expect(quantizer.defaultFloatLayers == recipe.quantization.float)
    let integers = try quantizer.quantized()
    #expect(try Network(integers).isQuantized)
    #expect(integers.tensors["m1.weight"]?.dtype == .float32)
    #expect(integers.tensors["d16.weight"]?.dtype == .int8)
    #expect(integers.metadata[NetworkRounding.trainedKey] == nil)
    // Biases are as they were trained: nothing is corrected.
    #expect(try integers.floats("d16.bias") == student.floats("d16.bias"))
    #expect(throws: CheckpointError.self) { try quantizer.simulated(.init("6/4") ?? .kernels) }

    // Its ranges serve another training.
    try integers.write(to: folder.path + "/int8.safetensors")
    recipe.quantization.ranges = folder.path + "/int8.safetensors"
    recipe.steps = 1
    let next = try Trainer(recipe, output: folder.path + "/next")
    let again = try Quantizer(next.student)
    #expect(try again.quantized().metadata["ranges"] == integers.metadata["ranges"])

    // A damaged record is an error, not a crash.
    let empty = "{\"weight_bits\": 8, \"activation_bits\": 7, \"float\": [], \"ranges\": {}}"
    for json in ["{", empty] {
      var damaged = student
      damaged.metadata[NetworkRounding.trainedKey] = json
      #expect(throws: CheckpointError.self) { _ = try Quantizer(damaged) }
    }
  }

  @Test func fewBitsAreSimulatedAndValidated() throws {
    var recipe = try roundingRecipe()
    recipe.quantization.weightBits = 4
    recipe.quantization.activationBits = 6
    recipe.data[0].holdOut = ["b"]
    recipe.validation.size = 64
    recipe.validation.every = 4
    let trainer = try Trainer(recipe, output: folder.path + "/o")
    try trainer.run()
    let score = try #require(trainer.bestValidation)
    #expect(score.step == 4 && (0...1).contains(score.mean))
    let quantizer = try Quantizer(trainer.student)
    #expect(throws: CheckpointError.self) { try quantizer.quantized() }
    let simulated = try quantizer.simulated(.init(weightBits: 4, activationBits: 6))
    #expect(simulated.isSimulated)
    let weights = try simulated.floats("d16.weight")
    let perOutput = weights.count / 16
    #expect(Set(weights[0..<perOutput]).count <= 3 * 15)
    #expect(try Network(simulated).configuration == recipe.network)
  }

  @Test func mistakesAreNamed() throws {
    let data = "\"data\": [{\"kind\": \"stills\", \"path\": \"x\"}], \"initial\": \"a\""
    for (json, message) in [
      ("{\(data), \"quantization\": {\"weight_bits\": 9}}", "weight_bits 9, not in 2…8"),
      (
        "{\(data), \"quantization\": {\"weight_bits\": 8, \"activation_bits\": 1}}",
        "activation_bits 1"
      ),
      ("{\(data), \"quantization\": {\"weight_bit\": 8}}", "did you mean 'weight_bits'?"),
      ("{\(data), \"quantization\": {\"weight_bits\": \"x\"}}", "expected a whole number"),
      (
        "{\(data), \"quantization\": {\"weight_bits\": 4, \"ranges\": \"x\"}}",
        "'ranges' are those of an int8 checkpoint"
      ),
      (
        "{\(data), \"quantization\": {\"weight_bits\": 8, \"calibration_frames\": 3}}",
        "calibration_frames 3"
      ),
      (
        "{\"data\": [{\"kind\": \"stills\", \"path\": \"x\"}], "
          + "\"quantization\": {\"weight_bits\": 8}}", "name it in 'initial'"
      ),
    ] {
      #expect { _ = try Recipe(json: json, name: "r.json") } throws: {
        "\($0)".contains(message)
      }
    }
    var recipe = try roundingRecipe()
    func problem() -> String {
      do {
        _ = try Trainer(recipe, output: folder.path + "/x")
        return "no error"
      } catch { return "\(error)" }
    }
    recipe.quantization.float = ["m1", "kk."]
    #expect(problem().contains("no layer's name begins with 'kk.'"))
    recipe.quantization.float = ["m1"]
    recipe.quantization.ranges = recipe.initial
    #expect(problem().contains("expected an int8 checkpoint"))
    recipe.quantization.ranges = "none.safetensors"
    #expect(problem().contains("none.safetensors"))
    #expect(!FileManager.default.fileExists(atPath: folder.path + "/x"))
  }
}
