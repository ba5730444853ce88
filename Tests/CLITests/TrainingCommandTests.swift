// train, distill, teach and average as users run them, on a tiny data set and a tiny network.

import Foundation
import MemoryVOS
import TestSupport
import Testing

/// A DAVIS layout of three clips, and recipes for it.
private final class TrainingFolder {
  let folder = TemporaryFolder()
  static let frames = 6

  init() throws {
    let size = FrameSize(width: 80, height: 56)
    for (number, clip) in ["a", "b", "c"].enumerated() {
      for index in 0..<Self.frames {
        var pixels = [UInt8](repeating: 60, count: size.area * 3)
        var mask = LabelMap(size: size)
        for y in 12..<36 {
          for x in 14 + 2 * index + number..<42 + 2 * index {
            mask.labels[y * size.width + x] = 1
            pixels[3 * (y * size.width + x)] = UInt8(200 + x % 16)
          }
        }
        let name = "\(clip)/0000\(index).png"
        try PNGImage(size: size, kind: .rgb, samples: .bytes(pixels))
          .write(to: folder.path("davis/JPEGImages/56p/\(name)"))
        try MaskFile.write(mask, to: folder.path("davis/Annotations/56p/\(name)"))
      }
    }
    try Data("a\nb\nc\n".utf8).write(to: URL(filePath: folder.path("davis/ImageSets/all.txt")))
  }

  func path(_ name: String) -> String { folder.path(name) }

  /// Writes a recipe, `more` keys in it, and returns its path; data are relative to it.
  func recipe(_ name: String = "recipe.json", steps: Int = 2, set: String = "", more: String = "")
    throws -> String
  {
    let path = folder.path(name)
    try Data(
      """
      {"steps": \(steps), "checkpoint_every": 1, "threads": 1, "average_decay": 0.5,
       "data": [{"path": "davis", "list": "ImageSets/all.txt", "resolution": "56p"\(set)}],
       "samples": {"size": 64, "batch": 1, "frames": 2, "several_share": 0},
       "network": {"key_channels": 16, "value_channels": 16, "decoder_channels": [16, 16, 16],
                   "value_encoder_channels": [8, 8, 16]}\(more)}
      """.utf8
    ).write(to: URL(filePath: path))
    return path
  }

  func file(_ name: String) -> Data? {
    FileManager.default.contents(atPath: folder.path + "/" + name)
  }
}

@Suite struct TrainingCommandTests {
  private let set: TrainingFolder

  init() throws { set = try TrainingFolder() }

  /// Waits for a file, for a minute at most.
  private func wait(for name: String) -> Bool {
    for _ in 0..<6000 {
      if FileManager.default.fileExists(atPath: set.path(name)) { return true }
      usleep(10_000)
    }
    return false
  }

  /// Runs the command with files limited to 64 KiB, as if the disk were full.
  private func runWithoutDisk(_ arguments: [String]) throws -> CommandResult {
    let shell = Process()
    shell.executableURL = URL(filePath: "/bin/sh")
    shell.arguments =
      ["-c", "trap '' XFSZ; ulimit -f 128; exec \"$0\" \"$@\"", BuiltCommand.url.path] + arguments
    let errors = Pipe()
    shell.standardError = errors
    shell.standardOutput = FileHandle.nullDevice
    try shell.run()
    let text = try errors.fileHandleForReading.readToEnd() ?? Data()
    shell.waitUntilExit()
    return CommandResult(
      code: shell.terminationStatus, output: "", errors: String(decoding: text, as: UTF8.self))
  }

