// Configurations: widths as MobileNetV2's authors round them, parts and costs, JSON, and ResNet-18's
// features against PyTorch.

import Foundation
import TestSupport
import Testing

@testable import MemoryVOS

@Suite struct NetworkConfigurationTests {
  @Test(arguments: [
    // torchvision's _make_divisible of 32, 16, 24, 32, 64, 96 channels.
    (0.5, [16, 8, 16, 16, 32, 48]), (0.75, [24, 16, 24, 24, 48, 72]),
    (1.0, [32, 16, 24, 32, 64, 96]), (1.4, [48, 24, 32, 48, 88, 136]),
  ])
  func widthsAreRoundedAsPublished(width: Double, expected: [Int]) {
    let channels = [32, 16, 24, 32, 64, 96]
    #expect(channels.map { MobileNetV2.scaled($0, by: width) } == expected)
    for wanted in 1...400 {
      let scaled = MobileNetV2.scaled(wanted, by: 0.7)
      #expect(scaled % 8 == 0 && Double(scaled) >= 0.9 * 0.7 * Double(wanted))
    }
    var configuration = NetworkConfiguration()
    configuration.encoderWidth = width
    let graph = NetworkGraphs(configuration).keyEncoder
    #expect(
      ["f4", "f8", "f16"].map { graph[graph.output($0)].channels } == [
        expected[2], expected[3], expected[5],
      ])
  }

  @Test(arguments: NetworkConfiguration.examples)
  func inputsAreMultiplesOfTheStride(_ configuration: NetworkConfiguration) {
    let graphs = NetworkGraphs(configuration)
    #expect(graphs.keyEncoder.coarsestStride == configuration.stride)
    for graph in [graphs.valueEncoder, graphs.decoder] {
      #expect(configuration.stride % graph.coarsestStride == 0)
    }
  }

  @Test func contextBlocksAreMobileNets() throws {
    func problem(_ change: (inout NetworkConfiguration) -> Void) -> String {
      var configuration = NetworkConfiguration()
      change(&configuration)
      return configuration.problem ?? ""
    }
    #expect(problem { $0.contextBlocks = 3 }.isEmpty)
    #expect(problem { $0.contextBlocks = 4 }.contains("context_blocks 4"))
    #expect(problem { $0.contextBlocks = -1 }.contains("context_blocks -1"))
    #expect(
      problem {
        $0.encoder = .resNet18
        $0.contextBlocks = 1
      }.contains("only mobilenet_v2"))
  }

  @Test func oldMetadataMeansWhatItMeant() throws {
    let json = "{\"key_channels\": 64, \"top_k\": 30}"
    let decoded = try JSONDecoder().decode(NetworkConfiguration.self, from: Data(json.utf8))
    #expect(decoded == NetworkConfiguration())
    for example in NetworkConfiguration.examples {
      let data = try JSONEncoder().encode(example)
      #expect(try JSONDecoder().decode(NetworkConfiguration.self, from: data) == example)
    }
  }

  @Test(arguments: NetworkConfiguration.presets)
  func partsAddUp(_ preset: String) throws {
    let network = Network.random(
      seed: 1, configuration: try #require(NetworkConfiguration(preset: preset)))
    let size = FrameSize(width: 864, height: 480)
    let parts = network.parts(at: size, memoryFrames: 2, topK: 30)
    #expect(parts.reduce(0) { $0 + $1.parameters } == network.parameterCount)
    let names = parts.map(\.name)
    #expect(
      names.contains("refinement head") == (preset.hasSuffix("plus") || preset.hasSuffix("er")))
    #expect(names.contains("context") == !["vos-mobile-base", "vos-teacher"].contains(preset))
    let work = network.multiplyAdds(at: size, memoryFrames: 2, topK: 30)
    let total = Double(work.perFrame + work.perObject)
    // What a student may cost: 1.3 times the prototype's 3.37 G; and 2 M parameters.
    if preset != "vos-teacher" {
      #expect(total < 1.3 * 3.37e9 && network.parameterCount < 2_000_000)
    }
  }
}

