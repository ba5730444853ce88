// Training with rounding, so that a network loses little when its numbers become integers. Part of Recipe;
// Trainer+Rounding.swift makes the ranges, TrainingStep rounds.

public import MemoryVOS

/// The `quantization` section of a recipe.
public struct QuantizationRecipe: Codable, Sendable, Hashable {
  /// Bits of a weight, 2…8, or 32 for floats; 0: the network is trained in floats.
  public var weightBits = 0
  /// Bits of an activation, 2…8, or 32 for floats.
  ///
  /// The integer kernels compute 8-bit weights and 7-bit activations.
  public var activationBits = 7
  /// An int8 checkpoint whose ranges and float layers are taken, relative to the recipe's
  /// folder; empty: ranges are calibrated on samples before the first step.
  public var ranges = ""
  /// Beginnings of the names of layers that stay float.
  public var float = Quantizer.sensitiveLayers
  /// Frames of samples that calibration tracks.
  public var calibrationFrames = 96

  /// No rounding.
  public init() {}

  /// What is rounded to, `nil` without rounding.
  public var precision: QuantizationPrecision? {
    weightBits == 0
      ? nil : QuantizationPrecision(weightBits: weightBits, activationBits: activationBits)
  }

  /// What makes these values impossible, or `nil`.
  var problem: String? {
    guard let precision else { return nil }
    if let problem = precision.problem { return problem }
    guard ranges.isEmpty || precision == .kernels else {
      return "'ranges' are those of an int8 checkpoint: weight_bits 8 and activation_bits 7, not "
        + "\(weightBits) and \(activationBits)"
    }
    guard (Quantizer.leastFrames...100_000).contains(calibrationFrames) else {
      return "calibration_frames \(calibrationFrames), not in \(Quantizer.leastFrames)…100000"
    }
    return nil
  }

  enum CodingKeys: String, CodingKey {
    case ranges, float
    case weightBits = "weight_bits"
    case activationBits = "activation_bits"
    case calibrationFrames = "calibration_frames"
  }
}
