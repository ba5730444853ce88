// JSON on standard output: keys in snake case, sorted, numbers rounded to what they are worth.

import Foundation

enum JSONOutput {
  static func print(_ value: some Encodable) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    encoder.keyEncodingStrategy = .convertToSnakeCase
    var data = try encoder.encode(value)
    data.append(0x0a)
    FileHandle.standardOutput.write(data)
  }

  static func rounded(_ value: Double, digits: Int = 3) -> Double {
    let scale = pow(10, Double(digits))
    return (value * scale).rounded() / scale
  }
}

/// Median and tail of a series of times.
struct TimeStatistics: Encodable {
  let medianMs: Double
  let p95Ms: Double
  let minMs: Double

  /// Statistics of times in seconds; zero for none.
  init(_ seconds: [Double]) {
    let sorted = seconds.sorted()
    func quantile(_ q: Double) -> Double {
      guard let last = sorted.last else { return 0 }
      let place = q * Double(sorted.count - 1)
      let below = sorted[Int(place)]
      let above = Int(place) + 1 < sorted.count ? sorted[Int(place) + 1] : last
      return JSONOutput.rounded((below + (above - below) * (place - place.rounded(.down))) * 1000)
    }
    medianMs = quantile(0.5)
    p95Ms = quantile(0.95)
    minMs = quantile(0)
  }
}
