// Which feature maps of a network must have the same channels. Narrowing.swift chooses channels by them.

import MemoryVOS

/// The values of a network's graphs, grouped so that all of a group have their channels in common.
///
/// A dense convolution begins a group. Everything else keeps the channels that it is given: depthwise
/// convolutions, sums (of operands that are one group thereby), changes of size, functions of a
/// scalar. Values that one graph hands to another are one value; the readout is a mean of values.
struct ChannelGroups {
  /// A convolution.
  struct Layer: Hashable {
    let weight: String
    let bias: String
    /// What it computes.
    let value: Int
    /// What it reads, side by side; empty for a depthwise one, whose filters have one column each.
    let sources: [Int]
  }

  /// In the order of the graphs.
  private(set) var layers: [Layer] = []
  /// Channels of each group.
  private(set) var widths: [Int] = []
  /// The group of each value; values of the three graphs are counted through.
  private var groups: [Int] = []
  /// Values that graphs have in common.
  private var named: [String: Int] = [:]

  init(_ graphs: NetworkGraphs) {
    for graph in [graphs.keyEncoder, graphs.valueEncoder, graphs.decoder] {
      let first = groups.count
      for node in graph.nodes {
        let value = groups.count
        groups.append(widths.count)
        widths.append(node.channels)
        let sources = node.inputs.map { first + $0.index }
        switch node.operation {
        case .input(let name): join(value, name)
        case .convolution(let convolution):
          layers.append(
            Layer(
              weight: convolution.weight, bias: convolution.bias, value: value, sources: sources))
        case .depthwise(let convolution):
          layers.append(
            Layer(weight: convolution.weight, bias: convolution.bias, value: value, sources: []))
          join(value, sources[0])
        case .relu, .relu6, .add, .upsample, .averagePool, .maxPool, .affine, .channelAffine,
          .normalize:
          for source in sources { join(value, source) }
        }
      }
      for (name, value) in graph.outputs { join(first + value.index, name) }
    }
  }

  /// The group of a value.
  func group(_ value: Int) -> Int { groups[value] }

  /// Whether both have the same layers, which read the same values, in the same groups.
  func hasLayout(of other: ChannelGroups) -> Bool {
    layers == other.layers && groups == other.groups
  }

  private mutating func join(_ value: Int, _ name: String) {
    let name = name == "readout" ? "value" : name
    if let other = named[name] { join(value, other) } else { named[name] = value }
  }

  private mutating func join(_ a: Int, _ b: Int) {
    let (joined, kept) = (groups[a], groups[b])
    precondition(widths[joined] == widths[kept], "one group of different widths")
    for index in groups.indices where groups[index] == joined { groups[index] = kept }
  }
}
