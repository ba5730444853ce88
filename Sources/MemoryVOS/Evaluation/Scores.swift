// What scoring returns. Scorer fills these in; the tables, the report and the JSON read them.

/// The measures of one object on one frame.
public struct FrameScore: Sendable, Equatable, Codable {
  /// The frame's file name without extension.
  public let frame: String
  /// Region similarity J, 0…1.
  public let region: Double
  /// Boundary accuracy F, 0…1.
  public let boundary: Double
  /// How much more the result changed since the annotated frame before than the truth did, relative
  /// to the object's size; at least 0, `nil` on a sequence's first frame.
  public let flicker: Double?

  /// (J + F) / 2.
  public var mean: Double { (region + boundary) / 2 }
}

/// The measures of one object over its sequence.
public struct ObjectScore: Sendable, Equatable, Codable {
  /// The sequence's folder name.
  public let sequence: String
  /// The object's label; 1 in DAVIS-2016.
  public let object: UInt8
  /// The frames that count, in order.
  public let frames: [FrameScore]
  /// J over those frames.
  public let region: MeasureStatistics
  /// F over those frames.
  public let boundary: MeasureStatistics
  /// Mean flicker over those frames.
  public let flicker: Double
  /// Whether the object's category occurs in the training set (YouTube-VOS with known groups).
  public let isSeen: Bool?

  /// "sequence_object", as the official tables name it.
  public var name: String { "\(sequence)_\(object)" }
  /// (mean J + mean F) / 2.
  public var mean: Double { (region.mean + boundary.mean) / 2 }

  init(
    sequence: String, object: UInt8, frames: [FrameScore], isCompatible: Bool, isSeen: Bool?
  ) {
    self.sequence = sequence
    self.object = object
    self.frames = frames
    region = MeasureStatistics(frames.map(\.region), isCompatible: isCompatible)
    boundary = MeasureStatistics(frames.map(\.boundary), isCompatible: isCompatible)
    let flickers = frames.compactMap(\.flicker)
    flicker = flickers.isEmpty ? 0 : MeasureStatistics.mean(flickers)
    self.isSeen = isSeen
  }
}

/// A mean over objects, each object weighing the same.
public struct GroupScore: Sendable, Equatable, Codable {
  /// How many objects.
  public let objects: Int
  /// Means of the objects' J statistics.
  public let region: MeasureStatistics
  /// Means of the objects' F statistics.
  public let boundary: MeasureStatistics
  /// Mean of the objects' flicker.
  public let flicker: Double

  /// (mean J + mean F) / 2.
  public var mean: Double { (region.mean + boundary.mean) / 2 }

  init(_ scores: [ObjectScore]) {
    objects = scores.count
    region = MeasureStatistics(averaging: scores.map(\.region))
    boundary = MeasureStatistics(averaging: scores.map(\.boundary))
    flicker = MeasureStatistics.mean(scores.map(\.flicker))
  }
}

/// The score of one result set.
public struct ResultScore: Sendable, Equatable, Codable {
  /// The result set's name.
  public let name: String
  /// The protocol that was used.
  public let scoringProtocol: ScoringProtocol
  /// Every object, sequence by sequence, by label.
  public let objects: [ObjectScore]
  /// The mean over all objects.
  public let global: GroupScore
  /// Means over the objects of seen and of unseen categories, where these are known.
  public let seen: GroupScore?
  /// See `seen`.
  public let unseen: GroupScore?
  /// Frames that were compared.
  public let frameCount: Int
  /// What a reader of the numbers should know, a sentence each.
  public let notes: [String]

  /// The one number: YouTube-VOS G over both groups where they are known, else J&F over all objects.
  public var overall: Double {
    guard let seen, let unseen else { return global.mean }
    return (seen.region.mean + seen.boundary.mean + unseen.region.mean + unseen.boundary.mean) / 4
  }
}

extension MeasureStatistics {
  /// The mean of each statistic.
  init(averaging all: [MeasureStatistics]) {
    mean = Self.mean(all.map(\.mean))
    recall = Self.mean(all.map(\.recall))
    decay = Self.mean(all.map(\.decay))
  }
}
