// A graph compiled for training: forward over a batch keeping what backward needs, then reverse mode
// over the same operations. TrainingStep runs three of these; the graphs are the inference's own.
//
// Each operation's forward and gradient stand beside each other in one layer (ConvolutionLayer,
// DepthwiseLayer, …). Maps are `[height, width, channels]` per sample, without borders.

import CKernels
import MemoryVOS

/// A graph with its weights packed and its gradient buffers assigned.
///
/// Work is shared out by rows in fixed parts, one per thread, so that sums are formed in the same
/// order whenever the number of threads is the same.
final class GradientPlan {
  let graph: Graph
  let size: FrameSize
  /// Samples that run through the layers together: few enough that maps stay in the cache.
  let microBatch: Int
  let pool: ThreadPool
  let kernels: vos_kernels
  let training: vos_training_kernels
  /// Extent of each value; those inside fused layers are never computed.
  let shapes: [FeatureShape]

  private(set) var layers: [any GradientLayer] = []
  /// The value whose gradient buffer a value shares.
  private(set) var gradientRoots: [Int] = []
  /// Where a root's gradient starts in the arena (per micro-batch), or nil for the caller's buffers.
  private(set) var gradientOffsets: [Int?] = []
  /// Position of each value's activation in a tape, in floats per sample; nil for inputs and values
  /// inside fused layers.
  private(set) var tapeOffsets: [Int?] = []
  /// Position of what a rounded value's gradient passes (a byte each) in a tape, in floats per sample.
  private(set) var passesOffsets: [Int: Int] = [:]
  private(set) var tapeCount = 0
  let arena: AlignedBuffer
  /// Gradients of packed weights, added up by each part: `[parts][accumulatorCount]`.
  let accumulators: AlignedBuffer
  private(set) var accumulatorCount = 0
  let isOutput: [Bool]
  private var live: [Bool]
  private var written: [Bool]

  var parts: Int { pool.threadCount }

  /// Compiles `graph` for inputs of `size`; the caller reads `extraOutputs` and sends gradients to
  /// them as to the graph's outputs.
  ///
  /// The values that `rounding` names are rounded where they are computed.
  init(
    _ graph: Graph, size: FrameSize, microBatch: Int, kernels: Kernels, pool: ThreadPool,
    extraOutputs: [Graph.Value] = [], rounding: [Graph.Value: RoundingRange] = [:]
  ) {
    let stride = graph.coarsestStride
    precondition(
      size.width % stride == 0 && size.height % stride == 0,
      "samples of \(size) at a stride of \(stride)")
    self.graph = graph
    self.size = size
    self.microBatch = microBatch
    self.pool = pool
    self.kernels = kernels.table
    guard let training = vos_training_kernels_for(kernels.table.isa) else {
      preconditionFailure("no training kernels")
    }
    self.training = training.pointee
    let shapes = graph.nodes.map {
      FeatureShape(
        height: size.height / $0.stride, width: size.width / $0.stride, channels: $0.channels)
    }
    self.shapes = shapes
    var isOutput = [Bool](repeating: false, count: graph.nodes.count)
    for value in graph.outputs.map(\.value) + extraOutputs { isOutput[value.index] = true }
    self.isOutput = isOutput
    let specifications = LayerSpecification.fuse(graph, isOutput: isOutput).map { specification in
      var specification = specification
      specification.isRounded = rounding[.init(index: specification.output)] != nil
      return specification
    }
    precondition(
      specifications.count(where: \.isRounded) == rounding.count, "a rounded value within a layer")
    let assignment = GradientAssignment(
      specifications, shapes: shapes, isOutput: isOutput, microBatch: microBatch)
    gradientRoots = assignment.roots
    gradientOffsets = assignment.offsets
    tapeOffsets = assignment.tapeOffsets
    tapeCount = assignment.tapeCount
    arena = AlignedBuffer(count: assignment.arenaCount)
    live = [Bool](repeating: false, count: graph.nodes.count)
    written = live
    var accumulatorCount = 0
    layers = specifications.flatMap { specification -> [any GradientLayer] in
      let layer = specification.layer(
        shapes: shapes, parts: pool.threadCount, microBatch: microBatch)
      layer?.accumulatorOffset = accumulatorCount
      accumulatorCount += ((layer?.accumulatorCount ?? 0) + 15) & ~15
      let rounded = rounding[.init(index: specification.output)].map {
        RoundingLayer(specification, range: $0)
      }
      return [layer, rounded].compactMap(\.self)
    }
    for specification in specifications where specification.isRounded {
      passesOffsets[specification.output] = tapeCount
      tapeCount += ((shapes[specification.output].count + 3) / 4 + 15) & ~15
    }
    self.accumulatorCount = accumulatorCount
    accumulators = AlignedBuffer(count: accumulatorCount * pool.threadCount)
  }

