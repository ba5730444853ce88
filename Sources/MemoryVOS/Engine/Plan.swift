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

  /// Maps to fill before `run`, by the graph's input names.
  package let inputs: [String: FeatureMap]
  /// Maps to read after `run`, by the graph's output names.
  ///
  /// They live until the next `run`.
  package let outputs: [String: FeatureMap]
  /// Floats of intermediate results, shared by lifetime.
  package let arenaCount: Int

  private let steps: [Step]
  private let rowReaders: [String: [RowOperation]]
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
    rowReaders = result.rowReaders
    arenaCount = result.arenaCount
    self.pool = pool
  }

  /// Makes the plan read input `name` from `map` from now on; traps unless the shapes are equal and
  /// only row operations read it (the masks of DESIGN.md section 4 are scaled before anything else).
  package func rebind(_ name: String, to map: FeatureMap) {
    guard let steps = rowReaders[name], let old = inputs[name] else {
      preconditionFailure("input \(name) cannot be bound anew")
    }
    precondition(old.shape == map.shape, "\(name): \(map.shape) for \(old.shape)")
    for rows in steps { rows.input = map }
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
