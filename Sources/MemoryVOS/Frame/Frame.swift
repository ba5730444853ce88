// What flows into the tracker: 8-bit RGB pictures. Media makes them, Tracker reads them.

/// Width and height of a picture in pixels.
public struct FrameSize: Sendable, Hashable, CustomStringConvertible {
  /// Pixels in a row, at least 1.
  public let width: Int
  /// Rows, at least 1.
  public let height: Int

  /// A size; traps unless both sides are positive.
  public init(width: Int, height: Int) {
    precondition(width > 0 && height > 0, "a frame of \(width)×\(height) pixels")
    self.width = width
    self.height = height
  }

  /// Number of pixels.
  public var area: Int { width * height }

  /// "854×480": width × height, as players and editors write it.
  public var description: String { "\(width)×\(height)" }
}

/// One 8-bit RGB picture: `pixels` holds `[height, width, 3]`, interleaved, rows without padding.
public struct Frame: Sendable {
  /// Width and height.
  public let size: FrameSize
  /// `size.area * 3` bytes: R, G, B of each pixel, row by row.
  public var pixels: [UInt8]

  /// A picture from interleaved RGB bytes; traps when `pixels.count != size.area * 3`.
  public init(size: FrameSize, pixels: [UInt8]) {
    precondition(
      pixels.count == size.area * 3, "\(pixels.count) bytes for an RGB frame of \(size)")
    self.size = size
    self.pixels = pixels
  }
}
