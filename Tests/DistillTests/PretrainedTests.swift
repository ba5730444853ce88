// Image encoders from pretrained weights: names, shapes, and what is said when they do not fit.

import MemoryVOS
import TestSupport
import Testing

@testable import Distill

@Suite struct PretrainedTests {
  /// An encoder's weights under torchvision's names, each tensor filled with a number of its own.
  private func encoder(_ configuration: NetworkConfiguration) -> Checkpoint {
    var checkpoint = Checkpoint()
    for (index, entry) in ParameterSet(configuration).entries.enumerated()
    where entry.name.hasPrefix("k.") {
      checkpoint.tensors[String(entry.name.dropFirst(2))] = CheckpointTensor(
        shape: entry.shape, floats: [Float](repeating: Float(index + 1), count: entry.range.count))
    }
    return checkpoint
  }

  private func problem(_ configuration: NetworkConfiguration, _ checkpoint: Checkpoint) -> String {
    var parameters = ParameterSet(configuration)
    do {
      try parameters.load(pretrained: checkpoint, prefix: "k.")
      return "no error"
    } catch { return error.description }
  }

  @Test(arguments: NetworkConfiguration.examples)
  func everyEncoderTensorIsTaken(_ configuration: NetworkConfiguration) throws {
    var parameters = ParameterSet(configuration)
    try parameters.load(pretrained: encoder(configuration), prefix: "k.")
    for (index, entry) in parameters.entries.enumerated() {
      let expected: Float = entry.name.hasPrefix("k.") ? Float(index + 1) : 0
      #expect(parameters[entry.name].allSatisfy { $0 == expected }, "\(entry.name)")
    }
  }

  @Test func otherEncodersAreErrors() {
    var narrow = NetworkConfiguration()
    narrow.encoderWidth = 0.75
    var residual = NetworkConfiguration()
    residual.encoder = .resNet18
    let full = encoder(.init())
    for (configuration, message) in [
      (narrow, "expected shape [24, 3, 3, 3], found shape [32, 3, 3, 3]"),
      (residual, "tensor 'conv1.weight': expected shape [64, 3, 7, 7], found no such tensor"),
    ] {
      let text = problem(configuration, full)
      #expect(text.contains(message) && text.contains("network.encoder_width"), "\(text)")
    }
    #expect(problem(.init(), encoder(residual)).contains("features.0.0.weight"))
    var context = NetworkConfiguration()
    context.contextBlocks = 2
    let text = problem(context, full)
    #expect(text.contains("features.14.conv.0.0") && text.contains("network.context_blocks"))
  }

  @Test(
    .enabled(if: SharedData.has("weights/resnet18_imagenet_to_layer3.safetensors")))
  func residualNetworkFromImageNet() throws {
    var configuration = NetworkConfiguration()
    configuration.encoder = .resNet18
    let path = SharedData.path + "/weights/resnet18_imagenet_to_layer3.safetensors"
    #expect(problem(configuration, try Checkpoint(path: path)) == "no error")
  }
}