  /// Packs the parameters; call before the first forward after they changed.
  func load(_ parameters: ParameterSet) {
    pool.parallelFor(layers.count) { index, _ in layers[index].load(parameters, kernels) }
  }

  /// Forgets the weight gradients added up so far.
  func reset() {
    accumulators.base.update(repeating: 0, count: accumulators.count)
  }

  /// Computes the tape's activations from its inputs for the samples in `samples`.
  func forward(_ tape: GradientTape, samples: Range<Int>) {
    var first = samples.lowerBound
    while first < samples.upperBound {
      let end = min(first + microBatch, samples.upperBound)
      let pass = GradientPass(plan: self, tape: tape, samples: first..<end)
      for layer in layers { layer.forward(pass) }
      first = end
    }
  }

  /// Reverse mode over the layers.
  ///
  /// From the gradients of the outputs, which the caller has put into the tape's buffers, to those of
  /// the inputs that have buffers (added up) and of the weights (added up in `accumulators`). Output gradients are changed on the way.
  func backward(_ tape: GradientTape, samples: Range<Int>) {
    for index in graph.nodes.indices {
      let node = graph.nodes[index]
      live[index] =
        switch node.operation {
        case .input: tape.hasGradient(index)
        case .convolution, .depthwise: true
        default: node.inputs.contains { live[$0.index] }
        }
    }
    var first = samples.lowerBound
    while first < samples.upperBound {
      let end = min(first + microBatch, samples.upperBound)
      let pass = GradientPass(plan: self, tape: tape, samples: first..<end)
      for index in graph.nodes.indices {
        written[index] = isOutput[index] || tape.hasGradient(index)
      }
      for layer in layers.reversed() where live[layer.output] { layer.backward(pass) }
      first = end
    }
  }

  /// Whether anybody wants the gradient of a value.
  func isLive(_ value: Int) -> Bool { live[value] }

  /// Whether a value's gradient holds something already; from now on it does.
  func claim(_ value: Int) -> Bool {
    let root = gradientRoots[value]
    defer { written[root] = true }
    return written[root]
  }

  /// Adds up the parts' weight gradients and writes them, in PyTorch's order, into `gradients`.
  func collect(into gradients: inout ParameterSet) {
    for part in 1..<max(parts, 1) {
      training.accumulate(
        accumulators.base + part * accumulatorCount, accumulatorCount, accumulators.base)
    }
    for layer in layers {
      layer.collect(from: accumulators.base + layer.accumulatorOffset, into: &gradients)
    }
  }
}

/// Activations of a number of samples, and where their inputs and gradients are.
final class GradientTape {
  let samples: Int
  private let plan: GradientPlan
  private let buffer: AlignedBuffer
  /// For each input value and sample the caller's map.
  private var inputs: [Int: [UnsafeMutablePointer<Float>]] = [:]
  /// For each input or output value and sample the caller's gradient map.
  private var gradients: [Int: [UnsafeMutablePointer<Float>]] = [:]

  /// Room for the activations of `samples` samples.
  init(_ plan: GradientPlan, samples: Int) {
    self.plan = plan
    self.samples = samples
    buffer = AlignedBuffer(count: plan.tapeCount * samples)
  }

  /// Bytes of activations.
  var byteCount: Int { buffer.count * MemoryLayout<Float>.stride }

  /// Reads input `name` of each sample from these maps, which the caller keeps alive.
  func bind(_ name: String, _ maps: [UnsafeMutablePointer<Float>]) {
    precondition(maps.count == samples, "\(maps.count) maps for \(samples) samples")
    inputs[inputIndex(name)] = maps
  }

  /// Adds the gradient of input `name` into these maps; nil: nobody wants it.
  func bindGradient(_ name: String, _ maps: [UnsafeMutablePointer<Float>]?) {
    precondition(maps?.count ?? samples == samples, "gradient maps of \(name)")
    gradients[inputIndex(name)] = maps
  }

