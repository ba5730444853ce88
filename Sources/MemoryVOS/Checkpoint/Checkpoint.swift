// Weights and what is known about them, in one safetensors file. Network reads them, Distill writes
// them. The file format is in Checkpoint+File.swift and SafetensorsHeader.swift.

/// Named tensors and metadata, as a safetensors file holds them
/// (https://github.com/huggingface/safetensors, "Format").
public struct Checkpoint: Sendable {
  /// The value of `format_version` in the metadata of files that this version writes.
  public static let formatVersion = "1"

  /// Free text by key: `format_version`, `architecture`, `configuration` (JSON), recipe, licences.
  public var metadata: [String: String]
  /// The tensors by name.
  public var tensors: [String: CheckpointTensor]
  /// The file this was read from; empty when it was made in memory.
  public internal(set) var path = ""

  /// A checkpoint in memory.
  public init(metadata: [String: String] = [:], tensors: [String: CheckpointTensor] = [:]) {
    self.metadata = metadata
    self.tensors = tensors
  }

  /// The tensors' names in ascending order.
  public var names: [String] { tensors.keys.sorted() }

  /// Number of scalars in all tensors.
  public var parameterCount: Int { tensors.values.reduce(0) { $0 + $1.count } }

  /// The scalars of a tensor; traps when there is none of this name.
  ///
  /// - Throws: `CheckpointError` that names the tensor when it does not hold finite numbers.
  public func floats(_ name: String) throws(CheckpointError) -> [Float] {
    guard let tensor = tensors[name] else { preconditionFailure("no tensor \(name)") }
    do { return try tensor.floats() } catch {
      throw CheckpointError(
        path: path, tensor: name, expected: error.expected, found: error.found,
        suggestion: error.suggestion)
    }
  }

  /// Throws unless the tensors are exactly the expected ones: an unknown, a missing or a mis-shaped
  /// tensor is an error that names it and both shapes.
  public func check(
    expected: [(name: String, shape: [Int])]
  ) throws(CheckpointError) {
    var unknown = tensors
    var missing: [(name: String, shape: [Int])] = []
    for (name, shape) in expected {
      guard let tensor = unknown.removeValue(forKey: name) else {
        missing.append((name, shape))
        continue
      }
      guard tensor.shape == shape else {
        throw CheckpointError(
          path: path, tensor: name, expected: "shape \(shape)", found: "shape \(tensor.shape)",
          suggestion: "the checkpoint belongs to another configuration; see `vos-cli inspect`")
      }
    }
    if let first = missing.first {
      throw CheckpointError(
        path: path, tensor: first.name, expected: "shape \(first.shape)",
        found: "no such tensor" + Self.others(missing.count - 1, "missing"),
        suggestion: "the checkpoint belongs to another network; see `vos-cli inspect`")
    }
    if let name = unknown.keys.min(), let tensor = unknown[name] {
      throw CheckpointError(
        path: path, tensor: name, expected: "no tensor of this name",
        found: "shape \(tensor.shape)" + Self.others(unknown.count - 1, "unknown"),
        suggestion: "the checkpoint belongs to another network; see `vos-cli inspect`")
    }
  }

  /// Throws unless `metadata` says this architecture and a format version that this code reads.
  public func check(architecture: String) throws(CheckpointError) {
    let name = metadata["architecture"]
    guard name == architecture else {
      throw CheckpointError(
        path: path, expected: "architecture '\(architecture)' in the metadata",
        found: name.map { "'\($0)'" } ?? "none",
        suggestion: "use a checkpoint of this network; `vos-cli inspect` shows the metadata")
    }
    if let version = metadata["format_version"], version != Self.formatVersion {
      throw CheckpointError(
        path: path, expected: "format_version '\(Self.formatVersion)'", found: "'\(version)'",
        suggestion: "a newer vos-cli may read it")
    }
  }

  private static func others(_ count: Int, _ what: String) -> String {
    count == 0 ? "" : " (and \(count) more \(what))"
  }
}
