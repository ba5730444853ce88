// Rounding of a value in place, as integers between layers round it, and its straight-through gradient
// (Bengio et al., arXiv:1308.3432; Jacob et al., CVPR 2018): with y what a layer computed,
//
//     r = bounded(round(y / scale)) · scale,   dy = dr where r is not bounded and the layer's clamp let
//                                              y through, else 0
//
// GradientPlan puts one behind each layer whose result is rounded, and in front for rounded inputs.

import CKernels
import MemoryVOS

final class RoundingLayer: PlainLayer, GradientLayer {
  private let range: RoundingRange
  private let gate: Clamp

  init(_ specification: LayerSpecification, range: RoundingRange) {
    self.range = range
    gate = Clamp(specification.operation) ?? specification.clamp
    super.init(output: specification.output)
  }

  func forward(_ pass: GradientPass) {
    let count = pass.rowCount(output)
    let (low, high) = range.limits
    pass.forEachPiece(rows: pass.plan.shapes[output].height) { _, sample, rows in
      let offset = rows.lowerBound * count
      pass.training.round_values(
        pass.activation(output, sample) + offset, rows.count * count, range.scale, low, high, gate,
        pass.tape.passes(output, sample) + offset)
    }
  }

  func backward(_ pass: GradientPass) {
    let count = pass.rowCount(output)
    pass.forEachPiece(rows: pass.plan.shapes[output].height) { _, sample, rows in
      let offset = rows.lowerBound * count
      pass.training.round_gradient(
        pass.tape.passes(output, sample) + offset, rows.count * count,
        pass.gradient(output, sample) + offset)
    }
  }
}
