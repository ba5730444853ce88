import Foundation
import MemoryVOS
import TestSupport
import Testing

@testable import vos_cli

@Suite struct TrackTests {
  private func run(_ arguments: [String], environment: [String: String] = [:]) throws
    -> CommandResult
  {
    try BuiltCommand.start(arguments, environment: environment).finish()
  }

  @Test func writesAMaskForEachImageAndNothingElse() throws {
    let clip = try ClipOnDisk()
    let result = try run(clip.track())
    #expect(result.code == 0 && result.output.isEmpty && result.errors.isEmpty, "\(result)")
    #expect(clip.folder.names(in: "out") == (0..<6).map(ClipOnDisk.name))
    let masks = try clip.results()
    #expect(masks["00000.png"] == clip.scene.frame(at: 0).labels)
    for mask in masks.values {
      #expect(mask.size == clip.scene.size)
      #expect(Set(mask.objects.map(\.rawValue)).isSubset(of: [1, 2]))
    }
  }

  @Test func namesOfImagesAndSparseIdsAreKept() throws {
    let clip = try ClipOnDisk(3)
    for (index, name) in ["shot 2.png", "shot 10.png", "shot é.png"].enumerated() {
      try FileManager.default.moveItem(
        atPath: "\(clip.frames)/\(ClipOnDisk.name(index))", toPath: "\(clip.frames)/\(name)")
    }
    var mask = clip.scene.frame(at: 0).labels
    mask.labels = mask.labels.map { [0, 7, 254][Int($0)] }
    try MaskFile.write(mask, to: clip.mask())
    let result = try run(clip.track())
    #expect(result.code == 0, "\(result)")
    #expect(clip.folder.names(in: "out").sorted() == ["shot 10.png", "shot 2.png", "shot é.png"])
    let masks = try clip.results()
    #expect(masks["shot 2.png"] == mask, "the first frame in natural order is annotated")
    for mask in masks.values {
      #expect(Set(mask.objects.map(\.rawValue)).isSubset(of: [7, 254]))
    }
  }

