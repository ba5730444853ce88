// One axis of a separable resize: which input samples an output sample reads, with what weights.

/// Taps of every output position along one axis.
package struct ResizeTable: Sendable {
  package let inputCount: Int
  package let outputCount: Int
  /// Taps per output; unused ones have weight 0.
  package let taps: Int
  /// First input sample of each output; `start[x] + taps <= inputCount`.
  package let start: [Int32]
  /// `[outputCount, taps]`, each row summing to 1.
  package let weights: [Float]

  /// Whether every output is the input of the same place.
  package let isIdentity: Bool

  /// Bilinear with half-pixel centres, not antialiased (PyTorch `align_corners = false`).
  package static func bilinear(from input: Int, to output: Int) -> ResizeTable {
    triangle(from: input, to: output, support: 1)
  }

  /// Bilinear, widened when shrinking (PyTorch `antialias = true`, Pillow's BILINEAR).
  package static func antialiased(from input: Int, to output: Int) -> ResizeTable {
    triangle(from: input, to: output, support: max(1, Double(input) / Double(output)))
  }

  /// Mean over the window ⌊i·n/m⌋ … ⌈(i+1)·n/m⌉ (PyTorch `adaptive_avg_pool`, mode `area`).
  package static func area(from input: Int, to output: Int) -> ResizeTable {
    let windows = (0..<output).map { i in
      let first = i * input / output
      let last = ((i + 1) * input + output - 1) / output
      return (first, [Double](repeating: 1 / Double(last - first), count: last - first))
    }
    return ResizeTable(input: input, windows: windows)
  }

  /// Positions `origin` + i · `step`, i < `count`, of an axis of `count` samples: bilinear, widened for steps
  /// longer than 1; beyond the axis there is nothing.
  package static func sampled(origin: Double, step: Double, count: Int) -> ResizeTable {
    let support = max(1, step)
    let windows = (0..<count).map { i -> (Int, [Double]) in
      let position = origin + Double(i) * step
      let center = min(max(position, 0), Double(count - 1))
      guard abs(position - center) <= 0.5 else { return (0, [0]) }
      let first = max(0, Int((center - support).rounded(.down)) + 1)
      let last = min(count - 1, Int((center + support).rounded(.up)) - 1)
      let raw = (first...last).map { 1 - abs(Double($0) - center) / support }
      let sum = raw.reduce(0, +)
      return (first, raw.map { $0 / sum })
    }
    return ResizeTable(input: count, windows: windows)
  }

  private static func triangle(from input: Int, to output: Int, support: Double) -> ResizeTable {
    let scale = Double(input) / Double(output)
    let windows = (0..<output).map { i in
      let center = (Double(i) + 0.5) * scale
      if support == 1 {
        // Two taps; centres beyond the border are clamped, so the border sample gets all.
        let position = min(max(center - 0.5, 0), Double(input - 1))
        let first = Int(position)
        let fraction = position - Double(first)
        return fraction == 0 ? (first, [1]) : (first, [1 - fraction, fraction])
      }
      let first = max(0, Int(center - support + 0.5))
      let last = min(input, Int(center + support + 0.5))
      let raw = (first..<last).map {
        max(0, 1 - abs((Double($0) + 0.5 - center) / support))
      }
      let sum = raw.reduce(0, +)
      return (first, raw.map { $0 / sum })
    }
    return ResizeTable(input: input, windows: windows)
  }

  /// The same on a part of a longer axis that begins at `offset`.
  package func placed(at offset: Int, of count: Int) -> ResizeTable {
    precondition(offset >= 0 && offset + inputCount <= count, "a part beyond the axis")
    return ResizeTable(
      inputCount: count, outputCount: outputCount, taps: taps,
      start: start.map { $0 + Int32(offset) }, weights: weights)
  }

  private init(inputCount: Int, outputCount: Int, taps: Int, start: [Int32], weights: [Float]) {
    self.inputCount = inputCount
    self.outputCount = outputCount
    self.taps = taps
    self.start = start
    self.weights = weights
    isIdentity =
      inputCount == outputCount && taps == 1
      && start.indices.allSatisfy { start[$0] == $0 && weights[$0] == 1 }
  }

  private init(input: Int, windows: [(first: Int, weights: [Double])]) {
    let taps = windows.map(\.weights.count).max() ?? 1
    var start: [Int32] = []
    var weights = [Float](repeating: 0, count: windows.count * taps)
    for (index, window) in windows.enumerated() {
      let first = min(window.first, input - taps)
      start.append(Int32(first))
      for (offset, weight) in window.weights.enumerated() {
        weights[index * taps + window.first - first + offset] = Float(weight)
      }
    }
    self.init(
      inputCount: input, outputCount: windows.count, taps: taps, start: start, weights: weights)
  }
}
