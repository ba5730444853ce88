// COCO instances: polygons and run lengths to labels. COCODataset makes them, PictureStore draws.

import MemoryVOS

/// The instances of one image.
struct InstanceMasks: Sendable {
  /// One object's outline.
  enum Outline: Sendable, Equatable {
    /// Rings of x, y pairs; a pixel belongs to it when any ring holds its centre (even-odd).
    case polygons([[Double]])
    /// Lengths of background and object in turn, column by column.
    case runs([Int])
  }

  /// The image's size in the file.
  let size: FrameSize
  /// In the order of the file; the first one has label 1, the last at most 254.
  let outlines: [Outline]

  /// Draws the instances, smaller ones over larger ones.
  ///
  /// - Throws: `TrainingError` when runs do not cover the image.
  func labels(name: String) throws(TrainingError) -> LabelMap {
    var drawn: [(label: UInt8, area: Int, pixels: [Bool])] = []
    for (index, outline) in outlines.prefix(254).enumerated() {
      let pixels: [Bool]
      switch outline {
      case .polygons(let rings): pixels = filled(rings)
      case .runs(let runs): pixels = try expanded(runs, name: name)
      }
      drawn.append((UInt8(index + 1), pixels.count { $0 }, pixels))
    }
    var map = LabelMap(size: size)
    for object in drawn.sorted(by: { ($0.area, $0.label) > ($1.area, $1.label) }) {
      for (pixel, isInside) in object.pixels.enumerated() where isInside {
        map.labels[pixel] = object.label
      }
    }
    return map
  }

  /// Run lengths of COCO's compressed text: 5 bits a character from '0' on, differences to the run
  /// before the last from the fourth run on; `nil` for text that is none.
  static func runs(compressed text: String) -> [Int]? {
    var runs: [Int] = []
    var value = 0
    var shift = 0
    for byte in text.utf8 {
      guard (48..<112).contains(byte), shift < 60 else { return nil }
      let bits = Int(byte) - 48
      value |= (bits & 31) << shift
      shift += 5
      if bits & 32 != 0 { continue }
      if bits & 16 != 0 { value |= -1 << shift }
      if runs.count > 2 { value += runs[runs.count - 2] }
      guard value >= 0, value <= 1 << 32 else { return nil }
      runs.append(value)
      (value, shift) = (0, 0)
    }
    return shift == 0 ? runs : nil
  }

  private func expanded(_ runs: [Int], name: String) throws(TrainingError) -> [Bool] {
    var pixels = [Bool](repeating: false, count: size.area)
    var position = 0
    for (index, run) in runs.enumerated() {
      guard run >= 0, run <= size.area - position else {
        throw TrainingError(name, "run lengths that exceed its \(size) pixels")
      }
      if index % 2 == 1 {
        for column in position..<position + run {
          pixels[column % size.height * size.width + column / size.height] = true
        }
      }
      position += run
    }
    guard position == size.area else {
      throw TrainingError(name, "run lengths for \(position) of its \(size.area) pixels")
    }
    return pixels
  }

  private func filled(_ rings: [[Double]]) -> [Bool] {
    var pixels = [Bool](repeating: false, count: size.area)
    for ring in rings where ring.count >= 6 {
      let points = stride(from: 0, to: ring.count - 1, by: 2).map { (ring[$0], ring[$0 + 1]) }
      for row in 0..<size.height {
        let y = Double(row) + 0.5
        var crossings: [Double] = []
        for (index, a) in points.enumerated() {
          let b = points[(index + 1) % points.count]
          if (a.1 <= y) != (b.1 <= y) {
            crossings.append(a.0 + (y - a.1) / (b.1 - a.1) * (b.0 - a.0))
          }
        }
        crossings.sort()
        for pair in stride(from: 0, to: crossings.count - 1, by: 2) {
          let limit = Double(size.width)
          let first = Int(min(max(crossings[pair] - 0.5, 0), limit).rounded(.up))
          let last = Int(min(max(crossings[pair + 1] - 0.5, 0), limit).rounded(.up))
          for column in first..<max(first, last) { pixels[row * size.width + column] = true }
        }
      }
    }
    return pixels
  }
}
