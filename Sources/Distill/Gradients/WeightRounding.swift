// Weights rounded for a step of training, and their straight-through gradient. UnrolledClip asks before
// each forward and after each backward; what activations do is in RoundingLayer.swift.

import MemoryVOS

/// The rounded weights of a network's three graphs.
final class WeightRounding {
  let graphs: RoundedGraphs
  private let pool: ThreadPool
  private let layers: [(graph: RoundedGraph, position: Int, name: String)]
  /// Places among all scalars of the weights that the largest number stands for.
  private var cut: [Int] = []

  init(_ graphs: RoundedGraphs, pool: ThreadPool) {
    self.graphs = graphs
    self.pool = pool
    layers = [graphs.keyEncoder, graphs.valueEncoder, graphs.decoder].flatMap { graph in
      graph.layers.enumerated().map { (graph, $0, $1) }
    }
  }

  /// The parameters with every rounded weight in the place of the float one.
  func rounded(_ parameters: ParameterSet) -> ParameterSet {
    var results = [(weights: [Float], isCut: [Bool])](repeating: ([], []), count: layers.count)
    results.withUnsafeMutableBufferPointer { buffer in
      let rows = DisjointResults(buffer)
      pool.parallelFor(layers.count) { [layers] index, _ in
        let (graph, position, name) = layers[index]
        rows.set(
          index,
          graph.rounded(
            position, weight: parameters[name + ".weight"], bias: parameters[name + ".bias"]))
      }
    }
    var rounded = parameters
    cut = []
    for ((_, _, name), result) in zip(layers, results) {
      let range = parameters.range(name + ".weight")
      rounded.scalars.replaceSubrange(range, with: result.weights)
      for (offset, isCut) in result.isCut.enumerated() where isCut {
        cut.append(range.lowerBound + offset)
      }
    }
    return rounded
  }

  /// Takes the gradient of weights that were cut away.
  func gate(_ gradients: inout ParameterSet) {
    for place in cut { gradients.scalars[place] = 0 }
  }
}

/// Results of layers, each set by one thread.
private struct DisjointResults<Element>: @unchecked Sendable {
  // Safe: every index is given to one call only.
  private let buffer: UnsafeMutableBufferPointer<Element>

  init(_ buffer: UnsafeMutableBufferPointer<Element>) { self.buffer = buffer }

  func set(_ index: Int, _ value: Element) { buffer[index] = value }
}
