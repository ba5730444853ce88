// Comparisons of arrays for tests: every element, the worst one named, NaN never equal.

/// The largest absolute difference of two arrays and where it is.
public struct Difference: Sendable, CustomStringConvertible {
  /// The largest absolute difference; infinite when counts differ or a NaN meets a number.
  public let maximum: Float
  /// The element where it was found.
  public let index: Int
  /// The two values there, and the largest magnitude among the expected ones.
  public let actual: Float
  /// What was expected there.
  public let expected: Float
  /// The largest magnitude among the expected values.
  public let scale: Float

  /// Compares `actual` with `expected`, element by element.
  public init(_ actual: [Float], _ expected: [Float]) {
    var worst: (Float, Int) = (0, 0)
    var scale: Float = 0
    if actual.count != expected.count { worst = (.infinity, 0) }
    for (index, (a, e)) in zip(actual, expected).enumerated() {
      scale = max(scale, abs(e))
      let difference = abs(a - e)
      if !(difference <= worst.0) { worst = (difference.isNaN ? .infinity : difference, index) }
    }
    maximum = worst.0
    index = worst.1
    self.scale = scale
    self.actual = worst.1 < actual.count ? actual[worst.1] : .nan
    self.expected = worst.1 < expected.count ? expected[worst.1] : .nan
  }

  /// "max 0.1 at 17: 1.0 instead of 1.1 (scale 3)".
  public var description: String {
    "max \(maximum) at \(index): \(actual) instead of \(expected) (scale \(scale))"
  }
}
