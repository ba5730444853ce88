// Which layers lose most in int8: one group of layers after the other computes in int8, all others in
// floats, and clips are tracked through the memory. `vos-cli quantize` asks, on clips that are not used
// for calibration.

/// What a group of layers loses in int8, and what it would cost to keep it float.
public struct LayerSensitivity: Sendable, Hashable {
  /// The beginning that the names of the group's layers share.
  public let group: String
  /// 1 - IoU of the soft masks of the network with this group in int8 and those of the float network,
  /// the mean over objects and frames: 0 for equal masks.
  public let loss: Double
  /// Share of the network's weights.
  public let weights: Double
  /// Share of the multiply-adds of a step with one object.
  public let multiplyAdds: Double
}

/// A clip's first frames and the mask of the very first.
public struct AnnotatedClip: Sendable {
  /// In order.
  public let frames: [Frame]
  /// Objects of the first frame.
  public let mask: LabelMap

  /// A clip.
  public init(frames: [Frame], mask: LabelMap) {
    self.frames = frames
    self.mask = mask
  }
}

extension Quantizer {
  /// Groups of layers that are rounded together: a block of the image encoder, a chain of residual
  /// blocks, or a single layer.
  public var layerGroups: [String] {
    var groups: [String] = []
    for layer in layers {
      let group = Self.group(of: layer)
      if !groups.contains(group) { groups.append(group) }
    }
    return groups
  }

  /// `k.features.3.` of `k.features.3.conv.1`, `r16.` of `r16.0.d`, `d16` of `d16`.
  static func group(of layer: String) -> String {
    let parts = layer.split(separator: ".")
    let count = parts[0] == "k" ? min(3, parts.count) : 1
    return parts.prefix(count).joined(separator: ".") + (parts.count > count ? "." : "")
  }

  /// Tracks clips once in floats and once with each group of layers in int8.
  ///
  /// - Parameters:
  ///   - clips: clips that were not observed.
  ///   - configuration: how they are tracked.
  ///   - progress: called after each group with the number of groups that are done.
  /// - Returns: the groups in the order of `layerGroups`.
  /// - Throws: `CheckpointError` when too few frames were observed, `TrackerError` as `Tracker` does.
  public func sensitivities(
    on clips: [AnnotatedClip], configuration: Tracker.Configuration = .init(),
    progress: (Int) -> Void = { _ in }
  ) throws -> [LayerSensitivity] {
    let rounding = try rounding(.kernels, keepingFloat: [])
    let all = parameters(rounding)
    let expected = try clips.map { try probabilities($0, network, configuration) }
    let costs = layerCosts()
    let total = costs.values.reduce((0, 0)) { ($0.0 + $1.weights, $0.1 + $1.multiplyAdds) }
    var result: [LayerSensitivity] = []
    for group in layerGroups {
      var parameters = all
      parameters.convolutions = all.convolutions.filter { Self.group(of: $0.key) == group }
      let rounded = Network(
        configuration: network.configuration, weights: network.weights, quantized: parameters)
      var losses: [Double] = []
      for (clip, expected) in zip(clips, expected) {
        let actual = try probabilities(clip, rounded, configuration)
        losses += zip(actual, expected).map { 1 - Self.softOverlap($0, $1) }
      }
      let own = costs.filter { Self.group(of: $0.key) == group }.values
      result.append(
        LayerSensitivity(
          group: group, loss: losses.reduce(0, +) / Double(max(1, losses.count)),
          weights: Double(own.reduce(0) { $0 + $1.weights }) / Double(max(1, total.0)),
          multiplyAdds: Double(own.reduce(0) { $0 + $1.multiplyAdds })
            / Double(max(1, total.1))))
      progress(result.count)
    }
    return result
  }

  /// The groups that should stay float: those that lose most, while the multiply-adds of all that stay
  /// float are at most a share `budget` of the network's, and their weights at most 2 % (four times as
  /// large as in int8).
  ///
  /// What loses less than twice the median group is not worth its time.
  public static func layersToKeep(
    _ sensitivities: [LayerSensitivity], budget: Double
  ) -> [String] {
    let sorted = sensitivities.sorted { $0.loss > $1.loss }
    guard let median = sorted.dropFirst(sorted.count / 2).first?.loss else { return [] }
    var kept: [String] = []
    var (weights, multiplyAdds) = (0.0, 0.0)
    for group in sorted where group.loss > 2 * median {
      guard multiplyAdds + group.multiplyAdds <= budget, weights + group.weights <= 0.02 else {
        continue
      }
      weights += group.weights
      multiplyAdds += group.multiplyAdds
      kept.append(group.group)
    }
    return kept
  }

  /// Soft masks of every object in every frame but the first.
  private func probabilities(
    _ clip: AnnotatedClip, _ network: Network, _ configuration: Tracker.Configuration
  ) throws(TrackerError) -> [[Float]] {
    // Networks that are compared see the same.
    var configuration = configuration
    configuration.zoomLimit = 0
    var tracker = try Tracker(
      network: network, frameSize: clip.mask.size, configuration: configuration)
    var masks: [[Float]] = []
    for (index, frame) in clip.frames.enumerated() {
      _ = try tracker.step(frame, mask: index == 0 ? clip.mask : nil)
      if index == 0 { continue }
      for object in tracker.objects { masks.append(try tracker.probabilities(of: object)) }
    }
    return masks
  }

  /// Σ min / Σ max; 1 of two empty masks.
  static func softOverlap(_ a: [Float], _ b: [Float]) -> Double {
    var (common, either) = (0.0, 0.0)
    for (a, b) in zip(a, b) {
      common += Double(min(a, b))
      either += Double(max(a, b))
    }
    return either > 0 ? common / either : 1
  }

  /// What each layer holds and costs at the usual size.
  private func layerCosts() -> [String: (weights: Int, multiplyAdds: Int)] {
    let size = FrameSize(width: 864, height: 480)
    var costs: [String: (weights: Int, multiplyAdds: Int)] = [:]
    for graph in [network.graphs.keyEncoder, network.graphs.valueEncoder, network.graphs.decoder] {
      for node in graph.nodes {
        guard let name = node.convolution?.name else { continue }
        costs[name] = (
          network.weights[name + ".weight"].count, graph.multiplyAdds(of: node, at: size)
        )
      }
    }
    return costs
  }
}
