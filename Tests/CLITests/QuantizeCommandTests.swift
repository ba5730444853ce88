import Foundation
import MemoryVOS
import TestSupport
import Testing

/// `vos-cli quantize` and its checkpoints in other commands, on rendered clips.
@Suite struct QuantizeCommandTests {
  let folder = TemporaryFolder()

  private func writeSet() throws {
    let scene = SampleScene(
      named: .standard, size: FrameSize(width: 64, height: 48), frameCount: 72)
    for index in 0..<60 {
      let (frame, labels) = scene.frame(at: index)
      let name = String(format: "%05d", index)
      let image = PNGImage(size: scene.size, kind: .rgb, samples: .bytes(frame.pixels))
      try image.write(to: folder.path("set/JPEGImages/48p/a/\(name).png"))
      try MaskFile.write(labels, to: folder.path("set/Annotations/48p/a/\(name).png"))
    }
    try "a\n".write(
      toFile: folder.path("set/ImageSets/2017/train.txt"), atomically: true, encoding: .utf8)
  }

  private func quantize(_ arguments: String...) throws -> CommandResult {
    try BuiltCommand.start(
      [
        "quantize", ShippedCheckpoint.path, "--data", folder.path("set"), "--resolution", "48p",
        "--frames", "16", "--sensitivity-frames", "2", "--output", folder.path("q.safetensors"),
      ] + arguments
    ).finish()
  }

  @Test func checkpointIsUsedLikeAnyOther() throws {
    try writeSet()
    let result = try quantize()
    #expect(result.code == 0, "\(result)")
    // What was measured and decided, the worst first.
    let lines = result.output.split(separator: "\n").map(String.init)
    #expect(lines.first?.hasPrefix("layers") == true && lines.count > 20, "\(result)")
    let kept = lines.filter { $0.hasSuffix("stays float") }
    let decided = try #require(lines.first { $0.hasPrefix("float: ") }).dropFirst(7)
    let names = Set(kept.compactMap { $0.split(separator: " ").first.map(String.init) })
    #expect(names == Set(decided.split(separator: " ").map(String.init)))
    #expect(!kept.isEmpty)
    #expect(try Checkpoint(path: folder.path("q.safetensors")).isQuantized)
    let track = try BuiltCommand.run(
      "track", folder.path("set/JPEGImages/48p/a"), "--mask",
      folder.path("set/Annotations/48p/a/00000.png"), "--output", folder.path("masks"),
      "--checkpoint", folder.path("q.safetensors"), "--size", "64")
    #expect(track.code == 0, "\(track)")
    #expect(folder.names(in: "masks").filter { $0.hasSuffix(".png") }.count == 60)
    let again = try BuiltCommand.run(
      "quantize", folder.path("q.safetensors"), "--data", folder.path("set"), "--resolution",
      "48p", "--output", folder.path("r.safetensors"))
    #expect(again.code != 0 && again.errors.contains("already int8"), "\(again)")
  }

  @Test func unlabelledFoldersAndShortSetsAreErrors() throws {
    let result = try quantize()
    #expect(result.code != 0 && result.errors.contains("unlabelled folder"), "\(result)")
    let few = try quantize("--frames", "2")
    #expect(few.code == 64 && few.errors.contains("at least 16"), "\(few)")
  }

  @Test func fewBitsAreSimulated() throws {
    try writeSet()
    let result = try quantize("--simulate", "6/4", "--float", "m1", "k.features.0.")
    #expect(result.code == 0 && result.output.contains("simulates 6/4 bits"), "\(result)")
    #expect(result.output.contains("float: m1 k.features.0."), "\(result)")
    let checkpoint = try Checkpoint(path: folder.path("q.safetensors"))
    #expect(checkpoint.isSimulated && !checkpoint.isQuantized)
    let track = try BuiltCommand.run(
      "track", folder.path("set/JPEGImages/48p/a"), "--mask",
      folder.path("set/Annotations/48p/a/00000.png"), "--output", folder.path("masks"),
      "--checkpoint", folder.path("q.safetensors"), "--size", "64")
    #expect(track.code == 0, "\(track)")
  }

  @Test func mistakesAreNamed() throws {
    try writeSet()
    for (arguments, code, message) in [
      (["--simulate", "6"], 64, "such as 6/4, not '6'"),
      (["--simulate", "9/8"], 64, "2…8 or 32"),
      (["--float-budget", "2"], 64, "between 0 and 1"),
      (["--sensitivity-frames", "1"], 64, "at least 2"),
      (["--float", "m1", "nothing"], 1, "--float nothing: no layer's name begins so"),
    ] {
      let result = try BuiltCommand.start(
        [
          "quantize", ShippedCheckpoint.path, "--data", folder.path("set"), "--resolution", "48p",
          "--frames", "16", "--output", folder.path("q.safetensors"),
        ] + arguments
      ).finish()
      #expect(result.code == code && result.errors.contains(message), "\(result)")
    }
    let missing = try BuiltCommand.run(
      "quantize", ShippedCheckpoint.path, "--output", folder.path("q.safetensors"))
    #expect(missing.code == 1 && missing.errors.contains("--data is missing"), "\(missing)")
    #expect(!folder.names(in: "").contains("q.safetensors"))
  }
}
