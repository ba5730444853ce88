import ArgumentParser
import Foundation
import MemoryVOS
import TestSupport
import Testing

@testable import vos_cli

/// The shipped checkpoint on a tiny data set of moving squares.
@Suite struct EvaluateCommandTests {
  let folder = TemporaryFolder()
  let size = FrameSize(width: 64, height: 48)
  static let checkpoint: String = {
    var url = URL(fileURLWithPath: #filePath)
    for _ in 0..<3 { url.deleteLastPathComponent() }
    return url.appending(path: "Checkpoints/vos-mobile.safetensors").path
  }()

  private func write(_ sequence: String, frames: Int, late: Bool) throws {
    for index in 0..<frames {
      var pixels = [UInt8](repeating: 60, count: size.area * 3)
      var mask = LabelMap(size: size)
      for (label, left, color) in [(UInt8(1), 6, UInt8(230)), (4, 36, 150)] {
        if label == 4 && late && index < 2 { continue }
        for y in 10..<30 {
          for x in left + index..<left + 16 + index {
            mask.labels[y * size.width + x] = label
            pixels[3 * (y * size.width + x)] = color
          }
        }
      }
      let image = PNGImage(size: size, kind: .rgb, samples: .bytes(pixels))
      try image.write(to: folder.path("set/JPEGImages/48p/\(sequence)/0000\(index).png"))
      try MaskFile.write(mask, to: folder.path("set/Annotations/48p/\(sequence)/0000\(index).png"))
    }
  }

  private func run(_ arguments: String...) throws {
    var command = try VOSCommand.parseAsRoot(
      [
        "evaluate", "--davis", folder.path + "/set", "--set", "s", "--resolution", "48p",
        "--output", folder.path + "/out", "--checkpoint", Self.checkpoint, "--size", "48",
      ] + arguments)
    try command.run()
  }

  @Test func tracksScoresAndGoesOn() throws {
    try write("a", frames: 4, late: true)
    try write("b", frames: 4, late: false)
    try "a\nb\n".write(
      toFile: folder.path("set/ImageSets/2017/s.txt"), atomically: true, encoding: .utf8)
    try run("--protocol", "youtube-vos", "--zip", "--sequences", "2")
    #expect(folder.names(in: "out/masks") == ["a", "b"])
    #expect(folder.names(in: "out/masks/a").count == 4)
    #expect(folder.names(in: "out").contains("masks.zip"))
    #expect(folder.names(in: "out").contains("report.html"))
    // The late object is given on the frame where it appears.
    let given = try MaskFile.read(folder.path + "/out/masks/a/00002.png", role: .result)
    #expect(given.objects.map(\.rawValue) == [1, 4])
    let before = try MaskFile.read(folder.path + "/out/masks/a/00001.png", role: .result)
    #expect(!before.objects.map(\.rawValue).contains(4))

    // One sequence is lost: it alone is tracked again.
    let kept = folder.path + "/out/masks/a/00003.png"
    let old = try FileManager.default.attributesOfItem(atPath: kept)[.modificationDate] as? Date
    try FileManager.default.removeItem(atPath: folder.path + "/out/masks/b")
    try run("--protocol", "youtube-vos")
    #expect(folder.names(in: "out/masks/b").count == 4)
    let new = try FileManager.default.attributesOfItem(atPath: kept)[.modificationDate] as? Date
    #expect(old == new)

    // Other settings do not mix with these masks.
    #expect(throws: MediaError.self) { try run("--protocol", "youtube-vos", "--memory", "3") }
    try run("--protocol", "davis2016", "--overwrite")
    let merged = try MaskFile.read(folder.path + "/out/masks/b/00001.png", role: .result)
    #expect(merged.objects.map(\.rawValue) == [1])
  }

  @Test func aMissingImageIsNamed() throws {
    try write("a", frames: 4, late: false)
    try "a\n".write(
      toFile: folder.path("set/ImageSets/s.txt"), atomically: true, encoding: .utf8)
    try FileManager.default.removeItem(
      atPath: folder.path + "/set/JPEGImages/48p/a/00003.png")
    let error = #expect(throws: CommandFailure.self) { try run() }
    #expect(error?.description.contains("image of an annotated frame is missing") == true)
    #expect(folder.names(in: "out/masks") == [])
  }

  @Test func adaptsToEachSequence() throws {
    try write("a", frames: 3, late: false)
    try "a\n".write(
      toFile: folder.path("set/ImageSets/2017/s.txt"), atomically: true, encoding: .utf8)
    try run("--adapt", "1")
    #expect(folder.names(in: "out/masks/a").count == 3)
    let data = try Data(contentsOf: URL(filePath: folder.path("out/speed/a.json")))
    let speed = try JSONDecoder().decode(SequenceTracker.Speed.self, from: data)
    #expect(speed.frames == 3)
    #expect(speed.adaptationSeconds ?? 0 > 0)
    // Masks of the network as it is are others.
    #expect(throws: MediaError.self) { try run() }
    try run("--overwrite")
  }

  /// 100,000 steps would take hours.
  @Test func aFailureEndsTheAdaptationToAnotherSequence() throws {
    try write("a", frames: 3, late: false)
    let truth = try TruthSet(folder: folder.path + "/set/Annotations/48p")
    let mask = try MaskFile.read(
      folder.path + "/set/Annotations/48p/a/00000.png", role: .given)
    let progress = EvaluationProgress(frames: 3)
    let options = try AdaptOption.parse(["--adapt", "100000"])
    let adapt = try #require(
      options.eachSequence(try Checkpoint(path: Self.checkpoint), threads: 1) { _, step in
        if step == 2 { progress.fail("another sequence has no images") }
        return progress.show("step \(step)")
      })
    let frame = Frame(size: size, pixels: [UInt8](repeating: 90, count: size.area * 3))
    #expect(try adapt(truth.sequences[0], frame, mask) == nil)
    #expect(!progress.goesOn && !progress.frameDone())
    let error = #expect(throws: CommandFailure.self) { try progress.finish() }
    #expect(error?.description == "another sequence has no images")
  }
}
