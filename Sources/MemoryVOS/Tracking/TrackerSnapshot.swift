// What a tracker has predicted in one frame, kept so that an interrupted run can go on exactly where
// it stopped. Propagation keeps the newest ones and replays them.

/// Probabilities of every object in one frame at the network's size, and who was put into memory.
package struct TrackerSnapshot: Sendable {
  /// The frame's position in its source.
  package var frame: Int
  /// The tracked objects in ascending order, each with `height · width` probabilities.
  package var probabilities: [(object: ObjectID, values: [Float])]
  /// What the network saw of the frame.
  var viewport: Viewport
  /// The objects whose values went into the ring of recent frames.
  package var remembered: [ObjectID]
  /// The frame's place among those that went into the ring, or `nil` when it did not.
  package var ordinal: Int?
}

extension Tracker {
  /// The newest frame as `replay` wants it; `mask` is what `step` was given.
  func snapshot(frame: Int, mask: LabelMap?) -> TrackerSnapshot {
    let given = Set(mask?.objects ?? [])
    let hasRing = session.memoryFrames > 1
    let remembered = session.objects.map(\.id).filter { hasRing && !given.contains($0) }
    return TrackerSnapshot(
      frame: frame,
      probabilities: session.objects.map { object in
        var values: [Float] = []
        values.reserveCapacity(session.networkSize.area)
        object.probability.forEachRow { _, row, width in
          values.append(contentsOf: UnsafeBufferPointer(start: row, count: width))
        }
        return (object.id, values)
      },
      viewport: session.viewport, remembered: remembered,
      ordinal: remembered.isEmpty ? nil : session.ringOrdinals.last)
  }

  /// Puts a frame that was tracked earlier back: the same memory and the same prior as then.
  mutating func replay(_ frame: Frame, _ snapshot: TrackerSnapshot) throws(TrackerError) {
    try session.check(frame, nil)
    guard Viewport(frameSize).contains(snapshot.viewport) else {
      throw TrackerError(
        "an interrupted run saw \(snapshot.viewport) of frames of \(frameSize)")
    }
    let area = session.networkSize.area
    for (id, values) in snapshot.probabilities {
      guard values.count == area else {
        throw TrackerError(
          "object \(id) of an interrupted run has \(values.count) probabilities instead of \(area)")
      }
      if !session.objects.contains(where: { $0.id == id }) { session.track(id) }
    }
    session.viewport = snapshot.viewport
    session.load(frame)
    session.encode()
    for object in session.objects {
      guard let saved = snapshot.probabilities.first(where: { $0.object == object.id }) else {
        continue
      }
      object.probability.forEachRow { y, row, width in
        for x in 0..<width { row[x] = saved.values[y * width + x] }
      }
    }
    let written = session.objects.filter { snapshot.remembered.contains($0.id) }
    if !written.isEmpty { session.write(written, isPermanent: false, ordinal: snapshot.ordinal) }
  }
}
