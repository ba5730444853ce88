// Where objects are in a frame. MeasurementWriter and COCOWriter report it.

/// Area, centroid and bounding box of one object.
public struct ObjectShape: Sendable, Equatable {
  /// Pixels of the object, at least 1.
  public let area: Int
  /// Mean column of its pixels; the first column is 0 (as in scikit-image).
  public let centroidX: Double
  /// Mean row of its pixels; the first row is 0.
  public let centroidY: Double
  /// First column of the bounding box.
  public let left: Int
  /// First row of the bounding box.
  public let top: Int
  /// Columns of the bounding box.
  public let width: Int
  /// Rows of the bounding box.
  public let height: Int

  /// The shapes of all objects in a map, by id, found in one pass.
  public static func shapes(in map: LabelMap) -> [ObjectID: ObjectShape] {
    struct Sums {
      var (area, x, y) = (0, 0, 0)
      var (left, right, top, bottom) = (Int.max, 0, Int.max, 0)
    }
    var sums = [Sums](repeating: Sums(), count: 256)
    let (width, height) = (map.size.width, map.size.height)
    map.labels.withUnsafeBufferPointer { labels in
      for y in 0..<height {
        var x = 0
        while x < width {
          // A run of one label at a time.
          let label = labels[y * width + x]
          let start = x
          while x < width, labels[y * width + x] == label { x += 1 }
          guard label != 0 else { continue }
          let count = x - start
          sums[Int(label)].area += count
          sums[Int(label)].x += (start + x - 1) * count
          sums[Int(label)].y += y * count
          sums[Int(label)].left = min(sums[Int(label)].left, start)
          sums[Int(label)].right = max(sums[Int(label)].right, x - 1)
          sums[Int(label)].top = min(sums[Int(label)].top, y)
          sums[Int(label)].bottom = y
        }
      }
    }
    var shapes: [ObjectID: ObjectShape] = [:]
    for (label, sum) in sums.enumerated() where sum.area > 0 {
      guard let object = ObjectID(UInt8(label)) else { continue }
      let area = Double(sum.area)
      shapes[object] = ObjectShape(
        // Each run added twice its mean column times its length.
        area: sum.area, centroidX: Double(sum.x) / 2 / area, centroidY: Double(sum.y) / area,
        left: sum.left, top: sum.top, width: sum.right - sum.left + 1,
        height: sum.bottom - sum.top + 1)
    }
    return shapes
  }
}
