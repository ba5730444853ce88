// Videos: round trips through our own writer, seeking, time stamps, rotation, damage, colours.

import Foundation
import Testing

@testable import MemoryVOS

@Suite struct MediaVideoTests {
  private let size = FrameSize(width: 64, height: 48)

  private func times(_ count: Int) -> [Double] { (0..<count).map { Double($0) / 25 } }

  @Test func roundTripKeepsPicturesAndTimes() throws {
    let folder = try ScratchFolder()
    for name in ["a.mp4", "a.mkv", "a.mov", "a.avi"] {
      try writeClip(folder.file(name), size: size, times: times(12))
      let source = try Media.openFrames(folder.file(name))
      let frames = try allFrames(source)
      #expect(source.size == size && frames.count == 12 && source.lostFrames == 0)
      for (index, frame) in frames.enumerated() {
        #expect(frame.index == index && frame.stem == Media.stem(ofFrame: index))
        #expect(abs((frame.seconds ?? -1) - Double(index) / 25) < 0.002, "\(name)")
        #expect(meanDifference(frame.frame, clipFrame(index, size)) < 6, "\(name)")
      }
    }
    #expect(try folder.names.count == 4)
  }

  @Test(arguments: [(65, 48), (64, 49), (65, 49), (2, 2), (17, 3)])
  func oddSizesGrowByOnePixel(width: Int, height: Int) throws {
    let folder = try ScratchFolder()
    let size = FrameSize(width: width, height: height)
    try writeClip(folder.file("a.mp4"), size: size, times: times(2))
    let source = try Media.openFrames(folder.file("a.mp4"))
    #expect(source.size.width == width + width % 2 && source.size.height == height + height % 2)
    #expect(try allFrames(source).count == 2)
  }

