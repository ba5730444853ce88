// Whether quantised parameters fit a graph and keep within the contracts of the integer kernels:
// a file may hold anything.

import CKernels

extension QuantizedParameters {
  /// What is wrong with a layer.
  struct Problem {
    let layer: String
    let expected: String
    let found: String
  }

  /// The first reason for which the kernels could not run `graph`, or `nil`.
  func problem(in graph: Graph) -> Problem? {
    for convolution in PlanCompiler.convolutions(in: graph) {
      guard let parameters = convolutions[convolution.name] else { continue }
      let name = convolution.name
      guard convolution.isSupported else {
        return .init(layer: name, expected: "a float tensor", found: "int8")
      }
      let values =
        convolution.sources + [convolution.result] + [convolution.addend].compactMap(\.self)
      for value in values where ranges[value] == nil {
        return .init(layer: name, expected: "a range of '\(value)' in the metadata", found: "none")
      }
      let perOutput = parameters.weights.count / max(1, parameters.scales.count)
      for output in parameters.scales.indices {
        for sum in convolution.sums {
          let total = sum.reduce(0) {
            $0 + Int(parameters.weights[output * perOutput + $1].magnitude)
          }
          guard total <= Int(VOS_INT8_WEIGHT_SUM) else {
            return .init(
              layer: name,
              expected: "weights whose 16-bit sums fit, at most \(VOS_INT8_WEIGHT_SUM)",
              found: "\(total) in channel \(output)")
          }
        }
      }
      if let problem = scalingProblem(of: convolution, parameters.scales) { return problem }
    }
    return nil
  }

  /// Why the scales of a convolution cannot be multipliers of the kernels, or `nil`.
  private func scalingProblem(
    of convolution: PlanCompiler.NamedConvolution, _ scales: [Float]
  ) -> Problem? {
    let name = convolution.name
    let unit = ranges[convolution.result]?.scale ?? 1
    let relative = scales.map { Double($0 / unit) }
    guard let finest = relative.min(), let coarsest = relative.max(), finest >= 0x1p-22,
      coarsest <= 0.5
    else {
      return .init(
        layer: name, expected: "scales of 2^-22 to 1/2 of the result's",
        found: "\(relative.min() ?? 0) to \(relative.max() ?? 0)")
    }
    guard !convolution.isDepthwise else { return nil }
    let addend = convolution.addend.flatMap { ranges[$0] }.map { Double($0.scale / unit) }
    if let addend, !(addend <= WordScaling.mostAddend * 1.001) {
      return .init(
        layer: name,
        expected: "an addend of at most \(WordScaling.mostAddend) times the result's unit",
        found: "\(addend)")
    }
    let most = (WordScaling.most + 0.5) * WordScaling(finest: finest, addend: addend).unit
    guard coarsest <= most else {
      return .init(
        layer: name, expected: "scales of at most \(most), 16-bit multiples of the finest",
        found: "\(finest) to \(coarsest)")
    }
    return nil
  }
}

extension PlanCompiler {
  /// A convolution with the names of what it reads and writes.
  struct NamedConvolution {
    let name: String
    let node: Graph.Node
    let sources: [String]
    let sourceChannels: [Int]
    let result: String
    let addend: String?
    /// Whether the integer kernels can compute it.
    let isSupported: Bool
    /// Offsets within an output channel's weights that share a 16-bit sum.
    let sums: [[Int]]
    var isDepthwise: Bool {
      if case .depthwise = node.operation { true } else { false }
    }
  }

  /// A compiler that has made one step of each convolution.
  private static func plain(_ graph: Graph) -> PlanCompiler {
    var options = PlanOptions()
    options.fusesChains = false
    var compiler = PlanCompiler(
      graph: graph, size: graph.smallestInput, options: options, quantized: .init())
    compiler.fuse()
    return compiler
  }

  /// The names of a graph's values.
  static func names(in graph: Graph) -> [Graph.Value: String] { plain(graph).valueNames() }

  /// All convolutions of a graph, in order.
  static func convolutions(in graph: Graph) -> [NamedConvolution] {
    let compiler = plain(graph)
    let names = compiler.valueNames()
    return compiler.steps.compactMap { step in
      guard case .chain(let chain, _) = step, let convolution = graph[chain[0].node].convolution
      else {
        return nil
      }
      let fused = chain[0]
      let node = graph[fused.node]
      let channels = node.inputs.map { graph[$0].channels }
      let isDepthwise = if case .depthwise = node.operation { true } else { false }
      let kernel = convolution.kernel
      return NamedConvolution(
        name: convolution.name, node: node, sources: node.inputs.map { names[$0] ?? "" },
        sourceChannels: channels, result: names[fused.result] ?? "",
        addend: fused.addend.map { names[$0] ?? "" },
        isSupported: convolution.dilation == 1 && (!isDepthwise || kernel == 3 || kernel == 5),
        sums: isDepthwise
          ? DenseLayout.depthwiseSums(kernel: kernel)
          : DenseLayout(kernel: kernel, sources: channels).sums)
    }
  }
}
