// The three graphs of a network (DESIGN.md section 4). Between them stands the memory, which is not
// part of any graph: the network has no idea what time it is.

/// What runs once per frame, once per object and memory write, and once per object and frame.
package struct NetworkGraphs: Sendable {
  /// image → f4, f8, f16, key; f2 with a refinement head.
  package let keyEncoder: Graph
  /// mask, others, f4, f8, f16 → value.
  package let valueEncoder: Graph
  /// readout, previous, f4, f8, f16 → logit; reads f2 with a refinement head.
  package internal(set) var decoder: Graph

  /// Outputs of the key encoder that the other graphs read.
  static let features: Set<String> = ["f4", "f8", "f16"]

  /// Every parameter, in the order of the graphs, the log of the affinity's temperature `t` last.
  package var parameters: [Graph.Parameter] {
    keyEncoder.parameters + valueEncoder.parameters + decoder.parameters
      + [.init(name: "t", shape: [])]
  }

  /// The graphs of a configuration.
  package init(_ configuration: NetworkConfiguration) {
    let (keyEncoder, features) = Self.keyEncoder(configuration)
    self.keyEncoder = keyEncoder
    valueEncoder = Self.valueEncoder(configuration, features)
    decoder = Self.decoder(configuration, features)
  }

  /// Channels of f4, f8 and f16.
  private struct FeatureChannels {
    let f4: Int
    let f8: Int
    let f16: Int
  }

  private static func keyEncoder(
    _ configuration: NetworkConfiguration
  ) -> (Graph, FeatureChannels) {
    var graph = GraphBuilder()
    let image = graph.input("image", channels: 3, stride: 1)
    var (f4, f8, f16): (Graph.Value, Graph.Value, Graph.Value)
    switch configuration.encoder {
    case .mobileNetV2:
      let encoder = MobileNetV2(name: "k", width: configuration.encoderWidth)
      (f4, f8, f16) = encoder.append(to: &graph, image: image)
      f16 = encoder.appendContext(to: &graph, f16, blocks: configuration.contextBlocks)
    case .resNet18: (f4, f8, f16) = ResNet18(name: "k").append(to: &graph, image: image)
    }
    let key = graph.convolution("key", [f16], channels: configuration.keyChannels, kernel: 3)
    if let head = refinementHead(configuration) {
      graph.output("f2", head.appendSkip(to: &graph, image: image))
    }
    graph.output("f4", f4)
    graph.output("f8", f8)
    graph.output("f16", f16)
    graph.output("key", graph.normalize(key))
    let built = graph.graph
    let channels = FeatureChannels(
      f4: built[f4].channels, f8: built[f8].channels, f16: built[f16].channels)
    return (built, channels)
  }

  private static func refinementHead(_ configuration: NetworkConfiguration) -> RefinementHead? {
    let channels = configuration.refinementChannels
    return channels == 0 ? nil : RefinementHead(name: "h2", channels: channels)
  }

  private static func valueEncoder(
    _ configuration: NetworkConfiguration, _ features: FeatureChannels
  ) -> Graph {
    let widths = configuration.scaledValueEncoderChannels
    var graph = GraphBuilder()
    let mask = graph.input("mask", channels: 1, stride: 1)
    let others = graph.input("others", channels: 1, stride: 1)
    let f4 = graph.input("f4", channels: features.f4, stride: 4)
    let f8 = graph.input("f8", channels: features.f8, stride: 8)
    let f16 = graph.input("f16", channels: features.f16, stride: 16)
    let signed = [mask, others].map { graph.affine($0, scale: 2, shift: -1) }
    var x = graph.relu(graph.convolution("m1", signed, channels: widths[0], kernel: 7, stride: 4))
    x = graph.relu(graph.convolution("m2", [x, f4], channels: widths[1]))
    x = graph.depthwise("m3", x, kernel: 3, stride: 2)
    x = graph.relu(graph.convolution("m4", [x, f8], channels: widths[2]))
    x = graph.depthwise("m5", x, kernel: 3, stride: 2)
    x = graph.convolution("m6", [x, f16], channels: configuration.valueChannels)
    for index in 0..<2 { x = Residual(name: "mr.\(index)", kernel: 5).append(to: &graph, x) }
    graph.output("value", x)
    return graph.graph
  }

  private static func decoder(
    _ configuration: NetworkConfiguration, _ features: FeatureChannels
  ) -> Graph {
    let widths = configuration.scaledDecoderChannels
    var graph = GraphBuilder()
    let readout = graph.input("readout", channels: configuration.valueChannels, stride: 16)
    let previous = graph.input("previous", channels: 1, stride: 1)
    let f4 = graph.input("f4", channels: features.f4, stride: 4)
    let f8 = graph.input("f8", channels: features.f8, stride: 8)
    let f16 = graph.input("f16", channels: features.f16, stride: 16)
    let p1 = graph.affine(previous, scale: 2, shift: -1)
    let head = refinementHead(configuration)
    let p2 = head.map { _ in graph.averagePool(p1, factor: 2) }
    let p4 = p2.map { graph.averagePool($0, factor: 2) } ?? graph.averagePool(p1, factor: 4)
    let p8 = graph.averagePool(p4, factor: 2)
    let p16 = graph.averagePool(p8, factor: 2)

    var x = graph.relu(graph.convolution("d16", [readout, f16, p16], channels: widths[0]))
    if !configuration.asppRates.isEmpty {
      x = AtrousPyramid(name: "a16", rates: configuration.asppRates).append(to: &graph, x)
    }
    for index in 0..<2 { x = Residual(name: "r16.\(index)", kernel: 5).append(to: &graph, x) }
    for (stride, skip, width, kernel) in [
      (8, [f8, p8], widths[1], 5), (4, [f4, p4], widths[2], 3),
    ] {
      let up = graph.upsample(graph.convolution("u\(stride)", [x], channels: width), factor: 2)
      let side = graph.convolution("s\(stride)", skip, channels: width)
      x = graph.relu(graph.add(up, side))
      for index in 0..<2 {
        x = Residual(name: "r\(stride).\(index)", kernel: kernel).append(to: &graph, x)
      }
    }
    let logit = graph.convolution("p", [x], channels: 1, kernel: 3)
    var full = graph.upsample(logit, factor: 4)
    if let head, let p2 {
      let f2 = graph.input("f2", channels: head.channels, stride: 2)
      let correction = head.append(
        to: &graph, features: x, logit: logit, skip: f2, previous: p2)
      full = graph.add(full, graph.upsample(correction, factor: 2))
    }
    graph.output("logit", full)
    return graph.graph
  }
}
