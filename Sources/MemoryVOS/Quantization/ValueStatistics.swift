// What calibration sees of a network's values: samples for ranges, means for bias correction.

/// Statistics of named values over all the frames of a calibration.
///
/// Used by one thread.
final class ValueStatistics {
  /// One value's.
  struct Value {
    var samples: [Float] = []
    var sums: [Double] = []
    var pixels = 0
    var calls = 0

    /// The mean of each channel.
    var means: [Double] { sums.map { $0 / Double(max(1, pixels)) } }
  }

  private(set) var values: [String: Value] = [:]

  /// Scalars kept of each map.
  private static let samplesPerMap = 1500

  /// Looks at a map: every so many scalars, and every eighth row.
  func add(_ name: String, _ map: FeatureMap) {
    var value = values.removeValue(forKey: name) ?? Value()
    let shape = map.shape
    let line = shape.width * shape.channels
    let step = max(1, shape.count / Self.samplesPerMap) | 1
    var next = value.calls * 7 % step
    while next < shape.count {
      value.samples.append(map.row(next / line)[next % line])
      next += step
    }
    if value.sums.isEmpty { value.sums = [Double](repeating: 0, count: shape.channels) }
    for y in stride(from: value.calls % 8, to: shape.height, by: 8) {
      let row = map.row(y)
      for channel in 0..<shape.channels {
        var sum: Float = 0
        for x in stride(from: channel, to: line, by: shape.channels) { sum += row[x] }
        value.sums[channel] += Double(sum)
      }
      value.pixels += shape.width
    }
    value.calls += 1
    values[name] = value
  }
}
