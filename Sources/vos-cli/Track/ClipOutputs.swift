// What `track` writes besides masks: overlay video, soft masks, COCO RLE, measurements.

import MemoryVOS

final class ClipOutputs {
  init(_ options: FurtherOutputs, input: String, source: any FrameSource) throws {
  }

  /// Whether anything is written that needs frames in order.
  var wantsOrder: Bool { false }

  /// Writes what does not depend on the order of frames.
  func computed(_ step: PropagationStep, tracker: borrowing Tracker) throws {
  }

  /// Writes what does.
  func inOrder(_ step: PropagationStep) throws {
  }

  /// Completes every file.
  func finish() throws {
  }
}
