// Label maps as one bit plane for each object: what J, F and flicker count on. Called by FrameScorer
// and by RegionSimilarity and BoundaryAccuracy.

/// The pixels of each object of a label map, 64 to a word, rows padded to whole words with zeros.
///
/// Memory: this type owns its planes, which are allocated zeroed by `plane(for:)` and freed in
/// `deinit`. Pointers to them are used only inside its methods and inside `withExtendedLifetime`.
final class LabelBits {
  typealias Words = UnsafeMutablePointer<UInt64>

  let size: FrameSize
  let wordsPerRow: Int
  /// Words of one plane.
  var wordCount: Int { wordsPerRow * size.height }
  /// Labels that have a plane, in the order in which they were met.
  private(set) var labels: [UInt8] = []
  private var planes: [Words?] = .init(repeating: nil, count: 256)

  /// A plane for each label of `map` other than 0; `merged` makes all but void one object, 1.
  init(_ map: LabelMap, merged: Bool = false) {
    size = map.size
    wordsPerRow = (map.size.width + 63) / 64
    map.labels.withUnsafeBytes { pack($0, merged: merged) }
  }

  deinit { for plane in planes { plane?.deallocate() } }

  /// The plane of a label, or `nil` when no pixel has it.
  subscript(label: UInt8) -> Words? { planes[Int(label)] }

  private func plane(for label: UInt8) -> Words {
    if let plane = planes[Int(label)] { return plane }
    let plane = Words.allocate(capacity: wordCount)
    plane.initialize(repeating: 0, count: wordCount)
    planes[Int(label)] = plane
    labels.append(label)
    return plane
  }

  private func pack(_ bytes: UnsafeRawBufferPointer, merged: Bool) {
    var current: UInt8 = 0
    var plane: Words?
    @inline(__always) func select(_ label: UInt8) -> Words? {
      let label = merged && label != 255 ? 1 : label
      if label != current {
        current = label
        plane = self.plane(for: label)
      }
      return plane
    }
    for row in 0..<size.height {
      let start = row * size.width
      let words = row * wordsPerRow
      var column = 0
      while column + 8 <= size.width {
        let eight = bytes.loadUnaligned(fromByteOffset: start + column, as: UInt64.self)
        if eight != 0 {
          let word = words + column >> 6
          let shift = UInt64(column & 63)
          if eight == (eight & 0xFF) &* 0x0101_0101_0101_0101 {
            select(UInt8(truncatingIfNeeded: eight))?[word] |= 0xFF << shift
          } else {
            var rest = eight.littleEndian
            for bit in 0..<UInt64(8) where rest != 0 {
              let label = UInt8(truncatingIfNeeded: rest)
              if label != 0 { select(label)?[word] |= 1 << (shift + bit) }
              rest >>= 8
            }
          }
        }
        column += 8
      }
      while column < size.width {
        let label = bytes[start + column]
        if label != 0 { select(label)?[words + column >> 6] |= 1 << UInt64(column & 63) }
        column += 1
      }
    }
  }

  /// Takes the pixels of `other`'s plane `label` out of every plane of this map.
  func clear(_ label: UInt8, of other: LabelBits) {
    guard let cleared = other[label] else { return }
    for own in planes {
      guard let own else { continue }
      for index in 0..<wordCount { own[index] &= ~cleared[index] }
    }
    withExtendedLifetime(other) {}
  }

  /// A pixel that has the label, for error messages.
  func firstPixel(of label: UInt8) -> (x: Int, y: Int)? {
    guard let plane = self[label] else { return nil }
    for index in 0..<wordCount where plane[index] != 0 {
      let x = index % wordsPerRow * 64 + plane[index].trailingZeroBitCount
      return (x, index / wordsPerRow)
    }
    return nil
  }
}
