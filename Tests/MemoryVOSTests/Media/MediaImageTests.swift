// Image folders, TIFF stacks, deep images, JPEG: against files made here and Pillow's pixels.

import Foundation
import Testing

@testable import MemoryVOS

@Suite struct MediaImageTests {
  private func png(_ frame: Frame, _ path: String) throws {
    try PNGImage(size: frame.size, kind: .rgb, samples: .bytes(frame.pixels)).write(to: path)
  }

  private let size = FrameSize(width: 33, height: 27)

  @Test func naturalOrder() {
    let ordered = [
      "a1", "a1b", "a2", "a10", "a010x", "b", "frame2.png", "frame10.png", "x9y2", "x9y10",
    ]
    for (i, a) in ordered.enumerated() {
      for (j, b) in ordered.enumerated() {
        #expect(NaturalOrder.precedes(a, b) == (i < j), "\(a) \(b)")
      }
    }
    // Equal numbers: still one order, in both directions.
    #expect(NaturalOrder.precedes("a01", "a1") != NaturalOrder.precedes("a1", "a01"))
    #expect(NaturalOrder.precedes("9", "99999999999999999999999999"))
  }

  @Test func foldersAreReadInNaturalOrderExactly() throws {
    let folder = try ScratchFolder()
    for number in [1, 2, 9, 10, 11] {
      try png(clipFrame(number, size), folder.file("img\(number).png"))
    }
    _ = try folder.write([1], "Thumbs.db")
    _ = try folder.write([1], ".hidden.png")
    let source = try Media.openFrames(folder.path)
    let frames = try allFrames(source)
    #expect(source.frameCount == 5 && source.isSeekable && source.timing == nil)
    #expect(frames.map(\.stem) == ["img1", "img2", "img9", "img10", "img11"])
    for (frame, number) in zip(frames, [1, 2, 9, 10, 11]) {
      #expect(frame.frame.pixels == clipFrame(number, size).pixels)
    }
    try source.seek(to: 3)
    #expect(try source.next()?.stem == "img10")
    try source.seek(to: 5)
    #expect(try source.next() == nil)
  }

  @Test func badFoldersSayWhatIsWrong() throws {
    func problem(_ prepare: (ScratchFolder) throws -> Void) throws -> String {
      let folder = try ScratchFolder()
      try prepare(folder)
      do {
        _ = try allFrames(try Media.openFrames(folder.path))
        return "no error"
      } catch { return "\(error)" }
    }
    #expect(try problem { _ in }.contains("an empty folder"))
    #expect(try problem { _ = try $0.write([65], "a.txt") }.contains("no image"))
    #expect(try problem { _ = try $0.write([], "a.png") }.contains("0 bytes"))
    let stems = try problem {
      try png(clipFrame(0, size), $0.file("a.png"))
      try png(clipFrame(0, size), $0.file("a.jpg"))
    }
    #expect(stems.contains("a.jpg and a.png"))
    let sizes = try problem {
      try png(clipFrame(0, size), $0.file("1.png"))
      try png(clipFrame(0, FrameSize(width: 34, height: 27)), $0.file("2.png"))
    }
    #expect(sizes.contains("34×27") && sizes.contains("33×27") && sizes.contains("1.png"))
    #expect(sizes.contains("2.png") && !sizes.contains("\n"))
    #expect(throws: MediaError.self) { try Media.openFrames("/nonexistent/clip.mp4") }
  }

  @Test func truncatedAndFuzzedImagesAreErrorsOrPictures() throws {
    let folder = try ScratchFolder()
    try png(clipFrame(3, size), folder.file("a.png"))
    let whole = try bytes(of: folder.file("a.png"))
    for length in stride(from: 0, to: whole.count - 12, by: 41) {
      let path = try folder.write(Array(whole.prefix(length)), "cut.png")
      #expect(throws: MediaError.self) { try ImageDecoder().decode(path) }
    }
    let stack = tiff(
      width: 5, height: 4, bits: 16, pages: [[UInt8]](repeating: Array(0..<40), count: 3))
    var random = SplitMix(seed: 7)
    for (name, file) in [("f.png", whole), ("f.tif", stack)] {
      for _ in 0..<200 {
        var changed = file
        for _ in 0..<3 {
          changed[Int(random.next() % UInt64(file.count))] = UInt8(random.next() & 255)
        }
        changed.removeLast(Int(random.next() % 20))
        let path = try folder.write(changed, name)
        // Any result but a crash.
        if let source = try? Media.openFrames(path) { _ = try? allFrames(source) }
      }
    }
  }

