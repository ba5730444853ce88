import Foundation
import MemoryVOS
import TestSupport
import Testing

@testable import vos_cli

@Suite struct CommandTests {
  @Test func inspectShowsTheCheckpointAndTheMachine() throws {
    let result = try BuiltCommand.run("inspect", "--tensors")
    #expect(result.code == 0, "\(result)")
    for text in [
      "1,797,602", "2.72 G per frame + 1.21 G per object", "CC BY-NC 4.0", "OpenBLAS core",
      "p.weight  F32  1×32×3×3", "t  F32  scalar",
    ] {
      #expect(result.output.contains(text), "\(text)")
    }
  }

  @Test func inspectReadsAnySafetensorsFile() throws {
    let scratch = TemporaryFolder()
    let path = scratch.path("other.safetensors")
    try Checkpoint(
      metadata: ["by": "someone"], tensors: ["w": CheckpointTensor(shape: [2], floats: [1, 2])]
    ).write(to: path)
    let result = try BuiltCommand.run("inspect", path, "--json", "--tensors")
    let json = try #require(
      JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any])
    #expect(json["parameters"] as? Int == 2 && json["cost"] == nil)
    #expect((json["metadata"] as? [String: String]) == ["by": "someone"])
    #expect((json["tensors"] as? [[String: Any]])?.count == 1)
    let missing = try BuiltCommand.run("inspect", scratch.path + "/no.safetensors")
    #expect(missing.code == 1 && missing.errorLines.count == 1, "\(missing)")
  }

  @Test func benchmarkInJSON() throws {
    let result = try BuiltCommand.run(
      "benchmark", "--size", "32x64", "--objects", "2", "--steps", "3", "--threads", "1",
      "--top-k", "0", "--json")
    #expect(result.code == 0, "\(result)")
    let json = try #require(
      JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any])
    let step = try #require(json["step"] as? [String: Double])
    #expect(Set(step.keys) == ["median_ms", "p95_ms", "min_ms"])
    #expect(step["median_ms"] ?? 0 > 0 && step["p95_ms"] ?? 0 >= step["median_ms"] ?? 1)
    let stages = try #require(json["stages"] as? [String: [String: Double]])
    #expect(
      Set(stages.keys) == ["resize", "encode", "read", "decode", "aggregate", "memorize"])
    #expect(json["objects"] as? Int == 2 && json["top_k"] as? Int == 0)
    #expect((json["checkpoint_sha256"] as? String)?.count == 64)
    #expect(json["network_input"] as? String == "32x64" && json["threads"] as? Int == 1)
    let machine = try #require(json["machine"] as? [String: Any])
    #expect(machine["open_blas_core"] is String && machine["processor"] is String)
  }

  @Test func benchmarkForPeople() throws {
    let result = try BuiltCommand.run(
      "benchmark", "--size", "32x64", "--steps", "2", environment: ["VOS_ISA": "scalar"])
    #expect(result.code == 0, "\(result)")
    #expect(result.output.contains("frames/s") && result.output.contains("scalar kernels"))
  }

  @Test func renderedSamplesAreTheScenes() throws {
    let scratch = TemporaryFolder()
    let result = try BuiltCommand.run(
      "render-sample", "--scene", "hard-cut", "--frames", "3", "--size", "50x70", "--output",
      scratch.path + "/clip")
    #expect(result.code == 0 && result.output.isEmpty && result.errors.isEmpty, "\(result)")
    #expect(
      scratch.names(in: "clip/frames") == ["00000.png", "00001.png", "00002.png"])
    let scene = SampleScene(
      named: .hardCut, size: FrameSize(width: 70, height: 50), frameCount: 3)
    for index in 0..<3 {
      let name = ClipOnDisk.name(index)
      let (frame, labels) = scene.frame(at: index)
      let image = try PNGImage(contentsOf: scratch.path("clip/frames/\(name)"))
      #expect(image.samples == .bytes(frame.pixels))
      #expect(
        try MaskFile.read(scratch.path("clip/Annotations/\(name)"), role: .truth) == labels)
    }
  }
}