@Suite struct ContextTests {
  /// f16 with context, from blocks 0…16 of ImageNet's weights and a projection of fixed numbers, in double
  /// precision in NumPy.
  @Test(arguments: EngineVariant.all)
  func featuresAreNumPys(_ variant: EngineVariant) throws {
    var configuration = NetworkConfiguration()
    configuration.contextBlocks = 3
    let graph = NetworkGraphs(configuration).keyEncoder
    let encoder = try Checkpoint(
      path: ShippedCheckpoint.folder + "/recipes/mobilenet_v2_imagenet.safetensors")
    var tensors: [String: [Float]] = [:]
    for parameter in graph.parameters {
      tensors[parameter.name] =
        switch parameter.name {
        case "c16.b.weight":
          (0..<96 * 160).map { index -> Float in
            let (row, column) = (index / 160, index % 160)
            return Float((row * 31 + column * 17) % 23 - 11) / 100
          }
        case "c16.b.bias": [Float](repeating: 0.25, count: 96)
        case let name where name.hasPrefix("k."): try encoder.floats(String(name.dropFirst(2)))
        default: [Float](repeating: 0, count: parameter.count)
        }
    }
    let features = try Self.features(graph, Weights(tensors), variant)
    let expected: [Float] = [
      -5.80452, -0.43839, 0.09237, -2.7764, -2.84535, -5.39055, 0.08888, -2.54627, -3.93331,
      -1.66395, 4.57118, 7.80672,
    ]
    let (step, count) = (features.count / 12, features.count)
    let values = (0..<12).map { features[($0 * step * 7 + $0 * 13) % count] }
    #expect(Difference(values, expected).maximum < 1e-4)
    let norm = features.reduce(0) { $0 + Double($1) * Double($1) }.squareRoot()
    #expect(abs(norm - 270.427063) < 3e-3)
    // Without the projection they are MobileNetV2's at stride 16.
    tensors["c16.b.weight"] = [Float](repeating: 0, count: 96 * 160)
    tensors["c16.b.bias"] = [Float](repeating: 0, count: 96)
    let plain = try Self.features(NetworkGraphs(.init()).keyEncoder, Weights(tensors), variant)
    #expect(
      Difference(try Self.features(graph, Weights(tensors), variant), plain).maximum < 1e-5)
  }

  private static func features(
    _ graph: Graph, _ weights: Weights, _ variant: EngineVariant
  ) throws -> [Float] {
    let size = FrameSize(width: 96, height: 64)
    var options = PlanOptions()
    options.fusesChains = variant.fusesChains
    let plan = Plan(
      graph, size: size, weights: weights, kernels: Kernels(variant.instructionSet),
      pool: ThreadPool(threadCount: variant.threads), options: options)
    plan.inputs["image"]?.assign(patternImage(size))
    plan.run()
    return try #require(plan.outputs["f16"]).scalars
  }
}

/// The image of the golden features, `[height][width][3]` in −1…1.
private func patternImage(_ size: FrameSize) -> [Float] {
  (0..<size.area * 3).map {
    let (x, y, c) = ($0 / 3 % size.width, $0 / 3 / size.width, $0 % 3)
    return Float((y * 37 + x * 91 + c * 53 + x * y * 7) % 256) / 127.5 - 1
  }
}

private let weightsName = "weights/resnet18_imagenet_to_layer3.safetensors"

@Suite(.enabled(if: SharedData.has(weightsName))) struct ResNet18Tests {
  /// Sum, norm and some values of features, from PyTorch in double precision.
  private struct Golden {
    let name: String
    let norm: Float
    let sum: Float
    let values: [Float]
  }

  private static let golden = [
    Golden(
      name: "f4", norm: 114.751132, sum: 8100.289868,
      values: [
        1.24542, 0.2289, 0.18729, 1.58643, 0.67109, 0.02628, 0.02051, 0.58585, 3.58355, 3.88499,
        0.10292, 1.02116,
      ]),
    Golden(
      name: "f8", norm: 36.678833, sum: 1490.316787,
      values: [
        0.0785, 0.0, 0.0, 0.06222, 0.88265, 0.0, 0.00539, 0.26765, 0.0, 0.68093, 0.0, 0.0828,
      ]),
    Golden(
      name: "f16", norm: 17.966861, sum: 577.438832,
      values: [
        0.26504, 0.24896, 0.17668, 0.09864, 0.59135, 1.03761, 0.28158, 0.19711, 0.05053, 0.45979,
        0.0, 0.30831,
      ]),
  ]

  @Test(arguments: EngineVariant.all)
  func featuresArePyTorchs(_ variant: EngineVariant) throws {
    var configuration = NetworkConfiguration()
    configuration.encoder = .resNet18
    let graph = NetworkGraphs(configuration).keyEncoder
    let checkpoint = try Checkpoint(path: SharedData.path + "/" + weightsName)
    var tensors: [String: [Float]] = [:]
    for parameter in graph.parameters {
      tensors[parameter.name] =
        parameter.name.hasPrefix("k.")
        ? try checkpoint.floats(String(parameter.name.dropFirst(2)))
        : [Float](repeating: 0, count: parameter.count)
    }
    let size = FrameSize(width: 64, height: 48)
    var options = PlanOptions()
    options.fusesChains = variant.fusesChains
    let plan = Plan(
      graph, size: size, weights: Weights(tensors), kernels: Kernels(variant.instructionSet),
      pool: ThreadPool(threadCount: variant.threads), options: options)
    plan.inputs["image"]?.assign(patternImage(size))
    plan.run()
    for golden in Self.golden {
      let features = try #require(plan.outputs[golden.name]).scalars
      let (step, count) = (features.count / 12, features.count)
      let values = (0..<12).map { features[($0 * step * 7 + $0 * 13) % count] }
      #expect(Difference(values, golden.values).maximum < 5e-5, "\(golden.name)")
      let sum = features.reduce(0, +)
      let norm = features.reduce(0) { $0 + $1 * $1 }.squareRoot()
      #expect(abs(sum - golden.sum) < 1e-4 * golden.sum, "\(golden.name): sum \(sum)")
      #expect(abs(norm - golden.norm) < 1e-5 * golden.norm, "\(golden.name): norm \(norm)")
    }
  }
}
