// The second half of compiling: where results live, packed weights, steps that can run.

import CKernels

extension PlanCompiler {
  /// What a plan is made of.
  struct Result {
    var inputs: [String: FeatureMap] = [:]
    var byteInputs: [String: ByteTensor] = [:]
    var outputs: [String: FeatureMap] = [:]
    var byteOutputs: [String: ByteTensor] = [:]
    var steps: [Plan.Step] = []
    /// Name and map of each step's result, when it is floats.
    var results: [(name: String, map: FeatureMap)?] = []
    var arenaCount = 0
    /// Where an input is read that one step alone reads, by its name.
    var readers: [String: Plan.Reader] = [:]
    /// The operation that writes an output that no step reads, by its name.
    var writers: [String: RowOperation] = [:]
  }

  /// Where every value lives that is read or written as floats or as bytes.
  private struct Maps {
    var floats: [Graph.Value: FeatureMap] = [:]
    var bytes: [Graph.Value: ByteTensor] = [:]

    func float(_ value: Graph.Value) -> FeatureMap {
      guard let map = floats[value] else { preconditionFailure("value \(value.index): no buffer") }
      return map
    }

    func byte(_ value: Graph.Value) -> ByteTensor {
      guard let map = bytes[value] else { preconditionFailure("value \(value.index): no bytes") }
      return map
    }
  }

  func build(
    weights: Weights, kernels: Kernels, threadCount: Int, bindings: [String: FeatureMap],
    byteBindings: [String: ByteTensor]
  ) -> Result {
    var result = Result()
    let names = valueNames()
    var maps = Maps()
    let padding = paddings()
    for (index, node) in graph.nodes.enumerated() {
      guard case .input(let name) = node.operation else { continue }
      let value = Graph.Value(index: index)
      let needed = padding[value] ?? 0
      if let bound = byteBindings[name] {
        check(bound.map, name, shape(value), padding: needed)
        maps.bytes[value] = bound
        continue
      }
      if byteInputs.contains(value) {
        let range = range(of: value, names)
        let map = ByteMap(shape(value), padding: needed, fill: range.zeroPoint)
        maps.bytes[value] = ByteTensor(map: map, range: range)
        result.byteInputs[name] = maps.bytes[value]
        continue
      }
      if let bound = bindings[name] { check(bound, name, shape(value), padding: needed) }
      let map = bindings[name] ?? FeatureMap(shape(value), padding: needed)
      maps.floats[value] = map
      result.inputs[name] = map
    }
    result.arenaCount = assignBuffers(&maps, padding: padding, names: names)

    for plan in steps {
      let written = self.result(plan)
      result.results.append(
        written.isByte ? nil : (names[written.value] ?? "", maps.float(written.value)))
      switch plan {
      case .chain(let fused, let toBytes):
        let inputs = graph[fused[0].node].inputs
        let chain = Chain(
          stages: fused.map { stage($0, weights: weights, maps: maps) },
          sources: inputs.map(maps.float),
          output: toBytes
            ? .bytes(maps.byte(written.value)) : .scalars(maps.float(written.value)),
          arithmetic: FloatArithmetic(kernels: kernels.table, integers: kernels.integers),
          threadCount: threadCount)
        result.steps.append(.chain(chain))
        for (source, value) in inputs.enumerated() {
          if let name = inputName(value) { result.readers[name] = .chain(chain, source: source) }
        }
      case .bytes(let fused, let toFloats):
        let chain = Chain(
          stages: byteStages(fused, toFloats: toFloats, maps: maps, names: names),
          sources: graph[fused[0].node].inputs.map { maps.byte($0).map },
          output: toFloats
            ? .floats(maps.float(written.value)) : .scalars(maps.byte(written.value).map),
          arithmetic: ByteArithmetic(kernels: kernels.integers), threadCount: threadCount)
        result.steps.append(.bytes(chain))
      case .rows(let value):
        let rows = RowOperation(
          graph[value].operation, inputs: graph[value].inputs.map(maps.float),
          output: maps.float(value), kernels: kernels, threadCount: threadCount)
        result.steps.append(.rows(rows))
        if let name = inputName(graph[value].inputs[0]) { result.readers[name] = .rows(rows) }
        for output in graph.outputs where output.value == value && readers[value.index] == 1 {
          result.writers[output.name] = rows
        }
      case .conversion(let value, let direction):
        let conversion = Conversion(
          direction, floats: maps.float(value), bytes: maps.byte(value), kernels: kernels)
        result.steps.append(.conversion(conversion))
        if direction == .toBytes, let name = inputName(value) {
          result.readers[name] = .conversion(conversion)
        }
      }
    }
    for output in graph.outputs {
      if byteOutputs.contains(output.value) {
        result.byteOutputs[output.name] = maps.byte(output.value)
      } else {
        result.outputs[output.name] = maps.float(output.value)
      }
    }
    return result
  }

  private func check<Scalar>(
    _ bound: ScalarMap<Scalar>, _ name: String, _ shape: FeatureShape, padding: Int
  ) {
    precondition(bound.shape == shape, "\(name): \(bound.shape) for \(shape)")
    precondition(bound.padding >= padding, "\(name) needs \(padding) zero columns")
  }

  // MARK: - Buffers

