// The network as data: a list of operations over feature maps, described once.
//
// Network/ appends operations through `GraphBuilder`; Engine/ compiles the list to a plan; Distill
// differentiates it; `vos-cli inspect` reports on it. Nothing here holds numbers but shapes.

/// A directed acyclic graph of operations, in an order in which it can be run.
package struct Graph: Sendable {
  /// The result of one operation: its position in `nodes`.
  package struct Value: Hashable, Sendable {
    package let index: Int

    package init(index: Int) { self.index = index }
  }

  /// One operation, its operands, and the shape rule's answer.
  package struct Node: Sendable {
    package let operation: Operation
    package let inputs: [Value]
    /// Channels of the result.
    package let channels: Int
    /// The result has 1/`stride` of the network input's height and width.
    package let stride: Int
  }

  /// A trainable tensor: name in the checkpoint and shape in PyTorch's order.
  package struct Parameter: Sendable, Equatable {
    package let name: String
    /// Convolutions `[out, in / groups, height, width]`, biases `[out]`, scalars `[]`.
    package let shape: [Int]

    package init(name: String, shape: [Int]) {
      self.name = name
      self.shape = shape
    }

    /// Number of scalars.
    package var count: Int { shape.reduce(1, *) }
  }

  package internal(set) var nodes: [Node] = []
  package internal(set) var parameters: [Parameter] = []
  package internal(set) var outputs: [(name: String, value: Value)] = []

  package subscript(value: Value) -> Node { nodes[value.index] }

  /// The result called `name`; traps when there is none.
  package func output(_ name: String) -> Value {
    guard let found = outputs.first(where: { $0.name == name }) else {
      preconditionFailure("the graph has no output \(name)")
    }
    return found.value
  }

  /// The largest stride of any result: both sides of a network input are multiples of it.
  package var coarsestStride: Int { nodes.map(\.stride).max() ?? 1 }

  /// The smallest network input.
  package var smallestInput: FrameSize { FrameSize(width: coarsestStride, height: coarsestStride) }

  /// How many operations read each value; an output of the graph counts as one more reader.
  package var readerCounts: [Int] {
    var counts = [Int](repeating: 0, count: nodes.count)
    for node in nodes { for input in node.inputs { counts[input.index] += 1 } }
    for output in outputs { counts[output.value.index] += 1 }
    return counts
  }

  /// Multiply-adds of all convolutions for a network input of `size`.
  package func multiplyAdds(at size: FrameSize) -> Int {
    nodes.reduce(0) { $0 + multiplyAdds(of: $1, at: size) }
  }

  /// Multiply-adds of one convolution; 0 for other operations.
  func multiplyAdds(of node: Node, at size: FrameSize) -> Int {
    let pixels = (size.height / node.stride) * (size.width / node.stride)
    return switch node.operation {
    case .convolution(let convolution):
      pixels * node.channels * convolution.kernel * convolution.kernel
        * node.inputs.reduce(0) { $0 + self[$1].channels }
    case .depthwise(let convolution):
      pixels * node.channels * convolution.kernel * convolution.kernel
    default: 0
    }
  }
}

/// One step of the network.
///
/// Feature maps are `[height, width, channels]`.
package enum Operation: Sendable {
  /// A tensor that the caller provides.
  case input(name: String)
  /// Dense convolution with bias and zero padding. Several operands are read as their concatenation
  /// along channels.
  case convolution(Convolution)
  /// Depthwise convolution with bias and zero padding.
  case depthwise(Convolution)
  /// max(x, 0).
  case relu
  /// min(max(x, 0), 6).
  case relu6
  /// a + b.
  case add
  /// Bilinear enlargement with half-pixel centres (`align_corners = false`).
  case upsample(factor: Int)
  /// Mean over `factor` × `factor` pixels.
  case averagePool(factor: Int)
  /// The largest of 3×3 pixels at stride 2, of those inside the map.
  case maxPool
  /// scale · x + shift.
  case affine(scale: Float, shift: Float)
  /// scale[c] · x + shift[c], constants for each channel c.
  case channelAffine(scale: [Float], shift: [Float])
  /// x / max(L2 norm over channels, 1e-12), at each pixel.
  case normalize

  /// Names and geometry of a convolution's parameters.
  package struct Convolution: Sendable {
    /// Parameters are `name.weight` and `name.bias`.
    package let name: String
    package let kernel: Int
    package let stride: Int
    /// Pixels from one tap to the next (Yu and Koltun, ICLR 2016); 1 for neighbours.
    package let dilation: Int

    /// Pixels that the taps span in each direction.
    package var span: Int { (kernel - 1) * dilation + 1 }
    /// Zeros on each side of the operand.
    package var padding: Int { kernel / 2 * dilation }

    package var weight: String { name + ".weight" }
    package var bias: String { name + ".bias" }
  }
}
