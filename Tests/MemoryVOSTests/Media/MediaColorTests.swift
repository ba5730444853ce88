// Colours of raw YUV (Y4M) against the formulas of the standards, in floating point.

import Foundation
import Testing

@testable import MemoryVOS

@Suite struct MediaColorTests {
  struct Format: Sendable {
    let tag: String
    let bits: Int
    let halvesX: Bool
    let halvesY: Bool
    let isGrey: Bool
  }

  static let formats = [
    Format(tag: "420mpeg2", bits: 8, halvesX: true, halvesY: true, isGrey: false),
    Format(tag: "422", bits: 8, halvesX: true, halvesY: false, isGrey: false),
    Format(tag: "444", bits: 8, halvesX: false, halvesY: false, isGrey: false),
    Format(tag: "420p10", bits: 10, halvesX: true, halvesY: true, isGrey: false),
    Format(tag: "444p12", bits: 12, halvesX: false, halvesY: false, isGrey: false),
    Format(tag: "mono", bits: 8, halvesX: false, halvesY: false, isGrey: true),
  ]

  /// One flat colour: every pixel equals the formula, whatever chroma's resolution.
  @Test(arguments: formats) func flatColours(_ format: Format) throws {
    let folder = try ScratchFolder()
    for (width, height) in [(16, 8), (17, 9), (1280, 2)] {
      for (y, u, v) in [(16, 128, 128), (235, 128, 128), (120, 90, 200), (60, 200, 100)] {
        for isFull in [false, true] where !format.isGrey || isFull {
          let chroma =
            (format.halvesX ? (width + 1) / 2 : width)
            * (format.halvesY ? (height + 1) / 2 : height)
          func plane(_ value: Int, _ count: Int) -> [UInt8] {
            guard format.bits > 8 else { return [UInt8](repeating: UInt8(value), count: count) }
            let wide = value << (format.bits - 8)
            return (0..<count).flatMap { _ in [UInt8(wide & 255), UInt8(wide >> 8)] }
          }
          let range = isFull && !format.isGrey ? " XCOLORRANGE=FULL" : ""
          var file = Array(
            "YUV4MPEG2 W\(width) H\(height) F25:1 Ip A1:1 C\(format.tag)\(range)\nFRAME\n".utf8)
          file += plane(y, width * height)
          if !format.isGrey { file += plane(u, chroma) + plane(v, chroma) }
          let path = try folder.write(file, "a.y4m")
          let frame = try #require(try Media.openFrames(path).next()).frame
          #expect(frame.size == FrameSize(width: width, height: height))
          let (red, blue) = width >= 1280 ? (0.2126, 0.0722) : (0.299, 0.114)
          // Full range of more bits ends at 2^n − 1, not at 255 · 2^(n − 8).
          let top = Double((1 << format.bits) - 1) / Double(1 << (format.bits - 8))
          let light = isFull ? Double(y) * 255 / top : (Double(y) - 16) * 255 / 219
          let scale = isFull ? 255 / top : 255.0 / 224
          let (cb, cr) =
            format.isGrey ? (0, 0) : (Double(u - 128) * scale, Double(v - 128) * scale)
          let (r, b) = (light + 2 * (1 - red) * cr, light + 2 * (1 - blue) * cb)
          let g = (light - red * r - blue * b) / (1 - red - blue)
          for (index, value) in frame.pixels.enumerated() {
            let expected = max(0, min(255, [r, g, b][index % 3]))
            guard abs(Double(value) - expected) > 1.6 else { continue }
            Issue.record("\(format.tag) \(width) \((y, u, v)) \(isFull): \(value), not \(expected)")
            return
          }
        }
      }
    }
  }

  /// A chroma ramp at half width: samples of untagged video lie at the left pixel of two.
  @Test func chromaLiesAtTheLeft() throws {
    let folder = try ScratchFolder()
    let (width, height) = (16, 2)
    var file = Array("YUV4MPEG2 W16 H2 F25:1 Ip C420mpeg2\nFRAME\n".utf8)
    file += [UInt8](repeating: 126, count: width * height)
    file += [UInt8](repeating: 128, count: 8)
    file += (0..<8).map { UInt8(100 + 8 * $0) }
    let frame = try #require(try Media.openFrames(try folder.write(file, "a.y4m")).next()).frame
    for x in 0..<15 {
      let red = 110 * 255.0 / 219 + 1.402 * 255 / 224 * Double(100 + 4 * x - 128)
      #expect(abs(Double(frame.pixels[3 * x]) - max(0, min(255, red))) < 1.5, "column \(x)")
    }
  }
}
