import ArgumentParser
import Distill
import Foundation
import MemoryVOS
import TestSupport
import Testing

@testable import vos_cli

@Suite struct ShippedCheckpointTests {
  static let folder = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().appending(path: "Checkpoints").path

  @Test(arguments: [("vos-mobile", 1_797_602), ("vos-mobile-lite", 1_638_754)])
  func metadataIsTheOneInTheRepository(name: String, parameters: Int) throws {
    let checkpoint = try Checkpoint(path: Self.folder + "/\(name).safetensors")
    let metadata = try RepackCommand.metadata(fromJSON: Self.folder + "/\(name).json")
    #expect(checkpoint.metadata == metadata)
    try checkpoint.check(architecture: "vos-mobile")
    #expect(checkpoint.parameterCount == parameters)
    #expect(try Network(checkpoint).configuration.locality == 6)
    for key in ["configuration", "training", "data", "licence", "parents", "scores"] {
      #expect(metadata[key]?.isEmpty == false, "\(key)")
    }
    for tensor in checkpoint.tensors.values { _ = try tensor.floats() }
  }

  @Test func recipesAreComplete() throws {
    let base = ["--init", Self.folder + "/recipes/vos-mobile-base.safetensors"]
    for (name, arguments) in [
      ("base", []), ("context", []), ("start", []), ("lookalikes", base), ("decay", base),
      ("lite", []), ("lite-long", []), ("qat", []),
    ] {
      let path = Self.folder + "/recipes/vos-mobile-\(name).json"
      let options = try TrainingOptions.parse([path, "--output", "x"] + arguments)
      let (recipe, folder) = try options.read()
      func start(_ name: String) throws -> Checkpoint {
        try Checkpoint(path: name.hasPrefix("/") ? name : folder + "/" + name)
      }
      if recipe.initial.isEmpty {
        var parameters = ParameterSet(recipe.network)
        try parameters.load(pretrained: start(recipe.pretrained), prefix: "k.")
      } else {
        #expect(try !start(recipe.initial).tensors.isEmpty)
      }
      for set in recipe.data where set.kind != .davis {
        #expect(try !Data(contentsOf: URL(filePath: folder + "/" + set.list)).isEmpty)
      }
    }
  }

  @Test(arguments: ["vos-mobile", "vos-mobile-lite"])
  func int8IsSmallAndComplete(name: String) throws {
    let float = try Checkpoint(path: Self.folder + "/\(name).safetensors")
    let path = Self.folder + "/\(name)-int8.safetensors"
    let checkpoint = try Checkpoint(path: path)
    #expect(try Network(checkpoint: path).isQuantized)
    for key in ["configuration", "training", "data", "licence", "parents"] {
      #expect(checkpoint.metadata[key] == float.metadata[key], "\(key)")
    }
    #expect(checkpoint.metadata["float_scores"] == float.metadata["scores"])
    #expect(checkpoint.metadata["scores"] != nil)
    func bytes(_ path: String) throws -> Int {
      try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int ?? 0
    }
    #expect(try bytes(path) * 10 < bytes(float.path) * 3)
  }

  @Test(.enabled(if: SharedData.has("weights")))
  func theBaseNetworkIsThePrototype() throws {
    let shipped = try Checkpoint(path: Self.folder + "/recipes/vos-mobile-base.safetensors")
    let prototype = try Checkpoint(
      path: SharedData.path + "/weights/vos-mobile-prototype.safetensors")
    #expect(shipped.names == prototype.names)
    for (name, tensor) in prototype.tensors {
      #expect(shipped.tensors[name]?.shape == tensor.shape, "\(name)")
      #expect(shipped.tensors[name]?.bytes.elementsEqual(tensor.bytes) == true, "\(name)")
    }
  }

  @Test func repackKeepsTensorsAndReplacesMetadata() throws {
    let scratch = TemporaryFolder()
    let tensor = CheckpointTensor(shape: [2], floats: [1, -1])
    try Checkpoint(metadata: ["old": "x"], tensors: ["a": tensor]).write(to: scratch.path("in"))
    try Data(#"{"text": "1.0", "object": {"b": 0.1, "a": [1, true]}}"#.utf8).write(
      to: URL(filePath: scratch.path("m.json")))
    let command = try RepackCommand.parse([
      scratch.path("in"), scratch.path("out"), "--metadata", scratch.path("m.json"),
    ])
    try command.run()
    let written = try Checkpoint(path: scratch.path("out"))
    #expect(written.metadata == ["text": "1.0", "object": #"{"a":[1,true],"b":0.1}"#])
    #expect(try written.tensors["a"]?.floats() == [1, -1])
  }
}
