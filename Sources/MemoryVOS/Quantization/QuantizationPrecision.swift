// How many bits weights and activations have. Quantizer, simulated networks and training with rounding
// share it.

/// Bits of a network's weights and activations.
public struct QuantizationPrecision: Sendable, Hashable, CustomStringConvertible {
  /// Bits of a weight, its sign included: 2…8, or 32 for floats.
  public let weightBits: Int
  /// Bits of an activation: 2…8, or 32 for floats.
  public let activationBits: Int

  /// Such a precision; see `problem`.
  public init(weightBits: Int, activationBits: Int) {
    self.weightBits = weightBits
    self.activationBits = activationBits
  }

  /// What the integer kernels compute.
  public static let kernels = Self(weightBits: 8, activationBits: 7)

  /// Reads weights / activations, such as "6/4"; `nil` for anything else.
  public init?(_ text: String) {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count == 2, let weights = Int(parts[0]), let activations = Int(parts[1]) else {
      return nil
    }
    self.init(weightBits: weights, activationBits: activations)
    guard problem == nil else { return nil }
  }

  /// What makes this precision impossible, or `nil`.
  public var problem: String? {
    for (name, bits) in [("weight_bits", weightBits), ("activation_bits", activationBits)]
    where bits != 32 && !(2...8).contains(bits) {
      return "\(name) \(bits), not in 2…8 and not 32"
    }
    return nil
  }

  /// As `init(_:)` reads it.
  public var description: String { "\(weightBits)/\(activationBits)" }

  /// The largest whole number that a weight is.
  var highestWeight: Int { (1 << (min(weightBits, 8) - 1)) - 1 }
  /// The largest whole number that an activation is; the smallest is 0.
  var highestActivation: Int { (1 << min(activationBits, 8)) - 1 }
}
