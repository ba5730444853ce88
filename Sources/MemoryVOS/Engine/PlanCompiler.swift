// From a graph to the steps of a plan: what is fused, in which order it runs, where results live.

import CKernels

/// Compiles a graph.
///
/// `fuse` decides on steps; `build` gives them buffers and packed weights.
struct PlanCompiler {
  /// A convolution with the add and the activation that follow it.
  private struct Fused {
    let node: Graph.Value
    var addend: Graph.Value?
    var addendIsEnlarged = false
    var clamp = vos_clamp(low: -.infinity, high: .infinity)
    var result: Graph.Value
  }

  private enum StepPlan {
    case chain([Fused])
    case rows(Graph.Value)
  }

  private let graph: Graph
  private let size: FrameSize
  private let options: PlanOptions
  private let readers: [Int]
  private let readerNodes: [[Graph.Value]]
  private var steps: [StepPlan] = []

  /// Rows of an inner result that two tiles share are computed twice; more kernels, more of them.
  private static let windowedStagesPerChain = 3

  init(graph: Graph, size: FrameSize, options: PlanOptions) {
    self.graph = graph
    self.size = size
    self.options = options
    readers = graph.readerCounts
    var nodes = [[Graph.Value]](repeating: [], count: graph.nodes.count)
    for (index, node) in graph.nodes.enumerated() {
      for input in node.inputs { nodes[input.index].append(.init(index: index)) }
    }
    readerNodes = nodes
  }

  // MARK: - Fusing

  mutating func fuse() {
    var absorbed = Set<Graph.Value>()
    var chains: [[Fused]] = []
    var chainEnding: [Graph.Value: Int] = [:]
    for index in graph.nodes.indices {
      let value = Graph.Value(index: index)
      guard graph[value].isConvolution else { continue }
      let fused = absorbFollowers(of: value, into: &absorbed)
      absorbed.insert(value)
      if let before = chainEnding[graph[value].inputs[0]],
        canExtend(chains[before], with: fused)
      {
        chainEnding[chains[before][chains[before].count - 1].result] = nil
        chains[before].append(fused)
        chainEnding[fused.result] = before
      } else {
        chainEnding[fused.result] = chains.count
        chains.append([fused])
      }
    }
    var ordered: [(Int, StepPlan)] = chains.map { ($0[$0.count - 1].result.index, .chain($0)) }
    for index in graph.nodes.indices {
      let value = Graph.Value(index: index)
      if case .input = graph[value].operation { continue }
      if !absorbed.contains(value) { ordered.append((index, .rows(value))) }
    }
    steps = ordered.sorted { $0.0 < $1.0 }.map(\.1)
  }

  /// Takes the add and the activation behind a convolution into it.
  private func absorbFollowers(
    of value: Graph.Value, into absorbed: inout Set<Graph.Value>
  ) -> Fused {
    var fused = Fused(node: value, result: value)
    let isDense = if case .convolution = graph[value].operation { true } else { false }
    if isDense, let add = onlyReader(of: fused.result), case .add = graph[add].operation {
      let operands = graph[add].inputs
      let other = operands[0] == fused.result ? operands[1] : operands[0]
      // Of two convolutions that meet, the later one adds: the other is ready by then.
      if other != fused.result && (other.index < value.index || !graph[other].isConvolution) {
        fused.addend = other
        fused.result = add
        absorbed.insert(add)
        if case .upsample(factor: 2) = graph[other].operation, readers[other.index] == 1,
          graph[other].channels > 1
        {
          absorbed.insert(other)
          fused.addend = graph[other].inputs[0]
          fused.addendIsEnlarged = true
        }
      }
    }
    if let next = onlyReader(of: fused.result), let clamp = graph[next].clamp {
      fused.clamp = clamp
      fused.result = next
      absorbed.insert(next)
    }
    return fused
  }

  private func onlyReader(of value: Graph.Value) -> Graph.Value? {
    readers[value.index] == 1 ? readerNodes[value.index].first : nil
  }

  private func canExtend(_ chain: [Fused], with fused: Fused) -> Bool {
    guard options.fusesChains, let last = chain.last else { return false }
    let node = graph[fused.node]
    let windows = (chain + [fused]).filter { graph[$0.node].kernel > 1 }.count
    return node.inputs.count == 1 && readers[last.result.index] == 1
      && windows <= Self.windowedStagesPerChain && !last.addendIsEnlarged
      && !fused.addendIsEnlarged
  }

  // MARK: - Buffers and steps

  /// What a plan is made of.
  struct Result {
    var inputs: [String: FeatureMap] = [:]
    var outputs: [String: FeatureMap] = [:]
    var steps: [Plan.Step] = []
    var arenaCount = 0
    /// Where an input is read that one step alone reads, by its name.
    var readers: [String: Plan.Reader] = [:]
    /// The operation that writes an output that no step reads, by its name.
    var writers: [String: RowOperation] = [:]
  }

