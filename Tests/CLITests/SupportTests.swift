import ArgumentParser
import Foundation
import MemoryVOS
import TestSupport
import Testing

@testable import vos_cli

@Suite struct SupportTests {
  @Test(arguments: [
    ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    (
      "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
    ),
  ])
  func digestIsSHA256(_ text: String, expected: String) {
    #expect(Digest.sha256(Array(text.utf8)) == expected)
  }

  /// NIST's long message: one million times "a".
  @Test func digestOfAMillionBytes() {
    #expect(
      Digest.sha256([UInt8](repeating: 0x61, count: 1_000_000))
        == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
  }

  @Test func timeStatistics() {
    let statistics = TimeStatistics((1...100).reversed().map { Double($0) / 1000 })
    #expect(statistics.medianMs == 50.5 && statistics.minMs == 1 && statistics.p95Ms == 95.05)
    #expect(TimeStatistics([0.002]).p95Ms == 2)
    #expect(TimeStatistics([]).medianMs == 0)
  }

  @Test func progressLine() {
    #expect(
      ProgressBar.line(count: 15, total: 60, done: 0, seconds: 3)
        == "[#######.......................] 15/60  5.0 frames/s  0:09 left")
    #expect(
      ProgressBar.line(count: 30, total: 60, done: 20, seconds: 1)
        == "[###############...............] 30/60  10.0 frames/s  0:03 left")
    #expect(
      ProgressBar.line(count: 1, total: 7201, done: 0, seconds: 1)
        == "[..............................] 1/7201  1.0 frames/s  2:00:00 left")
    #expect(ProgressBar.line(count: 8, total: nil, done: 0, seconds: 4) == "8 frames  2.0 frames/s")
    #expect(
      ProgressBar.line(count: 30, total: 60, done: 0, unit: "steps", seconds: 10)
        == "[###############...............] 30/60  3.0 steps/s  0:10 left")
    // A container that promised too few frames.
    #expect(ProgressBar.line(count: 9, total: 8, done: 0, seconds: 0) == "9 frames  0.0 frames/s")
    let note = "adapting to a sequence of a very long name, 12/60"
    let noted = ProgressBar.line(count: 15, total: 60, done: 0, seconds: 3, note: note)
    #expect(noted == "[#######.......................] 15/60  " + note.prefix(39))
    #expect(noted.count == 79)
  }

  @Test func sizes() {
    #expect(SizeOption(argument: "480")?.defaultValueDescription == "480")
    #expect(SizeOption(argument: "480x864")?.defaultValueDescription == "480x864")
    if case .exact(let size) = SizeOption(argument: "480X864") {
      #expect(size == FrameSize(width: 864, height: 480))
    } else {
      Issue.record("height × width is not read")
    }
    for bad in ["", "x", "480x", "x480", "4x5x6", "-1", "0", "1e3", "480 864", "99999999999999"] {
      #expect(SizeOption(argument: bad) == nil, "\(bad)")
    }
  }

  @Test func checkpointFolders() throws {
    let scratch = TemporaryFolder()
    let executable = URL(filePath: scratch.path("prefix/bin/vos-cli"))
    let folders = CheckpointLocation.folders(
      executable: executable, environment: ["VOS_CHECKPOINTS": "/models"])
    #expect(folders.first == "/models")
    #expect(folders.contains { $0.hasSuffix("prefix/share/memoryvos") })
    try write(Data(), to: scratch.path("tree/Package.swift"))
    let built = URL(filePath: scratch.path("tree/.build/release/vos-cli"))
    #expect(
      CheckpointLocation.folders(executable: built, environment: [:])
        .contains { $0.hasSuffix("tree/Checkpoints") })
    let path = try CheckpointLocation.path(nil, folders: ["/none", ShippedCheckpoint.folder])
    #expect(path == ShippedCheckpoint.path)
    #expect(try CheckpointLocation.path("some/file", folders: []) == "some/file")
    #expect(throws: CommandFailure.self) { try CheckpointLocation.path(nil, folders: ["/none"]) }
  }

  @Test(arguments: 1...254 as ClosedRange<Int>)
  func benchmarkMasksHoldEveryObject(_ count: Int) {
    let mask = BenchmarkCommand.mask(objects: count, size: FrameSize(width: 96, height: 64))
    #expect(mask.objects.map(\.rawValue) == (1...count).map { UInt8($0) })
  }

  // MARK: - Help

  @Test(arguments: ["track", "inspect", "render-sample", "benchmark", "repack"])
  func helpTeachesByExample(_ name: String) throws {
    let result = try BuiltCommand.run(name, "--help")
    #expect(result.code == 0 && result.errors.isEmpty)
    #expect(result.output.contains("OVERVIEW:") && result.output.contains("vos-cli \(name)"))
    let subcommand = VOSCommand.configuration.subcommands.first { $0._commandName == name }
    #expect(subcommand?.configuration.discussion.contains("vos-cli \(name)") == true)
  }

  @Test(arguments: ["bash", "zsh", "fish"])
  func completions(_ shell: String) throws {
    let result = try BuiltCommand.run("--generate-completion-script", shell)
    #expect(result.code == 0 && result.output.contains("render-sample"))
  }

  @Test func version() throws {
    let result = try BuiltCommand.run("--version")
    #expect(result.output == VOSCommand.configuration.version + "\n")
  }
}

@Suite struct TrackingOptionsTests {
  @Test func reachTheTracker() throws {
    let arguments = ["clip.mp4", "--mask", "mask.png", "--output", "masks"]
    let plain = try TrackCommand.parse(arguments)
    let other = try TrackCommand.parse(
      arguments + ["--keep-strays", "--memory-interval", "3", "--memory", "4", "--top-k", "0"])
    #expect(
      plain.engine.configuration(size: plain.size, plain.tracking) == Tracker.Configuration())
    let configuration = other.engine.configuration(size: other.size, other.tracking)
    #expect(configuration.keepsStrays && configuration.memoryInterval == 3)
    #expect(configuration.memoryFrames == 4 && configuration.topK == 0)
    // A run is only resumed with the same ones.
    #expect(plain.tracking.settings != other.tracking.settings)
  }

  @Test(arguments: [["--memory-interval", "0"], ["--memory", "0"], ["--top-k", "-1"]])
  func impossibleOnesAreRefused(options: [String]) {
    #expect(throws: (any Error).self) {
      try TrackCommand.parse(["clip.mp4", "--mask", "mask.png", "--output", "masks"] + options)
    }
  }
}
