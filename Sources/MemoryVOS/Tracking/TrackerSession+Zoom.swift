// Small objects seen larger at the same cost: the network's input is a part of the frame around them.

import CKernels

extension TrackerSession {
  /// Chooses what the network sees of the next frame, and takes the previous masks there.
  ///
  /// Around the objects of the previous masks and of `mask`. When one of them is nowhere to be seen, all
  /// of the frame; from there it goes closer step by step, for what comes into view is a part at first.
  func look(for mask: LabelMap?) {
    previousCells = nil
    guard largestZoom > 1 else { return }
    let given = mask?.objects ?? []
    let cells = cells
    var boxes = zip(objects, cells).filter { !given.contains($0.0.id) }.map { box(of: $0.1) }
    if let mask, !given.isEmpty { boxes.append(mask.box) }
    let next = viewport.following(
      Self.union(boxes),
      largest: mask == nil ? min(largestZoom, viewport.nextZoom(in: frameSize)) : largestZoom,
      in: frameSize)
    guard next != viewport else {
      previousCells = cells
      return
    }
    let placement = next.grid(in: viewport, width: networkSize.width, height: networkSize.height)
    resample(objects.map(\.probability), at: placement)
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

  /// The frame's pixels that an object's cells touch; `nil` when it has none.
  private func box(of cells: MaskCells) -> Viewport? {
    guard let box = cells.box else { return nil }
    let left = viewport.left + box.left * viewport.width / cells.width
    let top = viewport.top + box.top * viewport.height / cells.height
    let right = viewport.left + (box.right * viewport.width + cells.width - 1) / cells.width
    let bottom = viewport.top + (box.bottom * viewport.height + cells.height - 1) / cells.height
    return Viewport(left: left, top: top, width: right - left, height: bottom - top)
  }

  /// Reads planes at other positions; beyond their edges there is nothing.
  private func resample(_ planes: [FeatureMap], at placement: GridPlacement) {
    let (width, height) = (networkSize.width, networkSize.height)
    let rows = ResizeTable.sampled(origin: placement.y, step: placement.stepY, count: height)
    let columns = ResizeTable.sampled(origin: placement.x, step: placement.stepX, count: width)
    let lines = (0..<pool.threadCount).map { _ in AlignedBuffer(count: width) }
    for plane in planes {
      let old = FeatureMap(plane.shape)
      old.assign(plane.scalars)
      pool.parallelFor(height) { y, worker in
        let line = lines[worker].base
        let taps = (0..<rows.taps).map { UnsafePointer<Float>?(old.row(Int(rows.start[y]) + $0)) }
        let weights = Array(rows.weights[y * rows.taps..<(y + 1) * rows.taps])
        kernels.table.combine_rows(taps, weights, rows.taps, width, 1, 0, line)
        kernels.table.resize_row(
          line, columns.start, columns.weights, columns.taps, width, plane.row(y))
      }
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
