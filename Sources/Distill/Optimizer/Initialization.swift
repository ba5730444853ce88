// First values of a network's parameters: what is not pretrained. The trainer calls once.

public import MemoryVOS

extension ParameterSet {
  /// Random values as PyTorch's layers begin, and the prototype's exceptions.
  ///
  /// Weights and biases of a convolution are uniform in ±1/√(inputs · kernel²) (He et al., ICCV 2015,
  /// with PyTorch's a = √5); the last convolution of a residual branch is 0, so that the block begins
  /// as the identity; the key's projection is orthogonal (Saxe et al., ICLR 2014); t is 2.7. Features
  /// `k.` are given random values too: load pretrained ones over them.
  public mutating func initialize(seed: UInt64) {
    var generator = SplitMix64(seed: seed)
    var bounds: [String: Float] = [:]
    for entry in entries where entry.name.hasSuffix(".weight") {
      let fan = entry.shape.dropFirst().reduce(1, *)
      bounds[String(entry.name.dropLast(".weight".count))] = 1 / Float(max(fan, 1)).squareRoot()
    }
    for entry in entries {
      let layer = entry.name.split(separator: ".").dropLast().joined(separator: ".")
      if entry.name == "t" {
        scalars[entry.range.lowerBound] = 2.7
      } else if isResidualEnd(layer) {
        for index in entry.range { scalars[index] = 0 }
      } else if entry.name == "key.weight" {
        self[entry.name] = Self.orthogonal(
          rows: entry.shape[0], columns: entry.shape.dropFirst().reduce(1, *), &generator)
      } else {
        let fan = entry.shape.dropFirst().reduce(1, *)
        let bound = bounds[layer] ?? 1 / Float(max(fan, 1)).squareRoot()
        for index in entry.range {
          scalars[index] = Float.random(in: -bound...bound, using: &generator)
        }
      }
    }
  }

  /// `mr.0.b`, `r16.1.b`, `h2.b` and the like: what a layer called b computes is added to something.
  private func isResidualEnd(_ layer: String) -> Bool { layer.hasSuffix(".b") }

  /// Takes the tensors of a checkpoint of this network, or of one that lacks some of its parts; what
  /// it lacks of the image encoder is `pretrained`'s, if there is one.
  ///
  /// - Returns: one line for each tensor that the checkpoint lacks.
  /// - Throws: `CheckpointError` when a tensor is unknown, mis-shaped or not finite, or when there is
  ///   none at all.
  public mutating func load(
    initial checkpoint: Checkpoint, over pretrained: Checkpoint? = nil
  ) throws(CheckpointError) -> [String] {
    if let pretrained { try load(pretrained: pretrained, prefix: Self.encoderPrefix) }
    let known = entries.filter { checkpoint.tensors[$0.name] != nil }
    try checkpoint.check(expected: (known.isEmpty ? entries : known).map { ($0.name, $0.shape) })
    var notes: [String] = []
    for entry in entries {
      if checkpoint.tensors[entry.name] != nil {
        self[entry.name] = try checkpoint.floats(entry.name)
      } else {
        let start =
          if let pretrained, entry.name.hasPrefix(Self.encoderPrefix) {
            "as in \(pretrained.path)"
          } else if self[entry.name].allSatisfy({ $0 == 0 }) { "at zero" } else {
            "at random values"
          }
        notes.append("\(checkpoint.path) has no \(entry.name) \(entry.shape): it starts \(start)")
      }
    }
    return notes
  }

  /// What the names of an image encoder's parameters begin with.
  static let encoderPrefix = "k."

  /// Takes the tensors of a checkpoint that this network has under `prefix` + their names, such as an
  /// image encoder's.
  ///
  /// - Throws: `CheckpointError` when one of them is missing, mis-shaped or not finite. Tensors of the
  ///   checkpoint that the network has no use for are ignored.
  public mutating func load(
    pretrained checkpoint: Checkpoint, prefix: String
  ) throws(CheckpointError) {
    for entry in entries where entry.name.hasPrefix(prefix) {
      let name = String(entry.name.dropFirst(prefix.count))
      guard let tensor = checkpoint.tensors[name], tensor.shape == entry.shape else {
        throw CheckpointError(
          path: checkpoint.path, tensor: name, expected: "shape \(entry.shape)",
          found: checkpoint.tensors[name].map { "shape \($0.shape)" } ?? "no such tensor",
          suggestion:
            "network.encoder and network.encoder_width must be the pretrained encoder's, and it "
            + "must hold network.context_blocks blocks from features.14 on")
      }
      self[entry.name] = try checkpoint.floats(name)
    }
  }

  /// Rows of unit length at right angles (Gram–Schmidt on normal numbers); `rows` ≤ `columns`, or else
  /// the columns are.
  private static func orthogonal(
    rows: Int, columns: Int, _ generator: inout SplitMix64
  ) -> [Float] {
    let (count, length) = (min(rows, columns), max(rows, columns))
    var vectors: [[Double]] = []
    while vectors.count < count {
      // A sum of uniform numbers is normal enough: only the direction matters.
      var vector = (0..<length).map { _ in
        (0..<12).reduce(-6.0) { sum, _ in sum + Double.random(in: 0..<1, using: &generator) }
      }
      for _ in 0..<2 {
        for other in vectors {
          let along = zip(vector, other).reduce(0) { $0 + $1.0 * $1.1 }
          for index in vector.indices { vector[index] -= along * other[index] }
        }
      }
      let norm = vector.reduce(0) { $0 + $1 * $1 }.squareRoot()
      if norm > 1e-6 { vectors.append(vector.map { $0 / norm }) }
    }
    var result = [Float](repeating: 0, count: rows * columns)
    for (index, vector) in vectors.enumerated() {
      for (position, value) in vector.enumerated() {
        let target = rows <= columns ? index * columns + position : position * columns + index
        result[target] = Float(value)
      }
    }
    return result
  }
}
