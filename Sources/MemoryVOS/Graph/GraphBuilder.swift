// How Network/ writes a graph down: one call per operation, shape rules checked at once.

/// Appends operations to a graph.
///
/// Traps on operands whose shapes do not fit: the network is ours.
package struct GraphBuilder {
  package private(set) var graph = Graph()

  package init() {}

  /// A tensor that the caller provides, at 1/`stride` of the network input's size.
  package mutating func input(_ name: String, channels: Int, stride: Int) -> Graph.Value {
    append(.input(name: name), [], channels, stride)
  }

  /// Dense convolution over the concatenation of `inputs`.
  package mutating func convolution(
    _ name: String, _ inputs: [Graph.Value], channels: Int, kernel: Int = 1, stride: Int = 1,
    dilation: Int = 1
  ) -> Graph.Value {
    let scale = sameStride(inputs)
    let depth = inputs.reduce(0) { $0 + graph[$1].channels }
    declare(name, shape: [channels, depth, kernel, kernel])
    let convolution = Operation.Convolution(
      name: name, kernel: kernel, stride: stride, dilation: dilation)
    return append(.convolution(convolution), inputs, channels, scale * stride)
  }

  /// Depthwise convolution.
  package mutating func depthwise(
    _ name: String, _ input: Graph.Value, kernel: Int, stride: Int = 1, dilation: Int = 1
  ) -> Graph.Value {
    precondition(stride == 1 || dilation == 1, "a depthwise convolution with stride and dilation")
    let channels = graph[input].channels
    declare(name, shape: [channels, 1, kernel, kernel])
    let convolution = Operation.Convolution(
      name: name, kernel: kernel, stride: stride, dilation: dilation)
    return append(.depthwise(convolution), [input], channels, graph[input].stride * stride)
  }

  /// max(x, 0).
  package mutating func relu(_ x: Graph.Value) -> Graph.Value { same(.relu, x) }

  /// min(max(x, 0), 6).
  package mutating func relu6(_ x: Graph.Value) -> Graph.Value { same(.relu6, x) }

  /// scale · x + shift.
  package mutating func affine(_ x: Graph.Value, scale: Float, shift: Float) -> Graph.Value {
    same(.affine(scale: scale, shift: shift), x)
  }

  /// scale[c] · x + shift[c] for each channel c.
  package mutating func channelAffine(
    _ x: Graph.Value, scale: [Float], shift: [Float]
  ) -> Graph.Value {
    let channels = graph[x].channels
    precondition(scale.count == channels && shift.count == channels, "constants per channel")
    return same(.channelAffine(scale: scale, shift: shift), x)
  }

  /// Unit length over channels.
  package mutating func normalize(_ x: Graph.Value) -> Graph.Value { same(.normalize, x) }

  /// a + b.
  package mutating func add(_ a: Graph.Value, _ b: Graph.Value) -> Graph.Value {
    precondition(graph[a].channels == graph[b].channels, "adding maps of different channels")
    return append(.add, [a, b], graph[a].channels, sameStride([a, b]))
  }

  /// Bilinear enlargement.
  package mutating func upsample(_ x: Graph.Value, factor: Int) -> Graph.Value {
    precondition(graph[x].stride % factor == 0, "enlarging beyond the network's input")
    return append(.upsample(factor: factor), [x], graph[x].channels, graph[x].stride / factor)
  }

  /// Mean over squares of `factor` pixels.
  package mutating func averagePool(_ x: Graph.Value, factor: Int) -> Graph.Value {
    append(.averagePool(factor: factor), [x], graph[x].channels, graph[x].stride * factor)
  }

  /// The largest of 3×3 pixels at stride 2.
  package mutating func maxPool(_ x: Graph.Value) -> Graph.Value {
    append(.maxPool, [x], graph[x].channels, graph[x].stride * 2)
  }

  /// Names a result of the graph.
  package mutating func output(_ name: String, _ value: Graph.Value) {
    graph.outputs.append((name, value))
  }

  private mutating func declare(_ name: String, shape: [Int]) {
    precondition(
      !graph.parameters.contains { $0.name == name + ".weight" }, "two layers named \(name)")
    graph.parameters.append(.init(name: name + ".weight", shape: shape))
    graph.parameters.append(.init(name: name + ".bias", shape: [shape[0]]))
  }

  private mutating func same(_ operation: Operation, _ x: Graph.Value) -> Graph.Value {
    append(operation, [x], graph[x].channels, graph[x].stride)
  }

  private func sameStride(_ values: [Graph.Value]) -> Int {
    let stride = graph[values[0]].stride
    precondition(values.allSatisfy { graph[$0].stride == stride }, "maps of different sizes")
    return stride
  }

  private mutating func append(
    _ operation: Operation, _ inputs: [Graph.Value], _ channels: Int, _ stride: Int
  ) -> Graph.Value {
    let node = Graph.Node(
      operation: operation, inputs: inputs, channels: channels, stride: stride)
    graph.nodes.append(node)
    return .init(index: graph.nodes.count - 1)
  }
}
