// Bilinear enlargement and pooling, and their gradients.

import CKernels
import MemoryVOS

/// Two source positions per target position, and the share of the first.
struct BilinearAxis {
  private(set) var first: [Int32] = []
  private(set) var second: [Int32] = []
  private(set) var weight: [Float] = []

  /// Half-pixel centres, clamped at the border (PyTorch, `align_corners = false`).
  init(from count: Int, factor: Int) {
    for position in 0..<count * factor {
      let center = max(0, (Double(position) + 0.5) / Double(factor) - 0.5)
      let low = min(Int(center), count - 1)
      first.append(Int32(low))
      second.append(Int32(min(low + 1, count - 1)))
      weight.append(Float(1 - (center - Double(low))))
    }
  }
}

/// Bilinear enlargement: y = A x Bᵀ with the two axes' weights; dx = Aᵀ dy B.
final class UpsampleLayer: PlainLayer, GradientLayer {
  private let source: Int
  private let input: FeatureShape
  private let shape: FeatureShape
  private let columns: BilinearAxis
  private let rows: BilinearAxis
  /// For each source row the target rows that read it, and with what weight.
  private let readers: [[(row: Int, weight: Float)]]

  init(_ specification: LayerSpecification, factor: Int, shapes: [FeatureShape]) {
    source = specification.sources[0]
    input = shapes[source]
    shape = shapes[specification.output]
    columns = BilinearAxis(from: input.width, factor: factor)
    rows = BilinearAxis(from: input.height, factor: factor)
    var readers = [[(row: Int, weight: Float)]](repeating: [], count: input.height)
    for y in 0..<shape.height {
      readers[Int(rows.first[y])].append((y, rows.weight[y]))
      readers[Int(rows.second[y])].append((y, 1 - rows.weight[y]))
    }
    self.readers = readers
    super.init(output: specification.output)
  }

  func forward(_ pass: GradientPass) {
    let (from, to) = (input.width * shape.channels, shape.width * shape.channels)
    pass.forEachPiece(rows: shape.height) { _, sample, range in
      let (x, out) = (pass.activation(source, sample), pass.activation(output, sample))
      for y in range {
        pass.training.resize_row(
          x + Int(rows.first[y]) * from, x + Int(rows.second[y]) * from, rows.weight[y],
          columns.first, columns.second, columns.weight, shape.width, shape.channels,
          out + y * to)
      }
    }
  }

  func backward(_ pass: GradientPass) {
    let count = shape.width * shape.channels
    pass.addGradient(of: source) { sample, y, row in
      let g = pass.gradient(output, sample)
      for reader in readers[y] where reader.weight != 0 {
        pass.training.resize_row_gradient(
          g + reader.row * count, reader.weight, columns.first, columns.second, columns.weight,
          shape.width, shape.channels, row)
      }
    }
  }
}

/// Mean over factor × factor pixels; dx = dy / factor² everywhere in the square.
final class AveragePoolLayer: PlainLayer, GradientLayer {
  private let source: Int
  private let factor: Int

  init(_ specification: LayerSpecification, factor: Int) {
    source = specification.sources[0]
    self.factor = factor
    super.init(output: specification.output)
  }

  func forward(_ pass: GradientPass) {
    let shape = pass.plan.shapes[output]
    let (channels, count) = (shape.channels, pass.rowCount(source))
    let scale = 1 / Float(factor * factor)
    pass.forEachPiece(rows: shape.height) { _, sample, rows in
      let x = pass.activation(source, sample)
      var out = pass.activation(output, sample) + rows.lowerBound * shape.width * channels
      for y in rows {
        for column in 0..<shape.width {
          for channel in 0..<channels {
            var sum: Float = 0
            for i in 0..<factor {
              let row = x + (y * factor + i) * count + column * factor * channels + channel
              for j in 0..<factor { sum += row[j * channels] }
            }
            out[channel] = sum * scale
          }
          out += channels
        }
      }
    }
  }

  func backward(_ pass: GradientPass) {
    let channels = pass.plan.shapes[output].channels
    let (from, to) = (pass.rowCount(output), pass.plan.shapes[source].width)
    let scale = 1 / Float(factor * factor)
    pass.addGradient(of: source) { sample, y, row in
      let g = pass.gradient(output, sample) + y / factor * from
      for column in 0..<to {
        for channel in 0..<channels {
          row[column * channels + channel] += scale * g[column / factor * channels + channel]
        }
      }
    }
  }
}

/// The largest of 3×3 pixels at stride 2; dx = dy at the first of the largest.
final class MaxPoolLayer: PlainLayer, GradientLayer {
  private let source: Int
  private let input: FeatureShape
  private let shape: FeatureShape

  init(_ specification: LayerSpecification, shapes: [FeatureShape]) {
    source = specification.sources[0]
    input = shapes[source]
    shape = shapes[specification.output]
    super.init(output: specification.output)
  }

  /// The three rows of `map` that output row `y` reads; nil outside.
  private func withRows(
    _ y: Int, _ map: UnsafePointer<Float>, _ body: (UnsafePointer<UnsafePointer<Float>?>) -> Void
  ) {
    withUnsafeTemporaryAllocation(of: UnsafePointer<Float>?.self, capacity: 3) { rows in
      guard let base = rows.baseAddress else { return }
      for i in 0..<3 {
        let row = 2 * y + i - 1
        let isInside = row >= 0 && row < input.height
        (base + i).initialize(to: isInside ? map + row * input.width * input.channels : nil)
      }
      body(base)
    }
  }

  func forward(_ pass: GradientPass) {
    let count = pass.rowCount(output)
    pass.forEachPiece(rows: shape.height) { _, sample, rows in
      let (x, out) = (pass.activation(source, sample), pass.activation(output, sample))
      for y in rows {
        withRows(y, x) {
          pass.kernels.max_pool($0, shape.width, shape.channels, out + y * count)
        }
      }
    }
  }

  func backward(_ pass: GradientPass) {
    let count = pass.rowCount(output)
    pass.addGradient(of: source) { sample, y, row in
      let (x, g) = (pass.activation(source, sample), pass.gradient(output, sample))
      // Kernel row i of output row (y + 1 - i) / 2 reads this row.
      for i in 0..<3 where (y + 1 - i) % 2 == 0 && (0..<shape.height).contains((y + 1 - i) / 2) {
        let above = (y + 1 - i) / 2
        withRows(above, x) {
          pass.training.max_pool_gradient(
            $0, i, g + above * count, shape.width, shape.channels, row)
        }
      }
    }
  }
}
