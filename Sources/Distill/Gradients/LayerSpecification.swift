// Which operations of a graph become one layer, and where activations and gradients are kept.
// GradientPlan asks once, when it is made.

import CKernels
import MemoryVOS

/// What a clamp does to values.
typealias Clamp = vos_clamp

extension Clamp {
  static let none = Clamp(low: -.infinity, high: .infinity)
  static let relu = Clamp(low: 0, high: .infinity)
  static let relu6 = Clamp(low: 0, high: 6)

  /// Whether it changes anything.
  var isActive: Bool { low > -.infinity || high < .infinity }

  init?(_ operation: Operation) {
    switch operation {
    case .relu: self = .relu
    case .relu6: self = .relu6
    default: return nil
    }
  }
}

/// One layer to be: an operation with the additions and activations that follow it directly.
struct LayerSpecification {
  let operation: Operation
  /// Positions of its operands among the graph's nodes.
  let sources: [Int]
  /// Added before the clamp.
  var addend: Int?
  var clamp = Clamp.none
  var output: Int
  /// Whether a RoundingLayer follows, which then keeps what the clamp does to gradients.
  var isRounded = false

  /// What the layer's own gradient knows of the clamp.
  var gate: Clamp { isRounded ? .none : clamp }

  var operands: [Int] { sources + (addend.map { [$0] } ?? []) }

  /// Walks the graph; a value that only the next operation reads is never stored.
  static func fuse(_ graph: Graph, isOutput: [Bool]) -> [LayerSpecification] {
    var readers = [[Int]](repeating: [], count: graph.nodes.count)
    for (index, node) in graph.nodes.enumerated() {
      for input in node.inputs { readers[input.index].append(index) }
    }
    func onlyReader(_ value: Int) -> Int? {
      readers[value].count == 1 && !isOutput[value] ? readers[value][0] : nil
    }
    var fused = Set<Int>()
    var result: [LayerSpecification] = []
    for (index, node) in graph.nodes.enumerated() where !fused.contains(index) {
      var layer = LayerSpecification(
        operation: node.operation, sources: node.inputs.map(\.index), output: index)
      var isDense = false
      if case .convolution = node.operation { isDense = true }
      var isDepthwise = false
      if case .depthwise = node.operation { isDepthwise = true }
      if isDense, let reader = onlyReader(index), case .add = graph.nodes[reader].operation {
        let others = graph.nodes[reader].inputs.map(\.index).filter { $0 != index }
        // The other operand must be computed before this layer, or this one runs too early.
        if let other = others.first, other < index {
          layer.addend = other
          layer.output = reader
          fused.insert(reader)
        }
      }
      if isDense || isDepthwise || node.operation.isAdd, let reader = onlyReader(layer.output),
        let clamp = Clamp(graph.nodes[reader].operation)
      {
        layer.clamp = clamp
        layer.output = reader
        fused.insert(reader)
      }
      result.append(layer)
    }
    return result
  }

  /// The layer, or nil for an input.
  func layer(shapes: [FeatureShape], parts: Int, microBatch: Int) -> (any GradientLayer)? {
    switch operation {
    case .input: nil
    case .convolution(let convolution):
      ConvolutionLayer(
        self, convolution, shapes: shapes, parts: parts, microBatch: microBatch)
    case .depthwise(let convolution): DepthwiseLayer(self, convolution, shapes: shapes)
    case .relu: ActivationLayer(self, clamp: .relu)
    case .relu6: ActivationLayer(self, clamp: .relu6)
    case .add: AdditionLayer(self)
    case .upsample(let factor): UpsampleLayer(self, factor: factor, shapes: shapes)
    case .averagePool(let factor): AveragePoolLayer(self, factor: factor)
    case .maxPool: MaxPoolLayer(self, shapes: shapes)
    case .affine(let scale, let shift): AffineLayer(self, scale: scale, shift: shift)
    case .channelAffine(let scale, let shift):
      ChannelAffineLayer(self, scale: scale, shift: shift)
    case .normalize: NormalizeLayer(self)
    }
  }
}

extension Operation {
  var isAdd: Bool {
    if case .add = self { true } else { false }
  }

  var isInput: Bool {
    if case .input = self { true } else { false }
  }
}

/// Where activations (kept for the whole batch) and gradients (shared by lifetime) go.
struct GradientAssignment {
  private(set) var roots: [Int]
  private(set) var offsets: [Int?]
  private(set) var tapeOffsets: [Int?]
  private(set) var tapeCount = 0
  let arenaCount: Int

  init(
    _ layers: [LayerSpecification], shapes: [FeatureShape], isOutput: [Bool], microBatch: Int
  ) {
    let none = [Int?](repeating: nil, count: shapes.count)
    roots = Array(shapes.indices)
    offsets = none
    tapeOffsets = none
    var isInput = [Bool](repeating: false, count: shapes.count)
    var producer = none
    var lastReader = none
    for (position, layer) in layers.enumerated() {
      isInput[layer.output] = layer.operation.isInput
      producer[layer.output] = position
      for operand in layer.operands { lastReader[operand] = position }
      if !layer.operation.isInput {
        tapeOffsets[layer.output] = tapeCount
        tapeCount += (shapes[layer.output].count + 15) & ~15
      }
    }
    // The gradient of an addend is that of the sum: when nobody reads the addend later, they share
    // one buffer. Its other readers come later in reverse order and add to it.
    for (position, layer) in layers.enumerated().reversed() {
      if let addend = layer.addend, lastReader[addend] == position, !isOutput[addend],
        !isInput[addend], !layer.sources.contains(addend)
      {
        roots[addend] = roots[layer.output]
      }
    }
    // Backward visits layers in reverse: a root lives from its last reader to its first producer.
    var lifetimes = [ClosedRange<Int>?](repeating: nil, count: shapes.count)
    for (value, position) in producer.enumerated() {
      guard let position, !isInput[value] else { continue }
      let root = roots[value]
      let span = layers.count - 1 - (lastReader[value] ?? position)...layers.count - 1 - position
      if let known = lifetimes[root] {
        lifetimes[root] =
          min(known.lowerBound, span.lowerBound)...max(known.upperBound, span.upperBound)
      } else {
        lifetimes[root] = span
      }
    }
    let values = shapes.indices.filter { lifetimes[$0] != nil && !isOutput[$0] }
    let arena = Arena(
      values.map {
        Arena.Request(count: shapes[$0].count * microBatch, lifetime: lifetimes[$0] ?? 0...0)
      })
    arenaCount = arena.count
    for (value, offset) in zip(values, arena.offsets) { offsets[value] = offset }
  }
}
