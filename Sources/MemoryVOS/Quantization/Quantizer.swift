// START HERE for int8: a float network and annotated clips in, an int8 checkpoint out.
// `vos-cli quantize` runs this. The scheme and what was measured are in docs/INT8.md.

/// Post-training quantisation: ranges from frames that were tracked through the memory.
///
/// A checkpoint that was trained with rounding brings its ranges along and needs no frames.
public struct Quantizer {
  let checkpoint: Checkpoint
  let network: Network
  private let statistics = ValueStatistics()
  private let trained: NetworkRounding?

  /// Frames that were tracked so far.
  public private(set) var frameCount = 0

  /// Fewer frames than these say too little about ranges.
  public static let leastFrames = 16

  /// The layers that stay float where nothing was measured: those that read the image and the mask
  /// lose most (docs/INT8.md) and hold next to no weights.
  public static let sensitiveLayers = ["k.features.0.", "k.features.1.", "m1"]

  /// A quantiser of a float checkpoint.
  ///
  /// - Throws: `CheckpointError` when it is no network, or already rounded.
  public init(_ checkpoint: Checkpoint) throws(CheckpointError) {
    guard !checkpoint.isQuantized, !checkpoint.isSimulated else {
      throw CheckpointError(
        path: checkpoint.path, expected: "a float checkpoint",
        found: checkpoint.isQuantized ? "one that is already int8" : "one that is already rounded",
        suggestion: "quantise the float checkpoint that it was made from")
    }
    self.checkpoint = checkpoint
    network = try Network(checkpoint)
    trained = try NetworkRounding.read(checkpoint, key: NetworkRounding.trainedKey)
    if let missing = trained?.missingRange(in: network.graphs) {
      throw CheckpointError(
        path: checkpoint.path, expected: "a range of '\(missing)' in 'trained_rounding'",
        found: "none", suggestion: "the file is damaged; train it again")
    }
  }

  /// The precision that the checkpoint was trained for, `nil` when it was trained in floats.
  public var trainedPrecision: QuantizationPrecision? { trained?.precision }

  /// Beginnings of the names of layers that stay float unless others are asked for.
  public var defaultFloatLayers: [String] { trained?.keptFloat ?? Self.sensitiveLayers }

