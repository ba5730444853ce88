// From a graph to the steps of a plan: what is fused, in which order it runs, where results live.

import CKernels

/// Compiles a graph.
///
/// `fuse` decides on steps, `convert` on bytes and floats; `build` (PlanCompiler+Build.swift) gives
/// steps buffers and packed weights.
struct PlanCompiler {
  /// A convolution with the add and the activation that follow it.
  struct Fused {
    let node: Graph.Value
    var addend: Graph.Value?
    var addendIsEnlarged = false
    var clamp = vos_clamp(low: -.infinity, high: .infinity)
    var result: Graph.Value
  }

  enum StepPlan {
    /// A chain over floats, whose result may be rounded to bytes.
    case chain([Fused], toBytes: Bool)
    /// A chain over bytes, whose last convolution may write floats.
    case bytes([Fused], toFloats: Bool)
    case rows(Graph.Value)
    case conversion(Graph.Value, Conversion.Direction)
  }

  /// A value in one of its two forms.
  struct Slot: Hashable {
    let value: Graph.Value
    let isByte: Bool
  }

  let graph: Graph
  let size: FrameSize
  let quantized: QuantizedParameters
  let readers: [Int]
  var steps: [StepPlan] = []
  /// Outputs that stay bytes, and inputs that are.
  var byteOutputs: Set<Graph.Value> = []
  var byteInputs: Set<Graph.Value> = []
  private let options: PlanOptions
  private let readerNodes: [[Graph.Value]]

  /// Rows of an inner result that two tiles share are computed twice; more kernels, more of them.
  private static let windowedStagesPerChain = 3

  init(graph: Graph, size: FrameSize, options: PlanOptions, quantized: QuantizedParameters) {
    self.graph = graph
    self.size = size
    self.options = options
    self.quantized = quantized
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
    var ordered: [(Int, StepPlan)] = chains.map {
      ($0[$0.count - 1].result.index, .chain($0, toBytes: false))
    }
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
    return isQuantized(fused) == isQuantized(last) && node.inputs.count == 1
      && readers[last.result.index] == 1 && windows <= Self.windowedStagesPerChain
      && !last.addendIsEnlarged && !fused.addendIsEnlarged
  }

  private func isQuantized(_ fused: Fused) -> Bool {
    graph[fused.node].convolution.map { quantized.convolutions[$0.name] != nil } ?? false
  }

  // MARK: - Bytes and floats

  /// Makes chains of quantised convolutions compute in bytes and puts conversions between what comes
  /// in one form and is read in the other.
  mutating func convert(
    byteInputs names: Set<String>, byteOutputs outputNames: Set<String>,
    inputsMayBeBytes: Bool = false
  ) {
    for (index, node) in graph.nodes.enumerated() {
      if case .input(let name) = node.operation, names.contains(name) {
        byteInputs.insert(.init(index: index))
      }
    }
    steps = steps.map { step in
      guard case .chain(let chain, _) = step, isQuantized(chain[0]) else { return step }
      return .bytes(chain, toFloats: false)
    }
    let slots = steps.flatMap(reads)
    let mayStay = Set(graph.outputs.filter { outputNames.contains($0.name) }.map(\.value))
    func isRead(_ value: Graph.Value, asBytes isByte: Bool) -> Bool {
      if !isByte, graph.outputs.contains(where: { $0.value == value }), !mayStay.contains(value) {
        return true
      }
      return slots.contains(Slot(value: value, isByte: isByte))
    }
    var converted: [StepPlan] = []
    for index in graph.nodes.indices {
      let value = Graph.Value(index: index)
      guard case .input = graph[value].operation else { continue }
      if inputsMayBeBytes, isRead(value, asBytes: true), !isRead(value, asBytes: false) {
        byteInputs.insert(value)
      }
      let isByte = byteInputs.contains(value)
      if isRead(value, asBytes: !isByte) {
        converted.append(.conversion(value, isByte ? .toFloats : .toBytes))
      }
    }
    for step in steps {
      let value = result(step).value
      guard case .bytes(let chain, _) = step else {
        if case .chain(let chain, _) = step, isRead(value, asBytes: true),
          !isRead(value, asBytes: false)
        {
          converted.append(.chain(chain, toBytes: true))
          if mayStay.contains(value) { byteOutputs.insert(value) }
          continue
        }
        converted.append(step)
        if isRead(value, asBytes: true) {
          converted.append(.conversion(value, .toBytes))
          if mayStay.contains(value) { byteOutputs.insert(value) }
        }
        continue
      }
      let last = chain[chain.count - 1]
      let isPlain =
        last.addend == nil && last.clamp.low == -.infinity && last.clamp.high == .infinity
      if isPlain, !isRead(value, asBytes: true), !mayStay.contains(value),
        case .convolution = graph[last.node].operation
      {
        converted.append(.bytes(chain, toFloats: true))
        continue
      }
      converted.append(step)
      if mayStay.contains(value) { byteOutputs.insert(value) }
      if isRead(value, asBytes: false) { converted.append(.conversion(value, .toFloats)) }
    }
    steps = converted
  }

  /// What a step writes.
  func result(_ step: StepPlan) -> Slot {
    switch step {
    case .chain(let chain, let toBytes):
      Slot(value: chain[chain.count - 1].result, isByte: toBytes)
    case .bytes(let chain, let toFloats):
      Slot(value: chain[chain.count - 1].result, isByte: !toFloats)
    case .rows(let value): Slot(value: value, isByte: false)
    case .conversion(let value, let direction): Slot(value: value, isByte: direction == .toBytes)
    }
  }

  /// What a step reads.
  func reads(_ step: StepPlan) -> [Slot] {
    switch step {
    case .chain(let chain, _): reads(chain).map { Slot(value: $0, isByte: false) }
    case .bytes(let chain, _): reads(chain).map { Slot(value: $0, isByte: true) }
    case .rows(let value): graph[value].inputs.map { Slot(value: $0, isByte: false) }
    case .conversion(let value, let direction):
      [Slot(value: value, isByte: direction == .toFloats)]
    }
  }

  private func reads(_ chain: [Fused]) -> [Graph.Value] {
    graph[chain[0].node].inputs + chain.compactMap(\.addend)
  }
}

extension Graph.Node {
  fileprivate var isConvolution: Bool { convolution != nil }

  /// Dense or depthwise.
  var convolution: Operation.Convolution? {
    switch operation {
    case .convolution(let convolution), .depthwise(let convolution): convolution
    default: nil
    }
  }

  var kernel: Int { convolution?.kernel ?? 1 }

  var padding: Int { convolution?.padding ?? 0 }

  fileprivate var clamp: vos_clamp? {
    switch operation {
    case .relu: vos_clamp(low: 0, high: .infinity)
    case .relu6: vos_clamp(low: 0, high: 6)
    default: nil
    }
  }
}