  @Test func aKilledRunGoesOnAsIfNothingHadHappened() throws {
    let recipe = try set.recipe(
      steps: 12, set: #", "hold_out": ["c"]"#,
      more: #", "validation": {"every": 5, "size": 48, "frames": 4}"#)
    let whole = try BuiltCommand.run("train", recipe, "--output", set.path("whole"))
    #expect(whole.code == 0, "\(whole)")
    #expect(
      whole.output == "\(set.path("whole"))/student.safetensors\n"
        + "\(set.path("whole"))/best.safetensors\n")
    #expect(whole.errors.contains("12 steps of about"))
    #expect(whole.errors.contains("validation after step 5: J&F 0."))
    #expect(set.folder.names(in: "whole/validation/1") == ["c"])

    let running = try BuiltCommand.start(["train", recipe, "--output", set.path("parts")])
    #expect(wait(for: "parts/state.safetensors"))
    kill(running.process.processIdentifier, SIGKILL)
    _ = try running.finish()
    #expect(running.process.terminationReason == .uncaughtSignal)
    let state = try #require(set.file("parts/state.safetensors"))

    // No room for the next checkpoint: a message, and the last one stays as it is.
    let full = try runWithoutDisk(["train", recipe, "--output", set.path("parts")])
    #expect(full.code == 1 && full.errors.contains("File too large"), "\(full)")
    #expect(set.file("parts/state.safetensors") == state)

    let resumed = try BuiltCommand.run("train", recipe, "--output", set.path("parts"))
    #expect(resumed.code == 0 && resumed.errors.contains("resuming after step"), "\(resumed)")
    for name in [
      "metrics.csv", "validation.csv", "student.safetensors", "best.safetensors",
      "state.safetensors",
    ] {
      #expect(set.file("whole/\(name)") == set.file("parts/\(name)"), "\(name)")
    }
    // A finished run has nothing left to do.
    #expect(try BuiltCommand.run("train", recipe, "--output", set.path("parts")).code == 0)
    #expect(set.file("whole/state.safetensors") == set.file("parts/state.safetensors"))
  }

  @Test func aRunInPiecesIsTheWholeRun() throws {
    let recipe = try set.recipe(steps: 6)
    #expect(try BuiltCommand.run("train", recipe, "--output", set.path("whole")).code == 0)
    for (until, steps) in [(2, 2), (2, 2), (4, 4), (9, 6)] {
      let piece = try BuiltCommand.run(
        "train", recipe, "--output", set.path("pieces"), "--until", "\(until)")
      #expect(piece.code == 0, "\(piece)")
      #expect(piece.errors.contains("stopped after step \(steps)") == (steps < 6), "\(piece)")
    }
    for name in ["metrics.csv", "student.safetensors", "state.safetensors"] {
      #expect(set.file("whole/\(name)") == set.file("pieces/\(name)"), "\(name)")
    }
    let refused = try BuiltCommand.run("train", recipe, "--output", "x", "--until", "0")
    #expect(refused.code == 64 && refused.errors.contains("--until 0"), "\(refused)")
  }

  @Test func aTeachersOutputsTrainAStudent() throws {
    let teacher = try BuiltCommand.run("train", try set.recipe(), "--output", set.path("teacher"))
    #expect(teacher.code == 0, "\(teacher)")
    let checkpoint = set.path("teacher/student.safetensors")
    let arguments = [
      "teach", checkpoint, "--data", set.path("davis"), "--list", "ImageSets/all.txt",
      "--resolution", "56p", "--output", set.path("outputs"), "--size", "64", "--flip",
      "--features",
    ]
    let taught = try BuiltCommand.start(arguments).finish()
    #expect(taught.code == 0 && taught.output == set.path("outputs") + "\n", "\(taught)")
    #expect(taught.errors.contains("3 clips to write, 1 MiB"))
    #expect(
      set.folder.names(in: "outputs") == ["a.safetensors", "b.safetensors", "c.safetensors"])
    let again = try BuiltCommand.start(arguments).finish()
    #expect(again.code == 0 && again.errors.contains("3 finished clips are kept"), "\(again)")
    let other = try BuiltCommand.start(arguments + ["--memory", "4"]).finish()
    #expect(other.code == 1 && other.errors.contains("another teacher"), "\(other)")

