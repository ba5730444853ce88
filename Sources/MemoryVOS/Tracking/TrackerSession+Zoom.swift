// Small objects seen larger at the same cost: the network's input is a part of the frame around them.

extension TrackerSession {
  /// Chooses what the network sees of the next frame, and takes the previous masks there.
  ///
  /// Around the objects of the previous masks and of `mask`. When one of them is nowhere to be seen, all
  /// of the frame; from there it goes closer step by step, for what comes into view is a part at first.
  func look(for mask: LabelMap?) {
    var boxes: [Viewport?] = objects.map { box(of: $0.probability) }
    if let mask, let box = mask.box { boxes.append(box) }
    let next = viewport.following(
      Self.union(boxes),
      largest: mask == nil ? min(largestZoom, viewport.nextZoom(in: frameSize)) : largestZoom,
      in: frameSize)
    guard next != viewport else { return }
    let placement = next.grid(in: viewport, width: networkSize.width, height: networkSize.height)
    for object in objects { resample(object.probability, at: placement) }
    viewport = next
  }

  /// Sees all of the newest frame again, if `mask` has objects beyond what was seen of it.
  func widen(for mask: LabelMap) {
    guard let newestFrame, let box = mask.box, !viewport.contains(box) else { return }
    viewport = Viewport(frameSize)
    load(newestFrame)
    encode()
  }

  /// The part of a frame with these objects alone.
  func viewport(around mask: LabelMap) -> Viewport {
    Viewport(frameSize).following(mask.box, largest: largestZoom, in: frameSize)
  }

  private static func union(_ boxes: [Viewport?]) -> Viewport? {
    var whole: Viewport?
    for box in boxes {
      guard let box else { return nil }
      whole = whole?.union(box) ?? box
    }
    return whole
  }

  /// The frame's pixels around an object, to the next cell; `nil` when it has none.
  private func box(of probability: FeatureMap) -> Viewport? {
    let cells = MaskCells(probability, pool: pool)
    guard let box = cells.box else { return nil }
    func place(_ cell: Int, _ cells: Int, _ first: Int, _ length: Int) -> Int {
      first + cell * length / cells
    }
    let left = place(box.left, cells.width, viewport.left, viewport.width)
    let top = place(box.top, cells.height, viewport.top, viewport.height)
    let right = place(box.right, cells.width, viewport.left, viewport.width)
    let bottom = place(box.bottom, cells.height, viewport.top, viewport.height)
    return Viewport(left: left, top: top, width: right - left, height: bottom - top)
  }

  /// Reads a plane bilinearly at other positions; beyond its edges there is nothing.
  private func resample(_ plane: FeatureMap, at placement: GridPlacement) {
    let (width, height) = (plane.shape.width, plane.shape.height)
    let old = plane.scalars
    let columns = Self.taps(origin: placement.x, step: placement.stepX, count: width)
    let rows = Self.taps(origin: placement.y, step: placement.stepY, count: height)
    pool.parallelFor(height) { y, _ in
      let (row, out) = (rows[y], plane.row(y))
      for x in 0..<width {
        let column = columns[x]
        func across(_ row: Int) -> Float {
          let (a, b) = (old[row * width + column.first], old[row * width + column.second])
          return a + (b - a) * column.fraction
        }
        let (a, b) = (across(row.first), across(row.second))
        out[x] = row.weight * column.weight * (a + (b - a) * row.fraction)
      }
    }
  }

  /// For each of `count` positions the two beside it on the old axis, and 0 for those beyond its edges.
  private static func taps(
    origin: Double, step: Double, count: Int
  ) -> [(first: Int, second: Int, fraction: Float, weight: Float)] {
    (0..<count).map { index in
      let position = origin + Double(index) * step
      let inside = min(max(position, 0), Double(count - 1))
      let first = Int(inside)
      return (
        first, min(first + 1, count - 1), Float(inside - Double(first)),
        abs(position - inside) <= 0.5 ? 1 : 0
      )
    }
  }
}

extension LabelMap {
  /// The rectangle around all objects.
  var box: Viewport? {
    var (left, right, top, bottom) = (size.width, -1, size.height, -1)
    labels.withUnsafeBufferPointer { labels in
      for y in 0..<size.height {
        for x in 0..<size.width where labels[y * size.width + x] != 0 {
          (left, right) = (min(left, x), max(right, x))
          (top, bottom) = (min(top, y), max(bottom, y))
        }
      }
    }
    guard right >= 0 else { return nil }
    return Viewport(left: left, top: top, width: right + 1 - left, height: bottom + 1 - top)
  }
}
