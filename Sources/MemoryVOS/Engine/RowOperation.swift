// The operations of a plan that are not convolutions: enlarging, pooling, scaling, normalising.

import CKernels

/// One operation, compiled: computes rows of its output independently of each other.
final class RowOperation {
  private enum Kind {
    case affine(scale: Float, shift: Float)
    case channelAffine(scale: [Float], shift: [Float])
    case maxPool
    case normalize
    case relu(high: Float)
    case add(FeatureMap)
    case upsample2
    /// One channel, both axes by tables: any bilinear enlargement and average pooling.
    case resize(rows: ResizeTable, columns: ResizeTable)
  }

  private let kind: Kind
  /// May be exchanged for another map of the same shape between runs.
  var input: FeatureMap
  /// Likewise, when no other step reads it.
  var output: FeatureMap
  private let kernels: vos_kernels
  private let scratch: [AlignedBuffer]

  init(
    _ operation: Operation, inputs: [FeatureMap], output: FeatureMap, kernels: Kernels,
    threadCount: Int
  ) {
    input = inputs[0]
    self.output = output
    self.kernels = kernels.table
    let (from, to) = (inputs[0].shape, output.shape)
    switch operation {
    case .affine(let scale, let shift): kind = .affine(scale: scale, shift: shift)
    case .channelAffine(let scale, let shift):
      kind = .channelAffine(scale: scale, shift: shift)
    case .maxPool: kind = .maxPool
    case .normalize: kind = .normalize
    case .relu: kind = .relu(high: .infinity)
    case .relu6: kind = .relu(high: 6)
    case .add: kind = .add(inputs[1])
    case .upsample(factor: 2) where from.channels > 1: kind = .upsample2
    case .upsample:
      kind = .resize(
        rows: .bilinear(from: from.height, to: to.height),
        columns: .bilinear(from: from.width, to: to.width))
    case .averagePool:
      kind = .resize(
        rows: .area(from: from.height, to: to.height),
        columns: .area(from: from.width, to: to.width))
    case .input, .convolution, .depthwise: preconditionFailure("\(operation) is no row operation")
    }
    if case .resize = kind {
      precondition(from.channels == 1, "resizing \(from.channels) channels is not written")
    }
    scratch = (0..<threadCount).map { _ in AlignedBuffer(count: from.width * from.channels) }
  }

  func run(_ pool: ThreadPool) {
    let rows = output.shape.height
    let blocks = min(rows, 4 * pool.threadCount)
    pool.parallelFor(blocks) { block, worker in
      for y in rows * block / blocks..<rows * (block + 1) / blocks {
        compute(row: y, line: scratch[worker].base)
        output.clearPadding(row: y)
      }
    }
  }

  private func compute(row y: Int, line: UnsafeMutablePointer<Float>) {
    let (channels, width) = (output.shape.channels, output.shape.width)
    let out = output.row(y)
    switch kind {
    case .affine(let scale, let shift):
      var row: UnsafePointer<Float>? = UnsafePointer(input.row(y))
      var weight: Float = 1
      kernels.combine_rows(&row, &weight, 1, width * channels, scale, shift, out)
    case .channelAffine(let scale, let shift):
      let row = input.row(y)
      for c in 0..<channels {
        let (a, b) = (scale[c], shift[c])
        for i in stride(from: c, to: width * channels, by: channels) { out[i] = a * row[i] + b }
      }
    case .maxPool: largest(y, into: out)
    case .normalize: kernels.normalize(input.row(y), channels, width, channels, out, channels)
    case .relu(let high):
      let row = input.row(y)
      for i in 0..<width * channels { out[i] = min(max(row[i], 0), high) }
    case .add(let other):
      let (a, b) = (input.row(y), other.row(y))
      for i in 0..<width * channels { out[i] = a[i] + b[i] }
    case .upsample2:
      let near = y / 2
      let far = min(max(y % 2 == 0 ? near - 1 : near + 1, 0), input.shape.height - 1)
      kernels.upsample2(input.row(near), input.row(far), input.shape.width, channels, out)
    case .resize(let rows, let columns):
      resizeVertically(rows, y: y, into: line)
      kernels.resize_row(line, columns.start, columns.weights, columns.taps, width, out)
    }
  }

  private func largest(_ y: Int, into out: UnsafeMutablePointer<Float>) {
    withUnsafeTemporaryAllocation(of: UnsafePointer<Float>?.self, capacity: 3) { rows in
      for i in 0..<3 {
        let row = 2 * y + i - 1
        let isInside = row >= 0 && row < input.shape.height
        rows.initializeElement(at: i, to: isInside ? UnsafePointer(input.row(row)) : nil)
      }
      kernels.max_pool(rows.baseAddress, output.shape.width, output.shape.channels, out)
    }
  }

  private func resizeVertically(
    _ table: ResizeTable, y: Int, into line: UnsafeMutablePointer<Float>
  ) {
    let first = Int(table.start[y])
    withUnsafeTemporaryAllocation(of: UnsafePointer<Float>?.self, capacity: table.taps) { rows in
      for tap in 0..<table.taps { rows.initializeElement(at: tap, to: input.row(first + tap)) }
      table.weights.withUnsafeBufferPointer { weights in
        guard let weights = weights.baseAddress else { return }
        kernels.combine_rows(
          rows.baseAddress, weights + y * table.taps, table.taps, input.shape.width, 1, 0, line)
      }
    }
  }
}
