// A graph compiled for one input size in float32: what `Tracker` runs. Running allocates nothing.

/// Choices that do not change results beyond rounding.
package struct PlanOptions: Sendable {
  /// Runs of convolutions go row by row through the cache; off is the plain version, for tests.
  package var fusesChains = true

  package init() {}
}

/// A graph with its weights packed, its buffers assigned and its operations fused.
package final class Plan {
  enum Step {
    case chain(Chain)
    case rows(RowOperation)
  }

  /// The only step that reads an input.
  enum Reader {
    case chain(Chain, source: Int)
    case rows(RowOperation)
  }

  /// Maps to fill before `run`, by the graph's input names.
  package let inputs: [String: FeatureMap]
  /// Maps to read after `run`, by the graph's output names.
  ///
  /// They live until the next `run`.
  package let outputs: [String: FeatureMap]
  /// Floats of intermediate results, shared by lifetime.
  package let arenaCount: Int

  private let steps: [Step]
  private let readers: [String: Reader]
  private let writers: [String: RowOperation]
  private let pool: ThreadPool

  /// Compiles `graph` for a network input of `size`, both sides multiples of 16.
  ///
  /// `bindings` are inputs that are results of other plans, read in place.
  package init(
    _ graph: Graph, size: FrameSize, weights: Weights, kernels: Kernels, pool: ThreadPool,
    bindings: [String: FeatureMap] = [:], options: PlanOptions = .init()
  ) {
    precondition(size.width % 16 == 0 && size.height % 16 == 0, "a network input of \(size)")
    var compiler = PlanCompiler(graph: graph, size: size, options: options)
    compiler.fuse()
    let result = compiler.build(
      weights: weights, kernels: kernels, threadCount: pool.threadCount, bindings: bindings)
    inputs = result.inputs
    outputs = result.outputs
    steps = result.steps
    readers = result.readers
    writers = result.writers
    arenaCount = result.arenaCount
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
    }
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
    for step in steps {
      switch step {
      case .chain(let chain): chain.run(pool)
      case .rows(let rows): rows.run(pool)
      }
    }
  }
}
