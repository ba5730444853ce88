// What `Propagation` is given and what it gives back.

/// A mask that the user drew on one frame.
public struct ClipAnnotation: Sendable {
  /// Position of the frame in its source, counted from 0.
  public let frame: Int
  /// The objects on it, at the frame's size.
  public let mask: LabelMap

  /// Both fields as given.
  public init(frame: Int, mask: LabelMap) {
    self.frame = frame
    self.mask = mask
  }
}

/// Which frames of a clip get masks.
public struct FrameSelection: Sendable, Hashable {
  /// The first frame, counted from 0.
  public var start: Int
  /// The frame after the last one; `nil` for the clip's end.
  public var end: Int?
  /// The distance of two frames.
  public var every: Int

  /// A selection; by default all frames.
  ///
  /// Traps unless `0 ≤ start < end` and `every ≥ 1`.
  public init(start: Int = 0, end: Int? = nil, every: Int = 1) {
    precondition(start >= 0 && every >= 1 && start < end ?? .max, "an impossible selection")
    self.start = start
    self.end = end
    self.every = every
  }

  /// Whether a frame gets a mask.
  public func contains(_ frame: Int) -> Bool {
    frame >= start && frame < end ?? .max && (frame - start) % every == 0
  }

  /// The first selected frame at or after `frame`.
  func first(from frame: Int) -> Int? {
    let next = frame <= start ? start : start + (frame - start + every - 1) / every * every
    return next < end ?? .max ? next : nil
  }

  /// The last selected frame before `frame`.
  func last(before frame: Int) -> Int? {
    let limit = min(frame, end ?? .max) - 1
    return limit < start ? nil : start + (limit - start) / every * every
  }

  /// Number of selected frames in a clip of `frameCount`.
  public func count(in frameCount: Int) -> Int {
    last(before: frameCount).map { ($0 - start) / every + 1 } ?? 0
  }
}

/// One frame with its masks.
public struct PropagationStep: Sendable {
  /// The frame, its position, name and time.
  public let source: SourceFrame
  /// Labels and statuses.
  public let result: FrameResult
  /// Seconds of each stage of the tracker; zero for a frame that is only handed on.
  public let timings: StageTimings
  /// Seconds it took to read the frame.
  public let readSeconds: Double
}

/// Takes what a propagation computes.
///
/// The command line writes files; tests keep arrays.
public protocol PropagationOutput: AnyObject {
  /// Asked before each frame: true ends the run early; it can be resumed.
  var shouldStop: Bool { get }
  /// Whether `inOrder` is wanted. It makes frames that were computed out of order be read again.
  var wantsOrder: Bool { get }
  /// Whether `save` is wanted. It costs a copy of the probabilities for each frame.
  var savesState: Bool { get }
  /// The masks of one frame. Frames before the first annotated one come first, the last of them
  /// first; then the others in order. The tracker can be asked for probabilities.
  func computed(_ step: PropagationStep, tracker: borrowing Tracker) throws
  /// Every selected frame once, in order.
  func inOrder(_ step: PropagationStep) throws
  /// The labels that `computed` was given for this frame, in this run or in the interrupted one.
  func labels(of frame: SourceFrame) throws -> LabelMap
  /// What a later run needs to go on from here; called from time to time and before an early end.
  func save(_ state: PropagationState) throws
}

extension PropagationOutput {
  /// Never.
  public var shouldStop: Bool { false }
  /// Not wanted.
  public var savesState: Bool { false }
  /// Ignored.
  public func save(_ state: PropagationState) throws {}
}

/// Annotations that do not fit their clip.
///
/// The description is one line.
public struct PropagationError: Error, Sendable, CustomStringConvertible {
  /// What was expected, what was found and what to try.
  public let description: String

  init(_ description: String) { self.description = description }
}
