import ArgumentParser
import Distill
import Foundation
import MemoryVOS
import TestSupport
import Testing

@testable import vos_cli

/// What a recipe leaves out of the network is as in the checkpoint that the training starts from.
@Suite struct TrainingOptionsTests {
  private let folder = TemporaryFolder()

  private func read(
    _ more: String, _ arguments: String...
  ) throws -> (network: NetworkConfiguration, initial: String) {
    try Data("{\"data\": [{\"path\": \"d\", \"list\": \"l\"}]\(more)}".utf8).write(
      to: URL(filePath: folder.path("r.json")))
    let options = try TrainingOptions.parse(
      [folder.path("r.json"), "--output", "out"] + arguments)
    let recipe = try options.read().recipe
    return (recipe.network, recipe.initial)
  }

  private func checkpoint(_ configuration: String) throws -> String {
    try Checkpoint(metadata: ["configuration": configuration], tensors: [:]).write(
      to: folder.path("start.safetensors"))
    return folder.path("start.safetensors")
  }

  @Test func networksComeFromTheCheckpointToStartFrom() throws {
    let start = try checkpoint(#"{"key_channels": 32, "locality": 5, "memory_frames": 4}"#)
    var expected = NetworkConfiguration()
    #expect(try read("").network == expected)
    (expected.keyChannels, expected.locality, expected.memoryFrames) = (32, 5, 4)
    #expect(try read("", "--init", start).network == expected)
    #expect(try read(", \"initial\": \"start.safetensors\"").network == expected)
    expected.locality = 2
    let given = ", \"network\": {\"locality\": 2}"
    let recipe = try read(given, "--init", start)
    #expect(recipe.network == expected && recipe.initial == start)
    #expect(
      try read(", \"network\": {\"preset\": \"vos-mobile-lite\"}", "--init", start).network
        == NetworkConfiguration(preset: "vos-mobile-lite"))
  }

  @Test func theSeedIsOfTheRecipeUnlessItIsGiven() throws {
    let path = folder.path("r.json")
    try Data(#"{"data": [{"path": "d", "list": "l"}], "seed": 12}"#.utf8).write(
      to: URL(filePath: path))
    for (arguments, seed) in [([], 12), (["--seed", "14"], 14)] as [([String], UInt64)] {
      let options = try TrainingOptions.parse([path, "--output", "out"] + arguments)
      #expect(try options.read().recipe.seed == seed)
    }
    #expect(throws: (any Error).self) {
      try TrainingOptions.parse([path, "--output", "out", "--seed", "-1"])
    }
  }

  @Test func aCheckpointThatCannotBeReadIsAnError() throws {
    #expect(throws: CheckpointError.self) {
      try read(", \"initial\": \"none.safetensors\"")
    }
    let start = try checkpoint(#"{"locality": -1}"#)
    #expect(throws: CheckpointError.self) { try read("", "--init", start) }
  }
}
