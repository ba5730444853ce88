import Foundation
import MemoryVOS
import TestSupport
import Testing

@testable import vos_cli

/// Videos and the outputs besides masks.
///
/// The clips are made by `render-sample --video`.
@Suite struct TrackOutputTests {
  /// A folder with `clip.mp4`, `clip/frames` and `clip/Annotations`.
  private func clip(_ frames: Int) throws -> TemporaryFolder {
    let folder = TemporaryFolder()
    let result = try BuiltCommand.run(
      "render-sample", "--frames", "\(frames)", "--size", "64x96", "--output",
      folder.path + "/clip", "--video", folder.path + "/clip.mp4")
    #expect(result.code == 0, "\(result)")
    return folder
  }

  private func track(_ folder: TemporaryFolder, _ more: String...) -> [String] {
    [
      "track", folder.path + "/clip.mp4", "--mask", folder.path + "/clip/Annotations/00000.png",
      "--output", folder.path + "/masks", "--size", "32x64",
    ] + more
  }

  private func run(_ arguments: [String], input: FileHandle? = nil) throws -> CommandResult {
    try BuiltCommand.start(arguments, input: input).finish()
  }

  private func frameCount(_ path: String) throws -> Int {
    let video = try Media.openFrames(path)
    var count = 0
    while try video.next() != nil { count += 1 }
    return count
  }

  @Test func everyOutputAtOnce() throws {
    let folder = try clip(5)
    let result = try run(
      track(
        folder, "--overlay", folder.path + "/overlay.mp4", "--soft", folder.path + "/soft",
        "--rle", folder.path + "/rle.json", "--measure", folder.path + "/objects.csv"))
    #expect(result.code == 0, "\(result)")
    #expect(folder.names(in: "masks") == (0..<5).map(ClipOnDisk.name))
    #expect(try frameCount(folder.path + "/overlay.mp4") == 5)
    for object in ["1", "2"] {
      #expect(folder.names(in: "soft/\(object)") == (0..<5).map(ClipOnDisk.name))
      let soft = try PNGImage(contentsOf: folder.path + "/soft/\(object)/00003.png")
      #expect(soft.bitDepth == 16 && soft.size == FrameSize(width: 96, height: 64))
    }
    let csv = try String(contentsOfFile: folder.path + "/objects.csv", encoding: .utf8)
    #expect(csv.split(separator: "\n").count == 1 + 5 * 2)
    let rle = FileManager.default.contents(atPath: folder.path + "/rle.json") ?? Data()
    #expect(try JSONSerialization.jsonObject(with: rle) is [String: Any])
    #expect(folder.names().allSatisfy { !$0.contains(".part") && !$0.contains(".tmp") })
  }

  @Test func orderedOutputsOfABackwardPassAreInOrder() throws {
    let folder = try clip(5)
    var arguments = track(folder, "--measure", folder.path + "/objects.csv")
    arguments[3] = "3:" + folder.path + "/clip/Annotations/00003.png"
    let result = try run(arguments)
    #expect(result.code == 0, "\(result)")
    let csv = try String(contentsOfFile: folder.path + "/objects.csv", encoding: .utf8)
    let frames = csv.split(separator: "\n").dropFirst().compactMap {
      $0.split(separator: ",").first.flatMap { Int($0) }
    }
    #expect(frames == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4])
  }