    let losses = #", "loss": {"distillation": 1, "representation": 0.1, "regression": 0.1}"#
    let stored = try BuiltCommand.run(
      "distill",
      try set.recipe("stored.json", set: #", "outputs": "../outputs""#, more: losses),
      "--output", set.path("stored"))
    #expect(stored.code == 0, "\(stored)")
    let live = try BuiltCommand.run(
      "distill",
      try set.recipe(
        "live.json",
        more: losses
          + #", "teacher": {"checkpoint": "teacher/student.safetensors", "scales": [1.5]}"#),
      "--output", set.path("live"), "--init", checkpoint)
    #expect(live.code == 0, "\(live)")
    for run in ["stored", "live"] {
      let row =
        String(decoding: set.file("\(run)/metrics.csv") ?? Data(), as: UTF8.self)
        .split(separator: "\n").last?.split(separator: ",") ?? []
      #expect(row.count == 10 && row[4...6].allSatisfy { (Double($0) ?? 0) != 0 }, "\(row)")
    }

    let soup = try BuiltCommand.run(
      "average", set.path("stored/student.safetensors"), set.path("live/student.safetensors"),
      "--output", set.path("soup.safetensors"))
    #expect(soup.code == 0, "\(soup)")
    #expect(try Network(checkpoint: set.path("soup.safetensors")).parameterCount > 0)
    let alone = try BuiltCommand.run("average", checkpoint, "--output", set.path("x"))
    #expect(alone.code == 64 && alone.errors.contains("two or more"), "\(alone)")
  }

  @Test func mistakesEndWithOneLine() throws {
    for (recipe, message) in [
      (try set.recipe(more: #", "stepps": 3"#), "unknown key 'stepps'; did you mean 'steps'?"),
      (try set.recipe("b.json", set: #", "hold_out": ["d"]"#), "hold_out: no clip 'd'"),
      (try set.recipe("c.json", set: #", "hold_out": ["a", "b", "c"]"#), "nothing is left"),
      (
        try set.recipe("d.json", set: #", "outputs": "none""#, more: #", "loss": {"dice": 1}"#),
        "a.safetensors"
      ), (set.path("no.json"), "the recipe cannot be read"),
    ] {
      let result = try BuiltCommand.run("train", recipe, "--output", set.path("out"))
      #expect(result.code == 1 && result.errorLines.count == 1, "\(result)")
      #expect(result.errors.contains(message), "\(result)")
    }
    let plain = try set.recipe("e.json")
    let distill = try BuiltCommand.run("distill", plain, "--output", set.path("out"))
    #expect(distill.code == 1 && distill.errors.contains("use `vos-cli train`"), "\(distill)")
    let dry = try BuiltCommand.run("train", plain, "--output", set.path("dry"), "--dry-run")
    #expect(dry.code == 0 && set.file("dry/student.safetensors") == nil, "\(dry)")
    #expect(try BuiltCommand.run("train").code == 64)
    let missing = try BuiltCommand.run(
      "teach", set.path("none.safetensors"), "--data", set.path("davis"), "--list", "x",
      "--output", set.path("out"))
    #expect(missing.code == 1 && missing.errors.contains("none.safetensors"), "\(missing)")
    let layout = try BuiltCommand.run(
      "teach", "x", "--data", "y", "--output", "z", "--kind", "films")
    #expect(layout.code == 64 && layout.errors.contains("expected davis, youtube-vos or taught"))
    #expect(set.file("out/state.safetensors") == nil)
  }

  @Test func everyRecipeKeyIsDocumented() throws {
    let printed = try BuiltCommand.run("train", "--print-recipe")
    let recipe = try JSONSerialization.jsonObject(with: Data(printed.output.utf8))
    let path = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().appending(path: "docs/RECIPES.md")
    let text = try String(contentsOf: path, encoding: .utf8)
    func check(_ value: Any) {
      if let list = value as? [Any] { list.forEach(check) }
      guard let object = value as? [String: Any] else { return }
      for (key, value) in object {
        #expect(text.contains("`\(key)`"), "docs/RECIPES.md does not mention '\(key)'")
        check(value)
      }
    }
    check(recipe)
  }
}
