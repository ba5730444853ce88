import TestSupport
import Testing

@testable import MemoryVOS

@Suite struct PNGImageTests {
  /// Sizes around the packing of 1-, 2- and 4-bit rows.
  static let sizes = [(1, 1), (7, 1), (1, 9), (8, 3), (9, 2), (15, 5), (16, 4), (17, 17), (33, 2)]

  private func noise(_ count: Int, below limit: Int, seed: UInt64) -> [UInt8] {
    var state = seed
    return (0..<count).map { _ in
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return UInt8(Int(state >> 40) % limit)
    }
  }

  @Test(arguments: sizes, [1, 2, 4, 8])
  func indicesAndGreysSurvive(size: (Int, Int), depth: Int) throws {
    let size = FrameSize(width: size.0, height: size.1)
    let samples = noise(size.area, below: 1 << depth, seed: UInt64(size.area * depth))
    let palette = noise(3 << depth, below: 256, seed: 5)
    for image in [
      PNGImage(
        size: size, kind: .indexed, bitDepth: depth, palette: palette, samples: .bytes(samples)),
      PNGImage(size: size, kind: .grey, bitDepth: depth, samples: .bytes(samples)),
    ] {
      let copy = try PNGImage(decoding: image.encoded(), path: "copy.png")
      #expect(copy == image)
    }
  }

  @Test(arguments: sizes)
  func coloursAndOpacitySurvive(size: (Int, Int)) throws {
    let size = FrameSize(width: size.0, height: size.1)
    for kind in [PNGImage.Kind.rgb, .rgba, .greyAlpha] {
      let samples = noise(size.area * kind.channels, below: 256, seed: 9)
      let image = PNGImage(size: size, kind: kind, samples: .bytes(samples))
      #expect(try PNGImage(decoding: image.encoded(), path: "copy.png") == image)
    }
  }

  @Test(arguments: sizes)
  func wideSamplesSurvive(size: (Int, Int)) throws {
    let size = FrameSize(width: size.0, height: size.1)
    for kind in [PNGImage.Kind.grey, .rgb, .rgba, .greyAlpha] {
      let bytes = noise(size.area * kind.channels * 2, below: 256, seed: 11)
      let words = (0..<bytes.count / 2).map {
        UInt16(bytes[2 * $0]) << 8 | UInt16(bytes[2 * $0 + 1])
      }
      let image = PNGImage(size: size, kind: kind, bitDepth: 16, samples: .words(words))
      #expect(try PNGImage(decoding: image.encoded(), path: "copy.png") == image)
    }
  }

  @Test func aPaletteMayBeShorterThanTheLabels() throws {
    // Seen in data sets: the index is the label all the same.
    let file = PNGFile.make(
      width: 4, height: 1, depth: 8, color: 3, palette: [0, 0, 0, 128, 0, 0],
      rows: [[0, 0, 1, 7, 200]])
    #expect(try PNGImage(decoding: file, path: "short.png").samples == .bytes([0, 1, 7, 200]))
  }

  /// 3×2, Adam7 interlaced, 2-bit grey 0 1 2 / 3 0 1, from the specification's pass tables.
  @Test func interlacedFilesAreReadInOrder() throws {
    let file = PNGFile.make(
      width: 3, height: 2, depth: 2, color: 0, interlace: 1,
      // Pass 1: pixel (0,0); pass 6: (1,0); pass 5 and others: (2,0); pass 7: row 1.
      rows: [[0, 0b0000_0000], [0, 0b1000_0000], [0, 0b0100_0000], [0, 0b1100_0100]])
    let image = try PNGImage(decoding: file, path: "interlaced.png")
    #expect(image.samples == .bytes([0, 1, 2, 3, 0, 1]))
  }

