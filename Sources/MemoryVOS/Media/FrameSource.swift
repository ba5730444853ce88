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

/// Frames in order, one at a time. A source has one owner.
public protocol FrameSource: AnyObject {
  /// Size of every frame, after rotation. A frame of another size is an error of `next()`.
  var size: FrameSize { get }
  /// Number of frames: exact for folders, the container's estimate for videos, `nil` for pipes.
  var frameCount: Int? { get }
  /// Whether `seek(to:)` works; false for pipes.
  var isSeekable: Bool { get }
  /// The next frame, or `nil` at the end.
  func next() throws(MediaError) -> SourceFrame?
  /// Makes `next()` return frame `index`, exactly.
  func seek(to index: Int) throws(MediaError)
}
