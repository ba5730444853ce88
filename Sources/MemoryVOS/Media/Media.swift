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
    if input == "-" || input.contains("://") { return try VideoReader(input, threads: threads) }
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: input, isDirectory: &isFolder) else {
      throw MediaError(path: input, problem: MediaError.reason(ENOENT))
    }
    if isFolder.boolValue {
      let images = try ImageFolderReader.images(in: input)
      if images.count == 1, kind(of: images[0]) == .tiff { return try TIFFStackReader(images[0]) }
      return try ImageFolderReader(files: images)
    }
    switch kind(of: input) {
    case .tiff: return try openTIFF(input)
    case .codec: return try ImageFolderReader(files: [input])
    case nil: return try VideoReader(input, threads: threads)
    }
  }

  /// The name of a frame that has none of its own: five digits or more.
  static func stem(ofFrame index: Int) -> String {
    let digits = String(index)
    return String(repeating: "0", count: max(0, 5 - digits.count)) + digits
  }

  private static func openTIFF(_ path: String) throws(MediaError) -> any FrameSource {
    let pages = try TIFFFile(path).pageCount
    return pages > 1 ? try TIFFStackReader(path) : try ImageFolderReader(files: [path])
  }

  /// What a regular file's first bytes say; pipes are not touched.
  private static func kind(of path: String) -> ImageDecoder.Kind? {
    var status = stat()
    guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG,
      let file = fopen(path, "rb")
    else { return nil }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 16)
    let count = fread(&bytes, 1, bytes.count, file)
    return ImageDecoder.kind(of: bytes.prefix(count), path: path)
  }
}