  @Test func summaryInJSON() throws {
    let clip = try ClipOnDisk(4)
    let result = try run(clip.track("--json", "--threads", "1"))
    #expect(result.code == 0 && result.errors.isEmpty, "\(result)")
    let json = try #require(
      JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any])
    #expect(
      Set(json.keys) == [
        "run", "frames_computed", "frames_per_second", "peak_memory_mb", "stages", "objects",
        "machine",
      ])
    let run = try #require(json["run"] as? [String: Any])
    #expect(run["frames"] as? Int == 4 && run["frames_lost"] as? Int == 0)
    #expect(run["interrupted"] as? Bool == false && run["network_input"] as? String == "32x64")
    let stages = try #require(json["stages"] as? [String: [String: Double]])
    #expect(
      Set(stages.keys) == [
        "resize", "encode", "read", "decode", "aggregate", "memorize", "read_input", "write_output",
      ])
    #expect(stages.values.allSatisfy { Set($0.keys) == ["total_s", "mean_ms"] })
    let objects = try #require(json["objects"] as? [[String: Any]])
    #expect(objects.map { $0["id"] as? Int } == [1, 2])
    #expect(objects[0]["first_frame"] as? Int == 0)
    #expect((objects[0]["mean_area"] as? Double ?? 0) > 50)
    #expect((json["peak_memory_mb"] as? Double ?? 0) > 5)
  }

  @Test func annotationInTheMiddleAndSelection() throws {
    let clip = try ClipOnDisk()
    let result = try run(
      clip.track("--start", "1", "--every", "2", mask: "3:" + clip.mask(3)))
    #expect(result.code == 0, "\(result)")
    #expect(clip.folder.names(in: "out") == ["00001.png", "00003.png", "00005.png"])
    #expect(try clip.results()["00003.png"] == clip.scene.frame(at: 3).labels)
  }

  @Test func oneObjectOfTheMask() throws {
    let clip = try ClipOnDisk(3)
    let result = try run(clip.track("--object", "2"))
    #expect(result.code == 0, "\(result)")
    for mask in try clip.results().values { #expect(!mask.labels.contains(1)) }
  }

  @Test func masksOfAnotherSizeAreResizedOnRequest() throws {
    let clip = try ClipOnDisk(3)
    let small = clip.scene.frame(at: 0).labels.resized(to: FrameSize(width: 35, height: 25))
    try MaskFile.write(small, to: clip.mask())
    let refused = try run(clip.track())
    #expect(refused.code == 1 && refused.errorLines.count == 1, "\(refused)")
    #expect(refused.errors.contains("35×25") && refused.errors.contains("70×50"))
    let result = try run(clip.track("--resize-mask"))
    #expect(result.code == 0, "\(result)")
  }

  // MARK: - Stopping and resuming

  @Test(arguments: [SIGINT, SIGTERM])
  func aSignalStopsInGoodOrderAndTheSameCommandGoesOn(_ signal: Int32) throws {
    let clip = try ClipOnDisk(40)
    let running = try BuiltCommand.start(clip.track("--threads", "1"))
    while clip.folder.names(in: "out").count < 3, running.process.isRunning { usleep(2_000) }
    kill(running.process.processIdentifier, signal)
    let stopped = try running.finish()
    #expect(stopped.code == 128 + signal, "\(stopped)")
    #expect(stopped.errorLines.count == 1 && stopped.errors.contains("same command"), "\(stopped)")
    let partial = try clip.results()
    #expect(partial.count >= 2 && partial.count < 40)
    let names = clip.folder.names(in: "out")
    #expect(names.allSatisfy { !$0.hasSuffix(".part") })

    let other = try run(clip.track("--threads", "1", "--memory", "3"))
    #expect(other.code == 1 && other.errors.contains("--overwrite"), "\(other)")
    let resumed = try run(clip.track("--threads", "1", "--json"))
    #expect(resumed.code == 0, "\(resumed)")
    #expect(resumed.output.contains("\"frames_resumed\" : \(partial.count)"), "\(resumed)")
    let masks = try clip.results()
    #expect(clip.folder.names(in: "out").count == 40, "the state of the interrupted run is gone")

    let whole = try run(clip.track("--threads", "1", "--overwrite"))
    #expect(whole.code == 0, "\(whole)")
    #expect(try clip.results() == masks, "resumed masks differ from those of one run")
  }

  @Test func aKilledRunGoesOnFromItsLastSavedFrame() throws {
    let clip = try ClipOnDisk(40)
    let running = try BuiltCommand.start(clip.track("--threads", "1"))
    while clip.folder.names(in: "out").count < 6, running.process.isRunning { usleep(2_000) }
    kill(running.process.processIdentifier, SIGKILL)
    _ = try running.finish()
    let resumed = try run(clip.track("--threads", "1", "--json"))
    #expect(resumed.code == 0 && resumed.output.contains("\"frames_resumed\" : 1"), "\(resumed)")
    let masks = try clip.results()
    #expect(masks.count == 40)
    #expect(try run(clip.track("--threads", "1", "--overwrite")).code == 0)
    #expect(try clip.results() == masks)
  }

  @Test func finishedMasksAreNotOverwrittenUnasked() throws {
    let clip = try ClipOnDisk(2)
    #expect(try run(clip.track()).code == 0)
    let again = try run(clip.track())
    #expect(again.code == 1 && again.errorLines.count == 1, "\(again)")
    #expect(again.errors.contains("2 PNG files") && again.errors.contains("--overwrite"))
    #expect(try run(clip.track("--overwrite")).code == 0)
  }

  // MARK: - Bad input

  /// One line that says each of `words`, exit code 1, and no mask written.
  private func expectFailure(
    _ arguments: [String], _ words: String..., environment: [String: String] = [:],
    location: SourceLocation = #_sourceLocation
  ) throws {
    let result = try run(arguments, environment: environment)
    #expect(result.code == 1, "\(result)", sourceLocation: location)
    #expect(result.errorLines.count == 1, "\(result)", sourceLocation: location)
    for word in words {
      #expect(result.errors.contains(word), "\(result)", sourceLocation: location)
    }
    #expect(result.output.isEmpty, "\(result)", sourceLocation: location)
  }

  @Test func inputsThatAreNoVideo() throws {
    let clip = try ClipOnDisk(2)
    func track(_ input: String) -> [String] {
      ["track", input, "--mask", clip.mask(), "--output", clip.output, "--size", "32x64"]
    }
    try expectFailure(track(clip.folder.path + "/missing.mp4"), "missing.mp4")
    let empty = clip.folder.path + "/empty"
    try FileManager.default.createDirectory(atPath: empty, withIntermediateDirectories: true)
    try expectFailure(track(empty), empty)
    try write(Data(), to: clip.folder.path("zero.mp4"))
    try expectFailure(track(clip.folder.path("zero.mp4")), "zero.mp4")
    try write(Data("a shopping list\n".utf8), to: clip.folder.path("text.mp4"))
    try expectFailure(track(clip.folder.path("text.mp4")), "text.mp4")
    #expect(!FileManager.default.fileExists(atPath: clip.output), "an output folder was made")
  }

  @Test func masksThatCannotBeUsed() throws {
    let clip = try ClipOnDisk(2)
    let size = clip.scene.size
    func file(_ name: String, _ image: PNGImage) throws -> String {
      let path = clip.folder.path(name)
      try image.write(to: path)
      return path
    }
    func grey(_ value: (Int) -> UInt8) -> PNGImage {
      PNGImage(size: size, kind: .grey, samples: .bytes((0..<size.area).map(value)))
    }
    try expectFailure(clip.track(mask: clip.folder.path + "/no.png"), "no.png")
    try expectFailure(
      clip.track(mask: try file("none.png", grey { _ in 0 })), "none.png", "object")
    try expectFailure(
      clip.track(mask: try file("void.png", grey { $0 < 9 ? 255 : $0 < 20 ? 1 : 0 })), "255")
    let colours = (0..<3 * size.area).map { UInt8(truncatingIfNeeded: $0 * 7) }
    try expectFailure(
      clip.track(
        mask: try file("rgb.png", PNGImage(size: size, kind: .rgb, samples: .bytes(colours)))),
      "rgb.png")
    let whole = FileManager.default.contents(atPath: clip.mask()) ?? Data()
    let cut = clip.folder.path("cut.png")
    try write(whole.prefix(whole.count / 2), to: cut)
    try expectFailure(clip.track(mask: cut), "cut.png")
    try expectFailure(clip.track(mask: "7:" + clip.mask()), "frame 7")
    try expectFailure(clip.track("--object", "9"), "object 9")
    try expectFailure(clip.track("--mask", clip.mask(1)), "two masks for frame 0")
  }

  @Test func checkpointsThatCannotBeUsed() throws {
    let clip = try ClipOnDisk(2)
    let shipped = try Checkpoint(path: ShippedCheckpoint.path)
    func expectRefused(_ name: String, _ checkpoint: Checkpoint, _ words: String...) throws {
      let path = clip.folder.path(name)
      try checkpoint.write(to: path)
      let result = try run(clip.track("--checkpoint", path))
      #expect(result.code == 1 && result.errorLines.count == 1, "\(name): \(result)")
      for word in words { #expect(result.errors.contains(word), "\(name): \(result)") }
    }
    var bad = shipped
    bad.tensors["p.weight"] = nil
    try expectRefused("missing", bad, "p.weight", "[1, 32, 3, 3]")
    bad = shipped
    bad.tensors["extra"] = CheckpointTensor(shape: [2], floats: [1, 2])
    try expectRefused("unknown", bad, "'extra'", "[2]")
    bad = shipped
    bad.tensors["key.bias"] = CheckpointTensor(shape: [3], floats: [1, 2, 3])
    try expectRefused("shape", bad, "key.bias", "[64]", "[3]")
    bad = shipped
    bad.tensors["t"] = CheckpointTensor(shape: [], floats: [.nan])
    try expectRefused("nan", bad, "'t'", "nan")
    bad = shipped
    bad.tensors["t"] = CheckpointTensor(shape: [], dtype: .int32, bytes: [0, 0, 0, 0])
    try expectRefused("dtype", bad, "'t'", "I32")
    bad = shipped
    bad.metadata["architecture"] = "other"
    try expectRefused("architecture", bad, "'other'", "vos-mobile")
    for (name, bytes) in [
      ("huge", [UInt8](repeating: 0xff, count: 64)), ("text", Array("not weights at all".utf8)),
      ("nothing", []),
    ] {
      let path = clip.folder.path(name)
      try write(Data(bytes), to: path)
      try expectFailure(clip.track("--checkpoint", path), name)
    }
    try expectFailure(clip.track("--checkpoint", clip.folder.path + "/no.safetensors"), "no.safe")
    try expectFailure(clip.track("--checkpoint", "vos-unknown"), "vos-unknown", "VOS_CHECKPOINTS")
  }

  @Test func outputsThatCannotBeWritten() throws {
    let clip = try ClipOnDisk(2)
    try write(Data(), to: clip.output)
    try expectFailure(clip.track(), "is a file")
    try FileManager.default.removeItem(atPath: clip.output)
    var arguments = clip.track()
    arguments[5] = "/proc/nowhere/masks"
    try expectFailure(arguments, "/proc/nowhere/masks")
  }

  @Test func unknownInstructionSet() throws {
    let clip = try ClipOnDisk(2)
    try expectFailure(clip.track(), "VOS_ISA=sse9", "scalar", environment: ["VOS_ISA": "sse9"])
  }

  @Test func checkpointFromTheEnvironment() throws {
    let clip = try ClipOnDisk(2)
    let folder = clip.folder.path("models/a")
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    try FileManager.default.copyItem(
      atPath: ShippedCheckpoint.path, toPath: folder + "/mine.safetensors")
    let result = try run(
      clip.track("--checkpoint", "mine", "--json"), environment: ["VOS_CHECKPOINTS": folder])
    #expect(result.code == 0 && result.output.contains(folder + "/mine.safetensors"), "\(result)")
  }

  // MARK: - Usage

  @Test(arguments: [
    ["track"], ["track", "in.mp4", "--output", "o"], ["track", "in.mp4", "--mask", "m.png"],
    ["track", "i", "--mask", "m", "--output", "o", "--every", "0"],
    ["track", "i", "--mask", "m", "--output", "o", "--start", "5", "--end", "5"],
    ["track", "i", "--mask", "m", "--output", "o", "--size", "big"],
    ["track", "i", "--mask", "m", "--output", "o", "--size", "0x5"],
    ["track", "i", "--mask", "m", "--output", "o", "--memory", "0"],
    ["track", "i", "--mask", "m", "--output", "o", "--top-k", "-1"],
    ["track", "i", "--mask", "m", "--output", "o", "--threads", "0"],
    ["track", "i", "--mask", "m", "--output", "o", "--object", "255"],
    ["track", "i", "--mask", "m", "--output", "o", "--adapt", "-1"],
    ["track", "i", "--mask", "", "--output", "o"], ["track", "--speed", "9"],
    ["benchmark", "--size", "480"], ["benchmark", "--objects", "0"], ["inspect", "--memory", "0"],
    ["render-sample", "--scene", "moon", "--output", "o"], ["render-sample"], ["fly"],
  ])
  func wrongUsageExitsWith64(_ arguments: [String]) throws {
    let result = try run(arguments)
    #expect(result.code == 64, "\(result)")
    #expect(result.errors.contains("Usage:") && result.output.isEmpty, "\(result)")
  }

  @Test func maskArguments() {
    #expect(MaskArgument(argument: "a.png") == .init(argument: "a.png"))
    #expect(MaskArgument(argument: "12:a.png")?.frame == 12)
    #expect(MaskArgument(argument: "12:a:b.png")?.path == "a:b.png")
    #expect(MaskArgument(argument: "a:b.png")?.frame == nil)
    #expect(MaskArgument(argument: "-1:b.png")?.path == "-1:b.png")
    #expect(MaskArgument(argument: "3:") == nil && MaskArgument(argument: "") == nil)
  }
}
