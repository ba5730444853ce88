// Rounding as integers would, while computing in floats: which weights and values of a network, and to
// what. Quantizer makes one from calibration, checkpoints keep it, Distill trains with it, and simulated
// networks (Network+Simulated.swift) run with it.

import Foundation

/// What a network's weights and activations are rounded to.
package struct NetworkRounding: Sendable, Hashable {
  package let precision: QuantizationPrecision
  /// By `PlanCompiler`'s names of values.
  package let ranges: [String: RoundingRange]
  /// Beginnings of the names of layers that stay float.
  package let keptFloat: [String]

  package init(
    precision: QuantizationPrecision, ranges: [String: RoundingRange], keptFloat: [String]
  ) {
    self.precision = precision
    self.ranges = ranges
    self.keptFloat = keptFloat
  }

  /// Whether a convolution is rounded.
  func rounds(_ convolution: PlanCompiler.NamedConvolution) -> Bool {
    convolution.isSupported && !keptFloat.contains { convolution.name.hasPrefix($0) }
  }

  /// What is rounded in a network's graphs.
  package func graphs(_ graphs: NetworkGraphs) -> RoundedGraphs {
    let all = [graphs.keyEncoder, graphs.valueEncoder, graphs.decoder]
    let bytes = all.map { graph -> Set<Graph.Value> in
      precision.activationBits == 32
        ? []
        : PlanCompiler.byteValues(
          in: graph,
          quantizing: PlanCompiler.convolutions(in: graph).filter(rounds).map(\.name))
    }
    // Features are rounded where they are written, once, when anybody reads them in bytes.
    var features = Set<String>()
    for (graph, bytes) in zip(all, bytes) {
      for value in bytes {
        if case .input(let name) = graph[value].operation { features.insert(name) }
      }
    }
    let rounded = zip(all, bytes).map { graph, bytes in
      var values = bytes.filter { value in
        if case .input(let name) = graph[value].operation {
          return !NetworkGraphs.features.contains(name)
        }
        return true
      }
      for output in graph.outputs
      where NetworkGraphs.features.contains(output.name) && features.contains(output.name) {
        values.insert(output.value)
      }
      return self.graph(graph, values: values)
    }
    return RoundedGraphs(keyEncoder: rounded[0], valueEncoder: rounded[1], decoder: rounded[2])
  }

  private func graph(_ graph: Graph, values: Set<Graph.Value>) -> RoundedGraph {
    let names = PlanCompiler.names(in: graph)
    var found: [Graph.Value: RoundingRange] = [:]
    for value in values {
      guard let range = names[value].flatMap({ ranges[$0] }) else {
        preconditionFailure("no range of \(names[value] ?? "a value")")
      }
      found[value] = range
    }
    // Integer plans enlarge bytes within the addition that reads them.
    for (index, node) in graph.nodes.enumerated() {
      if case .upsample(factor: 2) = node.operation, names[.init(index: index)] == nil {
        found[.init(index: index)] = found[node.inputs[0]]
      }
    }
    let convolutions =
      precision.weightBits == 32 ? [] : PlanCompiler.convolutions(in: graph).filter(rounds)
    return RoundedGraph(
      rounding: self, convolutions: convolutions, values: found, names: names)
  }

  /// The first value that some rounded layer needs a range of and has none, or `nil`.
  package func missingRange(in graphs: NetworkGraphs) -> String? {
    guard precision.activationBits < 32 else { return nil }
    for graph in [graphs.keyEncoder, graphs.valueEncoder, graphs.decoder] {
      for convolution in PlanCompiler.convolutions(in: graph) where rounds(convolution) {
        let values =
          convolution.sources + [convolution.result] + [convolution.addend].compactMap(\.self)
        if let missing = values.first(where: { ranges[$0] == nil }) { return missing }
      }
    }
    return nil
  }
}

/// The three of a network.
package struct RoundedGraphs: Sendable {
  package let keyEncoder: RoundedGraph
  package let valueEncoder: RoundedGraph
  package let decoder: RoundedGraph

  var all: [RoundedGraph] { [keyEncoder, valueEncoder, decoder] }
}

