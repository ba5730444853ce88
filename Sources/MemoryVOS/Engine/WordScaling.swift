// How sums of a dense convolution become bytes: contract of `gemm`, CKernelsInt8.h.

/// Sums are shifted, saturate to 16 bits, and are multiplied in Q15, or in Q18 where an addend follows: eighths of a byte.
///
/// The shift is that of a whole convolution and as small as its finest channel allows: what saturates
/// must lie beyond the bytes. Multipliers of the others are larger.
struct WordScaling {
  /// 0…31.
  let shift: Int
  /// The scale, in units of the result per unit of the sum, that a multiplier of 1 stands for.
  let unit: Double
  /// Multipliers from this up to 2^15 - 1 make bytes of sums without loss.
  let leastMultiplier: Double
  /// The largest multiplier.
  static let most = Double(Int16.max)

  /// - Parameters:
  ///   - finest: The least of the channels' scales, more than 0.
  ///   - isAdded: Whether an addend follows.
  init(finest: Double, isAdded: Bool) {
    leastMultiplier = isAdded ? 2048 : 128
    let fraction = isAdded ? 0x1p-18 : 0x1p-15
    var shift = 0
    while shift < 31, finest < leastMultiplier * fraction / Double(1 << shift) { shift += 1 }
    self.shift = shift
    unit = fraction / Double(1 << shift)
  }

  /// The multiplier nearest to a scale.
  func multiplier(_ scale: Double) -> Int16 { Int16(min((scale / unit).rounded(), Self.most)) }

  /// The next scale up that a multiplier stands for exactly, at most the largest.
  func exact(above scale: Double) -> Double {
    min((scale / unit).rounded(.up), Self.most) * unit
  }

  /// How much finer than the coarsest channel of a convolution others may be. Words of the coarsest are
  /// then at most 1/8 of a byte.
  static func spread(isAdded: Bool) -> Double { isAdded ? 7 : 14 }

  /// Q11 multiplier of an addend whose unit is `scale` units of the result, below `mostAddend`.
  static func addendMultiplier(_ scale: Float) -> Int16 { Int16((scale * 2048).rounded()) }
  static let mostAddend: Float = 15
}
