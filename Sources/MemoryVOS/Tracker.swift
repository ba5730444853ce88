// START HERE: one frame in, one mask out. `step` is the whole method.
//
//   frame ─> view ─> tensor ─> features ─> memory read ─> decode ─> soft aggregation ─> mask
//     ▲                            └──────────── memory write ◄────────────┤
//     └──────────────────── where the objects were ◄───────────────────────┘
//
// Called by `Propagation` (clips), by `vos-cli benchmark`, and by your own loop over a camera.
// Uses Network (what is computed), Memory (what is remembered) and Engine (how fast).

/// Tracks annotated objects through a video, one frame at a time, in bounded memory.
///
///     let network = try Network(checkpoint: "vos-mobile.safetensors")
///     var tracker = try Tracker(network: network, frameSize: mask.size)
///     _ = try tracker.step(firstFrame, mask: mask)
///     for frame in rest { show(try tracker.step(frame).labels) }
///
/// A tracker is a value with one owner; time and memory per frame do not depend on how many frames
/// it has seen. Frames all have the size given at the start.
public struct Tracker: ~Copyable {
  /// Size of every frame and mask.
  public let frameSize: FrameSize
  /// What the tracker was asked for.
  public let configuration: Configuration
  /// Seconds that each stage of the newest `step` took.
  public internal(set) var timings = StageTimings()

  let session: TrackerSession

  /// A tracker for frames of `frameSize`.
  ///
  /// - Throws: `TrackerError` when the configuration cannot work for frames of this size.
  public init(
    network: Network, frameSize: FrameSize, configuration: Configuration = .init()
  ) throws(TrackerError) {
    self.frameSize = frameSize
    self.configuration = configuration
    session = try TrackerSession(
      network: network, frameSize: frameSize, configuration: configuration)
  }

  /// A tracker that shows `observer` every value that its network computes: slow, for calibration.
  init(
    network: Network, frameSize: FrameSize, configuration: Configuration,
    observer: @escaping (_ value: String, _ map: FeatureMap) -> Void
  ) throws(TrackerError) {
    self.frameSize = frameSize
    self.configuration = configuration
    session = try TrackerSession(
      network: network, frameSize: frameSize, configuration: configuration, observer: observer)
  }

  /// Objects that are tracked, in ascending order.
  public var objects: [ObjectID] { session.objects.map(\.id) }

  /// Finds every object in the next frame.
  ///
  /// - Parameters:
  ///   - frame: the next frame, of size `frameSize`.
  ///   - mask: objects annotated on this frame, if any: new ones are tracked from here on, known ones
  ///     take the given mask. Known objects that the mask does not hold keep their predicted mask
  ///     where the given ones leave room. The frame becomes permanent memory of the given objects.
  ///   - remember: false when `annotate` has already put this frame and mask into memory.
  /// - Returns: labels of the frame's size and a status of each object.
  /// - Throws: `TrackerError` for a frame or mask of another size, or a mask that holds 255.
  public mutating func step(
    _ frame: Frame, mask: LabelMap? = nil, remember: Bool = true
  ) throws(TrackerError) -> FrameResult {
    try session.check(frame, mask)
    var clock = StageClock()
    session.look(for: mask)
    session.load(frame)
    clock.lap(\.resize)
    session.encode()
    clock.lap(\.encode)
    session.read()
    clock.lap(\.read)
    session.decode()
    clock.lap(\.decode)
    session.aggregate()
    if let mask { session.give(mask, keepingOthers: true) }
    let result = session.result(given: mask)
    clock.lap(\.aggregate)
    session.memorize(annotated: mask, remember: remember)
    clock.lap(\.memorize)
    timings = clock.timings
    return result
  }

  /// Puts an annotated frame into permanent memory ahead of time, without tracking anything in it.
  ///
  /// For clips with several annotated frames: each is memory for the whole clip, in both directions.
  /// The objects are tracked from the `step` that is given their mask (with `remember: false`).
  ///
  /// - Throws: `TrackerError` for a frame or mask of another size, or a mask without objects.
  public mutating func annotate(_ frame: Frame, mask: LabelMap) throws(TrackerError) {
    try session.check(frame, mask)
    guard !mask.objects.isEmpty else { throw .init("the annotated mask holds no object") }
    session.annotate(frame, mask)
  }

  /// Replaces the newest frame's mask by a corrected one: every object is where `mask` says, and
  /// nowhere if it is not in it.
  ///
  /// The frame becomes permanent memory.
  ///
  /// - Throws: `TrackerError` when the newest frame was not given to `step`, or for a mask of another size.
  public mutating func correct(_ mask: LabelMap) throws(TrackerError) -> FrameResult {
    try session.check(nil, mask)
    guard session.hasFrame else { throw .init("there is no tracked frame to correct") }
    session.widen(for: mask)
    session.give(mask, keepingOthers: false)
    session.correctMemory()
    return session.result(given: mask)
  }

  /// Stops tracking an object and forgets it.
  ///
  /// - Throws: `TrackerError` when no such object is known.
  public mutating func remove(_ object: ObjectID) throws(TrackerError) {
    try session.remove(object)
  }

  /// Forgets what was predicted, keeps annotated frames: the start of another pass over a clip.
  public mutating func restart() { session.restart() }

  /// Forgets all frames and objects: the start of another clip.
  package mutating func forgetEverything() { session.forgetEverything() }

  /// What the network's last layer read for an object in the newest frame; `nil` unless the network
  /// exposes it and the object was predicted there.
  package func features(of object: ObjectID) -> ObjectFeatures? { session.features[object] }

  /// The newest frame's probability of an object, `frameSize.area` values in 0…1, row by row.
  ///
  /// - Throws: `TrackerError` when the object is not tracked.
  public func probabilities(of object: ObjectID) throws(TrackerError) -> [Float] {
    try session.probabilities(of: object)
  }
}
