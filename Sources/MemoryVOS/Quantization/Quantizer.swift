// START HERE for int8: a float network and annotated clips in, an int8 checkpoint out.
// `vos-cli quantize` runs this. The scheme and what was measured are in docs/INT8.md.

/// Post-training quantisation: ranges from frames that were tracked through the memory.
public struct Quantizer {
  private let checkpoint: Checkpoint
  private let network: Network
  private let statistics = ValueStatistics()

  /// Frames that were tracked so far.
  public private(set) var frameCount = 0

  /// Fewer frames than these say too little about ranges.
  public static let leastFrames = 16

  /// Layers that lose most, by measurement (docs/INT8.md), and hold next to no weights: those that
  /// read the image and the mask.
  public static let sensitiveLayers = ["k.features.0.", "k.features.1.", "m1"]

  /// A quantiser of a float checkpoint.
  ///
  /// - Throws: `CheckpointError` when it is no network, or already int8.
  public init(_ checkpoint: Checkpoint) throws(CheckpointError) {
    guard !checkpoint.isQuantized else {
      throw CheckpointError(
        path: checkpoint.path, expected: "a float checkpoint", found: "one that is already int8",
        suggestion: "quantise the float checkpoint that it was made from")
    }
    self.checkpoint = checkpoint
    network = try Network(checkpoint)
  }

  /// Tracks a clip from its first mask and looks at every value that the network computes.
  ///
  /// - Throws: `TrackerError` as `Tracker` does.
  public mutating func observe(
    _ frames: [Frame], mask: LabelMap, configuration: Tracker.Configuration = .init()
  ) throws(TrackerError) {
    let statistics = statistics
    var tracker = try Tracker(
      network: network, frameSize: mask.size, configuration: configuration,
      observer: { statistics.add($0, $1) })
    for (index, frame) in frames.enumerated() {
      _ = try tracker.step(frame, mask: index == 0 ? mask : nil)
      frameCount += 1
    }
  }

  /// The int8 checkpoint.
  ///
  /// - Parameter keepingFloat: layers whose names begin with one of these stay float.
  /// - Returns: the float checkpoint with int8 tensors and ranges in the place of float tensors.
  /// - Throws: `CheckpointError` when too few frames were observed.
  public func quantized(keepingFloat: [String] = sensitiveLayers) throws -> Checkpoint {
    guard frameCount >= Self.leastFrames else {
      throw CheckpointError(
        path: checkpoint.path, expected: "at least \(Self.leastFrames) calibration frames",
        found: "\(frameCount)", suggestion: "use a larger --set or more --frames")
    }
    var result = checkpoint
    try result.quantize(parameters(keepingFloat: keepingFloat))
    result.metadata["calibration_frames"] = "\(frameCount)"
    return result
  }

  private func parameters(keepingFloat: [String]) -> QuantizedParameters {
    var parameters = QuantizedParameters()
    for (name, value) in statistics.values {
      parameters.ranges[name] = ByteRange.leastError(value.samples)
    }
    let graphs = network.graphs
    // The features, under the names by which the other graphs read them.
    let names = PlanCompiler.names(in: graphs.keyEncoder)
    for output in graphs.keyEncoder.outputs where NetworkGraphs.features.contains(output.name) {
      parameters.ranges[output.name] = names[output.value].flatMap { parameters.ranges[$0] }
    }
    for graph in [graphs.keyEncoder, graphs.valueEncoder, graphs.decoder] {
      for convolution in PlanCompiler.convolutions(in: graph)
      where convolution.isSupported
        && !keepingFloat.contains(where: { convolution.name.hasPrefix($0) })
      {
        let rounder = ConvolutionRounder(
          convolution, weight: network.weights[convolution.name + ".weight"],
          bias: network.weights[convolution.name + ".bias"], ranges: parameters.ranges,
          means: convolution.sources.map { statistics.values[$0]?.means ?? [] })
        parameters.convolutions[convolution.name] = rounder.rounded()
      }
    }
    return parameters
  }
}
