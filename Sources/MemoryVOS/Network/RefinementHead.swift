// An optional head at half the input's resolution: what stride 4 cannot draw, from the picture itself.
// NetworkGraphs appends it; `refinement_channels` of the configuration switches it on.

/// Adds a correction at stride 2 to the logit of stride 4.
///
/// The picture's part runs once per frame, the rest once per object. The last convolution begins at
/// zero, so that a trained network that is given this head computes what it did before.
struct RefinementHead {
  /// The parameters' prefix.
  let name: String
  /// Channels of every map of the head.
  let channels: Int

  /// Depthwise and pointwise convolutions behind each other, each pair with a ReLU.
  private static let pairs = 2

  /// image `[H, W, 3]` → f2 `[H/2, W/2, channels]`, the same for all objects.
  func appendSkip(to graph: inout GraphBuilder, image: Graph.Value) -> Graph.Value {
    let x = graph.convolution("\(name).i", [image], channels: channels, kernel: 3, stride: 2)
    return graph.relu(x)
  }

  /// Decoder features and logit `[H/4, W/4, …]`, f2 and the previous mask `[H/2, W/2, …]` → what to
  /// add to the enlarged logit, `[H/2, W/2, 1]`.
  func append(
    to graph: inout GraphBuilder, features: Graph.Value, logit: Graph.Value, skip: Graph.Value,
    previous: Graph.Value
  ) -> Graph.Value {
    let below = graph.convolution("\(name).u", [features, logit], channels: channels)
    let up = graph.upsample(below, factor: 2)
    let side = graph.convolution("\(name).s", [skip, previous], channels: channels)
    var x = graph.relu(graph.add(up, side))
    for index in 0..<Self.pairs {
      x = graph.depthwise("\(name).\(index).d", x, kernel: 3)
      x = graph.relu(graph.convolution("\(name).\(index).a", [x], channels: channels))
    }
    return graph.convolution("\(name).b", [x], channels: 1, kernel: 3)
  }
}
