// Named tensors in one flat array: parameters, their gradients, their moments and averages.
//
// Trainer, optimizer and all-reduce work on `scalars` as a whole; checkpoints and tests by name.

public import MemoryVOS

/// Tensors by name, stored one after the other in the order of the network's graphs.
public struct ParameterSet: Sendable {
  /// Where a tensor is.
  public struct Entry: Sendable, Hashable {
    /// The name in the checkpoint.
    public let name: String
    /// PyTorch's order: convolutions `[out, in / groups, height, width]`, biases `[out]`, scalars `[]`.
    public let shape: [Int]
    /// Its scalars' positions.
    public let range: Range<Int>
  }

  /// The tensors in order.
  public let entries: [Entry]
  /// All scalars, tensor after tensor.
  public var scalars: [Float]
  private let positions: [String: Int]

  /// Zeros for every parameter of a network, and for `extra` tensors of a loss after them.
  public init(_ configuration: NetworkConfiguration, extra: [(name: String, shape: [Int])] = []) {
    self.init(
      NetworkGraphs(configuration).parameters
        + extra.map { Graph.Parameter(name: $0.name, shape: $0.shape) })
  }

  /// Zeros for these parameters, in this order.
  init(_ parameters: [Graph.Parameter]) {
    var entries: [Entry] = []
    var count = 0
    for parameter in parameters {
      entries.append(
        Entry(
          name: parameter.name, shape: parameter.shape, range: count..<count + parameter.count))
      count += parameter.count
    }
    self.entries = entries
    positions = Dictionary(uniqueKeysWithValues: entries.enumerated().map { ($1.name, $0) })
    scalars = [Float](repeating: 0, count: count)
  }

  /// The entry called `name`, or `nil`.
  public func entry(_ name: String) -> Entry? { positions[name].map { entries[$0] } }

  /// The scalars of a tensor; traps when there is none of this name or the count differs.
  public subscript(name: String) -> [Float] {
    get { Array(scalars[range(name)]) }
    set {
      let range = range(name)
      precondition(newValue.count == range.count, "\(newValue.count) scalars for \(name)")
      scalars.replaceSubrange(range, with: newValue)
    }
  }

  func range(_ name: String) -> Range<Int> {
    guard let entry = entry(name) else { preconditionFailure("no parameter \(name)") }
    return entry.range
  }

  /// Takes every tensor from a checkpoint of the same network.
  ///
  /// - Throws: `CheckpointError` when a tensor is unknown, missing, mis-shaped or not finite.
  public mutating func load(_ checkpoint: Checkpoint) throws(CheckpointError) {
    try checkpoint.check(expected: entries.map { ($0.name, $0.shape) })
    for entry in entries { self[entry.name] = try checkpoint.floats(entry.name) }
  }

  /// The tensors as a checkpoint holds them.
  public var tensors: [String: CheckpointTensor] {
    var result: [String: CheckpointTensor] = [:]
    for entry in entries {
      result[entry.name] = CheckpointTensor(
        shape: entry.shape, floats: Array(scalars[entry.range]))
    }
    return result
  }

  /// Root of the sum of squares of all scalars.
  public var norm: Double {
    var sum = 0.0
    for scalar in scalars { sum += Double(scalar) * Double(scalar) }
    return sum.squareRoot()
  }

  /// Scales everything so that the norm is at most `limit`; returns the norm before.
  ///
  /// A norm that is not finite is returned and nothing is scaled: the caller skips the step.
  @discardableResult
  public mutating func clip(norm limit: Double) -> Double {
    let norm = norm
    guard norm.isFinite, norm > limit else { return norm }
    // PyTorch's clip_grad_norm_ divides by norm + 1e-6.
    let factor = Float(limit / (norm + 1e-6))
    for index in scalars.indices { scalars[index] *= factor }
    return norm
  }
}
