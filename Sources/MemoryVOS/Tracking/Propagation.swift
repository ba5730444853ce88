// Passes over a clip: which frames the tracker sees, in which order, with which masks. `vos-cli track`
// calls it; it knows sources and the tracker, and writes nothing.

/// Tracks annotated objects through a whole clip.
///
/// Every annotated frame is memory for the whole clip. Frames before the first annotated one are
/// tracked backward from it, all others forward from the nearest annotated one before them; an object
/// that appears only in a later annotation is tracked from there on. A source that cannot seek (a
/// pipe) goes forward only: annotations are met on the way, and frames before the first hold no
/// object.
public struct Propagation: ~Copyable {
  private let source: any FrameSource
  private let annotations: [Int: LabelMap]
  private let firstAnnotated: Int
  private let selection: FrameSelection
  private var tracker: Tracker
  /// Annotated frames that are in memory.
  private var remembered: Set<Int> = []
  /// What `source.next()` gives next.
  private var position = 0
  private var state = PropagationState()
  /// Frames since the last `save`: the first frame is saved at once, so that a run that is killed
  /// leaves something to go on from.
  private var sinceSave = Propagation.saveInterval - 1

  /// Frames between two calls of `save`.
  private static let saveInterval = 64

  /// A propagation of `annotations` through the frames of `source`.
  ///
  /// - Throws: `PropagationError` for annotations that do not fit the clip, `TrackerError` for a
  ///   configuration that does not work.
  public init(
    source: any FrameSource, annotations: [ClipAnnotation], selection: FrameSelection = .init(),
    network: Network, configuration: Tracker.Configuration = .init()
  ) throws {
    let masks = try Self.masks(annotations, size: source.size)
    guard let first = masks.keys.min() else { throw PropagationError("no mask to start from") }
    let tracker = try Tracker(
      network: network, frameSize: source.size, configuration: configuration)
    self.source = source
    self.annotations = masks
    self.selection = selection
    self.tracker = tracker
    firstAnnotated = first
  }

  private static func masks(
    _ annotations: [ClipAnnotation], size: FrameSize
  ) throws(PropagationError) -> [Int: LabelMap] {
    var masks: [Int: LabelMap] = [:]
    for annotation in annotations {
      let frame = annotation.frame
      guard frame >= 0 else {
        throw PropagationError("a mask for frame \(frame): frames begin at 0")
      }
      guard annotation.mask.size == size else {
        throw PropagationError(
          "the mask for frame \(frame) has \(annotation.mask.size) pixels, the frames have \(size)")
      }
      guard !annotation.mask.objects.isEmpty else {
        throw PropagationError("the mask for frame \(frame) holds no object")
      }
      guard masks.updateValue(annotation.mask, forKey: frame) == nil else {
        throw PropagationError("two masks for frame \(frame)")
      }
    }
    return masks
  }

  /// Number of frames that get masks; `nil` when the source does not know its length.
  public var expectedFrameCount: Int? { source.frameCount.map(selection.count(in:)) }

  /// Whether an interrupted run over this source can be resumed: pipes cannot.
  public var isResumable: Bool { source.isSeekable }

  /// Computes every selected frame, from the beginning or from where an interrupted run stopped.
  ///
  /// - Returns: false when `output.shouldStop` ended it early.
  /// - Throws: what the source, the tracker and the output throw. Frames before the error are done.
  public mutating func run(
    into output: any PropagationOutput, resuming saved: PropagationState? = nil
  ) throws -> Bool {
    let finished: Bool
    do {
      finished = try passes(into: output, resuming: saved)
    } catch {
      // The first error is the one to report.
      try? save(to: output)
      throw error
    }
    if !finished { try save(to: output) }
    return finished
  }

  private mutating func passes(
    into output: any PropagationOutput, resuming saved: PropagationState?
  ) throws -> Bool {
    guard source.isSeekable else {
      return try follow(from: min(firstAnnotated, selection.start), into: output)
    }
    if annotations.count > 1 || saved != nil {
      for (frame, mask) in annotations.sorted(by: { $0.key < $1.key }) {
        try tracker.annotate(try annotatedFrame(frame).frame, mask: mask)
        remembered.insert(frame)
      }
    }
    if let saved {
      state = saved
      for snapshot in saved.snapshots {
        guard let frame = try read(snapshot.frame) else { throw shorter(snapshot.frame) }
        try tracker.replay(frame.frame, snapshot)
      }
    }
    if state.phase == .backward || state.snapshots.isEmpty {
      guard try backward(into: output) else { return false }
    }
    return try forward(into: output)
  }

  // MARK: - Passes