  @Test func aPipeIsTrackedLikeItsFile() throws {
    let folder = try clip(4)
    #expect(try run(track(folder)).code == 0)
    var arguments = track(folder)
    arguments[1] = "-"
    arguments[5] = folder.path + "/piped"
    let result = try run(
      arguments, input: FileHandle(forReadingAtPath: folder.path + "/clip.mp4"))
    #expect(result.code == 0, "\(result)")
    for index in 0..<4 {
      let name = ClipOnDisk.name(index)
      #expect(
        try MaskFile.read(folder.path + "/piped/" + name, role: .result)
          == MaskFile.read(folder.path + "/masks/" + name, role: .result))
    }
  }

  @Test func aTruncatedVideoIsTrackedAsFarAsItGoes() throws {
    let folder = try clip(30)
    // Matroska can be read without its end.
    let whole = folder.path + "/whole.mkv"
    let render = try BuiltCommand.run(
      "render-sample", "--frames", "30", "--size", "64x96", "--output", folder.path + "/clip",
      "--video", whole)
    #expect(render.code == 0, "\(render)")
    let bytes = FileManager.default.contents(atPath: whole) ?? Data()
    try write(bytes.prefix(bytes.count * 2 / 3), to: folder.path + "/cut.mkv")
    var arguments = track(folder, "--overlay", folder.path + "/overlay.mp4")
    arguments[1] = folder.path + "/cut.mkv"
    let result = try run(arguments)
    let masks = folder.names(in: "masks").filter { $0.hasSuffix(".png") }.count
    #expect(masks > 5 && masks < 30, "\(masks) masks")
    #expect(result.code == 1 && result.errorLines.count == 1, "\(result)")
    #expect(result.errors.contains("cut.mkv") && result.errors.contains("\(masks)"), "\(result)")
    #expect(try frameCount(folder.path + "/overlay.mp4") == masks)
  }

  @Test func theOverlayOfAnInterruptedRunPlaysAndIsWholeAfterwards() throws {
    let folder = try clip(40)
    let overlay = folder.path + "/overlay.mp4"
    let arguments = track(folder, "--threads", "1", "--overlay", overlay)
    let running = try BuiltCommand.start(arguments)
    while folder.names(in: "masks").count < 4, running.process.isRunning { usleep(2_000) }
    running.process.interrupt()
    let stopped = try running.finish()
    #expect(stopped.code == 130, "\(stopped)")
    let masks = folder.names(in: "masks").filter { $0.hasSuffix(".png") }.count
    #expect(masks < 40)
    #expect(try frameCount(overlay) == masks)
    let resumed = try run(arguments)
    #expect(resumed.code == 0, "\(resumed)")
    #expect(try frameCount(overlay) == 40)
  }

  @Test func filesThatExistAreNotReplacedUnasked() throws {
    let folder = try clip(2)
    try write(Data("mine".utf8), to: folder.path + "/objects.csv")
    let result = try run(track(folder, "--measure", folder.path + "/objects.csv"))
    #expect(result.code == 1 && result.errors.contains("--overwrite"), "\(result)")
    #expect(
      FileManager.default.contents(atPath: folder.path + "/objects.csv") == Data("mine".utf8))
    let device = try run(track(folder, "--rle", "/dev/null", "--overwrite"))
    #expect(device.code == 1 && device.errors.contains("/dev/null"), "\(device)")
    let missing = try run(track(folder, "--measure", folder.path + "/no/objects.csv"))
    #expect(missing.code == 1 && missing.errorLines.count == 1, "\(missing)")
  }

  /// Frames of another size end the run with what was done in place.
  @Test func aSizeThatChangesMidway() throws {
    let clip = try ClipOnDisk(5)
    let other = FrameSize(width: 40, height: 30)
    try PNGImage(
      size: other, kind: .rgb, samples: .bytes([UInt8](repeating: 9, count: 3 * other.area))
    ).write(to: clip.frames + "/00003.png")
    let result = try run(clip.track())
    #expect(result.code == 1 && result.errorLines.count == 1, "\(result)")
    #expect(result.errors.contains("40×30") && result.errors.contains("70×50"), "\(result)")
    #expect(try clip.results().count == 3)
  }

  @Test func imagesWithOneStemAreRefused() throws {
    let clip = try ClipOnDisk(2)
    try FileManager.default.copyItem(
      atPath: clip.frames + "/00001.png", toPath: clip.frames + "/00001.bmp")
    let result = try run(clip.track())
    #expect(result.code == 1 && result.errorLines.count == 1, "\(result)")
    #expect(result.errors.contains("00001"), "\(result)")
  }

  /// A limit on the size of files stands for a full device: writing fails half-way.
  @Test func aFullDeviceIsReportedAndFinishedFilesStay() throws {
    let clip = try ClipOnDisk(3)
    #expect(try run(clip.track()).code == 0)
    let before = try clip.results()
    let process = Process()
    process.executableURL = URL(filePath: "/bin/sh")
    process.arguments =
      ["-c", #"trap "" XFSZ; ulimit -f 1; exec "$0" "$@" 2>"$ERRORS""#, BuiltCommand.url.path]
      + clip.track("--overwrite")
    // Standard error counts too, so it must be short.
    process.environment = ["ERRORS": clip.folder.path + "/errors", "SWIFT_BACKTRACE": "enable=no"]
    try process.run()
    process.waitUntilExit()
    let errors = try String(contentsOfFile: clip.folder.path + "/errors", encoding: .utf8)
    #expect(process.terminationReason == .exit && process.terminationStatus == 1, "\(errors)")
    #expect(errors.split(separator: "\n").count == 1 && errors.contains("00000.png"), "\(errors)")
    #expect(try clip.results() == before, "a finished mask was damaged")
  }
}