  /// One arena of floats and one of bytes; returns the floats' size.
  private func assignBuffers(
    _ maps: inout Maps, padding: [Graph.Value: Int], names: [Graph.Value: String]
  ) -> Int {
    let written = steps.map(result)
    func arena(ofBytes isByte: Bool) -> (Arena, [Graph.Value]) {
      let own = steps.indices.filter { written[$0].isByte == isByte }
      let requests = own.map { step in
        let slot = written[step]
        let isOutput = graph.outputs.contains { $0.value == slot.value }
        let last =
          isOutput ? steps.count : steps.indices.last { reads(steps[$0]).contains(slot) } ?? step
        return Arena.Request(
          count: FeatureMap.extent(shape(slot.value), padding: padding[slot.value] ?? 0),
          lifetime: step...max(step, last))
      }
      return (Arena(requests), own.map { written[$0].value })
    }
    let (floats, floatValues) = arena(ofBytes: false)
    let memory = AlignedBuffer(count: floats.count)
    for (value, offset) in zip(floatValues, floats.offsets) {
      maps.floats[value] = FeatureMap(
        shape(value), padding: padding[value] ?? 0, in: memory, at: offset)
    }
    let (bytes, byteValues) = arena(ofBytes: true)
    let byteMemory = AlignedStorage<UInt8>(count: bytes.count)
    for (value, offset) in zip(byteValues, bytes.offsets) {
      let range = range(of: value, names)
      let map = ByteMap(
        shape(value), padding: padding[value] ?? 0, fill: range.zeroPoint, in: byteMemory,
        at: offset)
      maps.bytes[value] = ByteTensor(map: map, range: range)
    }
    return floats.count
  }

  private func range(of value: Graph.Value, _ names: [Graph.Value: String]) -> ByteRange {
    guard let name = names[value], let range = quantized.ranges[name] else {
      preconditionFailure("no range of \(names[value] ?? "a value")")
    }
    return range
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

  /// Zero columns that each value needs for the convolutions that read it from memory.
  private func paddings() -> [Graph.Value: Int] {
    var result: [Graph.Value: Int] = [:]
    for step in steps {
      switch step {
      case .chain(let chain, _), .bytes(let chain, _):
        let node = graph[chain[0].node]
        for input in node.inputs { result[input] = max(result[input] ?? 0, node.padding) }
      case .rows, .conversion: break
      }
    }
    return result
  }

  /// A name for every value that is not absorbed: the input's, the convolution's that ends in it, or
  /// the operand's and the operation's.
  func valueNames() -> [Graph.Value: String] {
    var names: [Graph.Value: String] = [:]
    for (index, node) in graph.nodes.enumerated() {
      if case .input(let name) = node.operation { names[.init(index: index)] = name }
    }
    for step in steps {
      switch step {
      case .chain(let chain, _), .bytes(let chain, _):
        for fused in chain { names[fused.result] = graph[fused.node].convolution?.name }
      case .rows(let value):
        let operation = "\(graph[value].operation)".prefix { $0 != "(" }
        names[value] = "\(names[graph[value].inputs[0]] ?? "").\(operation)"
      case .conversion: break
      }
    }
    return names
  }

  // MARK: - Stages

  private func stage(
    _ fused: Fused, weights: Weights, maps: Maps
  ) -> ChainStage<FloatArithmetic> {
    let node = graph[fused.node]
    let sources = node.inputs.map { shape($0).channels }
    let addend: Addend<Float>? = fused.addend.map {
      fused.addendIsEnlarged ? .upsampled(maps.float($0)) : .map(maps.float($0))
    }
    let (kind, convolution) = geometry(node)
    let factor = FloatArithmetic.Factor(
      weights: kind == .dense
        ? weights.packedDense(convolution, sources: sources, outputs: node.channels)
        : weights.packedDepthwise(convolution, channels: node.channels),
      bias: weights.packedBias(convolution), clamp: fused.clamp)
    return ChainStage(
      kind: kind, convolution: convolution, input: inputShape(node),
      output: shape(fused.node), inputFill: 0, factor: factor, addend: addend)
  }

  private func byteStages(
    _ chain: [Fused], toFloats: Bool, maps: Maps, names: [Graph.Value: String]
  ) -> [ChainStage<ByteArithmetic>] {
    chain.enumerated().map { index, fused in
      let node = graph[fused.node]
      let ranges = node.inputs.map { value in
        index == 0 ? maps.byte(value).range : range(of: value, names)
      }
      let addend = fused.addend.map(maps.byte)
      let isLast = index == chain.count - 1
      let surroundings = QuantizedParameters.Surroundings(
        sources: zip(node.inputs, ranges).map { (shape($0).channels, $1) },
        result: isLast && toFloats ? nil : range(of: fused.result, names), addend: addend?.range,
        low: fused.clamp.low, high: fused.clamp.high)
      let (kind, convolution) = geometry(node)
      let factor =
        kind == .dense
        ? quantized.packedDense(
          convolution.name, kernel: convolution.kernel, outputs: node.channels, surroundings)
        : quantized.packedDepthwise(
          convolution.name, kernel: convolution.kernel, channels: node.channels, surroundings)
      return ChainStage(
        kind: kind, convolution: convolution,
        input: inputShape(node), output: shape(fused.node), inputFill: ranges[0].zeroPoint,
        factor: factor,
        addend: addend.map { fused.addendIsEnlarged ? .upsampled($0.map) : .map($0.map) })
    }
  }

  private func geometry(
    _ node: Graph.Node
  ) -> (kind: ConvolutionKind, convolution: Operation.Convolution) {
    switch node.operation {
    case .convolution(let convolution): (.dense, convolution)
    case .depthwise(let convolution): (.depthwise, convolution)
    default: preconditionFailure("a chain of something else than convolutions")
    }
  }

  /// The operands' concatenation.
  private func inputShape(_ node: Graph.Node) -> FeatureShape {
    let first = shape(node.inputs[0])
    return FeatureShape(
      height: first.height, width: first.width,
      channels: node.inputs.reduce(0) { $0 + graph[$1].channels })
  }
}
