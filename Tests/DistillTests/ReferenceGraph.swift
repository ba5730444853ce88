// A graph computed in Double, written to be read: what finite differences are taken of.

import MemoryVOS

@testable import Distill

/// A map of numbers, `[height, width, channels]`.
struct ReferenceMap {
  var height: Int
  var width: Int
  var channels: Int
  var scalars: [Double]

  subscript(y: Int, x: Int, c: Int) -> Double {
    get { scalars[(y * width + x) * channels + c] }
    set { scalars[(y * width + x) * channels + c] = newValue }
  }

  init(_ height: Int, _ width: Int, _ channels: Int) {
    (self.height, self.width, self.channels) = (height, width, channels)
    scalars = [Double](repeating: 0, count: height * width * channels)
  }

  /// Each scalar, changed.
  func map(_ body: (Double) -> Double) -> ReferenceMap {
    var result = self
    result.scalars = scalars.map(body)
    return result
  }
}

/// Runs a graph, one sample.
struct ReferenceGraph {
  let graph: Graph
  var parameters: [String: [Double]]

  func run(_ inputs: [String: ReferenceMap]) -> [ReferenceMap] {
    var values: [ReferenceMap] = []
    for node in graph.nodes {
      let operands = node.inputs.map { values[$0.index] }
      values.append(compute(node, operands, inputs))
    }
    return values
  }

  private func compute(
    _ node: Graph.Node, _ x: [ReferenceMap], _ inputs: [String: ReferenceMap]
  ) -> ReferenceMap {
    switch node.operation {
    case .input(let name): inputs[name] ?? ReferenceMap(0, 0, 0)
    case .convolution(let convolution): dense(convolution, concatenated(x), node.channels)
    case .depthwise(let convolution): depthwise(convolution, x[0])
    case .relu: x[0].map { max($0, 0) }
    case .relu6: x[0].map { min(max($0, 0), 6) }
    case .add: added(x[0], x[1])
    case .upsample(let factor): enlarged(x[0], factor)
    case .averagePool(let factor): pooled(x[0], factor)
    case .maxPool: largest(x[0])
    case .channelAffine(let scale, let shift): scaled(x[0], scale, shift)
    case .affine(let scale, let shift): x[0].map { Double(scale) * $0 + Double(shift) }
    case .normalize: normalized(x[0])
    }
  }

  private func concatenated(_ maps: [ReferenceMap]) -> ReferenceMap {
    var result = ReferenceMap(maps[0].height, maps[0].width, maps.reduce(0) { $0 + $1.channels })
    var first = 0
    for map in maps {
      for y in 0..<map.height {
        for x in 0..<map.width {
          for c in 0..<map.channels { result[y, x, first + c] = map[y, x, c] }
        }
      }
      first += map.channels
    }
    return result
  }

  private func dense(
    _ convolution: MemoryVOS.Operation.Convolution, _ map: ReferenceMap, _ channels: Int
  ) -> ReferenceMap {
    let (k, s, d) = (convolution.kernel, convolution.stride, convolution.dilation)
    let weight = parameters[convolution.weight] ?? []
    let bias = parameters[convolution.bias] ?? []
    var result = ReferenceMap(map.height / s, map.width / s, channels)
    for y in 0..<result.height {
      for x in 0..<result.width {
        for o in 0..<channels {
          var sum = bias[o]
          for i in 0..<k {
            for j in 0..<k {
              let (row, column) = (y * s + (i - k / 2) * d, x * s + (j - k / 2) * d)
              guard row >= 0, row < map.height, column >= 0, column < map.width else { continue }
              for c in 0..<map.channels {
                sum += map[row, column, c] * weight[((o * map.channels + c) * k + i) * k + j]
              }
            }
          }
          result[y, x, o] = sum
        }
      }
    }
    return result
  }

  private func depthwise(
    _ convolution: MemoryVOS.Operation.Convolution, _ map: ReferenceMap
  ) -> ReferenceMap {
    let (k, s, d) = (convolution.kernel, convolution.stride, convolution.dilation)
    let weight = parameters[convolution.weight] ?? []
    let bias = parameters[convolution.bias] ?? []
    var result = ReferenceMap(map.height / s, map.width / s, map.channels)
    for y in 0..<result.height {
      for x in 0..<result.width {
        for c in 0..<map.channels {
          var sum = bias[c]
          for i in 0..<k {
            for j in 0..<k {
              let (row, column) = (y * s + (i - k / 2) * d, x * s + (j - k / 2) * d)
              guard row >= 0, row < map.height, column >= 0, column < map.width else { continue }
              sum += map[row, column, c] * weight[(c * k + i) * k + j]
            }
          }
          result[y, x, c] = sum
        }
      }
    }
    return result
  }

  private func added(_ a: ReferenceMap, _ b: ReferenceMap) -> ReferenceMap {
    var result = a
    for index in a.scalars.indices { result.scalars[index] += b.scalars[index] }
    return result
  }

  private func enlarged(_ map: ReferenceMap, _ factor: Int) -> ReferenceMap {
    var result = ReferenceMap(map.height * factor, map.width * factor, map.channels)
    func source(_ position: Int, _ count: Int) -> (Int, Int, Double) {
      let center = max(0, (Double(position) + 0.5) / Double(factor) - 0.5)
      let low = min(Int(center), count - 1)
      return (low, min(low + 1, count - 1), center - Double(low))
    }
    for y in 0..<result.height {
      let (top, bottom, v) = source(y, map.height)
      for x in 0..<result.width {
        let (left, right, h) = source(x, map.width)
        for c in 0..<map.channels {
          result[y, x, c] =
            (1 - v) * ((1 - h) * map[top, left, c] + h * map[top, right, c])
            + v * ((1 - h) * map[bottom, left, c] + h * map[bottom, right, c])
        }
      }
    }
    return result
  }

  private func pooled(_ map: ReferenceMap, _ factor: Int) -> ReferenceMap {
    var result = ReferenceMap(map.height / factor, map.width / factor, map.channels)
    for y in 0..<map.height {
      for x in 0..<map.width {
        for c in 0..<map.channels {
          result[y / factor, x / factor, c] += map[y, x, c] / Double(factor * factor)
        }
      }
    }
    return result
  }

  private func largest(_ map: ReferenceMap) -> ReferenceMap {
    var result = ReferenceMap(map.height / 2, map.width / 2, map.channels)
    for y in 0..<result.height {
      for x in 0..<result.width {
        for c in 0..<map.channels {
          var values: [Double] = []
          for row in 2 * y - 1...2 * y + 1 where (0..<map.height).contains(row) {
            for column in 2 * x - 1...2 * x + 1 where (0..<map.width).contains(column) {
              values.append(map[row, column, c])
            }
          }
          result[y, x, c] = values.max() ?? .nan
        }
      }
    }
    return result
  }

  private func scaled(_ map: ReferenceMap, _ scale: [Float], _ shift: [Float]) -> ReferenceMap {
    var result = map
    for index in map.scalars.indices {
      let c = index % map.channels
      result.scalars[index] = Double(scale[c]) * map.scalars[index] + Double(shift[c])
    }
    return result
  }

  private func normalized(_ map: ReferenceMap) -> ReferenceMap {
    var result = map
    for y in 0..<map.height {
      for x in 0..<map.width {
        let norm = (0..<map.channels).reduce(0) { $0 + map[y, x, $1] * map[y, x, $1] }
        for c in 0..<map.channels { result[y, x, c] /= max(norm.squareRoot(), 1e-12) }
      }
    }
    return result
  }
}
