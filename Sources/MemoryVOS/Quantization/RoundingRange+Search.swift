// Which reals the numbers of a tensor should stand for.

extension RoundingRange {
  /// The range 0…highest with the least mean squared error on samples, found on a grid of limits from
  /// 30 % of the samples' extremes to all of them.
  ///
  /// Zero is always a number's exact meaning: convolutions pad with it.
  static func leastError(_ samples: [Float], highest: Int) -> RoundingRange {
    let low = min(samples.min() ?? 0, 0)
    let high = max(samples.max() ?? 0, 0)
    guard high - low > 1e-6 else {
      return RoundingRange(scale: 1e-6, zeroPoint: 0, highest: highest)
    }
    let bins = histogram(samples, low: low, high: high)
    let shares = (0..<29).map { 0.3 + 0.025 * Float($0) }
    var best: (error: Float, range: RoundingRange)?
    for lowShare in low < 0 ? shares : [1] {
      for highShare in high > 0 ? shares : [1] {
        let (least, most) = (low * lowShare, high * highShare)
        let scale = (most - least) / Float(highest)
        let range = RoundingRange(
          scale: scale, zeroPoint: Int((-least / scale).rounded()), highest: highest)
        let error = range.error(bins)
        if error < best?.error ?? .infinity { best = (error, range) }
      }
    }
    return best?.range
      ?? RoundingRange(scale: (high - low) / Float(highest), zeroPoint: 0, highest: highest)
  }

  /// Squared error, summed.
  private func error(_ bins: [(center: Float, count: Float)]) -> Float {
    let (zero, last) = (Float(zeroPoint), Float(highest))
    let inverse = 1 / scale
    var sum: Float = 0
    for (center, count) in bins {
      let number = min(max((center * inverse).rounded(.toNearestOrEven) + zero, 0), last)
      let difference = (number - zero) * scale - center
      sum += difference * difference * count
    }
    return sum
  }

  private static func histogram(
    _ samples: [Float], low: Float, high: Float
  ) -> [(center: Float, count: Float)] {
    let count = 1024
    let width = (high - low) / Float(count)
    var bins = [Float](repeating: 0, count: count)
    for sample in samples { bins[min(count - 1, Int((sample - low) / width))] += 1 }
    return bins.enumerated().filter { $1 > 0 }.map { (low + (Float($0) + 0.5) * width, $1) }
  }
}
