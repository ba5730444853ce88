// Clips and folders that the tests of Media make for themselves.

import Foundation
import MemoryVOS

/// A folder that is removed when the test is over.
final class ScratchFolder {
  let path = NSTemporaryDirectory() + "vos-media-" + UUID().uuidString
  init() throws {
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }
  deinit { try? FileManager.default.removeItem(atPath: path) }
  func file(_ name: String) -> String { path + "/" + name }
  func write(_ bytes: [UInt8], _ name: String) throws -> String {
    try Data(bytes).write(to: URL(fileURLWithPath: file(name)))
    return file(name)
  }
  var names: [String] { get throws { try FileManager.default.contentsOfDirectory(atPath: path) } }
}

func bytes(of path: String) throws -> [UInt8] {
  [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
}

/// Frame `index` of a clip: a bright square that moves over a gradient, smooth enough for codecs.
func clipFrame(_ index: Int, _ size: FrameSize) -> Frame {
  var pixels: [UInt8] = []
  pixels.reserveCapacity(size.area * 3)
  let left = (index * 5) % max(1, size.width - 16)
  for y in 0..<size.height {
    for x in 0..<size.width {
      let isSquare = (left..<left + 16).contains(x) && (8..<24).contains(y)
      pixels.append(isSquare ? 240 : UInt8(x * 160 / size.width))
      pixels.append(isSquare ? 230 : UInt8(y * 160 / size.height))
      pixels.append(isSquare ? 20 : UInt8(40 + index % 64))
    }
  }
  return Frame(size: size, pixels: pixels)
}

/// Writes a clip; frame i is shown at `times[i]`.
func writeClip(_ path: String, size: FrameSize, times: [Double], ticks: Int = 12_800) throws {
  let timing = VideoTiming(
    tickNumerator: 1, tickDenominator: ticks, framesPerSecond: 25)
  let writer = try OverlayWriter(path, size: size, timing: timing)
  for (index, time) in times.enumerated() {
    try writer.write(clipFrame(index, size), seconds: time)
  }
  try writer.finish()
}

func meanDifference(_ a: Frame, _ b: Frame) -> Double {
  guard a.size == b.size else { return .infinity }
  let sum = zip(a.pixels, b.pixels).reduce(0) { $0 + abs(Int($1.0) - Int($1.1)) }
  return Double(sum) / Double(a.pixels.count)
}

func allFrames(_ source: any FrameSource) throws -> [SourceFrame] {
  var frames: [SourceFrame] = []
  while let frame = try source.next() { frames.append(frame) }
  return frames
}

/// An uncompressed little-endian TIFF file: one page for each element, grey, one strip.
func tiff(width: Int, height: Int, bits: Int, isFloat: Bool = false, pages: [[UInt8]]) -> [UInt8] {
  func word(_ value: Int) -> [UInt8] { (0..<2).map { UInt8(value >> (8 * $0) & 255) } }
  func long(_ value: Int) -> [UInt8] { (0..<4).map { UInt8(value >> (8 * $0) & 255) } }
  var file: [UInt8] = [0x49, 0x49, 42, 0] + long(8)
  for (number, page) in pages.enumerated() {
    let tags: [(Int, Int, Int)] = [
      (256, 4, width), (257, 4, height), (258, 3, bits), (259, 3, 1), (262, 3, 1),
      (273, 4, file.count + 2 + 10 * 12 + 4), (277, 3, 1), (278, 4, height), (279, 4, page.count),
      (339, 3, isFloat ? 3 : 1),
    ]
    let padded = page + [UInt8](repeating: 0, count: page.count % 2)
    let next = number + 1 < pages.count ? file.count + 2 + 10 * 12 + 4 + padded.count : 0
    file += word(tags.count)
    for (tag, type, value) in tags { file += word(tag) + word(type) + long(1) + long(value) }
    file += long(next) + padded
  }
  return file
}