  func build(
    weights: Weights, kernels: Kernels, threadCount: Int, bindings: [String: FeatureMap]
  ) -> Result {
    var result = Result()
    var maps: [Graph.Value: FeatureMap] = [:]
    let padding = paddings()
    for (index, node) in graph.nodes.enumerated() {
      guard case .input(let name) = node.operation else { continue }
      let value = Graph.Value(index: index)
      let needed = padding[value] ?? 0
      if let bound = bindings[name] {
        precondition(bound.shape == shape(value), "\(name): \(bound.shape) for \(shape(value))")
        precondition(bound.padding >= needed, "\(name) needs \(needed) zero columns")
      }
      let map = bindings[name] ?? FeatureMap(shape(value), padding: needed)
      maps[value] = map
      result.inputs[name] = map
    }

    let written = steps.map(resultValue)
    let requests = steps.indices.map { step in
      let value = written[step]
      let isOutput = graph.outputs.contains { $0.value == value }
      let last =
        isOutput ? steps.count : steps.indices.last { reads(steps[$0]).contains(value) } ?? step
      return Arena.Request(
        count: FeatureMap.extent(shape(value), padding: padding[value] ?? 0),
        lifetime: step...max(step, last))
    }
    let arena = Arena(requests)
    let memory = AlignedBuffer(count: arena.count)
    for (step, value) in written.enumerated() {
      maps[value] = FeatureMap(
        shape(value), padding: padding[value] ?? 0, in: memory, at: arena.offsets[step])
    }
    func map(_ value: Graph.Value) -> FeatureMap {
      guard let map = maps[value] else { preconditionFailure("value \(value.index) has no buffer") }
      return map
    }

    for (step, plan) in steps.enumerated() {
      switch plan {
      case .chain(let fused):
        let inputs = graph[fused[0].node].inputs
        let chain = Chain(
          stages: fused.map { stage($0, weights: weights, map: map) }, sources: inputs.map(map),
          output: map(written[step]), kernels: kernels, threadCount: threadCount)
        result.steps.append(.chain(chain))
        for (source, value) in inputs.enumerated() {
          if let name = inputName(value) { result.readers[name] = .chain(chain, source: source) }
        }
      case .rows(let value):
        let rows = RowOperation(
          graph[value].operation, inputs: graph[value].inputs.map(map), output: map(value),
          kernels: kernels, threadCount: threadCount)
        result.steps.append(.rows(rows))
        if let name = inputName(graph[value].inputs[0]) { result.readers[name] = .rows(rows) }
        for output in graph.outputs where output.value == value && readers[value.index] == 1 {
          result.writers[output.name] = rows
        }
      }
    }
    for output in graph.outputs { result.outputs[output.name] = map(output.value) }
    result.arenaCount = arena.count
    return result
  }

  /// The name of an input that has one reader.
  private func inputName(_ value: Graph.Value) -> String? {
    guard case .input(let name) = graph[value].operation, readers[value.index] == 1 else {
      return nil
    }
    return name
  }

  private func shape(_ value: Graph.Value) -> FeatureShape {
    let node = graph[value]
    return FeatureShape(
      height: size.height / node.stride, width: size.width / node.stride, channels: node.channels)
  }

  private func resultValue(_ step: StepPlan) -> Graph.Value {
    switch step {
    case .chain(let chain): chain[chain.count - 1].result
    case .rows(let value): value
    }
  }

  private func reads(_ step: StepPlan) -> [Graph.Value] {
    switch step {
    case .chain(let chain): graph[chain[0].node].inputs + chain.compactMap(\.addend)
    case .rows(let value): graph[value].inputs
    }
  }

  /// Zero columns that each value needs for the convolutions that read it from memory.
  private func paddings() -> [Graph.Value: Int] {
    var result: [Graph.Value: Int] = [:]
    for case .chain(let chain) in steps {
      let node = graph[chain[0].node]
      for input in node.inputs { result[input] = max(result[input] ?? 0, node.padding) }
    }
    return result
  }

  private func stage(
    _ fused: Fused, weights: Weights, map: (Graph.Value) -> FeatureMap
  ) -> ChainStage {
    let node = graph[fused.node]
    let inputs = node.inputs.map(shape)
    let input = FeatureShape(
      height: inputs[0].height, width: inputs[0].width,
      channels: inputs.reduce(0) { $0 + $1.channels })
    let addend: Addend? = fused.addend.map {
      fused.addendIsEnlarged ? .upsampled(map($0)) : .map(map($0))
    }
    func make(_ kind: ChainStage.Kind, _ convolution: Operation.Convolution) -> ChainStage {
      ChainStage(
        kind: kind, convolution: convolution, input: input, output: shape(fused.node),
        weights: kind == .dense
          ? weights.packedDense(
            convolution, sources: inputs.map(\.channels), outputs: node.channels)
          : weights.packedDepthwise(convolution, channels: node.channels),
        bias: weights.packedBias(convolution), addend: addend, clamp: fused.clamp)
    }
    switch node.operation {
    case .convolution(let convolution): return make(.dense, convolution)
    case .depthwise(let convolution): return make(.depthwise, convolution)
    default: preconditionFailure("a chain of something else than convolutions")
    }
  }
}

extension Graph.Node {
  fileprivate var isConvolution: Bool {
    switch operation {
    case .convolution, .depthwise: true
    default: false
    }
  }

  fileprivate var kernel: Int {
    switch operation {
    case .convolution(let convolution), .depthwise(let convolution): convolution.kernel
    default: 1
    }
  }

  fileprivate var padding: Int {
    switch operation {
    case .convolution(let convolution), .depthwise(let convolution): convolution.padding
    default: 0
    }
  }

  fileprivate var clamp: vos_clamp? {
    switch operation {
    case .relu: vos_clamp(low: 0, high: .infinity)
    case .relu6: vos_clamp(low: 0, high: 6)
    default: nil
    }
  }
}
