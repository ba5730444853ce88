// COCO's run-length masks, exactly as pycocotools writes them. COCOWriter uses them.

/// One object's mask as runs of background and object, column by column, background first.
///
/// Reference: `maskApi.c` of the COCO API (`rleEncode`, `rleToString`, `rleFrString`).
public struct RunLengthMask: Sendable, Equatable {
  /// Size of the mask.
  public let size: FrameSize
  /// Lengths of runs in column-major order, background first (0 when the first pixel is object's).
  public let counts: [UInt32]

  /// Object pixels.
  public var area: Int {
    stride(from: 1, to: counts.count, by: 2).reduce(0) { $0 + Int(counts[$1]) }
  }

  /// A mask from its runs; `nil` unless they add up to the size.
  public init?(size: FrameSize, counts: [UInt32]) {
    guard counts.reduce(0, { $0 + Int($1) }) == size.area else { return nil }
    self.size = size
    self.counts = counts
  }

  /// The masks of all objects of a frame, in ascending order of ids, found in one pass.
  public static func masks(of map: LabelMap) -> [(object: ObjectID, mask: RunLengthMask)] {
    let (width, height) = (map.size.width, map.size.height)
    var counts = [[UInt32]](repeating: [], count: 256)
    var ends = [Int](repeating: 0, count: 256)
    var (label, start, position) = (UInt8(0), 0, 0)
    func close() {
      let object = Int(label)
      counts[object].append(UInt32(start - ends[object]))
      counts[object].append(UInt32(position - start))
      ends[object] = position
    }
    map.labels.withUnsafeBufferPointer { labels in
      for x in 0..<width {
        for y in 0..<height {
          let found = labels[y * width + x]
          if found != label {
            if position > start { close() }
            (label, start) = (found, position)
          }
          position += 1
        }
      }
    }
    close()
    return (1...254).compactMap { value in
      guard !counts[value].isEmpty, let object = ObjectID(UInt8(value)) else { return nil }
      var runs = counts[value]
      if ends[value] < map.size.area { runs.append(UInt32(map.size.area - ends[value])) }
      return RunLengthMask(size: map.size, counts: runs).map { (object, $0) }
    }
  }

  /// The pixels, `[height, width]`: 1 in the object, else 0.
  public var pixels: [UInt8] {
    var pixels = [UInt8](repeating: 0, count: size.area)
    var position = 0
    for (index, count) in counts.enumerated() {
      if index % 2 == 1 {
        for place in position..<position + Int(count) {
          pixels[place % size.height * size.width + place / size.height] = 1
        }
      }
      position += Int(count)
    }
    return pixels
  }

  // MARK: - COCO's text

  /// The compressed counts: differences to the run before the last, in groups of five bits from the
  /// lowest, each with a continuation bit, as characters from "0" on.
  public var string: String {
    var bytes: [UInt8] = []
    for (index, count) in counts.enumerated() {
      var value = Int(count) - (index > 2 ? Int(counts[index - 2]) : 0)
      while true {
        let group = value & 0x1F
        value >>= 5
        let isLast = group & 0x10 != 0 ? value == -1 : value == 0
        bytes.append(UInt8(48 + group + (isLast ? 0 : 0x20)))
        if isLast { break }
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Decodes `string`; `nil` when it is not a mask of this size.
  public init?(size: FrameSize, string: String) {
    var counts: [UInt32] = []
    var total = 0
    var (value, shift) = (0, 0)
    for byte in string.utf8 {
      guard (48..<112).contains(byte), shift < 60 else { return nil }
      let group = Int(byte) - 48
      value |= (group & 0x1F) << shift
      shift += 5
      guard group & 0x20 == 0 else { continue }
      if group & 0x10 != 0 { value |= -1 << shift }
      if counts.count > 2 { value += Int(counts[counts.count - 2]) }
      guard value >= 0, value <= size.area - total else { return nil }
      total += value
      counts.append(UInt32(value))
      (value, shift) = (0, 0)
    }
    guard shift == 0 else { return nil }
    self.init(size: size, counts: counts)
  }
}
