import TestSupport
import Testing

@testable import MemoryVOS

@Suite struct MaskFileTests {
  static let size = FrameSize(width: 3, height: 2)

  private func image(_ kind: PNGImage.Kind, _ samples: [UInt8]) -> PNGImage {
    PNGImage(
      size: Self.size, kind: kind, palette: kind == .indexed ? [0, 0, 0, 255, 255, 255] : [],
      samples: .bytes(samples))
  }

  private func labels(_ image: PNGImage, _ role: MaskFile.Role) throws -> [UInt8] {
    try MaskFile.labels(of: image, path: "m.png", role: role).labels
  }

  private func problem(_ image: PNGImage, _ role: MaskFile.Role) -> String {
    do {
      return "no error, but \(try labels(image, role))"
    } catch { return "\(error)" }
  }

  private func rgb(_ labels: [UInt8]) -> [UInt8] {
    labels.flatMap { label in
      let color = Palette.color(of: label)
      return [color.red, color.green, color.blue]
    }
  }

  @Test(arguments: [MaskFile.Role.given, .truth, .result])
  func indicesAndGreysAreLabels(role: MaskFile.Role) throws {
    let sparse: [UInt8] = [0, 7, 254, 0, 1, 7]
    #expect(try labels(image(.indexed, sparse), role) == sparse)
    #expect(try labels(image(.grey, sparse), role) == sparse)
    #expect(try labels(image(.grey, [0, 255, 0, 255, 0, 0]), role) == [0, 1, 0, 1, 0, 0])
  }

  @Test func greyWith255AndOthersKeepsVoidInTruthOnly() throws {
    let mixed: [UInt8] = [0, 255, 1, 255, 0, 0]
    #expect(try labels(image(.grey, mixed), .truth) == mixed)
    #expect(problem(image(.grey, mixed), .given).contains("label 255 at pixel (1, 0)"))
    #expect(try labels(image(.indexed, [0, 255, 0, 0, 0, 0]), .truth) == [0, 255, 0, 0, 0, 0])
    #expect(problem(image(.indexed, [0, 255, 0, 0, 0, 0]), .given).contains("label 255"))
  }

  @Test func the255RuleSeesEveryPosition() throws {
    // Positions inside and after the eight-byte groups in which the rule is checked.
    let size = FrameSize(width: 19, height: 1)
    for position in 0..<19 {
      var samples = [UInt8](repeating: 255, count: 19)
      samples[position] = 3
      let image = PNGImage(size: size, kind: .grey, samples: .bytes(samples))
      #expect(try labels(image, .truth) == samples)
      samples[position] = 0
      let pure = PNGImage(size: size, kind: .grey, samples: .bytes(samples))
      #expect(try labels(pure, .truth) == samples.map { $0 & 1 })
    }
  }

  @Test func exactPaletteColoursAreMapped() throws {
    let sparse: [UInt8] = [0, 7, 254, 0, 1, 7]
    #expect(try labels(image(.rgb, rgb(sparse)), .given) == sparse)
    #expect(try labels(image(.rgb, rgb(sparse)), .truth) == sparse)
    #expect(problem(image(.rgb, rgb(sparse)), .result).contains("RGB image"))
    #expect(problem(image(.rgb, rgb([0, 255, 1, 0, 0, 0])), .given).contains("label 255"))
  }

  @Test func otherColoursAreExplained() {
    var pixels = rgb([0, 1, 1, 0, 1, 2])
    pixels[12] = 65  // Pixel (1, 1): a weaker red than the first object's.
    let foreign = problem(image(.rgb, pixels), .given)
    for words in ["m.png: ", "4 colours", "(65, 0, 0)", "pixel (1, 1)", "anti-aliased"] {
      #expect(foreign.contains(words), "\(foreign)")
    }
  }

  @Test func opacityMustBeFull() throws {
    let opaque = [0, 255, 1, 255, 2, 255, 0, 255, 0, 255, 0, 255] as [UInt8]
    #expect(try labels(image(.greyAlpha, opaque), .given) == [0, 1, 2, 0, 0, 0])
    var clear = opaque
    clear[5] = 254
    #expect(problem(image(.greyAlpha, clear), .given).contains("pixel (2, 0) is transparent"))
    let colors = rgb([0, 1, 2, 0, 0, 0])
    let rgba = (0..<6).flatMap { pixel -> [UInt8] in colors[3 * pixel..<3 * pixel + 3] + [255] }
    #expect(try labels(image(.rgba, rgba), .given) == [0, 1, 2, 0, 0, 0])
  }

  @Test func wideAndEmptyMasksAreRefused() throws {
    let wide = PNGImage(
      size: Self.size, kind: .grey, bitDepth: 16, samples: .words([0, 1, 2, 300, 0, 0]))
    for role in [MaskFile.Role.given, .truth, .result] {
      #expect(problem(wide, role).contains("16"))
    }
    let empty = image(.indexed, [0, 0, 0, 0, 0, 0])
    #expect(problem(empty, .given).contains("no object"))
    #expect(try labels(empty, .truth) == [0, 0, 0, 0, 0, 0])
  }

  @Test func whatIsWrittenIsRead() throws {
    let folder = TemporaryFolder()
    let path = folder.path("sequence/00000.png")
    let map = LabelMap(
      size: FrameSize(width: 16, height: 16), labels: (0...255).map { UInt8($0 == 255 ? 254 : $0) })
    try MaskFile.write(map, to: path)
    #expect(try MaskFile.read(path, role: .given) == map)
    let image = try PNGImage(contentsOf: path)
    #expect(image.kind == .indexed)
    #expect(image.palette.count == 768)
    #expect(Array(image.palette[3..<6]) == [128, 0, 0])
  }
}