  @Test func varyingFrameRatesSurvive() throws {
    let folder = try ScratchFolder()
    let times = [0, 0.04, 0.2, 0.24, 0.6, 0.64, 1.72, 1.8]
    for name in ["a.mp4", "a.mkv"] {
      try writeClip(folder.file(name), size: size, times: times)
      let found = try allFrames(try Media.openFrames(folder.file(name))).map { $0.seconds ?? -1 }
      #expect(found.count == times.count)
      for (a, b) in zip(found, times) { #expect(abs(a - b) < 0.0011, "\(name): \(found)") }
    }
  }

  @Test func seekingIsExact() throws {
    let folder = try ScratchFolder()
    let count = 130
    try writeClip(folder.file("a.mp4"), size: size, times: times(count))
    let path = folder.file("a.mp4")
    let linear = try allFrames(try Media.openFrames(path))
    #expect(linear.count == count)
    // Fresh: nothing decoded yet, so jumps rest on the packet index alone.
    let source = try Media.openFrames(path)
    var random = SplitMix(seed: 3)
    var targets = (0..<25).map { _ in Int(random.next() % UInt64(count)) }
    targets += [0, count - 1, 0, 60, 59, 61] + (0..<count).reversed()
    for target in targets {
      try source.seek(to: target)
      let frame = try #require(try source.next())
      #expect(frame.index == target && frame.frame.pixels == linear[target].frame.pixels)
      #expect(frame.seconds == linear[target].seconds)
    }
    try source.seek(to: 40)
    for target in 40..<50 {
      #expect(try source.next()?.frame.pixels == linear[target].frame.pixels)
    }
    try source.seek(to: count)
    #expect(try source.next() == nil)
    try source.seek(to: 5)
    #expect(try source.next()?.frame.pixels == linear[5].frame.pixels)
  }

  /// The eight display matrices, written into the track header of our own file.
  @Test(arguments: 0..<8) func displayMatricesAreApplied(number: Int) throws {
    let (transposes, flipsX, flipsY) = (number & 4 != 0, number & 1 != 0, number & 2 != 0)
    let folder = try ScratchFolder()
    try writeClip(folder.file("a.mp4"), size: size, times: times(3))
    let stored = try allFrames(try Media.openFrames(folder.file("a.mp4")))
    var file = try bytes(of: folder.file("a.mp4"))
    let mark = Array("tkhd".utf8)
    let start = try #require(file.indices.first { file[$0...].starts(with: mark) }) + 44
    let (x, y) = (flipsX ? -1 : 1, flipsY ? -1 : 1)
    // x' = a·x + c·y, y' = b·x + d·y.
    let matrix = transposes ? [0, y, 0, x, 0, 0] : [x, 0, 0, 0, y, 0]
    for (index, value) in matrix.enumerated() {
      let bits = UInt32(bitPattern: Int32(value * 65536))
      for byte in 0..<4 {
        file[start + 4 * index + byte] = UInt8(bits >> (24 - 8 * UInt32(byte)) & 255)
      }
    }
    let turned = try Media.openFrames(try folder.write(file, "b.mp4"))
    let expected =
      transposes ? FrameSize(width: size.height, height: size.width) : size
    #expect(turned.size == expected)
    for before in stored {
      let after = try #require(try turned.next()).frame
      for v in 0..<size.height {
        for u in 0..<size.width {
          let (p, q) = transposes ? (v, u) : (u, v)
          let column = flipsX ? expected.width - 1 - p : p
          let row = flipsY ? expected.height - 1 - q : q
          let to = 3 * (row * expected.width + column)
          let from = 3 * (v * size.width + u)
          #expect(after.pixels[to..<to + 3] == before.frame.pixels[from..<from + 3])
        }
      }
    }
  }

  // MARK: - Damage

  @Test func truncatedVideosGiveWhatDecodes() throws {
    let folder = try ScratchFolder()
    for name in ["a.mp4", "a.mkv"] {
      try writeClip(folder.file(name), size: size, times: times(60))
      let whole = try bytes(of: folder.file(name))
      var best = 0
      for part in stride(from: 2, through: 98, by: 8) {
        let cut = Array(whole.prefix(whole.count * part / 100))
        let path = try folder.write(cut, "cut-" + name)
        do {
          let source = try Media.openFrames(path)
          let count = try allFrames(source).count
          #expect(count < 60 && source.lostFrames > 0, "\(name) at \(part) %")
          #expect((55...60).contains(count + source.lostFrames), "\(name) at \(part) %")
          #expect(count >= best - 1)
          best = max(best, count)
        } catch let error as MediaError {
          #expect(!error.description.contains("\n") && best == 0)
        }
      }
      #expect(best > 30)
    }
  }

  @Test func fuzzedVideosNeverCrash() throws {
    let folder = try ScratchFolder()
    var random = SplitMix(seed: 11)
    for name in ["a.mp4", "a.mkv"] {
      try writeClip(folder.file(name), size: size, times: times(10))
      let whole = try bytes(of: folder.file(name))
      for round in 0..<60 {
        var changed = whole
        // Half of the rounds hurt the header, where sizes and counts are.
        let reach = round % 2 == 0 ? whole.count : min(whole.count, 900)
        for _ in 0..<4 { changed[Int(random.next() % UInt64(reach))] = UInt8(random.next() & 255) }
        let path = try folder.write(changed, "fuzzed-" + name)
        guard let source = try? Media.openFrames(path) else { continue }
        var count = 0
        while count < 100, (try? source.next()) ?? nil != nil { count += 1 }
      }
    }
  }

  @Test func inputsThatAreNoVideosSaySo() throws {
    let folder = try ScratchFolder()
    func problem(_ path: String) -> String {
      do {
        _ = try Media.openFrames(path)
        return "no error"
      } catch { return error.description }
    }
    #expect(problem(try folder.write([], "zero.mp4")).contains("0 bytes"))
    let text = try folder.write(Array("These are words.\n".utf8), "text.mp4")
    #expect(problem(text) == "\(text): expected a video, found a text file")
    #expect(problem(folder.file("none.mp4")).contains("no such file"))
    var random = SplitMix(seed: 5)
    let noise = (0..<5000).map { _ in UInt8(random.next() & 255) }
    #expect(problem(try folder.write(noise, "noise.mkv")).contains("noise.mkv: "))
    let huge = try folder.write(
      Array("YUV4MPEG2 W40000 H16 F25:1 C420\nFRAME\n".utf8), "huge.y4m")
    #expect(!problem(huge).contains("no error"))
  }

  @Test func framesOfAnotherSizeAreAnError() throws {
    let folder = try ScratchFolder()
    // Raw H.264 may change its size midway: two streams in one file.
    for (name, width) in [("a.h264", 64), ("b.h264", 96)] {
      try writeClip(
        folder.file(name), size: FrameSize(width: width, height: 48), times: times(5))
    }
    let joined = try bytes(of: folder.file("a.h264")) + bytes(of: folder.file("b.h264"))
    let source = try Media.openFrames(try folder.write(joined, "c.h264"))
    for _ in 0..<5 { #expect(try source.next() != nil) }
    let error = #expect(throws: MediaError.self) { try source.next() }
    #expect(error?.problem.contains("frame 5 is 96×48") == true)
    #expect(error?.problem.contains("64×48") == true)
  }

  @Test func pipesAreReadOnce() throws {
    let folder = try ScratchFolder()
    try writeClip(folder.file("a.mkv"), size: size, times: times(10))
    let pipe = folder.file("pipe")
    #expect(mkfifo(pipe, 0o600) == 0)
    let data = try Data(contentsOf: URL(fileURLWithPath: folder.file("a.mkv")))
    Thread.detachNewThread {
      let handle = FileHandle(forWritingAtPath: pipe)
      handle?.write(data)
      try? handle?.close()
    }
    let source = try Media.openFrames(pipe)
    #expect(!source.isSeekable && source.frameCount == nil)
    _ = try source.next()
    #expect(throws: MediaError.self) { try source.seek(to: 0) }
    #expect(try allFrames(source).count == 9)
    // Nothing writes to the pipe now: looking for sound in it would wait for ever.
    let writer = try OverlayWriter(
      folder.file("b.mp4"), size: size, timing: source.timing, audioFrom: pipe)
    try writer.write(clipFrame(0, size), seconds: 0)
    try writer.finish()
    #expect(try Media.openFrames(folder.file("b.mp4")).frameCount == 1)
  }

  // MARK: - Writing

  @Test func unfinishedAndImpossibleVideosLeaveNothing() throws {
    let folder = try ScratchFolder()
    do {
      let writer = try OverlayWriter(folder.file("a.mp4"), size: size, timing: nil)
      try writer.write(clipFrame(0, size), seconds: nil)
    }
    #expect(try folder.names.isEmpty)
    #expect(throws: MediaError.self) {
      try OverlayWriter(folder.file("no/such/a.mp4"), size: size, timing: nil)
    }
    #expect(throws: MediaError.self) {
      try OverlayWriter(folder.file("a.unknown"), size: size, timing: nil)
    }
    #expect(throws: MediaError.self) {
      try OverlayWriter(folder.file("a.mp3"), size: size, timing: nil)
    }
    #expect(try folder.names.isEmpty)
  }

  @Test func overlaysTintAndOutline() {
    let size = FrameSize(width: 12, height: 12)
    for grey: UInt8 in [0, 255] {
      let frame = Frame(size: size, pixels: [UInt8](repeating: grey, count: size.area * 3))
      var labels = LabelMap(size: size)
      for y in 3..<9 { for x in 3..<9 { labels.labels[y * 12 + x] = 1 } }
      labels.labels[0] = 255
      let drawn = Overlay.render(frame, labels: labels)
      func pixel(_ x: Int, _ y: Int) -> [UInt8] {
        Array(drawn.pixels[3 * (y * 12 + x)..<3 * (y * 12 + x) + 3])
      }
      #expect(pixel(5, 5) == (grey == 0 ? [64, 0, 0] : [192, 128, 128]))
      #expect(pixel(3, 5) == [192, 128, 128] && pixel(5, 8) == [192, 128, 128])
      #expect(pixel(2, 5) == [0, 0, 0] && pixel(5, 9) == [0, 0, 0])
      #expect(pixel(11, 11) == [grey, grey, grey])
    }
  }
}
