// The image encoder: MobileNetV2 (Sandler et al., CVPR 2018) up to stride 16 or 32, batch norm folded.

/// Blocks of MobileNetV2 in torchvision's layout and names: 0…13, and 14…16 for context.
struct MobileNetV2 {
  /// The parameters' prefix, `k` in `vos-mobile`.
  let name: String
  /// Multiplies all channels.
  let width: Double

  /// Rows of table 2: expansion t, channels c, repetitions n, stride s of the first.
  private static let rows: [(t: Int, c: Int, n: Int, s: Int)] = [
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
  ]

  /// image `[H, W, 3]` → f4 `[H/4, W/4, 24]`, f8 `[H/8, W/8, 32]`, f16 `[H/16, W/16, 96]` at width 1.
  func append(
    to graph: inout GraphBuilder, image: Graph.Value
  ) -> (f4: Graph.Value, f8: Graph.Value, f16: Graph.Value) {
    var x = graph.convolution(
      "\(name).features.0.0", [image], channels: Self.scaled(32, by: width), kernel: 3, stride: 2)
    x = graph.relu6(x)
    var blocks = [x]
    for row in Self.rows {
      for repetition in 0..<row.n {
        let block = InvertedResidual(
          name: "\(name).features.\(blocks.count)",
          channels: Self.scaled(row.c, by: width), expansion: row.t,
          stride: repetition == 0 ? row.s : 1)
        x = block.append(to: &graph, x)
        blocks.append(x)
      }
    }
    return (blocks[3], blocks[6], blocks[13])
  }

  /// f16 `[h, w, C]` → f16 + b(`count` blocks from 14 on), the sum of the features at stride 16 and
  /// those at stride 32, enlarged (Lin et al., "Feature Pyramid Networks", CVPR 2017, section 3).
  ///
  /// The projection b, `c16.b`, begins at zero, so that a trained network that is given these blocks
  /// computes what it did before.
  func appendContext(
    to graph: inout GraphBuilder, _ f16: Graph.Value, blocks count: Int
  ) -> Graph.Value {
    guard count > 0 else { return f16 }
    var x = f16
    for index in 0..<count {
      let block = InvertedResidual(
        name: Self.contextLayer(name, index), channels: Self.scaled(160, by: width), expansion: 6,
        stride: index == 0 ? 2 : 1)
      x = block.append(to: &graph, x)
    }
    let context = graph.convolution("c16.b", [x], channels: graph.graph[f16].channels)
    return graph.add(f16, graph.upsample(context, factor: 2))
  }

  /// What the names of a context block's parameters begin with.
  static func contextLayer(_ name: String, _ index: Int) -> String {
    "\(name).features.\(14 + index)"
  }

  /// The multiple of 8 nearest to `channels` · `width`, but not below 90 % of it (torchvision's
  /// `_make_divisible`); `channels` themselves at width 1.
  static func scaled(_ channels: Int, by width: Double) -> Int {
    guard width != 1 else { return channels }
    let wanted = Double(channels) * width
    let rounded = max(8, Int(wanted + 4) / 8 * 8)
    return Double(rounded) < 0.9 * wanted ? rounded + 8 : rounded
  }
}

/// 1×1 expansion, 3×3 depthwise, 1×1 projection; the input added when shapes allow.
package struct InvertedResidual {
  let name: String
  let channels: Int
  let expansion: Int
  let stride: Int

  package init(name: String, channels: Int, expansion: Int, stride: Int) {
    self.name = name
    self.channels = channels
    self.expansion = expansion
    self.stride = stride
  }

  package func append(to graph: inout GraphBuilder, _ x: Graph.Value) -> Graph.Value {
    let inputs = graph.graph[x].channels
    var y = x
    var index = 0
    if expansion != 1 {
      y = graph.convolution("\(name).conv.0.0", [x], channels: inputs * expansion)
      y = graph.relu6(y)
      index = 1
    }
    y = graph.depthwise("\(name).conv.\(index).0", y, kernel: 3, stride: stride)
    y = graph.relu6(y)
    y = graph.convolution("\(name).conv.\(index + 1)", [y], channels: channels)
    return stride == 1 && inputs == channels ? graph.add(x, y) : y
  }
}

/// x + b(ReLU(a(d(x)))): d depthwise k×k, a 1×1 to twice the channels, b 1×1 back.
package struct Residual {
  let name: String
  let kernel: Int

  package init(name: String, kernel: Int) {
    self.name = name
    self.kernel = kernel
  }

  package func append(to graph: inout GraphBuilder, _ x: Graph.Value) -> Graph.Value {
    let channels = graph.graph[x].channels
    var y = graph.depthwise("\(name).d", x, kernel: kernel)
    y = graph.convolution("\(name).a", [y], channels: 2 * channels)
    y = graph.relu(y)
    y = graph.convolution("\(name).b", [y], channels: channels)
    return graph.add(x, y)
  }
}
