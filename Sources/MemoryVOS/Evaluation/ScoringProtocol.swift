// Which frames and objects count: the protocols of the field.

/// A way of scoring results against truth.
public enum ScoringProtocol: String, Sendable, CaseIterable, Codable {
  /// DAVIS-2017, semi-supervised: objects are 1…n, n the largest label of the first frame; the first
  /// and the last frame do not count.
  case davis2017
  /// DAVIS-2016: every label but 0 is one object; the first and the last frame do not count.
  case davis2016
  /// YouTube-VOS, as this library reads it: objects are all labels of the truth; an object counts on
  /// the annotated frames after its first appearance; the score is the mean of J and F over seen and
  /// unseen categories.
  case youTubeVOS = "youtube-vos"
  /// A folder of truth against a folder of results: objects are all labels of the truth, and every
  /// frame counts.
  case folder

  /// Whether the first and the last frame of a sequence are left out.
  var excludesEnds: Bool { self == .davis2017 || self == .davis2016 }
}

/// How to score.
public struct ScoringOptions: Sendable {
  /// Which frames and objects count.
  public var scoringProtocol: ScoringProtocol
  /// Whether YouTube-VOS objects also count on the frame where they first appear, which is given.
  public var includesFirstAppearance = false
  /// Whether numbers follow the official DAVIS tool where it is wrong: decay of more than 256 frames
  /// is cut at positions modulo 256, and void truth counts as background.
  public var isCompatible = false
  /// Groups of categories for YouTube-VOS; `nil` when they are not known.
  public var categories: CategoryGroups?

  /// Options for a protocol.
  public init(_ scoringProtocol: ScoringProtocol) {
    self.scoringProtocol = scoringProtocol
  }
}
