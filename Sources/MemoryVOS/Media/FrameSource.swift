// Where frames come from: a video file, a folder of images, a pipe. The tracker knows none of them.

/// One decoded frame with what its output needs: name and time.
public struct SourceFrame: Sendable {
  /// Position in the source, counted from 0.
  public let index: Int
  /// The picture, upright (rotation metadata applied).
  public let frame: Frame
  /// Name for output files, without extension: the image's own, or `00000`, `00001`, … for a video.
  public let stem: String
  /// Presentation time in seconds from the first frame; `nil` for image folders.
  public let seconds: Double?

  /// All fields as given.
  public init(index: Int, frame: Frame, stem: String, seconds: Double?) {
    self.index = index
    self.frame = frame
    self.stem = stem
    self.seconds = seconds
  }
}

/// How a video counts time, for writing another one that plays alike.
public struct VideoTiming: Sendable, Equatable {
  /// Numerator of one tick of the container's clock in seconds.
  public let tickNumerator: Int
  /// Denominator of one tick of the container's clock in seconds.
  public let tickDenominator: Int
  /// Average number of frames in a second.
  public let framesPerSecond: Double
  /// Width of a pixel divided by its height after rotation: 1 unless the video is anamorphic.
  public let pixelAspect: Double
  /// The container's time of the first frame in seconds; sound is placed by it.
  public let startSeconds: Double

  /// All fields as given.
  public init(
    tickNumerator: Int, tickDenominator: Int, framesPerSecond: Double, pixelAspect: Double = 1,
    startSeconds: Double = 0
  ) {
    self.tickNumerator = tickNumerator
    self.tickDenominator = tickDenominator
    self.framesPerSecond = framesPerSecond
    self.pixelAspect = pixelAspect
    self.startSeconds = startSeconds
  }
}

/// Frames in order, one at a time.
///
/// A source has one owner.
public protocol FrameSource: AnyObject {
  /// Size of every frame, after rotation. A frame of another size is an error of `next()`.
  var size: FrameSize { get }
  /// Number of frames: exact for folders, the container's estimate for videos, `nil` for pipes.
  var frameCount: Int? { get }
  /// Whether `seek(to:)` works; false for pipes.
  var isSeekable: Bool { get }
  /// Frames that could not be decoded so far; at the end of a truncated video also the frames that
  /// its container promised and that did not come (an estimate where it promises only a duration).
  var lostFrames: Int { get }
  /// How the video counts time; `nil` for image folders.
  var timing: VideoTiming? { get }
  /// The next frame, or `nil` at the end.
  func next() throws(MediaError) -> SourceFrame?
  /// Makes `next()` return frame `index`, exactly; beyond the last frame `next()` returns `nil`.
  ///
  /// The work is done by `next()`. Reading backward, frame by frame, is efficient: the reader
  /// decodes a stretch once and keeps it.
  func seek(to index: Int) throws(MediaError)
}

extension FrameSource {
  /// Nothing lost.
  public var lostFrames: Int { 0 }
  /// No clock.
  public var timing: VideoTiming? { nil }
}
