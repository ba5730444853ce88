// First weights of a narrow network from a trained wide one: its strongest channels. The trainer asks for
// them when a recipe's `initial` is wider than its network. ChannelGroups.swift says which channels
// belong together.

import Foundation
public import MemoryVOS

extension Checkpoint {
  /// The strongest channels of this network, as many as `configuration` has; the checkpoint itself
  /// when all its shapes are those of `configuration` already.
  ///
  /// Filters are pruned by their L1 norms (Li et al., "Pruning Filters for Efficient ConvNets", ICLR
  /// 2017, section 3.1). Channels that are added, or that several layers write or filter in turn, stay
  /// or go together: each counts for the sum of its filters' norms over these layers, biases left out,
  /// each layer's norms divided by their mean. What stays keeps its order and its numbers; training
  /// makes up for what is gone.
  ///
  /// Only widths are changed. Parts that one of the networks lacks, and other encoders, are left for
  /// `ParameterSet.load(initial:)` to complete or refuse.
  ///
  /// - Throws: `CheckpointError` when the metadata's configuration is not that of the tensors, when a
  ///   tensor would have to grow, or when it does not hold finite floats.
  public func narrowed(
    to configuration: NetworkConfiguration
  ) throws(CheckpointError) -> Checkpoint {
    let fits = NetworkGraphs(configuration).parameters.allSatisfy { parameter in
      tensors[parameter.name].map { $0.shape == parameter.shape } ?? true
    }
    if fits { return self }
    let wide = try Network.configuration(of: self)
    let narrow = wide.withWidths(of: configuration)
    let (graphs, narrowGraphs) = (NetworkGraphs(wide), NetworkGraphs(narrow))
    try check(expected: graphs.parameters.map { ($0.name, $0.shape) })
    let (groups, narrowGroups) = (ChannelGroups(graphs), ChannelGroups(narrowGraphs))
    guard groups.hasLayout(of: narrowGroups) else {
      throw CheckpointError(
        path: path, expected: "residual connections as in encoder_width \(narrow.encoderWidth)",
        found: "those of encoder_width \(wide.encoderWidth)",
        suggestion: "give the network an encoder_width that is nearer to the checkpoint's")
    }
    for (old, new) in zip(graphs.parameters, narrowGraphs.parameters)
    where zip(old.shape, new.shape).contains(where: { $0 < $1 }) {
      throw CheckpointError(
        path: path, tensor: new.name, expected: "shape \(new.shape) or wider",
        found: "shape \(old.shape)",
        suggestion: "a network can start from one of its widths or of larger ones")
    }
    var weights: [String: [Float]] = [:]
    for name in names { weights[name] = try floats(name) }
    let kept = groups.strongest(by: weights, like: narrowGroups)
    for layer in groups.layers {
      weights[layer.weight] = groups.gather(weights[layer.weight] ?? [], of: layer, kept)
      weights[layer.bias] = kept[groups.group(layer.value)].map { (weights[layer.bias] ?? [])[$0] }
    }
    var result = self
    for parameter in narrowGraphs.parameters {
      result.tensors[parameter.name] = CheckpointTensor(
        shape: parameter.shape, floats: weights[parameter.name] ?? [])
    }
    result.metadata = ["architecture": Network.architecture]
    result.metadata["configuration"] = (try? JSONEncoder().encode(narrow)).map {
      String(decoding: $0, as: UTF8.self)
    }
    return result
  }
}

extension NetworkConfiguration {
  /// This network with the widths of another, as far as it has the parts that these are of.
  fileprivate func withWidths(of other: NetworkConfiguration) -> NetworkConfiguration {
    var result = self
    if encoder == other.encoder { result.encoderWidth = other.encoderWidth }
    result.keyChannels = other.keyChannels
    result.valueChannels = other.valueChannels
    result.decoderChannels = other.decoderChannels
    result.valueEncoderChannels = other.valueEncoderChannels
    result.decoderWidth = other.decoderWidth
    if refinementChannels > 0, other.refinementChannels > 0 {
      result.refinementChannels = other.refinementChannels
    }
    return result
  }
}

extension ChannelGroups {
  /// The channels that stay, in ascending order, by group: as many as `narrow` has.
  fileprivate func strongest(
    by weights: [String: [Float]], like narrow: ChannelGroups
  ) -> [[Int]] {
    var strengths = widths.map { [Double](repeating: 0, count: $0) }
    for layer in layers {
      let group = group(layer.value)
      let weight = weights[layer.weight] ?? []
      let size = weight.count / widths[group]
      let norms = (0..<widths[group]).map { row in
        weight[row * size..<(row + 1) * size].reduce(0) { $0 + Double(abs($1)) }
      }
      let mean = norms.reduce(0, +) / Double(norms.count)
      // A residual branch that was never trained ends in zeros.
      guard mean > 0 else { continue }
      for (channel, norm) in norms.enumerated() { strengths[group][channel] += norm / mean }
    }
    return zip(strengths, narrow.widths).map { strengths, count in
      strengths.indices.sorted { (strengths[$1], $0) < (strengths[$0], $1) }.prefix(count).sorted()
    }
  }

  /// The rows and columns that stay of a layer's weight `[out, in / groups, kernel, kernel]`.
  fileprivate func gather(_ weight: [Float], of layer: Layer, _ kept: [[Int]]) -> [Float] {
    var columns: [Int] = []
    var depth = 0
    for source in layer.sources {
      let group = group(source)
      columns += kept[group].map { depth + $0 }
      depth += widths[group]
    }
    if layer.sources.isEmpty { (columns, depth) = ([0], 1) }
    let taps = weight.count / (widths[group(layer.value)] * depth)
    var result: [Float] = []
    for row in kept[group(layer.value)] {
      for column in columns {
        let first = (row * depth + column) * taps
        result += weight[first..<first + taps]
      }
    }
    return result
  }
}
