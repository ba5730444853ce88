// The size of a picture from its first bytes, so that a whole data set is checked in seconds.
// DatasetFiles asks before training starts.

import Foundation
import MemoryVOS

/// Reads headers of PNG and JPEG files.
enum PictureHeader {
  /// Width and height as stored; `nil` for other formats and for files that end early.
  ///
  /// The picture itself may be turned by its metadata.
  static func size(_ path: String) -> FrameSize? {
    guard let file = fopen(path, "rb") else { return nil }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 24)
    guard fread(&bytes, 1, 24, file) == 24 else { return nil }
    func number(_ bytes: ArraySlice<UInt8>) -> Int { bytes.reduce(0) { $0 << 8 | Int($1) } }
    if bytes[0..<8] == [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a] {
      return size(width: number(bytes[16..<20]), height: number(bytes[20..<24]))
    }
    guard bytes[0..<2] == [0xff, 0xd8] else { return nil }
    // Segments: 0xff, kind, length of what follows; the frame header has height and width.
    var position = 2
    for _ in 0..<10_000 {
      guard fseek(file, position, SEEK_SET) == 0, fread(&bytes, 1, 9, file) == 9,
        bytes[0] == 0xff
      else { return nil }
      switch bytes[1] {
      case 0xff: position += 1
      case 0xc4, 0xc8, 0xcc: position += 2 + number(bytes[2..<4])
      case 0xc0...0xcf:
        return size(width: number(bytes[7..<9]), height: number(bytes[5..<7]))
      case 0xd8, 0x01: position += 2
      default: position += 2 + number(bytes[2..<4])
      }
    }
    return nil
  }

  private static func size(width: Int, height: Int) -> FrameSize? {
    guard (1...1 << 20).contains(width), (1...1 << 20).contains(height) else { return nil }
    return FrameSize(width: width, height: height)
  }
}

extension DatasetFiles {
  /// Throws unless the picture has the size of its mask; `mask` is the mask's, `name` its file.
  ///
  /// Headers are compared; only a picture whose header disagrees is decoded, since metadata may turn
  /// it. What cannot be read at all is left to the samples, which skip it with a message.
  func checkSize(
    of picture: String, mask: FrameSize?, name: String
  ) throws(TrainingError) {
    guard let mask, let header = PictureHeader.size(picture), header != mask else { return }
    guard let frame = try? PictureStore.decode(.file(picture)), frame.size != mask else { return }
    throw TrainingError(name, "a mask of \(mask) for a frame of \(frame.size)")
  }

  /// Throws unless all frames of a clip have one size, and masks the same.
  func checkSizes(_ items: [TrainingClip.Item]) throws(TrainingError) {
    var first: FrameSize?
    for item in items {
      guard case .file(let mask, .labels) = item.mask, let size = PictureHeader.size(mask) else {
        continue
      }
      try checkSize(of: item.picture.path, mask: size, name: mask)
      if let first, first != size {
        throw TrainingError(mask, "a mask of \(size), the clip's first has \(first)")
      }
      first = size
    }
  }
}
