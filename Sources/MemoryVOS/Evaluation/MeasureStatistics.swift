// From values per frame to the numbers of a table. Sums go in the order in which numpy adds, so that
// the last digits are those of the official tool.

/// Mean, recall and decay of a measure over the frames of one object.
public struct MeasureStatistics: Sendable, Equatable, Codable {
  /// The mean over frames.
  public let mean: Double
  /// The fraction of frames above 0.5.
  public let recall: Double
  /// The mean of the first quarter of the frames less that of the last.
  public let decay: Double

  /// Statistics of values in frame order; all are NaN when there are none.
  ///
  /// Quarters overlap by one frame, as the official tool cuts them: with n values, they end at the
  /// rounded points of 1, 1 + (n − 1)/4, …, n.
  ///
  /// - Parameters:
  ///   - values: one value per frame.
  ///   - isCompatible: whether quarters are cut at positions modulo 256, as the official tool does
  ///     by mistake: with more than 256 values, decay then means nothing or is NaN.
  public init(_ values: [Double], isCompatible: Bool = false) {
    mean = Self.mean(values)
    recall = Double(values.count { $0 > 0.5 }) / Double(values.count)
    let ends = (0...4).map { quarter -> Int in
      let point = 1 + Double(quarter) * (Double(values.count - 1) / 4)
      let end = Int((point + 1e-10).rounded(.toNearestOrEven)) - 1
      return isCompatible ? Int(UInt8(truncatingIfNeeded: end)) : end
    }
    func quarter(_ index: Int) -> Double {
      let first = max(0, ends[index])
      let last = min(ends[index + 1] + 1, values.count)
      return Self.mean(first < last ? Array(values[first..<last]) : [])
    }
    decay = quarter(0) - quarter(3)
  }

  /// The arithmetic mean; NaN of nothing.
  static func mean(_ values: [Double]) -> Double { sum(values[...]) / Double(values.count) }

  /// numpy's pairwise sum: eight running sums for up to 128 values, halves beyond.
  private static func sum(_ values: ArraySlice<Double>) -> Double {
    let start = values.startIndex
    let count = values.count
    if count < 8 { return values.reduce(0, +) }
    if count > 128 {
      let half = count / 2 - count / 2 % 8
      return sum(values[..<(start + half)]) + sum(values[(start + half)...])
    }
    var sums = Array(values[start..<start + 8])
    var index = start + 8
    while index + 8 <= values.endIndex {
      for lane in 0..<8 { sums[lane] += values[index + lane] }
      index += 8
    }
    let total =
      ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]))
    return values[index...].reduce(total, +)
  }
}
