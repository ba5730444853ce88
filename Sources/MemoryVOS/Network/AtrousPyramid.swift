// An optional wider view for the decoder. NetworkGraphs appends it; `aspp_rates` of the configuration
// switches it on.

/// Atrous spatial pyramid pooling (Chen et al., DeepLabv3, 2017), light and residual:
/// x + b(concat over rates r of ReLU(depthwise 3×3 dilated by r (x))).
///
/// The projection b begins at zero, so that a trained network that is given a pyramid computes what it
/// did before.
struct AtrousPyramid {
  /// The parameters' prefix.
  let name: String
  /// Pixels between the taps of each branch.
  let rates: [Int]

  /// x `[h, w, C]` → `[h, w, C]`.
  func append(to graph: inout GraphBuilder, _ x: Graph.Value) -> Graph.Value {
    let branches = rates.map { rate in
      graph.relu(graph.depthwise("\(name).r\(rate)", x, kernel: 3, dilation: rate))
    }
    let y = graph.convolution("\(name).b", branches, channels: graph.graph[x].channels)
    return graph.add(x, y)
  }
}
