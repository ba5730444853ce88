import TestSupport
import Testing

@testable import MemoryVOS

@Suite struct PlanTests {
  /// Inputs that need no tile, one tile, uneven tiles, and rows shorter than a kernel.
  static let sizes = [
    FrameSize(width: 16, height: 16), FrameSize(width: 48, height: 16),
    FrameSize(width: 16, height: 64), FrameSize(width: 80, height: 48),
  ]

  @Test(arguments: EngineVariant.all, sizes)
  func everyGraphAgreesWithThePlainOne(_ variant: EngineVariant, _ size: FrameSize) {
    check(.init(), variant, size)
  }

  @Test(arguments: NetworkConfiguration.examples, EngineVariant.all)
  func everyConfigurationAgrees(_ configuration: NetworkConfiguration, _ variant: EngineVariant) {
    let side = configuration.stride
    check(configuration, variant, FrameSize(width: side, height: side))
    check(configuration, variant, FrameSize(width: 5 * side, height: 3 * side))
  }

  /// What no network of ours does yet: dense dilation, dilation behind other rows of a chain.
  @Test(arguments: EngineVariant.all, [1, 2, 3, 7])
  func dilatedConvolutionsAgree(_ variant: EngineVariant, _ dilation: Int) {
    var builder = GraphBuilder()
    let a = builder.input("a", channels: 3, stride: 1)
    let b = builder.input("b", channels: 5, stride: 1)
    var x = builder.convolution("c", [a, b], channels: 9, kernel: 3, dilation: dilation)
    x = builder.relu(x)
    x = builder.depthwise("d", x, kernel: 3, dilation: dilation)
    x = builder.convolution("e", [x], channels: 17, kernel: 3, stride: 2, dilation: dilation)
    builder.output("largest", builder.maxPool(x))
    builder.output("whole", x)
    let graph = builder.graph
    var random = SeededGenerator(seed: 3)
    var tensors: [String: [Float]] = [:]
    for parameter in graph.parameters {
      tensors[parameter.name] = (0..<parameter.count).map { _ in
        Float.random(in: -0.5...0.5, using: &random)
      }
    }
    for size in [FrameSize(width: 16, height: 16), FrameSize(width: 48, height: 32)] {
      check(graph, Weights(tensors), variant, size)
    }
  }

  private func check(
    _ configuration: NetworkConfiguration, _ variant: EngineVariant, _ size: FrameSize
  ) {
    let network = Network.random(seed: 7, configuration: configuration)
    let graphs = [network.graphs.keyEncoder, network.graphs.valueEncoder, network.graphs.decoder]
    for graph in graphs { check(graph, network.weights, variant, size) }
  }

  private func check(
    _ graph: Graph, _ weights: Weights, _ variant: EngineVariant, _ size: FrameSize
  ) {
    let kernels = Kernels(variant.instructionSet)
    let pool = ThreadPool(threadCount: variant.threads)
    var options = PlanOptions()
    options.fusesChains = variant.fusesChains
    let plan = Plan(
      graph, size: size, weights: weights, kernels: kernels, pool: pool, options: options)
    var random = SeededGenerator(seed: UInt64(size.area))
    var inputs: [String: PlainMap] = [:]
    for (name, map) in plan.inputs.sorted(by: { $0.key < $1.key }) {
      let scalars = (0..<map.shape.count).map { _ in Float.random(in: -1...1, using: &random) }
      map.assign(scalars)
      inputs[name] = PlainMap(map.shape, scalars)
    }
    let expected = runPlainly(graph, size: size, weights: weights, inputs: inputs)
    for round in 1...2 {  // The second run meets what the first left in the arena.
      plan.run()
      for (name, map) in plan.outputs {
        let difference = Difference(map.scalars, expected[name]?.scalars ?? [])
        #expect(
          difference.maximum <= 1e-4 * max(1, difference.scale),
          "\(name), run \(round): \(difference)")
      }
    }
  }

  @Test func arenaSharesWhatNeverLivesTogether() {
    let requests: [Arena.Request] = [
      .init(count: 100, lifetime: 0...1), .init(count: 50, lifetime: 1...2),
      .init(count: 100, lifetime: 2...3), .init(count: 10, lifetime: 0...3),
    ]
    let arena = Arena(requests)
    #expect(arena.count == 112 + 64 + 16)
    for (i, a) in requests.enumerated() {
      for (j, b) in requests.enumerated() where i < j && a.lifetime.overlaps(b.lifetime) {
        let (p, q) = (arena.offsets[i], arena.offsets[j])
        #expect(p + a.count <= q || q + b.count <= p, "\(i) and \(j)")
      }
    }
  }

  @Test func multiplyAddsOfThePrototype() {
    // DESIGN.md section 4: 2.16 G shared, 1.21 G per object at 480×864, two memory frames, top 30.
    let network = Network.random(seed: 1)
    let work = network.multiplyAdds(
      at: FrameSize(width: 864, height: 480), memoryFrames: 2, topK: 30)
    #expect((2.155e9...2.165e9).contains(Double(work.perFrame)))
    #expect((1.205e9...1.215e9).contains(Double(work.perObject)))
  }
}

@Suite struct ThreadPoolTests {
  @Test(arguments: [1, 2, 3, 8])
  func everyIterationRunsOnce(_ threads: Int) {
    let pool = ThreadPool(threadCount: threads)
    for count in [0, 1, 2, 7, 1000] {
      let counts = FeatureMap(FeatureShape(height: max(count, 1), width: 1, channels: 1))
      for _ in 0..<20 {
        pool.parallelFor(count) { iteration, worker in
          precondition((0..<threads).contains(worker))
          counts.row(iteration)[0] += 1
        }
      }
      #expect(counts.scalars.prefix(count).allSatisfy { $0 == 20 })
    }
  }

  @Test func denormalsAreFlushedInEveryThread() {
    let pool = ThreadPool(threadCount: 4)
    let results = FeatureMap(FeatureShape(height: 64, width: 1, channels: 1))
    let tiny = Float.leastNormalMagnitude
    pool.parallelFor(64) { iteration, _ in results.row(iteration)[0] = tiny * Float(0.5) }
    #expect(results.scalars.allSatisfy { $0 == 0 })
    #expect(tiny * Float(results.scalars.count) / 128 != 0, "restored for the caller")
  }
}