  @Test func alphaIsBlendedOverBlack() throws {
    let folder = try ScratchFolder()
    let image = PNGImage(
      size: FrameSize(width: 3, height: 1), kind: .rgba,
      samples: .bytes([200, 100, 50, 255, 200, 100, 50, 0, 200, 100, 50, 51]))
    try image.write(to: folder.file("a.png"))
    let frame = try #require(try Media.openFrames(folder.file("a.png")).next())
    #expect(frame.frame.pixels == [200, 100, 50, 0, 0, 0, 40, 20, 10])
    #expect(frame.stem == "a")
  }

  /// 9×7 pixels by Pillow, which decodes through libjpeg: file and pixels.
  @Test(arguments: jpegs) func jpegEqualsPillow(_ name: String, file: String, pixels: String) throws
  {
    let folder = try ScratchFolder()
    let data = try #require(Data(base64Encoded: file))
    let expected = [UInt8](try #require(Data(base64Encoded: pixels)))
    let path = try folder.write([UInt8](data), "a.jpg")
    let frame = try #require(try Media.openFrames(path).next()).frame
    #expect(frame.size == FrameSize(width: 9, height: 7))
    let differences = zip(frame.pixels, expected).map { abs(Int($0) - Int($1)) }
    // Inverse transforms of libraries differ by one step in few places.
    #expect(differences.max() ?? 0 <= 3)
    #expect(Double(differences.reduce(0, +)) / Double(expected.count) < 0.25)
  }

  @Test(arguments: [16, 32]) func deepStacksShareOneContrast(bits: Int) throws {
    let folder = try ScratchFolder()
    // 16 bits: 1000…1990; floats: the same divided by −3, so that order turns round.
    let values = (0..<3).map { page in (0..<20).map { 1000 + 10 * ((page * 37 + $0 * 5) % 100) } }
    let pages = values.map { page in
      page.flatMap { value -> [UInt8] in
        let pattern =
          bits == 16 ? UInt32(value) : (Float(value) / -3).bitPattern
        return (0..<bits / 8).map { UInt8(pattern >> (8 * UInt32($0)) & 255) }
      }
    }
    let file = tiff(width: 5, height: 4, bits: bits, isFloat: bits == 32, pages: pages)
    let path = try folder.write(file, "stack.tif")
    let all = values.flatMap { $0 }
    let (low, high) = (Double(all.min() ?? 0), Double(all.max() ?? 0))
    for input in [path, folder.path] {
      let source = try Media.openFrames(input)
      let frames = try allFrames(source)
      #expect(source.frameCount == 3 && frames.map(\.stem) == ["00000", "00001", "00002"])
      for (frame, page) in zip(frames, values) {
        for (index, value) in page.enumerated() {
          let part = (Double(value) - low) / (high - low)
          let expected = 255 * (bits == 16 ? part : 1 - part)
          #expect(abs(Double(frame.frame.pixels[3 * index]) - expected) < 0.51)
          #expect(frame.frame.pixels[3 * index] == frame.frame.pixels[3 * index + 2])
        }
      }
    }
  }

  @Test func deepPNGFoldersShareOneContrast() throws {
    let folder = try ScratchFolder()
    let small = FrameSize(width: 2, height: 1)
    for (name, words) in [("1", [500, 700]), ("2", [900, 600])] as [(String, [UInt16])] {
      try PNGImage(size: small, kind: .grey, bitDepth: 16, samples: .words(words))
        .write(to: folder.file(name + ".png"))
    }
    let frames = try allFrames(try Media.openFrames(folder.path))
    #expect(frames.map { [$0.frame.pixels[0], $0.frame.pixels[3]] } == [[0, 128], [255, 64]])
  }

  @Test func contrastOfStrangeValues() {
    let image = DeepImage(
      size: FrameSize(width: 5, height: 1), channels: 1,
      samples: [.nan, .infinity, -.infinity, 0, 4])
    let scale = ContrastScale(values: ContrastScale.values(of: image, frameCount: 1))
    let pixels = scale.frame(image).pixels
    #expect(stride(from: 0, to: 15, by: 3).map { pixels[$0] } == [0, 255, 0, 0, 255])
    let flat = ContrastScale(values: [7, 7, 7])
    let constant = DeepImage(size: FrameSize(width: 1, height: 1), channels: 1, samples: [7])
    #expect(flat.frame(constant).pixels == [0, 0, 0])
  }

  static let jpegs: [(String, String, String)] = [
    (
      "4:2:0",
      "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAIBAQEBAQIBAQECAgICAgQDAgICAgUEBAMEBgUGBgYFBgYGBwkI"
        + "BgcJBwYGCAsICQoKCgoKBggLDAsKDAkKCgr/2wBDAQICAgICAgUDAwUKBwYHCgoKCgoKCgoKCgoKCgoKCgoK"
        + "CgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgr/wAARCAAHAAkDASIAAhEBAxEB/8QAFgABAQEAAAAA"
        + "AAAAAAAAAAAAAAYH/8QAIBAAAQMCBwAAAAAAAAAAAAAAAAIEBQcJGSMkQUJVkv/EABUBAQEAAAAAAAAAAAAA"
        + "AAAAAAMI/8QAIREAAAQFBQAAAAAAAAAAAAAAAAEHUQIDBiRxCBYXQUL/2gAMAwEAAhEDEQA/AJeg1riGydA1"
        + "25JN4wuIXr2vpIBPC9r8qG9o70+3fIfTMrVc8dy7o/Ltkf/Z",
      "AQXjEwjgMQbPTQfBaAi0gwejoAeVugeH0Al+CiLmHCXiOiTRViTDcCW2iyWlqSSXwySK2iaBCEbVGkrSOEjC"
        + "VEi0bkmmiUmVp0mHv0l510twCGvIGW3DOGy1U2ylb26Yim6Hp253v25q129iCI24GpC0OY+mVI+Xb5CJio95"
        + "p49pwJFd2JJWDa+xH7KqPLKcWbCNdLKBjrNwq7Ngw7NT27RLEc+pItKjQNKUXNCFd9F5k9Jqr9FYyNJL4NRE"
    ),
    (
      "4:2:2",
      "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAIBAQEBAQIBAQECAgICAgQDAgICAgUEBAMEBgUGBgYFBgYGBwkI"
        + "BgcJBwYGCAsICQoKCgoKBggLDAsKDAkKCgr/2wBDAQICAgICAgUDAwUKBwYHCgoKCgoKCgoKCgoKCgoKCgoK"
        + "CgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgr/wAARCAAHAAkDASEAAhEBAxEB/8QAFQABAQAAAAAA"
        + "AAAAAAAAAAAABgf/xAAgEAAABAYDAAAAAAAAAAAAAAAAAgQFBwkZIyRBQlWS/8QAFQEBAQAAAAAAAAAAAAAA"
        + "AAAABgf/xAAgEQAABQMFAAAAAAAAAAAAAAAAAgQHUQEIIgMWF0FC/9oADAMBAAIRAxEAPwAvAaVwzWcBLrkU"
        + "Xilwy9el9FB5+rpFu9j5m7mRULZn1U8d6eVfMwP/2Q==",
      "CQD1HADyOQDiVQDUcADGiwC2pwClwQCZ1wKSCiLkHCbgOCXPVCXBcCW1iyWlqCaTwSWI2Cd/DETXHkfTO0bC"
        + "V0e0c0eojkaYqkeHw0d72klyCWrIG23DOG2zU2ykcG2Yi22Jp253wW1r129iCI22GpGzOJCkU5CVb5CJio95"
        + "ppBnwJFd15NUC7KoHLWjO7SVVrOGcbV6jLRrqLVZwrVN2LdECtabG9iWOteIVdZ5cdZsjddeqNdLw9dA2do3"
    ),
    (
      "4:4:4",
      "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAIBAQEBAQIBAQECAgICAgQDAgICAgUEBAMEBgUGBgYFBgYGBwkI"
        + "BgcJBwYGCAsICQoKCgoKBggLDAsKDAkKCgr/2wBDAQICAgICAgUDAwUKBwYHCgoKCgoKCgoKCgoKCgoKCgoK"
        + "CgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgr/wAARCAAHAAkDAREAAhEBAxEB/8QAFQABAQAAAAAA"
        + "AAAAAAAAAAAABgf/xAAgEAAABAYDAAAAAAAAAAAAAAAAAgQFBwkZIyRBQlWS/8QAFwEAAwEAAAAAAAAAAAAA"
        + "AAAABgcICf/EACERAAACCwEAAAAAAAAAAAAAAAAEAQIHCBciI0FRUqEY/9oADAMBAAIRAxEAPwAvAaVwzWcB"
        + "LrkUM1t70h2rOtfIBndG6maMybZF4pcMvXpfRREXqQ7ut0aJR0M7J6P/2Q==",
      "AAD+HQDyOADiVADUcQDEiwC2qQCoxACX4ACJACXwHCbgOCXPUyXDcCWziyWlqCWXxCSE3yV2AkfiHkjSO0bC"
        + "VUe2c0emjkeXqkeIxkZ34UdpAG3UG23DOG2zUmylcm2Wi22JqWx7xGxq4G1aAJDDGpGzOJCkUZCXb5CFio94"
        + "ppBpw5BZ35BLAbW0HbSjObSVVLOHc7V3jLVpqrRbxbRK4bU8ANinHdeWOteIVNd6cddqjNhcqNdNxtc94tcv"
    ),
  ]
}

/// SplitMix64: the same bytes on every run.
struct SplitMix: RandomNumberGenerator {
  var state: UInt64
  init(seed: UInt64) { state = seed }
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
