// int8 checkpoints: what is in them, and every check that the kernels' contracts ask for.
//
//   NAME.weight  I8, PyTorch's order     for each convolution that computes in int8
//   NAME.scale   F32 [out]               real value of one unit of its sum
//   NAME.bias    F32 [out]
//   metadata     precision = "int8", ranges = {"VALUE": [scale, zero point], …}
//
// All other tensors are as in a float checkpoint. docs/INT8.md explains the scheme.

import Foundation

extension QuantizedParameters {
  /// Whether this is the weight or bias of a quantised convolution.
  func holds(parameter: String) -> Bool {
    for suffix in [".weight", ".bias"] where parameter.hasSuffix(suffix) {
      return convolutions[String(parameter.dropLast(suffix.count))] != nil
    }
    return false
  }
}

extension Checkpoint {
  /// Whether the metadata says that convolutions are in int8.
  public var isQuantized: Bool { metadata["precision"] == "int8" }
}

extension Network {
  /// The layer that `name` is the weight of.
  static func layer(ofWeight name: String) -> String? {
    name.hasSuffix(".weight") ? String(name.dropLast(7)) : nil
  }

  /// Names of the convolutions whose weights are int8.
  static func quantizedLayers(of checkpoint: Checkpoint) -> Set<String> {
    guard checkpoint.isQuantized else { return [] }
    return Set(
      checkpoint.tensors.compactMap { name, tensor in
        tensor.dtype == .int8 ? layer(ofWeight: name) : nil
      })
  }

  /// The int8 half of a checkpoint whose tensors' names and shapes are checked; `nil` for a float one.
  static func quantizedParameters(
    of checkpoint: Checkpoint, layers: Set<String>, floats: [String: [Float]],
    graphs: NetworkGraphs
  ) throws(CheckpointError) -> QuantizedParameters? {
    guard checkpoint.isQuantized else { return nil }
    var parameters = QuantizedParameters()
    parameters.ranges = try ranges(of: checkpoint)
    for layer in layers.sorted() {
      guard let weight = checkpoint.tensors["\(layer).weight"],
        let scales = floats["\(layer).scale"], let bias = floats["\(layer).bias"]
      else { continue }
      guard scales.allSatisfy({ $0 > 0 }) else {
        throw CheckpointError(
          path: checkpoint.path, tensor: "\(layer).scale", expected: "scales above 0",
          found: "\(scales.min() ?? 0)", suggestion: damaged)
      }
      parameters.convolutions[layer] = .init(
        weights: weight.bytes.map { Int8(bitPattern: $0) }, scales: scales, bias: bias)
    }
    for graph in [graphs.keyEncoder, graphs.valueEncoder, graphs.decoder] {
      if let problem = parameters.problem(in: graph) {
        throw CheckpointError(
          path: checkpoint.path, tensor: problem.layer, expected: problem.expected,
          found: problem.found, suggestion: damaged)
      }
    }
    return parameters
  }

  private static let damaged =
    "the file is damaged or of an earlier version; quantise the float checkpoint again"

  private static func ranges(
    of checkpoint: Checkpoint
  ) throws(CheckpointError) -> [String: ByteRange] {
    let json = checkpoint.metadata["ranges"] ?? ""
    guard
      let pairs = try? JSONDecoder().decode([String: [Float]].self, from: Data(json.utf8)),
      pairs.values.allSatisfy({
        $0.count == 2 && $0[0].isNormal && $0[0] > 0 && (0...127).contains($0[1])
          && $0[1] == $0[1].rounded()
      })
    else {
      throw CheckpointError(
        path: checkpoint.path,
        expected: "'ranges' in the metadata: names with a scale above 0 and a zero point 0…127",
        found: json.isEmpty ? "none" : json, suggestion: damaged)
    }
    return pairs.mapValues { ByteRange(scale: $0[0], zeroPoint: UInt8($0[1])) }
  }
}

extension Checkpoint {
  /// Replaces float tensors by quantised ones; the scores become those of the float network.
  mutating func quantize(_ parameters: QuantizedParameters) throws {
    for (layer, convolution) in parameters.convolutions {
      guard let old = tensors["\(layer).weight"] else { continue }
      tensors["\(layer).weight"] = CheckpointTensor(
        shape: old.shape, dtype: .int8, bytes: convolution.weights.map { UInt8(bitPattern: $0) })
      tensors["\(layer).scale"] = CheckpointTensor(
        shape: [convolution.scales.count], floats: convolution.scales)
      tensors["\(layer).bias"] = CheckpointTensor(
        shape: [convolution.bias.count], floats: convolution.bias)
    }
    let pairs = parameters.ranges.mapValues { [$0.scale, Float($0.zeroPoint)] }
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    metadata["ranges"] = String(decoding: try encoder.encode(pairs), as: UTF8.self)
    metadata["precision"] = "int8"
    metadata["float_scores"] = metadata.removeValue(forKey: "scores")
  }
}
