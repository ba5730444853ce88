// Learning rate over the training, and the average of the weights that is kept as the result.

/// Linear warm-up, then half a cosine down to a floor.
public struct LearningRateSchedule: Sendable, Hashable, Codable {
  /// The rate at the top.
  public var peak: Double = 4e-4
  /// Steps of the warm-up: step s (from 0) has (s + 1) / `warmUp` of the rate.
  public var warmUp = 100
  /// Share of the peak that is left at the end.
  public var floor: Double = 0.02

  /// The prototype's schedule.
  public init() {}

  /// Reads the keys that are there and takes the defaults for the others.
  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    let defaults = Self()
    peak = try values.decodeIfPresent(Double.self, forKey: .peak) ?? defaults.peak
    warmUp = try values.decodeIfPresent(Int.self, forKey: .warmUp) ?? defaults.warmUp
    floor = try values.decodeIfPresent(Double.self, forKey: .floor) ?? defaults.floor
  }

  enum CodingKeys: String, CodingKey, CaseIterable {
    case peak
    case warmUp = "warm_up"
    case floor
  }

  /// What makes this impossible, or `nil`.
  public var problem: String? {
    guard peak > 0, peak.isFinite else { return "peak \(peak), not above 0" }
    guard warmUp >= 0 else { return "warm_up \(warmUp)" }
    guard (0...1).contains(floor) else { return "floor \(floor), not in 0…1" }
    return nil
  }

  /// The rate of step `step` (from 0) when `progress` (0…1) of the training is done.
  public func rate(step: Int, progress: Double) -> Double {
    let start = warmUp == 0 ? 1 : min(1, Double(step + 1) / Double(warmUp))
    let cosine = 0.5 * (1 - floor) * (1 + TrainingMath.cos(.pi * min(max(progress, 0), 1)))
    return peak * start * (floor + cosine)
  }
}

/// Exponential moving average of parameters.
public struct WeightAverage: Sendable {
  /// How much of the average a step keeps in the long run.
  public let decay: Double
  /// The average so far.
  public var parameters: ParameterSet

  /// An average that begins as `parameters`.
  public init(_ parameters: ParameterSet, decay: Double = 0.999) {
    precondition((0..<1).contains(decay), "decay \(decay), not in 0..<1")
    self.decay = decay
    self.parameters = parameters
  }

  /// Mixes in the parameters after step `step` (from 0).
  ///
  /// Early on less is kept, (step + 1) / (step + 10), so that the initial weights are soon forgotten.
  public mutating func update(_ other: ParameterSet, step: Int) {
    precondition(other.entries == parameters.entries, "parameters of another network")
    let keep = min(decay, Double(step + 1) / Double(step + 10))
    let share = Float(1 - keep)
    parameters.scalars.withUnsafeMutableBufferPointer { average in
      other.scalars.withUnsafeBufferPointer { other in
        for index in average.indices { average[index] += share * (other[index] - average[index]) }
      }
    }
  }
}

extension ParameterSet {
  /// The plain mean of several sets of the same network ("model soup", Wortsman et al., ICML 2022).
  public static func mean(_ sets: [ParameterSet]) -> ParameterSet {
    precondition(!sets.isEmpty, "the mean of no parameters")
    var result = sets[0]
    for index in result.scalars.indices {
      var sum = 0.0
      for set in sets { sum += Double(set.scalars[index]) }
      result.scalars[index] = Float(sum / Double(sets.count))
    }
    for set in sets { precondition(set.entries == result.entries, "another network") }
    return result
  }
}
