// Whole numbers that stand for reals, of any number of bits: what bytes of an integer plan are, and what
// simulated and trained networks round to.

/// How the whole numbers 0…highest stand for reals: real = (number - zeroPoint) · scale.
package struct RoundingRange: Sendable, Hashable {
  /// Real distance of two neighbouring numbers, more than 0.
  package let scale: Float
  /// The number that means 0.
  package let zeroPoint: Int
  package let highest: Int

  package init(scale: Float, zeroPoint: Int, highest: Int) {
    precondition(
      scale > 0 && (0...highest).contains(zeroPoint) && highest <= 255,
      "\(scale), \(zeroPoint) of \(highest)")
    self.scale = scale
    self.zeroPoint = zeroPoint
    self.highest = highest
  }

  /// What the bytes of an integer plan mean.
  package init(_ range: ByteRange) {
    self.init(
      scale: range.scale, zeroPoint: Int(range.zeroPoint),
      highest: QuantizationPrecision.kernels.highestActivation)
  }

  /// The same for an integer plan; traps for other ranges than 0…127.
  var byteRange: ByteRange {
    precondition(
      highest == QuantizationPrecision.kernels.highestActivation, "bytes of 0…\(highest)")
    return ByteRange(scale: scale, zeroPoint: UInt8(zeroPoint))
  }

  /// The range with a larger scale that reaches as far below 0, or 0 where that is nothing.
  func widened(to scale: Float) -> RoundingRange {
    let zeroPoint = (Float(zeroPoint) * self.scale / scale).rounded(.up)
    return .init(scale: scale, zeroPoint: min(Int(zeroPoint), highest), highest: highest)
  }

  /// The smallest and largest whole multiples of `scale`.
  package var limits: (low: Float, high: Float) {
    (Float(-zeroPoint), Float(highest - zeroPoint))
  }

  /// The nearest real that a number stands for; of two, the one with the even multiple of `scale`.
  package func rounded(_ real: Float) -> Float {
    let (low, high) = limits
    return min(max((real * (1 / scale)).rounded(.toNearestOrEven), low), high) * scale
  }

  /// Rounds reals in place.
  func round(_ reals: UnsafeMutablePointer<Float>, count: Int) {
    let (low, high) = limits
    let (scale, inverse) = (scale, 1 / scale)
    // Adding and taking away 1.5 · 2^23 rounds to the nearest whole number.
    let shift: Float = 0x1.8p23
    for index in 0..<count {
      let bounded = min(max(reals[index] * inverse, low), high)
      reals[index] = ((bounded + shift) - shift) * scale
    }
  }

  // MARK: - Files

  /// For metadata: scale, zero point, highest.
  var triple: [Float] { [scale, Float(zeroPoint), Float(highest)] }

  /// Reads `triple`; `nil` when it is no range.
  init?(triple: [Float]) {
    guard triple.count == 3, triple[0].isNormal, triple[0] > 0,
      [3, 7, 15, 31, 63, 127, 255].contains(triple[2]),
      triple[1] == triple[1].rounded(), (0...triple[2]).contains(triple[1])
    else { return nil }
    self.init(scale: triple[0], zeroPoint: Int(triple[1]), highest: Int(triple[2]))
  }
}
