// Which part of the frames the network sees: all of it, or where small objects are, enlarged.
// `TrackerSession+Zoom.swift` chooses it for each frame.

/// A rectangle of pixels of a frame.
struct Viewport: Sendable, Hashable, Codable {
  let left: Int
  let top: Int
  let width: Int
  let height: Int

  /// All of a frame.
  init(_ size: FrameSize) {
    self.init(left: 0, top: 0, width: size.width, height: size.height)
  }

  init(left: Int, top: Int, width: Int, height: Int) {
    (self.left, self.top, self.width, self.height) = (left, top, width, height)
  }

  var right: Int { left + width }
  var bottom: Int { top + height }

  /// Whether the other one is not empty and within this one, whatever its numbers are.
  func contains(_ other: Viewport) -> Bool {
    (left..<right).contains(other.left) && (top..<bottom).contains(other.top)
      && (1...right - other.left).contains(other.width)
      && (1...bottom - other.top).contains(other.height)
  }

  /// The smallest rectangle that holds both.
  func union(_ other: Viewport) -> Viewport {
    let (left, top) = (min(left, other.left), min(top, other.top))
    return Viewport(
      left: left, top: top, width: max(right, other.right) - left,
      height: max(bottom, other.bottom) - top)
  }

  /// Larger by `margin` pixels on each side, as far as the frame goes.
  private func grown(by margin: Int, in size: FrameSize) -> Viewport {
    let (left, top) = (max(0, self.left - margin), max(0, self.top - margin))
    return Viewport(
      left: left, top: top, width: min(size.width, right + margin) - left,
      height: min(size.height, bottom + margin) - top)
  }

  // MARK: - Choice

  /// Zooms are multiples of this.
  private static let zoomStep = 0.125

  /// One step more than this one's zoom in frames of `size`.
  func nextZoom(in size: FrameSize) -> Double {
    ((Double(size.width) / Double(width) / Self.zoomStep).rounded() + 1) * Self.zoomStep
  }

  /// The part of frames of `size` to look at next, for objects that were in `box`.
  ///
  /// It has the frame's proportions, is enlarged at most `largest` times, and leaves half the box's
  /// longer side free on each side of the box. The present one stays until a stronger zoom is possible or
  /// half of that room is used up: when it moves, masks are resampled. With a `box` of `nil` (an object
  /// is lost and may be anywhere) it is the whole frame.
  func following(_ box: Viewport?, largest: Double, in size: FrameSize) -> Viewport {
    guard let box, largest > 1 else { return Viewport(size) }
    let room = max(box.width, box.height) / 2
    let wanted = box.grown(by: room, in: size)
    let possible = min(
      largest, Double(size.width) / Double(wanted.width),
      Double(size.height) / Double(wanted.height))
    let zoom = max(1, (possible / Self.zoomStep).rounded(.down) * Self.zoomStep)
    let width = max(1, Int((Double(size.width) / zoom).rounded()))
    let height = max(1, Int((Double(size.height) / zoom).rounded()))
    if self.width <= width, contains(box.grown(by: room / 2, in: size)) { return self }
    return Viewport(
      left: min(max(0, (box.left + box.right - width) / 2), size.width - width),
      top: min(max(0, (box.top + box.bottom - height) / 2), size.height - height),
      width: width, height: height)
  }

  // MARK: - Coordinates

  /// Where position 0 of `count` equal steps through this extent lies among those of another one, and
  /// how many of the other's steps one of these is long.
  private static func steps(
    _ first: Int, _ length: Int, in otherFirst: Int, _ otherLength: Int, count: Int
  ) -> (origin: Double, step: Double) {
    let step = Double(length) / Double(otherLength)
    let shift = Double((first - otherFirst) * count) / Double(otherLength)
    return (shift + step / 2 - 0.5, step)
  }

  /// Grid positions of this viewport in the grid of as many positions of another one.
  func grid(in other: Viewport, width: Int, height: Int) -> GridPlacement {
    let x = Self.steps(left, self.width, in: other.left, other.width, count: width)
    let y = Self.steps(top, self.height, in: other.top, other.height, count: height)
    return GridPlacement(x: x.origin, y: y.origin, stepX: x.step, stepY: y.step)
  }
}

/// Where the positions of one grid lie in another: column c at `x` + c · `stepX`, row r at `y` + r · `stepY`.
struct GridPlacement: Equatable {
  var x = 0.0
  var y = 0.0
  var stepX = 1.0
  var stepY = 1.0
}
