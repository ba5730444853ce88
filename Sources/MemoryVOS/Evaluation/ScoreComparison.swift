// Two result sets against each other: who wins where, and whether it could be chance.

/// The difference of two scores of the same objects, the first less the second.
public struct ScoreComparison: Sendable, Codable {
  /// One object in both.
  public struct Object: Sendable, Codable {
    /// The sequence's name.
    public let sequence: String
    /// The object's label.
    public let object: UInt8
    /// Difference of mean J.
    public let region: Double
    /// Difference of mean F.
    public let boundary: Double
    /// Difference of flicker.
    public let flicker: Double
    /// Difference of J&F.
    public var mean: Double { (region + boundary) / 2 }
  }

  /// The first set's name.
  public let name: String
  /// The second set's name.
  public let other: String
  /// Every object, in the order of the scores.
  public let objects: [Object]
  /// Mean difference of J&F over objects.
  public let mean: Double
  /// Mean difference of J.
  public let region: Double
  /// Mean difference of F.
  public let boundary: Double
  /// Objects where the first set's J&F is larger by more than `tieWidth`.
  public let wins: Int
  /// Objects where it is smaller by more than `tieWidth`.
  public let losses: Int
  /// Objects where it is neither.
  public let ties: Int
  /// The middle 95 % of the mean difference over bootstrap samples of the sequences.
  public let low: Double
  /// See `low`.
  public let high: Double
  /// How many sequences were drawn from: below about ten, the interval is a rough guide.
  public let sequences: Int
  /// Bootstrap samples.
  public let samples: Int
  /// Seed of the samples.
  public let seed: UInt64

  /// Differences up to this count as a tie: a rounding, not a change.
  public static let tieWidth = 0.0005

  /// Compares two scores.
  ///
  /// The interval is the percentile bootstrap over sequences (not objects or frames, which are not
  /// independent): sequences are drawn with replacement and all their objects come along.
  ///
  /// - Parameters:
  ///   - score: the first result set.
  ///   - other: the second one.
  ///   - samples: bootstrap samples, at least 1.
  ///   - seed: of the samples; the same seed gives the same interval everywhere.
  /// - Throws: `MediaError` when the two do not hold the same objects.
  public init(
    _ score: ResultScore, against other: ResultScore, samples: Int = 10_000, seed: UInt64 = 1
  ) throws(MediaError) {
    precondition(samples > 0, "a bootstrap of \(samples) samples")
    guard score.objects.map(\.name) == other.objects.map(\.name) else {
      throw MediaError(
        path: other.name, problem: "holds other objects than \(score.name); they cannot be compared"
      )
    }
    name = score.name
    self.other = other.name
    objects = zip(score.objects, other.objects).map { a, b in
      Object(
        sequence: a.sequence, object: a.object, region: a.region.mean - b.region.mean,
        boundary: a.boundary.mean - b.boundary.mean, flicker: a.flicker - b.flicker)
    }
    region = MeasureStatistics.mean(objects.map(\.region))
    boundary = MeasureStatistics.mean(objects.map(\.boundary))
    mean = MeasureStatistics.mean(objects.map(\.mean))
    wins = objects.count { $0.mean > Self.tieWidth }
    losses = objects.count { $0.mean < -Self.tieWidth }
    ties = objects.count - wins - losses
    self.samples = samples
    self.seed = seed
    var groups: [(sum: Double, count: Int)] = []
    var group: [String: Int] = [:]
    for object in objects {
      let index = group[object.sequence] ?? groups.count
      if index == groups.count {
        group[object.sequence] = index
        groups.append((0, 0))
      }
      groups[index].sum += object.mean
      groups[index].count += 1
    }
    sequences = groups.count
    var random = SplitMix64(state: seed)
    var means: [Double] = []
    means.reserveCapacity(samples)
    for _ in 0..<samples {
      var sum = 0.0
      var count = 0
      for _ in groups.indices {
        let drawn = groups[Int(random.next(below: UInt64(groups.count)))]
        sum += drawn.sum
        count += drawn.count
      }
      means.append(sum / Double(count))
    }
    means.sort()
    low = Self.quantile(0.025, of: means)
    high = Self.quantile(0.975, of: means)
  }

  /// Linear interpolation between the neighbouring order statistics.
  private static func quantile(_ fraction: Double, of sorted: [Double]) -> Double {
    let position = fraction * Double(sorted.count - 1)
    let index = Int(position)
    let next = min(index + 1, sorted.count - 1)
    return sorted[index] + (position - Double(index)) * (sorted[next] - sorted[index])
  }
}

/// Steele, Lea, Flood: "Fast splittable pseudorandom number generators", OOPSLA 2014.
private struct SplitMix64 {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
    return mixed ^ mixed >> 31
  }

  /// A number below `limit`; the bias is below limit / 2⁶⁴.
  mutating func next(below limit: UInt64) -> UInt64 { next().multipliedFullWidth(by: limit).high }
}
