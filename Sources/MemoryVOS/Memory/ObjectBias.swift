// How much a memory read trusts what predicted frames say about objects. `MemoryReader` adds it to scores.

/// What is added to a memory position's score for the share of it that objects cover, in nats: the
/// softmax weight of a covered position is multiplied by the exponential.
///
/// Masks of predicted frames lose parts and grow false ones, and memory repeats them. A positive bias for
/// the newest frame keeps parts that came into view lately; a negative one for the older frame, beside
/// the background it remembers as it is, makes errors die out. With several objects the labels of
/// predicted frames may also be swapped, so that they need other values. The annotated frame has none,
/// nor have trackers with fewer than three frames in memory, where no older frame tempers the newest.
/// Not part of training: chosen for trained weights, like top-k.
public struct ObjectBias: Sendable, Hashable, Codable {
  /// In the newest frame.
  public var newest = 0.0
  /// In the older predicted frames.
  public var older = 0.0
  /// In the newest frame when more than one object is tracked.
  public var newestOfSeveral = 0.0
  /// In the older predicted frames then.
  public var olderOfSeveral = 0.0

  /// No bias.
  public init() {}

  /// Reads the keys that are there; the others are 0.
  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    newest = try values.decodeIfPresent(Double.self, forKey: .newest) ?? 0
    older = try values.decodeIfPresent(Double.self, forKey: .older) ?? 0
    newestOfSeveral = try values.decodeIfPresent(Double.self, forKey: .newestOfSeveral) ?? 0
    olderOfSeveral = try values.decodeIfPresent(Double.self, forKey: .olderOfSeveral) ?? 0
  }

  /// The bias of one predicted frame while `objects` are tracked.
  func value(isNewest: Bool, objects: Int) -> Float {
    objects > 1
      ? Float(isNewest ? newestOfSeveral : olderOfSeveral) : Float(isNewest ? newest : older)
  }

  /// Whether it is finite and within -20…20, beyond which a frame is read alone or not at all.
  var isPossible: Bool {
    [newest, older, newestOfSeveral, olderOfSeveral].allSatisfy { (-20...20).contains($0) }
  }

  enum CodingKeys: String, CodingKey {
    case newest
    case older
    case newestOfSeveral = "newest_of_several"
    case olderOfSeveral = "older_of_several"
  }
}
