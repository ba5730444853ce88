// Operations that work pixel by pixel, and their gradients. Activations and additions that follow a
// convolution are part of its layer; these are for the others.

import CKernels
import MemoryVOS

extension GradientPass {
  /// Scalars of one row of a value.
  func rowCount(_ value: Int) -> Int { plan.shapes[value].width * plan.shapes[value].channels }

  /// Hands out the gradient of `value` row by row: `body(sample, y, row's gradient)` adds to it.
  ///
  /// Rows that hold nothing yet are zeroed before.
  func addGradient(
    of value: Int, _ body: (_ sample: Int, _ y: Int, _ row: UnsafeMutablePointer<Float>) -> Void
  ) {
    guard plan.isLive(value) else { return }
    let accumulates = plan.claim(value)
    let count = rowCount(value)
    forEachPiece(rows: plan.shapes[value].height) { _, sample, rows in
      for y in rows {
        let row = gradient(value, sample) + y * count
        if !accumulates { row.update(repeating: 0, count: count) }
        body(sample, y, row)
      }
    }
  }
}

/// y = clamp(x); dx = dy where low < y < high.
final class ActivationLayer: PlainLayer, GradientLayer {
  private let source: Int
  private let clamp: Clamp
  private let gate: Clamp

  init(_ specification: LayerSpecification, clamp: Clamp) {
    source = specification.sources[0]
    self.clamp = clamp
    gate = specification.isRounded ? .none : clamp
    super.init(output: specification.output)
  }

  func forward(_ pass: GradientPass) {
    let count = pass.rowCount(output)
    pass.forEachPiece(rows: pass.plan.shapes[output].height) { _, sample, rows in
      let range = rows.lowerBound * count..<rows.upperBound * count
      let (x, y) = (pass.activation(source, sample), pass.activation(output, sample))
      for index in range { y[index] = min(max(x[index], clamp.low), clamp.high) }
    }
  }

  func backward(_ pass: GradientPass) {
    let count = pass.rowCount(output)
    pass.addGradient(of: source) { sample, y, row in
      let g = pass.gradient(output, sample) + y * count
      let result = pass.activation(output, sample) + y * count
      pass.training.clamp_gradient(result, 1, count, gate, g, nil)
      pass.training.accumulate(g, count, row)
    }
  }
}

/// y = clamp(a + b); da = db = dy where the clamp let y through.
final class AdditionLayer: PlainLayer, GradientLayer {
  private let sources: [Int]
  private let clamp: Clamp
  private let gate: Clamp

  init(_ specification: LayerSpecification) {
    sources = specification.sources
    clamp = specification.clamp
    gate = specification.gate
    super.init(output: specification.output)
  }

  func forward(_ pass: GradientPass) {
    let count = pass.rowCount(output)
    pass.forEachPiece(rows: pass.plan.shapes[output].height) { _, sample, rows in
      let range = rows.lowerBound * count..<rows.upperBound * count
      let (a, b) = (pass.activation(sources[0], sample), pass.activation(sources[1], sample))
      let y = pass.activation(output, sample)
      for index in range { y[index] = min(max(a[index] + b[index], clamp.low), clamp.high) }
    }
  }

  func backward(_ pass: GradientPass) {
    let count = pass.rowCount(output)
    if gate.isActive {
      pass.forEachPiece(rows: pass.plan.shapes[output].height) { _, sample, rows in
        let offset = rows.lowerBound * count
        pass.training.clamp_gradient(
          pass.activation(output, sample) + offset, rows.count, count, gate,
          pass.gradient(output, sample) + offset, nil)
      }
    }
    for source in sources {
      pass.addGradient(of: source) { sample, y, row in
        pass.training.accumulate(pass.gradient(output, sample) + y * count, count, row)
      }
    }
  }
}

/// y = scale · x + shift; dx = scale · dy.
final class AffineLayer: PlainLayer, GradientLayer {
  private let source: Int
  private let scale: Float
  private let shift: Float

  init(_ specification: LayerSpecification, scale: Float, shift: Float) {
    source = specification.sources[0]
    self.scale = scale
    self.shift = shift
    super.init(output: specification.output)
  }

  func forward(_ pass: GradientPass) {
    let count = pass.rowCount(output)
    pass.forEachPiece(rows: pass.plan.shapes[output].height) { _, sample, rows in
      let range = rows.lowerBound * count..<rows.upperBound * count
      let (x, y) = (pass.activation(source, sample), pass.activation(output, sample))
      for index in range { y[index] = scale * x[index] + shift }
    }
  }

  func backward(_ pass: GradientPass) {
    let count = pass.rowCount(output)
    pass.addGradient(of: source) { sample, y, row in
      let g = pass.gradient(output, sample) + y * count
      for index in 0..<count { row[index] += scale * g[index] }
    }
  }
}

/// y = scale[c] · x + shift[c]; dx = scale[c] · dy.
final class ChannelAffineLayer: PlainLayer, GradientLayer {
  private let source: Int
  private let scale: [Float]
  private let shift: [Float]

  init(_ specification: LayerSpecification, scale: [Float], shift: [Float]) {
    source = specification.sources[0]
    self.scale = scale
    self.shift = shift
    super.init(output: specification.output)
  }

  func forward(_ pass: GradientPass) {
    let count = pass.rowCount(output)
    pass.forEachPiece(rows: pass.plan.shapes[output].height) { _, sample, rows in
      let (x, y) = (pass.activation(source, sample), pass.activation(output, sample))
      for c in scale.indices {
        let (a, b) = (scale[c], shift[c])
        let (first, end) = (rows.lowerBound * count + c, rows.upperBound * count)
        for index in stride(from: first, to: end, by: scale.count) { y[index] = a * x[index] + b }
      }
    }
  }

  func backward(_ pass: GradientPass) {
    let count = pass.rowCount(output)
    pass.addGradient(of: source) { sample, y, row in
      let g = pass.gradient(output, sample) + y * count
      for c in scale.indices {
        for index in stride(from: c, to: count, by: scale.count) {
          row[index] += scale[c] * g[index]
        }
      }
    }
  }
}

/// y = x / n, n = max(|x|, 1e-12) over channels; dx = (dy - (dy·y) y) / n.
final class NormalizeLayer: PlainLayer, GradientLayer {
  private let source: Int

  init(_ specification: LayerSpecification) {
    source = specification.sources[0]
    super.init(output: specification.output)
  }

  func forward(_ pass: GradientPass) {
    let shape = pass.plan.shapes[output]
    pass.forEachPiece(rows: shape.height) { _, sample, rows in
      let offset = rows.lowerBound * shape.width * shape.channels
      pass.kernels.normalize(
        pass.activation(source, sample) + offset, shape.channels, rows.count * shape.width,
        shape.channels, pass.activation(output, sample) + offset, shape.channels)
    }
  }

  func backward(_ pass: GradientPass) {
    let shape = pass.plan.shapes[output]
    let count = pass.rowCount(output)
    pass.addGradient(of: source) { sample, y, row in
      pass.training.normalize_gradient(
        pass.activation(source, sample) + y * count, pass.activation(output, sample) + y * count,
        pass.gradient(output, sample) + y * count, shape.width, shape.channels, row)
    }
  }
}
