// `--mask [FRAME:]FILE`.

import ArgumentParser
import MemoryVOS

/// A mask file and the frame that it was drawn on.
struct MaskArgument: ExpressibleByArgument, Equatable {
  /// Counted from 0; `nil` for the first frame that is tracked.
  let frame: Int?
  let path: String

  init?(argument: String) {
    if let colon = argument.firstIndex(of: ":"), let frame = Int(argument[..<colon]), frame >= 0 {
      self.frame = frame
      path = String(argument[argument.index(after: colon)...])
    } else {
      frame = nil
      path = argument
    }
    if path.isEmpty { return nil }
  }

  /// Reads the mask and fits it to frames of `size`; of its objects only the given ones are kept,
  /// all when there are none.
  func annotation(
    size: FrameSize, defaultFrame: Int, resizes: Bool, objects: [UInt8]
  ) throws -> ClipAnnotation {
    var mask = try MaskFile.read(path, role: .given)
    if mask.size != size {
      guard resizes else {
        throw CommandFailure(
          "\(path): the mask has \(mask.size) pixels, the frames have \(size); "
            + "draw it at that size or pass --resize-mask")
      }
      mask = mask.resized(to: size)
    }
    if !objects.isEmpty {
      mask.labels = mask.labels.map { objects.contains($0) ? $0 : 0 }
    }
    return ClipAnnotation(frame: frame ?? defaultFrame, mask: mask)
  }
}