  private mutating func backward(into output: any PropagationOutput) throws -> Bool {
    guard var next = selection.last(before: state.snapshots.last?.frame ?? firstAnnotated) else {
      try leaveBackwardPass(output)
      return true
    }
    state.phase = .backward
    if state.snapshots.isEmpty {
      guard !output.shouldStop else { return false }
      _ = try compute(try annotatedFrame(firstAnnotated), seconds: 0)
    }
    while true {
      guard !output.shouldStop else { return false }
      let clock = ContinuousClock.now
      guard let frame = try read(next) else { throw shorter(next) }
      let step = try compute(frame, seconds: (.now - clock) / .seconds(1))
      try finish(step, mask: nil, into: output)
      guard let previous = selection.last(before: next) else { break }
      next = previous
    }
    try leaveBackwardPass(output)
    return true
  }

  private mutating func leaveBackwardPass(_ output: any PropagationOutput) throws {
    // The forward pass has no snapshot before its first frame.
    try save(to: output)
    tracker.restart()
    state.phase = .forward
    state.snapshots = []
  }

  private mutating func forward(into output: any PropagationOutput) throws -> Bool {
    if output.wantsOrder { try handOnComputedFrames(to: output) }
    return try follow(
      from: state.snapshots.last.map { following($0.frame) }
        ?? selection.first(from: firstAnnotated).map { _ in firstAnnotated }, into: output)
  }

  /// Computes frames going forward, `start` first.
  private mutating func follow(
    from start: Int?, into output: any PropagationOutput
  ) throws -> Bool {
    var next = start
    while let index = next {
      guard !output.shouldStop else { return false }
      let clock = ContinuousClock.now
      guard let frame = try read(index) else {
        if let missing = annotations.keys.filter({ $0 >= index }).min() { throw shorter(missing) }
        break
      }
      let step = try compute(frame, seconds: (.now - clock) / .seconds(1))
      if selection.contains(frame.index) {
        try finish(step, mask: annotations[frame.index], into: output)
        try output.inOrder(step)
      }
      next = following(frame.index)
    }
    return true
  }

  /// Frames that earlier passes or runs computed, in order.
  private mutating func handOnComputedFrames(to output: any PropagationOutput) throws {
    for index in state.statuses.keys.sorted() {
      guard let frame = try read(index) else { throw shorter(index) }
      let labels = try output.labels(of: frame)
      let result = FrameResult(labels: labels, objects: state.statuses[index] ?? [])
      try output.inOrder(
        PropagationStep(source: frame, result: result, timings: .init(), readSeconds: 0))
    }
  }

  /// The next frame to compute going forward: a selected one, or an annotated one on the way to it.
  private func following(_ frame: Int) -> Int? {
    guard let selected = selection.first(from: frame + 1) else { return nil }
    return annotations.keys.filter { $0 > frame && $0 < selected }.min() ?? selected
  }

  // MARK: - One frame

  private mutating func compute(_ frame: SourceFrame, seconds: Double) throws -> PropagationStep {
    let mask = annotations[frame.index]
    let result = try tracker.step(
      frame.frame, mask: mask, remember: mask != nil && !remembered.contains(frame.index))
    if mask != nil { remembered.insert(frame.index) }
    return PropagationStep(
      source: frame, result: result, timings: tracker.timings, readSeconds: seconds)
  }

  private mutating func finish(
    _ step: PropagationStep, mask: LabelMap?, into output: any PropagationOutput
  ) throws {
    try output.computed(step, tracker: tracker)
    let savesState = output.savesState && isResumable
    guard savesState || output.wantsOrder && state.phase == .backward else { return }
    state.statuses[step.source.index] = step.result.objects
    guard savesState else { return }
    let snapshot = tracker.snapshot(frame: step.source.index, mask: mask)
    // The frames that the ring holds, and the newest one.
    let held = tracker.session.ringOrdinals
    state.snapshots.removeAll { $0.ordinal.map { !held.contains($0) } ?? true }
    state.snapshots.append(snapshot)
    sinceSave += 1
    if sinceSave >= Self.saveInterval { try save(to: output) }
  }

  private mutating func save(to output: any PropagationOutput) throws {
    guard output.savesState, isResumable, !state.snapshots.isEmpty else { return }
    sinceSave = 0
    try output.save(state)
  }

  // MARK: - Reading

  private mutating func annotatedFrame(_ index: Int) throws -> SourceFrame {
    guard let frame = try read(index) else { throw shorter(index) }
    return frame
  }

  private mutating func read(_ index: Int) throws(MediaError) -> SourceFrame? {
    if index != position, source.isSeekable {
      try source.seek(to: index)
      position = index
    }
    while let frame = try source.next() {
      position = frame.index + 1
      if frame.index >= index { return frame }
    }
    return nil
  }

  private func shorter(_ frame: Int) -> PropagationError {
    let mask = annotations[frame] == nil ? "" : ", which is annotated"
    return PropagationError(
      "the clip ended before frame \(frame)\(mask); frames are counted from 0")
  }
}