/// What is rounded in one graph.
package struct RoundedGraph: Sendable {
  let rounding: NetworkRounding
  let convolutions: [PlanCompiler.NamedConvolution]
  /// Values that are whole numbers in an integer plan.
  package let values: [Graph.Value: RoundingRange]
  let names: [Graph.Value: String]

  /// Names of the layers whose weights are rounded.
  package var layers: [String] { convolutions.map(\.name) }

  /// The weights of the layer at a position in `layers` as reals that whole numbers stand for;
  /// `isCut` where a weight lies beyond the largest.
  package func rounded(
    _ position: Int, weight: [Float], bias: [Float]
  ) -> (weights: [Float], isCut: [Bool]) {
    let rounder = ConvolutionRounder(
      convolutions[position], weight: weight, bias: bias, ranges: rounding.ranges, means: [],
      precision: rounding.precision)
    let reals = rounder.reals()
    return (reals.weights, reals.isCut)
  }
}

extension PlanCompiler {
  /// The values that an integer plan keeps as bytes when these layers compute in int8, graph inputs
  /// that it turns into bytes included.
  fileprivate static func byteValues(
    in graph: Graph, quantizing layers: [String]
  ) -> Set<Graph.Value> {
    var parameters = QuantizedParameters()
    for layer in layers {
      parameters.convolutions[layer] = .init(weights: [], scales: [], bias: [])
    }
    var options = PlanOptions()
    options.fusesChains = false
    var compiler = PlanCompiler(
      graph: graph, size: graph.smallestInput, options: options, quantized: parameters)
    compiler.fuse()
    compiler.convert(byteInputs: [], byteOutputs: NetworkGraphs.features)
    return Set(compiler.steps.map(compiler.result).filter(\.isByte).map(\.value))
  }
}

// MARK: - Metadata

extension NetworkRounding {
  /// The key under which a checkpoint's metadata has the rounding that it was trained with.
  package static let trainedKey = "trained_rounding"

  private struct Record: Codable {
    let weightBits: Int
    let activationBits: Int
    let float: [String]
    let ranges: [String: [Float]]

    enum CodingKeys: String, CodingKey {
      case weightBits = "weight_bits"
      case activationBits = "activation_bits"
      case float, ranges
    }
  }

  /// As JSON.
  package var json: String {
    let record = Record(
      weightBits: precision.weightBits, activationBits: precision.activationBits,
      float: keptFloat, ranges: ranges.mapValues(\.triple))
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    guard let data = try? encoder.encode(record) else {
      preconditionFailure("ranges are finite numbers")
    }
    return String(decoding: data, as: UTF8.self)
  }

  /// Reads `json`; `nil` when it is none.
  init?(json: String) {
    guard let record = try? JSONDecoder().decode(Record.self, from: Data(json.utf8)) else {
      return nil
    }
    precision = QuantizationPrecision(
      weightBits: record.weightBits, activationBits: record.activationBits)
    keptFloat = record.float
    var ranges: [String: RoundingRange] = [:]
    for (name, triple) in record.ranges {
      guard let range = RoundingRange(triple: triple),
        range.highest == precision.highestActivation
      else { return nil }
      ranges[name] = range
    }
    self.ranges = ranges
    guard precision.problem == nil else { return nil }
  }

  /// The rounding under a key of a checkpoint's metadata, `nil` without the key.
  ///
  /// - Throws: `CheckpointError` for something else than a rounding.
  static func read(
    _ checkpoint: Checkpoint, key: String
  ) throws(CheckpointError) -> NetworkRounding? {
    guard let json = checkpoint.metadata[key] else { return nil }
    guard let rounding = NetworkRounding(json: json) else {
      throw CheckpointError(
        path: checkpoint.path,
        expected: "'\(key)' in the metadata: bits, and a range for each value", found: json,
        suggestion: "the file is damaged; make it again")
    }
    return rounding
  }
}
