// Which held-out clips are scored during training, and how. Part of Recipe; Validation runs it.

public import MemoryVOS

/// The `validation` section of a recipe; clips named by the data sets' `hold_out` are added to it.
public struct ValidationRecipe: Codable, Sendable, Hashable {
  /// Data sets (davis, youtube-vos) whose listed clips are validated on and never trained on.
  public var data: [DatasetRecipe] = []
  /// Steps between validations; the last step is always followed by one.
  public var every = 1000
  /// Clips of each set at most, from the start of its list; 0 for all.
  public var clips = 0
  /// Annotated frames of each clip at most, from its start; 0 for all.
  public var frames = 0
  /// Short side of the network's input in pixels.
  public var size = 480
  /// Frames in memory, the first included; 0 for the network's own number.
  public var memory = 0
  /// How davis sets are scored; youtube-vos sets have their own protocol.
  public var scoringProtocol = ScoringProtocol.davis2017

  /// Every 1000 steps, as DAVIS scores.
  public init() {}

  /// What makes these values impossible, or `nil`.
  var problem: String? {
    for set in data {
      if let problem = set.problem { return problem }
      guard set.kind == .davis || set.kind == .youTubeVOS else {
        return "\(set.path): a \(set.kind.rawValue) set cannot be scored; use davis or youtube-vos"
      }
      guard set.holdOut.isEmpty else {
        return "\(set.path): 'hold_out' belongs to the sets in the recipe's own 'data'"
      }
    }
    guard every >= 1 else { return "every \(every), expected 1 or more" }
    guard clips >= 0, clips <= 1_000_000 else { return "clips \(clips), expected 0 or more" }
    guard frames == 0 || (3...1_000_000).contains(frames) else {
      return "frames \(frames), expected 0 (all) or at least 3: the first and the last do not count"
    }
    guard (16...4096).contains(size) else { return "size \(size), not in 16…4096" }
    guard (0...1024).contains(memory) else { return "memory \(memory), not in 0…1024" }
    guard scoringProtocol != .youTubeVOS else {
      return "protocol youtube-vos is for youtube-vos sets; expected davis2017, davis2016 or folder"
    }
    return nil
  }

  enum CodingKeys: String, CodingKey {
    case data, every, clips, frames, size, memory
    case scoringProtocol = "protocol"
  }
}
