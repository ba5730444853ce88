// Means over the windows of a coarser grid: a teacher's planes and features at the size in which they are
// stored or compared.

import MemoryVOS

/// Resizes `[height][width][channels]` by averaging: output i of m covers inputs i·n/m … (i+1)·n/m, with
/// the shares of those that it covers in part.
struct AreaResampler {
  private struct Axis {
    let first: [Int]
    let weights: [[Float]]

    init(_ count: Int, to output: Int) {
      var first: [Int] = []
      var weights: [[Float]] = []
      let step = Double(count) / Double(output)
      for index in 0..<output {
        let (low, high) = (Double(index) * step, Double(index + 1) * step)
        let start = Int(low)
        let end = min(count, max(start + 1, Int(high.rounded(.up))))
        first.append(start)
        let shares = (start..<end).map { min(high, Double($0 + 1)) - max(low, Double($0)) }
        let sum = shares.reduce(0, +)
        weights.append(shares.map { Float($0 / sum) })
      }
      self.first = first
      self.weights = weights
    }
  }

  let input: FrameSize
  let output: FrameSize
  let channels: Int
  private let rows: Axis
  private let columns: Axis

  init(from input: FrameSize, to output: FrameSize, channels: Int = 1) {
    self.input = input
    self.output = output
    self.channels = channels
    rows = Axis(input.height, to: output.height)
    columns = Axis(input.width, to: output.width)
  }

  /// The means; traps when the count is not that of the input.
  func resample(_ values: ArraySlice<Float>) -> [Float] {
    precondition(values.count == input.area * channels, "\(values.count) scalars for \(input)")
    if input == output { return Array(values) }
    let (wide, narrow) = (input.width * channels, output.width * channels)
    var result = [Float](repeating: 0, count: output.area * channels)
    var line = [Float](repeating: 0, count: wide)
    values.withUnsafeBufferPointer { values in
      for y in 0..<output.height {
        for index in 0..<wide { line[index] = 0 }
        for (offset, weight) in rows.weights[y].enumerated() {
          let row = (rows.first[y] + offset) * wide
          for index in 0..<wide { line[index] += weight * values[row + index] }
        }
        for x in 0..<output.width {
          for (offset, weight) in columns.weights[x].enumerated() {
            let from = (columns.first[x] + offset) * channels
            for channel in 0..<channels {
              result[y * narrow + x * channels + channel] += weight * line[from + channel]
            }
          }
        }
      }
    }
    return result
  }
}
