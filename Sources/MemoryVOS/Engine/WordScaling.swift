// How sums of a dense convolution become bytes: contract of `gemm`, CKernelsInt8.h.

/// Sums are shifted, saturate to 16 bits, and are multiplied in Q15, or in Q18 where an addend follows:
/// eighths of a byte.
///
/// Scales are in units of the result per unit of the sum. The shift is that of a whole convolution and as
/// small as its finest channel allows: what saturates must lie beyond the bytes, with whatever addend.
/// Multipliers of the other channels are larger.
struct WordScaling {
  /// 0…31.
  let shift: Int
  /// The scale that a multiplier of 1 stands for.
  let unit: Double
  /// The multiplier at which words reach just as far as they must.
  let leastMultiplier: Double
  /// The largest multiplier.
  static let most = Double(Int16.max)

  /// - Parameters:
  ///   - finest: The least of the channels' scales, more than 0. What files round it by does not count.
  ///   - addend: Units of the result per unit of the addend, at most `mostAddend`; `nil` without one.
  init(finest: Double, addend: Double?) {
    let fraction = addend == nil ? 0x1p-15 : 0x1p-18
    leastMultiplier = 0x1p-8 / fraction * max(1, addend ?? 1)
    var shift = 0
    while shift < 31,
      finest < leastMultiplier * fraction / Double(1 << shift) * (1 - 0x1p-20)
    {
      shift += 1
    }
    self.shift = shift
    unit = fraction / Double(1 << shift)
  }

  /// The multiplier nearest to a scale.
  func multiplier(_ scale: Double) -> Int16 { Int16(min((scale / unit).rounded(), Self.most)) }

  /// The next scale up that a multiplier stands for exactly, at most the largest.
  func exact(above scale: Double) -> Double {
    min((scale / unit * (1 - 0x1p-20)).rounded(.up), Self.most) * unit
  }

  // MARK: - Choosing scales

  /// Weights of channels that would need more than this are cut.
  static func coarsest(addend: Double?) -> Double {
    addend.map { 0.1 / max(1, $0) } ?? 0.499
  }

  /// No channel is finer than this when others are as coarse as `coarsest`.
  ///
  /// With an addend multipliers reach no further. Without one, words of the coarsest channel are 1/8 of a
  /// byte at best, and 2^-8 is fine enough for any.
  static func finest(besides coarsest: Double, addend: Double?) -> Double {
    if let addend { return coarsest * max(1, addend) / 14 }
    return max(coarsest / 112, min(coarsest / 14, 0x1p-8))
  }

  // MARK: - Addends

  /// Q11 multiplier of an addend.
  static func addendMultiplier(_ addend: Double) -> Int16 { Int16((addend * 2048).rounded()) }
  static let mostAddend = 4.0
}
