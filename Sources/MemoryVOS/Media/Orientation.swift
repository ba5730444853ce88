// Rotation and mirroring that containers and EXIF ask of the viewer. Used by the readers.

/// One of the eight ways to turn and mirror a picture.
struct Orientation: Equatable {
  /// Whether rows become columns; applied before the flips.
  var transposes = false
  /// Whether left and right are exchanged in the result.
  var flipsHorizontally = false
  /// Whether top and bottom are exchanged in the result.
  var flipsVertically = false

  /// As stored.
  static let upright = Orientation()

  /// As given.
  init(transposes: Bool = false, flipsHorizontally: Bool = false, flipsVertically: Bool = false) {
    self.transposes = transposes
    self.flipsHorizontally = flipsHorizontally
    self.flipsVertically = flipsVertically
  }

  /// The orientation nearest to a display matrix (ISO 14496-12, `tkhd`).
  ///
  ///     x' = a·x + c·y + tx,  y' = b·x + d·y + ty,  matrix = [a b u  c d v  tx ty w]
  init(matrix: UnsafePointer<Int32>) {
    let (a, b, c, d) = (Int(matrix[0]), Int(matrix[1]), Int(matrix[3]), Int(matrix[4]))
    transposes = abs(b) + abs(c) > abs(a) + abs(d)
    flipsHorizontally = transposes ? c < 0 : a < 0
    flipsVertically = transposes ? b < 0 : d < 0
  }

  /// The size of a picture of `size` once it is upright.
  func upright(_ size: FrameSize) -> FrameSize {
    transposes ? FrameSize(width: size.height, height: size.width) : size
  }

  /// The picture as a viewer shows it.
  func apply(to frame: Frame) -> Frame {
    guard self != .upright else { return frame }
    let size = upright(frame.size)
    let stored = frame.size
    let pixels = [UInt8](unsafeUninitializedCapacity: size.area * 3) { target, count in
      frame.pixels.withUnsafeBufferPointer { source in
        for y in 0..<size.height {
          let v = flipsVertically ? size.height - 1 - y : y
          for x in 0..<size.width {
            let u = flipsHorizontally ? size.width - 1 - x : x
            let from = 3 * (transposes ? u * stored.width + v : v * stored.width + u)
            let to = 3 * (y * size.width + x)
            target[to] = source[from]
            target[to + 1] = source[from + 1]
            target[to + 2] = source[from + 2]
          }
        }
      }
      count = size.area * 3
    }
    return Frame(size: size, pixels: pixels)
  }
}