  /// Names of all convolutions that could compute in int8, in the order in which a step runs them.
  public var layers: [String] {
    [network.graphs.keyEncoder, network.graphs.decoder, network.graphs.valueEncoder].flatMap {
      PlanCompiler.convolutions(in: $0).filter(\.isSupported).map(\.name)
    }
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
  /// - Parameter keepingFloat: layers whose names begin with one of these stay float; by default
  ///   `defaultFloatLayers`.
  /// - Returns: the float checkpoint with int8 tensors and ranges in the place of float tensors.
  /// - Throws: `CheckpointError` when too few frames were observed, or the checkpoint was trained for
  ///   another precision.
  public func quantized(keepingFloat: [String]? = nil) throws -> Checkpoint {
    if let trained, frameCount == 0, trained.precision != .kernels {
      throw CheckpointError(
        path: checkpoint.path, expected: "a network trained for \(QuantizationPrecision.kernels)",
        found: "one trained for \(trained.precision) bits",
        suggestion: "simulate \(trained.precision), or calibrate on data")
    }
    var result = checkpoint
    try result.quantize(parameters(rounding(.kernels, keepingFloat: keepingFloat)))
    result.metadata[NetworkRounding.trainedKey] = nil
    if frameCount > 0 { result.metadata["calibration_frames"] = "\(frameCount)" }
    return result
  }

  /// A checkpoint that computes in floats what integers of a precision would.
  ///
  /// - Throws: as `quantized` does.
  public func simulated(
    _ precision: QuantizationPrecision, keepingFloat: [String]? = nil
  ) throws -> Checkpoint {
    precondition(precision.problem == nil, precision.problem ?? "")
    let rounding = try rounding(precision, keepingFloat: keepingFloat)
    var result = checkpoint
    var ranges: [String: RoundingRange] = [:]
    for graph in rounding.graphs(network.graphs).all {
      for convolution in graph.convolutions {
        let reals = rounder(convolution, rounding).reals()
        let shape = checkpoint.tensors[convolution.name + ".weight"]?.shape ?? []
        result.tensors[convolution.name + ".weight"] = CheckpointTensor(
          shape: shape, floats: reals.weights)
        result.tensors[convolution.name + ".bias"] = CheckpointTensor(
          shape: [reals.bias.count], floats: reals.bias)
      }
      for (value, range) in graph.values {
        if let name = graph.names[value] { ranges[name] = range }
      }
    }
    result.metadata["precision"] = "simulated"
    result.metadata[Network.simulationKey] =
      NetworkRounding(precision: precision, ranges: ranges, keptFloat: rounding.keptFloat).json
    result.metadata[NetworkRounding.trainedKey] = nil
    return result
  }

  /// Bytes of the tensors of a checkpoint of this precision, packed without gaps.
  public func byteCount(_ precision: QuantizationPrecision, keepingFloat: [String]? = nil) -> Int {
    let kept = keepingFloat ?? defaultFloatLayers
    let rounding = NetworkRounding(precision: precision, ranges: [:], keptFloat: kept)
    var bytes = network.parameterCount * 4
    guard precision.weightBits < 32 else { return bytes }
    for graph in [network.graphs.keyEncoder, network.graphs.valueEncoder, network.graphs.decoder] {
      for convolution in PlanCompiler.convolutions(in: graph) where rounding.rounds(convolution) {
        let count = network.weights[convolution.name + ".weight"].count
        bytes += (count * precision.weightBits + 7) / 8 - 4 * count
        bytes += 4 * network.weights[convolution.name + ".bias"].count
      }
    }
    return bytes
  }

  // MARK: - Rounding

  /// What calibration says, or what the checkpoint was trained with when nothing was observed.
  ///
  /// - Throws: `CheckpointError` when too few frames were observed.
  package func rounding(
    _ precision: QuantizationPrecision, keepingFloat: [String]? = nil
  ) throws(CheckpointError) -> NetworkRounding {
    let kept = keepingFloat ?? defaultFloatLayers
    if let trained, frameCount == 0 {
      let rounding = NetworkRounding(
        precision: precision, ranges: trained.ranges, keptFloat: kept)
      let missing = rounding.missingRange(in: network.graphs)
      guard precision.activationBits == trained.precision.activationBits, missing == nil else {
        throw CheckpointError(
          path: checkpoint.path,
          expected: "a network trained for \(precision), with \(missing ?? "its") range",
          found: "one trained for \(trained.precision)",
          suggestion: "calibrate on data, or keep the float layers that it was trained with")
      }
      return rounding
    }
    guard frameCount >= Self.leastFrames || precision.activationBits == 32 else {
      throw CheckpointError(
        path: checkpoint.path, expected: "at least \(Self.leastFrames) calibration frames",
        found: "\(frameCount)", suggestion: "use a larger --set or more --frames")
    }
    var ranges: [String: RoundingRange] = [:]
    if precision.activationBits < 32 {
      for (name, value) in statistics.values {
        ranges[name] = .leastError(value.samples, highest: precision.highestActivation)
      }
      widenResidualSums(&ranges)
    }
    let graph = network.graphs.keyEncoder
    // The features, under the names by which the other graphs read them.
    let names = PlanCompiler.names(in: graph)
    for output in graph.outputs where NetworkGraphs.features.contains(output.name) {
      ranges[output.name] = names[output.value].flatMap { ranges[$0] }
    }
    return NetworkRounding(precision: precision, ranges: ranges, keptFloat: kept)
  }

  /// Results whose addends are coarser than the kernels can add become coarser too.
  private func widenResidualSums(_ ranges: inout [String: RoundingRange]) {
    for graph in [network.graphs.keyEncoder, network.graphs.valueEncoder, network.graphs.decoder] {
      for convolution in PlanCompiler.convolutions(in: graph) {
        guard let addend = convolution.addend.flatMap({ ranges[$0] }),
          let result = ranges[convolution.result]
        else { continue }
        let least = addend.scale / Float(WordScaling.mostAddend)
        if result.scale < least { ranges[convolution.result] = result.widened(to: least) }
      }
    }
  }

  /// The ranges and float layers of an int8 checkpoint of the same network, for training with them.
  ///
  /// - Throws: `CheckpointError` when it is not int8 or of another network.
  package func rounding(
    likeInt8 other: Checkpoint
  ) throws(CheckpointError) -> NetworkRounding {
    guard other.isQuantized, let parameters = try Network(other).quantized else {
      throw CheckpointError(
        path: other.path, expected: "an int8 checkpoint", found: "a float one",
        suggestion: "make one with `vos-cli quantize`")
    }
    let rounding = NetworkRounding(
      precision: .kernels, ranges: parameters.ranges.mapValues { RoundingRange($0) },
      keptFloat: layers.filter { parameters.convolutions[$0] == nil })
    if let missing = rounding.missingRange(in: network.graphs) {
      throw CheckpointError(
        path: other.path, expected: "a range of '\(missing)'", found: "none",
        suggestion: "quantise a checkpoint of the network that is trained")
    }
    return rounding
  }

  /// The int8 half of the network.
  func parameters(_ rounding: NetworkRounding) -> QuantizedParameters {
    var parameters = QuantizedParameters()
    parameters.ranges = rounding.ranges.mapValues(\.byteRange)
    for graph in [network.graphs.keyEncoder, network.graphs.valueEncoder, network.graphs.decoder] {
      for convolution in PlanCompiler.convolutions(in: graph) where rounding.rounds(convolution) {
        parameters.convolutions[convolution.name] = rounder(convolution, rounding).rounded()
      }
    }
    return parameters
  }

  private func rounder(
    _ convolution: PlanCompiler.NamedConvolution, _ rounding: NetworkRounding
  ) -> ConvolutionRounder {
    // Trained weights have learnt to live with what rounding adds to means.
    let means =
      trained == nil ? convolution.sources.map { statistics.values[$0]?.means ?? [] } : []
    return ConvolutionRounder(
      convolution, weight: network.weights[convolution.name + ".weight"],
      bias: network.weights[convolution.name + ".bias"], ranges: rounding.ranges, means: means,
      precision: rounding.precision)
  }
}
