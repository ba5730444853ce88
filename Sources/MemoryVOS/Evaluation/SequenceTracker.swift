// Tracks one sequence of a data set from its truth, the way its protocol gives the masks.
// `vos-cli evaluate` runs this for every sequence.

import Foundation

/// Writes the masks of one sequence, `FOLDER/FRAME.png` for every image.
public struct SequenceTracker: Sendable {
  /// What tracking a sequence took.
  public struct Speed: Sendable, Codable, Equatable {
    /// Frames that were stepped.
    public var frames = 0
    /// Seconds inside `Tracker.step`: resizing, network and masks, no decoding and no writing.
    public var seconds = 0.0
    /// Seconds that adapting the network to the sequence took, before the first step; `nil` without.
    public var adaptationSeconds: Double?
    /// No frames yet.
    public init() {}
  }

  /// Fits the network to a sequence by its first annotated frame; `nil` stops the tracking.
  public typealias Adapt =
    @Sendable (_ sequence: TruthSet.Sequence, _ frame: Frame, _ mask: LabelMap) throws -> Network?

  let network: Network
  let configuration: Tracker.Configuration
  let scoringProtocol: ScoringProtocol
  private let adapt: Adapt?
  /// Whether images after the last annotated frame are left out: only scores are wanted.
  package var endsAtLastTruth = false

  /// A tracker of sequences.
  ///
  /// - Parameters:
  ///   - network: the network, which may be shared.
  ///   - configuration: how to run it.
  ///   - scoringProtocol: DAVIS gives the first frame's mask, merged to one object for 2016; the
  ///     others give each object's mask on the annotated frame where it first appears.
  ///   - adapt: gives each sequence a network of its own; without it all have the same one.
  public init(
    network: Network, configuration: Tracker.Configuration, scoringProtocol: ScoringProtocol,
    adapt: Adapt? = nil
  ) {
    self.network = network
    self.configuration = configuration
    self.scoringProtocol = scoringProtocol
    self.adapt = adapt
  }

  /// Tracks a sequence and writes its masks.
  ///
  /// - Parameters:
  ///   - sequence: where images and truth are.
  ///   - folder: where masks go; it exists when this returns and not when it throws.
  ///   - frameDone: called after each frame; tracking stops when it returns false.
  /// - Returns: the speed, or `nil` when tracking was stopped.
  /// - Throws: `MediaError` for images and truth that cannot be used, `TrackerError` for a
  ///   configuration that cannot work.
  public func track(
    _ sequence: TruthSet.Sequence, into folder: String, frameDone: () -> Bool = { true }
  ) throws -> Speed? {
    guard let images = sequence.images else {
      throw MediaError(
        path: sequence.folder,
        problem: "there are no images of '\(sequence.name)' in the data set's JPEGImages")
    }
    let files = FileManager.default
    let temporary = "\(folder).part"
    try? files.removeItem(atPath: temporary)
    do {
      try files.createDirectory(atPath: temporary, withIntermediateDirectories: true)
    } catch {
      throw MediaError(path: temporary, problem: "the folder cannot be made: \(error)")
    }
    var isComplete = false
    defer { if !isComplete { try? files.removeItem(atPath: temporary) } }
    let source = try Media.openFrames(images)
    let annotated = Set(sequence.frames)
    var tracker: Tracker? = nil
    var known = Set<UInt8>()
    var speed = Speed()
    var stems = Set<String>()
    while let item = try source.next() {
      var given: LabelMap?
      if annotated.contains(item.stem), known.isEmpty || !scoringProtocol.excludesEnds {
        given = try newObjects(of: sequence, frame: item.stem, size: source.size, known: &known)
      }
      if let given, tracker == nil {
        guard let own = try network(for: sequence, item.frame, given, &speed) else { return nil }
        tracker = try Tracker(network: own, frameSize: source.size, configuration: configuration)
      }
      var labels = LabelMap(size: source.size)  // Nothing is known before the first annotation.
      if let result = try tracker?.step(item.frame, mask: given) {
        labels = result.labels
        speed.frames += 1
        speed.seconds += tracker?.timings.total ?? 0
      }
      stems.insert(item.stem)
      try MaskFile.write(labels, to: "\(temporary)/\(item.stem).png")
      guard frameDone() else { return nil }
      if endsAtLastTruth, item.stem == sequence.frames.last { break }
    }
    guard !known.isEmpty else {
      throw MediaError(
        path: sequence.folder, problem: "no annotated frame with an object has an image of its name"
      )
    }
    if let missing = sequence.frames.first(where: { !stems.contains($0) }) {
      throw MediaError(
        path: "\(images)/\(missing).jpg", problem: "the image of an annotated frame is missing")
    }
    try? files.removeItem(atPath: folder)
    guard rename(temporary, folder) == 0 else {
      throw MediaError(
        path: folder, problem: "cannot be written: \(String(cString: strerror(errno)))")
    }
    isComplete = true
    return speed
  }

  /// The network to track a sequence with; `nil` when its adaptation was stopped.
  private func network(
    for sequence: TruthSet.Sequence, _ frame: Frame, _ mask: LabelMap, _ speed: inout Speed
  ) throws -> Network? {
    guard let adapt else { return network }
    let start = ContinuousClock.now
    defer { speed.adaptationSeconds = (.now - start) / .seconds(1) }
    return try adapt(sequence, frame, mask)
  }

  /// The objects that are annotated for the first time on this frame, if any.
  private func newObjects(
    of sequence: TruthSet.Sequence, frame: String, size: FrameSize, known: inout Set<UInt8>
  ) throws(MediaError) -> LabelMap? {
    let path = sequence.mask(frame)
    var mask = try MaskFile.read(path, role: .truth)
    guard mask.size == size else {
      throw MediaError(
        path: path, problem: "the mask is \(mask.size) pixels, the images are \(size)")
    }
    let isMerged = scoringProtocol == .davis2016
    var table = (UInt8.min...UInt8.max).map { label -> UInt8 in
      if label == 0 || label == 255 { return 0 }
      return isMerged ? 1 : label
    }
    for label in known { table[Int(label)] = 0 }
    mask.labels = mask.labels.map { table[Int($0)] }
    let objects = mask.objects.map(\.rawValue)
    guard !objects.isEmpty else { return nil }
    known.formUnion(objects)
    return mask
  }
}
