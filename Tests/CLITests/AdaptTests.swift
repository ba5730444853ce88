// `track --adapt`: what it changes, what it refuses, how it stops.

import Foundation
import MemoryVOS
import TestSupport
import Testing

@testable import vos_cli

@Suite struct AdaptTests {
  private func run(_ arguments: [String], input: FileHandle? = nil) throws -> CommandResult {
    try BuiltCommand.start(arguments, input: input).finish()
  }

  @Test func masksAreThoseOfAnotherNetworkAndAlwaysTheSame() throws {
    let clip = try ClipOnDisk(4)
    #expect(try run(clip.track("--soft", clip.folder.path + "/soft")).code == 0)
    let options = ["--adapt", "2", "--threads", "2", "--overwrite"]
    let adapted = try run(clip.track("--soft", clip.folder.path + "/adapted") + options)
    #expect(adapted.code == 0 && adapted.errors.isEmpty, "\(adapted)")
    let masks = try clip.results()
    #expect(masks["00000.png"] == clip.scene.frame(at: 0).labels)
    #expect(try run(clip.track() + options).code == 0)
    #expect(try clip.results() == masks)
    let soft = try ["soft", "adapted"].map { name in
      let folder = clip.folder.path + "/" + name
      let files = try #require(FileManager.default.enumerator(atPath: folder))
      let paths = files.compactMap { $0 as? String }.filter { $0.hasSuffix(".png") }
      #expect(!paths.isEmpty)
      return paths.sorted().map { FileManager.default.contents(atPath: folder + "/" + $0) }
    }
    #expect(soft[0] != soft[1])
  }

  @Test func annotationsInTheMiddleAreLearnedToo() throws {
    let clip = try ClipOnDisk(5)
    let result = try run(
      clip.track("--mask", clip.mask(1), "--adapt", "1", mask: "3:" + clip.mask(3)))
    #expect(result.code == 0 && result.errors.isEmpty, "\(result)")
    #expect(try clip.results().count == 5)
  }

  @Test func aFrameBeyondTheEndIsReportedAsWithout() throws {
    let clip = try ClipOnDisk(3)
    for more in [[], ["--mask", clip.mask()]] {
      let result = try run(clip.track("--adapt", "1", mask: "7:" + clip.mask()) + more)
      #expect(result.code == 1 && result.errorLines.count == 1, "\(result)")
      #expect(result.errors.contains("frame 7"), "\(result)")
    }
  }

  /// 100,000 steps would take hours: what is wrong is said before the first.
  @Test func mistakesAreFoundBeforeTheTraining() throws {
    let clip = try ClipOnDisk(3)
    let twice = try run(clip.track("--mask", clip.mask(1), "--adapt", "100000"))
    #expect(twice.code == 1 && twice.errors.contains("two masks for frame 0"), "\(twice)")
    try MaskFile.write(LabelMap(size: clip.scene.size), to: clip.mask(2))
    let empty = try run(clip.track("--adapt", "100000", mask: clip.mask(2)))
    #expect(empty.code == 1 && empty.errors.contains("no object"), "\(empty)")
  }

  @Test func aKilledRunGoesOnWithTheSameNetworkOnly() throws {
    let clip = try ClipOnDisk(40)
    let options = ["--adapt", "2", "--threads", "1"]
    let running = try BuiltCommand.start(clip.track() + options)
    while clip.folder.names(in: "out").count < 6, running.process.isRunning { usleep(2_000) }
    kill(running.process.processIdentifier, SIGKILL)
    _ = try running.finish()
    for other in [
      ["--threads", "1"], ["--adapt", "3", "--threads", "1"], ["--adapt", "2", "--threads", "2"],
    ] {
      let refused = try run(clip.track() + other)
      #expect(refused.code == 1 && refused.errors.contains("--overwrite"), "\(refused)")
    }
    let resumed = try run(clip.track("--json") + options)
    #expect(resumed.code == 0 && resumed.output.contains("\"frames_resumed\" : 1"), "\(resumed)")
    #expect(resumed.output.contains("\"adaptation_seconds\""), "\(resumed)")
    let masks = try clip.results()
    #expect(try run(clip.track("--overwrite") + options).code == 0)
    #expect(try clip.results() == masks)
  }

  @Test func whatCannotBeAdapted() throws {
    let clip = try ClipOnDisk(3)
    let integers = ShippedCheckpoint.folder + "/vos-mobile-int8.safetensors"
    let quantized = try run(clip.track("--checkpoint", integers, "--adapt", "1"))
    #expect(quantized.code == 1 && quantized.errorLines.count == 1, "\(quantized)")
    #expect(quantized.errors.contains("int8.safetensors") && quantized.errors.contains("--adapt"))

    let video = clip.folder.path + "/clip.mkv"
    let rendered = try BuiltCommand.run(
      "render-sample", "--frames", "3", "--size", "50x70", "--output", clip.folder.path + "/x",
      "--video", video)
    #expect(rendered.code == 0, "\(rendered)")
    var arguments = clip.track("--adapt", "1")
    arguments[1] = "-"
    let piped = try run(arguments, input: FileHandle(forReadingAtPath: video))
    #expect(piped.code == 1 && piped.errors.contains("pipe"), "\(piped)")
    #expect(clip.folder.names(in: "out").isEmpty)
  }

  @Test func anObjectOfOnePixelIsTrackedWithAWarning() throws {
    let clip = try ClipOnDisk(3)
    var mask = LabelMap(size: clip.scene.size)
    mask.labels[clip.scene.size.area / 2] = 1
    try MaskFile.write(mask, to: clip.mask())
    let result = try run(clip.track("--adapt", "1"))
    #expect(result.code == 0 && result.errorLines.count == 1, "\(result)")
    #expect(result.errors.contains("without adaptation"), "\(result)")
    #expect(result.errors.contains("small"), "\(result)")
    #expect(try clip.results().count == 3)
  }

  @Test func aSignalEndsTheAdaptation() throws {
    let clip = try ClipOnDisk(3)
    let running = try BuiltCommand.start(clip.track("--adapt", "100000"))
    // Signals are caught before the adaptation begins; its folder is there by then.
    while !FileManager.default.fileExists(atPath: clip.output), running.process.isRunning {
      usleep(2_000)
    }
    kill(running.process.processIdentifier, SIGINT)
    let result = try running.finish()
    #expect(result.code == 128 + SIGINT, "\(result)")
    #expect(result.errorLines.count == 1 && result.errors.contains("adaptation"), "\(result)")
    #expect(try run(clip.track()).code == 0, "nothing is in the way of another run")
  }
}
