// Where feature maps live while a plan runs: aligned memory and rows with zero columns on both sides.

/// What a map is made of: floats, or the bytes 0…127 of an integer plan; and what else is stored
/// aligned.
package protocol MapScalar: BitwiseCopyable, Sendable {
  static var zero: Self { get }
}

extension Float: MapScalar {}
extension UInt8: MapScalar {}
extension Int8: MapScalar {}
extension Int16: MapScalar {}
extension Int32: MapScalar {}
extension UInt32: MapScalar {}

/// 64-byte aligned scalars, owned.
package final class AlignedStorage<Scalar: MapScalar>: @unchecked Sendable {
  // Safe: plain memory; owners order access.
  package let base: UnsafeMutablePointer<Scalar>
  package let count: Int

  /// `count` zeros, or other values.
  ///
  /// A few bytes beyond the last one may be read.
  package init(count: Int, repeating value: Scalar = .zero) {
    let bytes = (max(count, 1) * MemoryLayout<Scalar>.stride + 4 + 63) & ~63
    let raw = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 64)
    raw.initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
    base = raw.bindMemory(to: Scalar.self, capacity: count)
    base.update(repeating: value, count: count)
    self.count = count
  }

  deinit { UnsafeMutableRawPointer(base).deallocate() }
}

/// 64-byte aligned floats, owned.
package typealias AlignedBuffer = AlignedStorage<Float>

/// Height, width and channels of a feature map.
package struct FeatureShape: Sendable, Hashable, CustomStringConvertible {
  package let height: Int
  package let width: Int
  package let channels: Int

  package init(height: Int, width: Int, channels: Int) {
    self.height = height
    self.width = width
    self.channels = channels
  }

  package var count: Int { height * width * channels }
  package var description: String { "[\(height), \(width), \(channels)]" }
}

/// A view of scalars `[height, width, channels]` in somebody's buffer.
///
/// Each row has `padding` columns of zeros on both sides, so that a convolution reads beyond the
/// edge without asking. Of bytes, `fill` is the one that means zero.
///
/// Invariant that makes the pointer safe: `owner` keeps the memory alive, and a map's extent was
/// checked against it when the map was made.
package struct ScalarMap<Scalar: MapScalar>: @unchecked Sendable {
  package let shape: FeatureShape
  package let padding: Int
  /// What the columns beside a row hold.
  let fill: Scalar
  /// First scalar of the left zero column of row 0.
  let origin: UnsafeMutablePointer<Scalar>
  private let owner: AlignedStorage<Scalar>

  /// Scalars a map of `shape` with `padding` takes.
  static func extent(_ shape: FeatureShape, padding: Int) -> Int {
    shape.height * (shape.width + 2 * padding) * shape.channels
  }

  /// A map in its own memory, all zeros.
  package init(_ shape: FeatureShape, padding: Int = 0, fill: Scalar = .zero) {
    let owner = AlignedStorage(count: Self.extent(shape, padding: padding), repeating: fill)
    self.init(shape, padding: padding, fill: fill, in: owner, at: 0)
  }

  init(
    _ shape: FeatureShape, padding: Int, fill: Scalar = .zero, in owner: AlignedStorage<Scalar>,
    at offset: Int
  ) {
    precondition(
      offset + Self.extent(shape, padding: padding) <= owner.count, "a map beyond its buffer")
    self.shape = shape
    self.padding = padding
    self.fill = fill
    self.owner = owner
    origin = owner.base + offset
  }

  /// Scalars from one row to the next.
  var pitch: Int { (shape.width + 2 * padding) * shape.channels }

  /// Column 0 of row `y`.
  package func row(_ y: Int) -> UnsafeMutablePointer<Scalar> {
    origin + y * pitch + padding * shape.channels
  }

  /// Fills the columns beside row `y`; the arena may have held something else there.
  func clearPadding(row y: Int) {
    let count = padding * shape.channels
    guard count > 0 else { return }
    (row(y) - count).update(repeating: fill, count: count)
    (row(y) + shape.width * shape.channels).update(repeating: fill, count: count)
  }

  /// The scalars without padding, `[height, width, channels]`.
  package var scalars: [Scalar] {
    var result: [Scalar] = []
    result.reserveCapacity(shape.count)
    for y in 0..<shape.height {
      result += UnsafeBufferPointer(start: row(y), count: shape.width * shape.channels)
    }
    return result
  }

  /// Copies `[height, width, channels]` scalars in; traps when the count is another.
  package func assign(_ scalars: [Scalar]) {
    precondition(scalars.count == shape.count, "\(scalars.count) scalars for a map \(shape)")
    let width = shape.width * shape.channels
    scalars.withUnsafeBufferPointer { source in
      guard let base = source.baseAddress else { return }
      for y in 0..<shape.height { row(y).update(from: base + y * width, count: width) }
    }
  }

  /// Calls `body(y, row, scalars of a row)` for every row.
  func forEachRow(_ body: (Int, UnsafeMutablePointer<Scalar>, Int) -> Void) {
    for y in 0..<shape.height { body(y, row(y), shape.width * shape.channels) }
  }
}

/// A map of floats: what plans take and give.
package typealias FeatureMap = ScalarMap<Float>

/// A map of the bytes of an integer plan.
package typealias ByteMap = ScalarMap<UInt8>
