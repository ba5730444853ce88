// A graph run in the plainest way: arrays, loops, double-precision sums. The oracle of the plans.

@testable import MemoryVOS

/// A feature map as an array, `[height, width, channels]`.
struct PlainMap {
  let shape: FeatureShape
  var scalars: [Float]

  init(_ shape: FeatureShape, _ scalars: [Float]) {
    self.shape = shape
    self.scalars = scalars
  }

  init(_ shape: FeatureShape, _ value: (_ y: Int, _ x: Int, _ c: Int) -> Double) {
    self.shape = shape
    scalars = []
    for y in 0..<shape.height {
      for x in 0..<shape.width {
        for c in 0..<shape.channels { scalars.append(Float(value(y, x, c))) }
      }
    }
  }

  /// Zero outside.
  subscript(y: Int, x: Int, c: Int) -> Double {
    guard (0..<shape.height).contains(y), (0..<shape.width).contains(x) else { return 0 }
    return Double(scalars[(y * shape.width + x) * shape.channels + c])
  }

  /// The border repeated.
  func clamped(_ y: Int, _ x: Int, _ c: Int) -> Double {
    self[min(max(y, 0), shape.height - 1), min(max(x, 0), shape.width - 1), c]
  }
}

/// Runs every operation of a graph.
func runPlainly(
  _ graph: Graph, size: FrameSize, weights: Weights, inputs: [String: PlainMap]
) -> [String: PlainMap] {
  var results: [PlainMap] = []
  for node in graph.nodes {
    let shape = FeatureShape(
      height: size.height / node.stride, width: size.width / node.stride, channels: node.channels)
    let operands = node.inputs.map { results[$0.index] }
    results.append(plainResult(node.operation, shape, operands, weights, inputs))
  }
  return Dictionary(
    uniqueKeysWithValues: graph.outputs.map { ($0.name, results[$0.value.index]) })
}

private func plainResult(
  _ operation: MemoryVOS.Operation, _ shape: FeatureShape, _ operands: [PlainMap],
  _ weights: Weights, _ inputs: [String: PlainMap]
) -> PlainMap {
  switch operation {
  case .input(let name): return inputs[name] ?? PlainMap(shape) { _, _, _ in .nan }
  case .convolution(let convolution):
    let (weight, bias) = (weights[convolution.weight], weights[convolution.bias])
    let (k, d) = (convolution.kernel, convolution.dilation)
    let depth = operands.reduce(0) { $0 + $1.shape.channels }
    return PlainMap(shape) { y, x, o in
      var sum = Double(bias[o])
      var first = 0
      for operand in operands {
        for c in 0..<operand.shape.channels {
          for i in 0..<k {
            for j in 0..<k {
              let w = weight[((o * depth + first + c) * k + i) * k + j]
              sum +=
                Double(w)
                * operand[
                  y * convolution.stride + (i - k / 2) * d,
                  x * convolution.stride + (j - k / 2) * d, c]
            }
          }
        }
        first += operand.shape.channels
      }
      return sum
    }
  case .depthwise(let convolution):
    let (weight, bias) = (weights[convolution.weight], weights[convolution.bias])
    let (k, d) = (convolution.kernel, convolution.dilation)
    return PlainMap(shape) { y, x, c in
      var sum = Double(bias[c])
      for i in 0..<k {
        for j in 0..<k {
          sum +=
            Double(weight[(c * k + i) * k + j])
            * operands[0][
              y * convolution.stride + (i - k / 2) * d, x * convolution.stride + (j - k / 2) * d, c]
        }
      }
      return sum
    }
  case .relu: return PlainMap(shape) { max(0, operands[0][$0, $1, $2]) }
  case .relu6: return PlainMap(shape) { min(6, max(0, operands[0][$0, $1, $2])) }
  case .add: return PlainMap(shape) { operands[0][$0, $1, $2] + operands[1][$0, $1, $2] }
  case .affine(let scale, let shift):
    return PlainMap(shape) { Double(scale) * operands[0][$0, $1, $2] + Double(shift) }
  case .channelAffine(let scale, let shift):
    return PlainMap(shape) { Double(scale[$2]) * operands[0][$0, $1, $2] + Double(shift[$2]) }
  case .maxPool:
    return PlainMap(shape) { y, x, c in
      var largest = -Double.infinity
      let map = operands[0]
      for row in max(2 * y - 1, 0)...min(2 * y + 1, map.shape.height - 1) {
        for column in max(2 * x - 1, 0)...min(2 * x + 1, map.shape.width - 1) {
          largest = max(largest, map[row, column, c])
        }
      }
      return largest
    }
  case .averagePool(let factor):
    return PlainMap(shape) { y, x, c in
      var sum = 0.0
      for i in 0..<factor {
        for j in 0..<factor { sum += operands[0][y * factor + i, x * factor + j, c] }
      }
      return sum / Double(factor * factor)
    }
  case .upsample(let factor):
    return PlainMap(shape) { y, x, c in
      let v = (Double(y) + 0.5) / Double(factor) - 0.5
      let u = (Double(x) + 0.5) / Double(factor) - 0.5
      let (y0, x0) = (Int(v.rounded(.down)), Int(u.rounded(.down)))
      let (fy, fx) = (v - Double(y0), u - Double(x0))
      let top = operands[0].clamped(y0, x0, c) * (1 - fx) + operands[0].clamped(y0, x0 + 1, c) * fx
      let bottom =
        operands[0].clamped(y0 + 1, x0, c) * (1 - fx) + operands[0].clamped(y0 + 1, x0 + 1, c) * fx
      return top * (1 - fy) + bottom * fy
    }
  case .normalize:
    return PlainMap(shape) { y, x, c in
      let norm = (0..<shape.channels).reduce(0.0) {
        $0 + operands[0][y, x, $1] * operands[0][y, x, $1]
      }.squareRoot()
      return operands[0][y, x, c] / max(norm, 1e-12)
    }
  }
}