  @Test func everyTruncationIsAnError() throws {
    let size = FrameSize(width: 9, height: 7)
    let image = PNGImage(
      size: size, kind: .indexed, palette: [0, 0, 0, 128, 0, 0],
      samples: .bytes(noise(size.area, below: 2, seed: 3)))
    let file = try image.encoded()
    for length in 0..<file.count {
      #expect(throws: MediaError.self, "cut after \(length) bytes") {
        try PNGImage(decoding: Array(file.prefix(length)), path: "cut.png")
      }
    }
  }

  @Test func noDamagedByteCrashes() throws {
    let size = FrameSize(width: 5, height: 4)
    let image = PNGImage(
      size: size, kind: .indexed, palette: [0, 0, 0, 128, 0, 0],
      samples: .bytes(noise(size.area, below: 2, seed: 4)))
    let file = try image.encoded()
    for position in file.indices {
      for change in [UInt8(1), 0x80, 0xFF] {
        var damaged = file
        damaged[position] ^= change
        _ = try? PNGImage(decoding: damaged, path: "damaged.png")
      }
    }
  }

  @Test(arguments: [(UInt32(40_000), UInt32(1)), (1, 2_000_000_000), (32_768, 32_768), (0, 5)])
  func absurdSizesAreRefusedBeforeAllocation(width: UInt32, height: UInt32) {
    let file = PNGFile.make(
      width: width, height: height, depth: 8, color: 6, rows: [[0, 1, 2, 3, 4]])
    #expect(throws: MediaError.self) { try PNGImage(decoding: file, path: "huge.png") }
  }

  @Test func aShortFileCannotDeclareALargeImage() {
    let file = PNGFile.make(width: 16_000, height: 16_000, depth: 8, color: 0, rows: [[0, 1]])
    let error = #expect(throws: MediaError.self) { try PNGImage(decoding: file, path: "bomb.png") }
    #expect(error?.description.contains("16000×16000") == true)
    #expect(error?.description.contains("cannot hold") == true)
  }

  @Test func messagesNameTheFileAndTheReason() {
    for (bytes, words) in [
      ([], "empty"), (Array("GIF89a, not a PNG".utf8), "not a PNG file"),
      ([137, 80, 78, 71, 13, 10, 26, 10, 0], "ends early"),
    ] as [([UInt8], String)] {
      let error = #expect(throws: MediaError.self) {
        try PNGImage(decoding: bytes, path: "folder/name.png")
      }
      #expect(error?.description.hasPrefix("folder/name.png: ") == true)
      #expect(error?.description.contains(words) == true, "\(error?.description ?? "")")
    }
  }

  @Test func filesAppearWholeOrNotAtAll() throws {
    let folder = TemporaryFolder()
    let image = PNGImage(
      size: FrameSize(width: 2, height: 2), kind: .grey, samples: .bytes([1, 2, 3, 4]))
    try image.write(to: folder.path("a.png"))
    #expect(try PNGImage(contentsOf: folder.path("a.png")) == image)
    #expect(folder.names() == ["a.png"])
    #expect(throws: MediaError.self) { try image.write(to: folder.path + "/missing/a.png") }
    let full = #expect(throws: MediaError.self) { try image.write(to: "/dev/full/a.png") }
    #expect(full?.description.hasPrefix("/dev/full/a.png: cannot be written") == true)
    #expect(throws: MediaError.self) { try PNGImage(contentsOf: folder.path) }
    #expect(throws: MediaError.self) { try PNGImage(contentsOf: folder.path + "/none.png") }
  }
}

/// Builds PNG files by hand: stored (uncompressed) deflate blocks, own checksums.
enum PNGFile {
  static func make(
    width: UInt32, height: UInt32, depth: UInt8, color: UInt8, interlace: UInt8 = 0,
    palette: [UInt8] = [], rows: [[UInt8]]
  ) -> [UInt8] {
    let raw = rows.flatMap { $0 }
    var stream: [UInt8] = [0x78, 0x01, 0x01]
    stream += [UInt8(raw.count & 255), UInt8(raw.count >> 8)]
    stream += [~UInt8(raw.count & 255), ~UInt8(raw.count >> 8)]
    stream += raw
    var (a, b): (UInt32, UInt32) = (1, 0)
    for byte in raw {
      a = (a + UInt32(byte)) % 65_521
      b = (b + a) % 65_521
    }
    stream += bigEndian(b << 16 | a)
    let header = bigEndian(width) + bigEndian(height) + [depth, color, 0, 0, interlace]
    let signature: [UInt8] = [137, 80, 78, 71, 13, 10, 26, 10]
    let colors = palette.isEmpty ? [] : chunk("PLTE", palette)
    return signature + chunk("IHDR", header) + colors + chunk("IDAT", stream) + chunk("IEND", [])
  }

  static func chunk(_ name: String, _ body: [UInt8]) -> [UInt8] {
    let content = Array(name.utf8) + body
    var crc = UInt32.max
    for byte in content {
      crc ^= UInt32(byte)
      for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0xEDB8_8320 : crc >> 1 }
    }
    return bigEndian(UInt32(body.count)) + content + bigEndian(~crc)
  }

  static func bigEndian(_ value: UInt32) -> [UInt8] {
    withUnsafeBytes(of: value.bigEndian) { Array($0) }
  }
}
