// What a recipe's `quantization` rounds to: ranges from a calibrated checkpoint, or from samples that the
// network tracks before the first step. Trainer asks once; a resumed run finds the same ranges.

import MemoryVOS

extension Trainer {
  /// The rounding of a recipe, `nil` when it has none.
  ///
  /// Where it is calibrated, biases are corrected for what rounding the weights does to means:
  /// training need not begin with that.
  ///
  /// - Throws: `TrainingError` for a checkpoint of ranges that is none or does not fit, and for layers
  ///   that the network does not have.
  static func rounding(
    _ recipe: Recipe, _ parameters: inout ParameterSet, maker: SampleMaker, folder: String
  ) throws(TrainingError) -> NetworkRounding? {
    let quantization = recipe.quantization
    guard let precision = quantization.precision else { return nil }
    do {
      var quantizer = try Quantizer(checkpoint(parameters, recipe: recipe))
      if !quantization.ranges.isEmpty {
        let path =
          quantization.ranges.hasPrefix("/")
          ? quantization.ranges : folder + "/" + quantization.ranges
        return try quantizer.rounding(likeInt8: Checkpoint(path: path))
      }
      for name in quantization.float
      where !quantizer.layers.contains(where: { $0.hasPrefix(name) }) {
        throw TrainingError("no layer's name begins with '\(name)'")
      }
      if precision.activationBits < 32 {
        try calibrate(&quantizer, recipe, maker)
      }
      let corrected = try quantizer.simulated(precision, keepingFloat: quantization.float)
      for layer in quantizer.layers {
        parameters["\(layer).bias"] = try corrected.floats("\(layer).bias")
      }
      return try quantizer.rounding(precision, keepingFloat: quantization.float)
    } catch { throw TrainingError("quantization: \(error)") }
  }

  /// Tracks samples as late training sees them.
  private static func calibrate(
    _ quantizer: inout Quantizer, _ recipe: Recipe, _ maker: SampleMaker
  ) throws {
    var configuration = Tracker.Configuration()
    configuration.threads = recipe.threads == 0 ? nil : recipe.threads
    // Numbers of batches that no step has.
    var number = recipe.steps + 1
    while quantizer.frameCount < recipe.quantization.calibrationFrames {
      let batch = try maker.batch(number, progress: 1)
      configuration.inputSize = .exact(batch.size)
      for sample in 0..<batch.batch
      where quantizer.frameCount < recipe.quantization.calibrationFrames {
        let first = sample * batch.frames
        try quantizer.observe(
          (0..<batch.frames).map { batch.picture(first + $0) }, mask: batch.labels(first),
          configuration: configuration)
      }
      number += 1
    }
  }

  /// What the network is with its rounding: for validation.
  ///
  /// - Throws: `CheckpointError` as `Quantizer` does.
  static func rounded(_ checkpoint: Checkpoint) throws -> Checkpoint {
    let quantizer = try Quantizer(checkpoint)
    guard let precision = quantizer.trainedPrecision else { return checkpoint }
    return precision == .kernels
      ? try quantizer.quantized() : try quantizer.simulated(precision)
  }
}
