// A graph compiled for one input size, in float32 or partly in bytes: what `Tracker` runs. Running
// allocates nothing.

/// Choices that do not change results beyond rounding.
package struct PlanOptions: Sendable {
  /// Runs of convolutions go row by row through the cache; off is the plain version, for tests.
  package var fusesChains = true

  package init() {}
}

/// A graph with its weights packed, its buffers assigned and its operations fused.
package final class Plan {
  enum Step {
    case chain(Chain<FloatArithmetic>)
    case bytes(Chain<ByteArithmetic>)
    case rows(RowOperation)
    case conversion(Conversion)
  }

  /// The only step that reads an input.
  enum Reader {
    case chain(Chain<FloatArithmetic>, source: Int)
    case rows(RowOperation)
    case conversion(Conversion)
  }

  /// Maps to fill before `run`, by the graph's input names.
  package let inputs: [String: FeatureMap]
  /// The same for inputs that are bytes, see `init`.
  package let byteInputs: [String: ByteTensor]
  /// Maps to read after `run`, by the graph's output names.
  ///
  /// They live until the next `run`.
  package let outputs: [String: FeatureMap]
  /// Outputs that are bytes, by name.
  package let byteOutputs: [String: ByteTensor]
  /// Floats of intermediate results, shared by lifetime.
  package let arenaCount: Int
  /// Called in `run` with each input and each step's result that is floats, when it is there:
  /// calibration looks at them, simulation rounds them.
  ///
  /// What lies within a chain is not seen; see `PlanOptions.fusesChains`.
  package var observer: ((_ value: String, _ map: FeatureMap) -> Void)?

  private let steps: [Step]
  private let readers: [String: Reader]
  private let writers: [String: RowOperation]
  private let results: [(name: String, map: FeatureMap)?]
  private var boundInputs: [String: FeatureMap]
  private let pool: ThreadPool

  /// Compiles `graph` for a network input of `size`, both sides multiples of the graph's coarsest stride.
  ///
  /// `bindings` and `byteBindings` are inputs that are results of other plans, read in place. With
  /// `quantized` parameters, the convolutions that these hold compute in bytes; of `byteOutputs`,
  /// those that come as bytes stay bytes; with `inputsMayBeBytes`, inputs that are read as bytes alone
  /// are `byteInputs`.
  package init(
    _ graph: Graph, size: FrameSize, weights: Weights, kernels: Kernels, pool: ThreadPool,
    bindings: [String: FeatureMap] = [:], options: PlanOptions = .init(),
    quantized: QuantizedParameters? = nil, byteBindings: [String: ByteTensor] = [:],
    byteOutputs: Set<String> = [], inputsMayBeBytes: Bool = false
  ) {
    let stride = graph.coarsestStride
    precondition(
      size.width % stride == 0 && size.height % stride == 0,
      "a network input of \(size) at a stride of \(stride)")
    var compiler = PlanCompiler(
      graph: graph, size: size, options: options, quantized: quantized ?? .init())
    compiler.fuse()
    compiler.convert(
      byteInputs: Set(byteBindings.keys), byteOutputs: byteOutputs,
      inputsMayBeBytes: inputsMayBeBytes)
    let result = compiler.build(
      weights: weights, kernels: kernels, threadCount: pool.threadCount, bindings: bindings,
      byteBindings: byteBindings)
    inputs = result.inputs
    byteInputs = result.byteInputs
    outputs = result.outputs
    steps = result.steps
    readers = result.readers
    writers = result.writers
    arenaCount = result.arenaCount
    self.byteOutputs = result.byteOutputs
    results = result.results
    boundInputs = result.inputs
    self.pool = pool
  }

  /// Makes the plan read input `name` from `map` from now on, instead of copying it there; traps
  /// unless the shapes are equal and one step alone reads it.
  package func rebind(_ name: String, to map: FeatureMap) {
    guard let reader = readers[name], let old = inputs[name] else {
      preconditionFailure("input \(name) cannot be bound anew")
    }
    precondition(
      old.shape == map.shape && old.padding <= map.padding, "\(name): \(map.shape) for \(old.shape)"
    )
    switch reader {
    case .chain(let chain, let source): chain.sources[source] = map
    case .rows(let rows): rows.input = map
    case .conversion(let conversion): conversion.floats = map
    }
    boundInputs[name] = map
  }

  /// Makes the plan write output `name` to `map` from now on; traps unless the shapes are equal and a
  /// row operation writes it for nobody else.
  package func rebind(output name: String, to map: FeatureMap) {
    guard let writer = writers[name], let old = outputs[name] else {
      preconditionFailure("output \(name) cannot be bound anew")
    }
    precondition(old.shape == map.shape, "\(name): \(map.shape) for \(old.shape)")
    writer.output = map
  }

  /// Computes every output from the inputs.
  package func run() {
    if let observer { for (name, map) in boundInputs { observer(name, map) } }
    for (index, step) in steps.enumerated() {
      switch step {
      case .chain(let chain): chain.run(pool)
      case .bytes(let chain): chain.run(pool)
      case .rows(let rows): rows.run(pool)
      case .conversion(let conversion): conversion.run(pool)
      }
      if let observer, let result = results[index] { observer(result.name, result.map) }
    }
  }
}
