// The way in: one function that opens whatever the user named.

import Foundation

/// Reading and writing of videos and images.
public enum Media {
  /// Opens a video file, a folder of images, one image, a TIFF stack, or `-` for standard input.
  ///
  /// - Parameters:
  ///   - input: A path, a URL with `://`, or `-`.
  ///   - threads: Pictures of a video that are decoded at the same time.
  /// - Returns: The frames, in order.
  /// - Throws: `MediaError` when the input does not exist or holds no picture that can be read.
  public static func openFrames(
    _ input: String, threads: Int = 2
  ) throws(MediaError) -> any FrameSource {
    try VideoReader(input, threads: threads)
  }
}
