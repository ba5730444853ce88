// What makes a teacher of a checkpoint: how large it sees, how long it remembers, what is averaged. The
// `teacher` section of a recipe, and the options of `vos-cli teach`.

import MemoryVOS

/// A checkpoint as a teacher, with options that make it stronger than its student.
public struct TeacherRecipe: Codable, Sendable, Hashable {
  /// The checkpoint, relative to the recipe's folder; empty for no teacher.
  public var checkpoint = ""
  /// Short side of the teacher's input in pixels, before `scales`; 0 for the frames' own.
  public var size = 0
  /// Factors on `size`: the teacher sees each frame once per factor, and its probabilities are
  /// averaged.
  ///
  /// Features come from the first.
  public var scales = [1.0]
  /// Whether each frame is also seen mirrored, and averaged with the rest.
  public var flip = false
  /// Frames in the teacher's memory, the first included.
  public var memory = 2
  /// Memory entries that each position reads; 0 for all, -1 for the checkpoint's own number.
  public var topK = -1

  /// No teacher: `checkpoint` must be set.
  public init() {}

  /// What makes these values impossible, or `nil`.
  public var problem: String? {
    guard size == 0 || (16...4096).contains(size) else {
      return "size \(size), expected 0 (the frames' own) or 16…4096"
    }
    guard (1...8).contains(scales.count), scales.allSatisfy({ (0.1...8).contains($0) }) else {
      return "scales \(scales), expected 1 to 8 factors in 0.1…8"
    }
    guard (1...1024).contains(memory) else { return "memory \(memory), not in 1…1024" }
    guard (-1...65536).contains(topK) else { return "top_k \(topK), not in -1…65536" }
    return nil
  }

  /// The tracker of one scale for frames of a size.
  func configuration(
    scale: Double, frameSize: FrameSize, threads: Int?
  ) -> Tracker.Configuration {
    var configuration = Tracker.Configuration()
    let side = size == 0 ? min(frameSize.width, frameSize.height) : size
    configuration.inputSize = .shortSide(max(16, Int((Double(side) * scale).rounded())))
    configuration.memoryFrames = memory
    configuration.topK = topK < 0 ? nil : topK
    // Features and scales are those of whole frames.
    configuration.zoomLimit = 0
    configuration.threads = threads
    return configuration
  }

  enum CodingKeys: String, CodingKey {
    case checkpoint, size, scales, flip, memory
    case topK = "top_k"
  }
}
