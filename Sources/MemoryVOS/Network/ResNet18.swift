// The image encoder of teachers: ResNet-18 (He et al., CVPR 2016) up to stride 16, batch norm folded.

/// ResNet-18 without its last stage, in torchvision's layout and names.
struct ResNet18 {
  /// The parameters' prefix, `k`.
  let name: String

  /// ImageNet's mean and deviation of RGB in 0…1, which torchvision's weights expect.
  static let mean: [Float] = [0.485, 0.456, 0.406]
  static let deviation: [Float] = [0.229, 0.224, 0.225]

  /// image `[H, W, 3]` in -1…1 → f4 `[H/4, W/4, 64]`, f8 `[H/8, W/8, 128]`, f16 `[H/16, W/16, 256]`.
  func append(
    to graph: inout GraphBuilder, image: Graph.Value
  ) -> (f4: Graph.Value, f8: Graph.Value, f16: Graph.Value) {
    // (p - mean) / deviation of p = (x + 1) / 2.
    let normalized = graph.channelAffine(
      image, scale: Self.deviation.map { 0.5 / $0 },
      shift: zip(Self.mean, Self.deviation).map { (0.5 - $0) / $1 })
    var x = graph.convolution("\(name).conv1", [normalized], channels: 64, kernel: 7, stride: 2)
    x = graph.maxPool(graph.relu(x))
    let stages = [(64, 1), (128, 2), (256, 2)].enumerated().map { index, stage in
      for block in 0..<2 {
        x = BasicBlock(
          name: "\(name).layer\(index + 1).\(block)", channels: stage.0,
          stride: block == 0 ? stage.1 : 1
        ).append(to: &graph, x)
      }
      return x
    }
    return (stages[0], stages[1], stages[2])
  }
}

/// Two 3×3 convolutions and the input added, by way of a 1×1 convolution where shapes differ.
package struct BasicBlock {
  let name: String
  let channels: Int
  let stride: Int

  package init(name: String, channels: Int, stride: Int) {
    self.name = name
    self.channels = channels
    self.stride = stride
  }

  package func append(to graph: inout GraphBuilder, _ x: Graph.Value) -> Graph.Value {
    var shortcut = x
    if stride != 1 || graph.graph[x].channels != channels {
      shortcut = graph.convolution(
        "\(name).downsample.0", [x], channels: channels, stride: stride)
    }
    var y = graph.convolution(
      "\(name).conv1", [x], channels: channels, kernel: 3, stride: stride)
    y = graph.relu(y)
    y = graph.convolution("\(name).conv2", [y], channels: channels, kernel: 3)
    return graph.relu(graph.add(shortcut, y))
  }
}