  /// Takes the gradient of an output from these maps, and works in them.
  func bindGradient(_ output: Graph.Value, _ maps: [UnsafeMutablePointer<Float>]) {
    precondition(maps.count == samples && plan.isOutput[output.index], "gradient of an output")
    gradients[output.index] = maps
  }

  /// The map of a value of one sample.
  func activation(_ value: Int, _ sample: Int) -> UnsafeMutablePointer<Float> {
    if let offset = plan.tapeOffsets[value] {
      // Values of one sample are side by side.
      return buffer.base + sample * plan.tapeCount + offset
    }
    guard let maps = inputs[value] else { preconditionFailure("input \(value) is not bound") }
    return maps[sample]
  }

  /// For each scalar of a rounded value of one sample, whether its gradient passes.
  func passes(_ value: Int, _ sample: Int) -> UnsafeMutablePointer<UInt8> {
    guard let offset = plan.passesOffsets[value] else {
      preconditionFailure("value \(value) is not rounded")
    }
    // This part of the tape holds nothing but these bytes.
    return UnsafeMutableRawPointer(buffer.base + sample * plan.tapeCount + offset)
      .bindMemory(to: UInt8.self, capacity: plan.shapes[value].count)
  }

  func hasGradient(_ value: Int) -> Bool { gradients[value] != nil }

  func gradient(_ value: Int, _ sample: Int) -> UnsafeMutablePointer<Float> {
    guard let maps = gradients[value] else {
      preconditionFailure("no gradient bound for value \(value)")
    }
    return maps[sample]
  }

  private func inputIndex(_ name: String) -> Int {
    for (index, node) in plan.graph.nodes.enumerated() {
      if case .input(name) = node.operation { return index }
    }
    preconditionFailure("the graph has no input \(name)")
  }
}

/// Some samples on their way through the layers, in one direction.
struct GradientPass {
  let plan: GradientPlan
  let tape: GradientTape
  let samples: Range<Int>

  var kernels: vos_kernels { plan.kernels }
  var training: vos_training_kernels { plan.training }

  func activation(_ value: Int, _ sample: Int) -> UnsafeMutablePointer<Float> {
    tape.activation(value, sample)
  }

  func gradient(_ value: Int, _ sample: Int) -> UnsafeMutablePointer<Float> {
    let root = plan.gradientRoots[value]
    guard let offset = plan.gradientOffsets[root] else { return tape.gradient(root, sample) }
    return plan.arena.base + offset + (sample - samples.lowerBound) * plan.shapes[root].count
  }

  /// Where `part` adds up weight gradients of `layer`.
  func accumulator(_ layer: any GradientLayer, _ part: Int) -> UnsafeMutablePointer<Float> {
    plan.accumulators.base + part * plan.accumulatorCount + layer.accumulatorOffset
  }

  /// Runs `body(part, sample, rows)` so that each row of each sample is in exactly one call; parts
  /// run at the same time.
  func forEachPiece(
    rows: Int, _ body: (_ part: Int, _ sample: Int, _ rows: Range<Int>) -> Void
  ) {
    let (total, parts) = (rows * samples.count, plan.parts)
    plan.pool.parallelFor(parts) { part, _ in
      var row = total * part / parts
      let end = total * (part + 1) / parts
      while row < end {
        let sample = row / rows
        let last = min(end, (sample + 1) * rows)
        body(part, samples.lowerBound + sample, row - sample * rows..<last - sample * rows)
        row = last
      }
    }
  }
}

/// One or several fused operations: how to compute them and how to differentiate them.
protocol GradientLayer: AnyObject {
  /// The value it computes.
  var output: Int { get }
  /// Scalars of weight gradients, in the layer's own order.
  var accumulatorCount: Int { get }
  var accumulatorOffset: Int { get set }

  /// Packs its parameters.
  func load(_ parameters: ParameterSet, _ kernels: vos_kernels)
  func forward(_ pass: GradientPass)
  /// From the gradient of `output` to those of its operands and weights.
  func backward(_ pass: GradientPass)
  /// Writes the weights' gradients in PyTorch's order.
  func collect(from sums: UnsafePointer<Float>, into gradients: inout ParameterSet)
}

/// A layer without parameters.
class PlainLayer {
  let output: Int
  let accumulatorCount = 0
  var accumulatorOffset = 0

  init(output: Int) { self.output = output }

  func load(_ parameters: ParameterSet, _ kernels: vos_kernels) {}
  func collect(from sums: UnsafePointer<Float>, into gradients: inout ParameterSet) {}
}
