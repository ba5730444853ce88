// Masks as people give and take them: one object id per pixel.

/// The id of an object as the user gave it: 1…254.
///
/// Kept as it is, also when ids are sparse.
public struct ObjectID: Sendable, Hashable, Comparable, CustomStringConvertible {
  /// The label of this object's pixels.
  public let rawValue: UInt8

  /// The id of a label, or `nil` for 0 (background) and 255 (void).
  public init?(_ label: UInt8) {
    guard (1...254).contains(label) else { return nil }
    rawValue = label
  }

  /// The smaller label first.
  public static func < (a: ObjectID, b: ObjectID) -> Bool { a.rawValue < b.rawValue }

  /// The label in decimal.
  public var description: String { String(rawValue) }
}

/// One label per pixel, `[height, width]`: 0 is background, 1…254 are objects, 255 is void.
public struct LabelMap: Sendable, Equatable {
  /// Width and height.
  public let size: FrameSize
  /// `size.area` labels, row by row.
  public var labels: [UInt8]

  /// A label map; traps when `labels.count != size.area`.
  public init(size: FrameSize, labels: [UInt8]) {
    precondition(labels.count == size.area, "\(labels.count) labels for a mask of \(size)")
    self.size = size
    self.labels = labels
  }

  /// A map without objects.
  public init(size: FrameSize) {
    self.init(size: size, labels: [UInt8](repeating: 0, count: size.area))
  }

  /// Pixels of each label.
  var areas: [Int] {
    var areas = [Int](repeating: 0, count: 256)
    labels.withUnsafeBytes { bytes in
      // Neighbours are mostly equal: eight at once, while they stay as the eight before.
      let whole = bytes.count & ~7
      var (equal, run) = (UInt64(0), 0)
      for at in stride(from: 0, to: whole, by: 8) {
        let eight = bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self)
        if eight == equal {
          run += 8
          continue
        }
        let first = UInt8(truncatingIfNeeded: eight)
        if eight == UInt64(first) &* 0x0101_0101_0101_0101 {
          areas[Int(UInt8(truncatingIfNeeded: equal))] += run
          (equal, run) = (eight, 8)
        } else {
          for label in bytes[at..<at + 8] { areas[Int(label)] += 1 }
        }
      }
      areas[Int(UInt8(truncatingIfNeeded: equal))] += run
      for label in bytes[whole...] { areas[Int(label)] += 1 }
    }
    return areas
  }

  /// The objects that have at least one pixel, in ascending order.
  public var objects: [ObjectID] {
    var seen = [Bool](repeating: false, count: 256)
    for label in labels { seen[Int(label)] = true }
    return (1...254).filter { seen[$0] }.compactMap { ObjectID(UInt8($0)) }
  }
}
