// The gradient of every operation, alone and fused, against finite differences in Double.

import MemoryVOS
import TestSupport
import Testing

@testable import Distill

/// A small graph and what it is about.
///
/// Its inputs are called a, b, c; every input has a gradient.
struct GradientCase: CustomTestStringConvertible, Sendable {
  let testDescription: String
  let graph: Graph

  init(_ name: String, _ build: (inout GraphBuilder) -> [Graph.Value]) {
    testDescription = name
    var builder = GraphBuilder()
    for (index, value) in build(&builder).enumerated() { builder.output("out\(index)", value) }
    graph = builder.graph
  }

  static let all = pointwise + dense + depthwise + dilated + plain + composite

  private static let pointwise = [
    Self("1×1 of one source") {
      let a = $0.input("a", channels: 5, stride: 1)
      return [$0.convolution("l", [a], channels: 7)]
    },
    Self("1×1 of three sources, ReLU") {
      let a = $0.input("a", channels: 3, stride: 1)
      let b = $0.input("b", channels: 18, stride: 1)
      let c = $0.input("c", channels: 1, stride: 1)
      return [$0.relu($0.convolution("l", [a, b, c], channels: 19))]
    },
    Self("1×1 plus addend, ReLU6") {
      let a = $0.input("a", channels: 4, stride: 1)
      let b = $0.input("b", channels: 33, stride: 1)
      return [$0.relu6($0.add(b, $0.convolution("l", [a], channels: 33)))]
    },
  ]

  private static let dense = [
    (3, 1, 4, 6), (3, 2, 3, 8), (7, 4, 1, 5), (7, 2, 3, 8), (1, 2, 4, 6), (3, 1, 8, 1),
    (5, 1, 2, 1),
  ].map { kernel, stride, inputs, outputs in
    Self("dense \(kernel)×\(kernel) stride \(stride), \(inputs) to \(outputs)") {
      let a = $0.input("a", channels: inputs, stride: 1)
      let b = $0.input("b", channels: 2, stride: 1)
      let sources = outputs == 1 ? [a] : [a, b]
      return [
        $0.relu(
          $0.convolution("l", sources, channels: outputs, kernel: kernel, stride: stride))
      ]
    }
  }

  private static let depthwise = [(3, 1), (3, 2), (5, 1), (5, 2)].flatMap { kernel, stride in
    [5, 8, 24].map { channels in
      Self("depthwise \(kernel)×\(kernel) stride \(stride), \(channels) channels") {
        let a = $0.input("a", channels: channels, stride: 1)
        return [$0.relu6($0.depthwise("l", a, kernel: kernel, stride: stride))]
      }
    }
  }

  private static let dilated = [(3, 2), (3, 3), (3, 6), (5, 2), (3, 13)].flatMap {
    kernel, dilation in
    [
      Self("dense \(kernel)×\(kernel) dilated by \(dilation)") {
        let a = $0.input("a", channels: 3, stride: 1)
        let b = $0.input("b", channels: 8, stride: 1)
        return [
          $0.relu($0.convolution("l", [a, b], channels: 5, kernel: kernel, dilation: dilation))
        ]
      },
      Self("depthwise \(kernel)×\(kernel) dilated by \(dilation)") {
        let a = $0.input("a", channels: 9, stride: 1)
        let x = $0.affine(a, scale: 3, shift: 0)
        return [x, $0.relu($0.depthwise("l", a, kernel: kernel, dilation: dilation))]
      },
    ]
  }

  private static let plain = [
    Self("ReLU") { [$0.relu($0.input("a", channels: 3, stride: 1))] },
    Self("ReLU6") { [$0.relu6($0.input("a", channels: 3, stride: 1))] },
    Self("affine") { [$0.affine($0.input("a", channels: 3, stride: 1), scale: 2, shift: -1)] },
    Self("normalize") { [$0.normalize($0.input("a", channels: 9, stride: 1))] },
    Self("average pool") { [$0.averagePool($0.input("a", channels: 3, stride: 1), factor: 2)] },
    Self("largest of 3×3") { [$0.maxPool($0.input("a", channels: 9, stride: 1))] },
    Self("largest of 3×3, read twice") {
      let a = $0.input("a", channels: 2, stride: 1)
      let x = $0.maxPool($0.convolution("l", [a], channels: 3, kernel: 3))
      return [x, $0.maxPool(x)]
    },
    Self("constants per channel") {
      let a = $0.input("a", channels: 3, stride: 1)
      return [$0.relu($0.channelAffine(a, scale: [2, -1, 0.5], shift: [0.1, 0, -0.3]))]
    },
    Self("enlarge ×2") { [$0.upsample($0.input("a", channels: 9, stride: 2), factor: 2)] },
    Self("enlarge ×4") { [$0.upsample($0.input("a", channels: 1, stride: 4), factor: 4)] },
    Self("sum of a value with itself, ReLU") {
      let a = $0.input("a", channels: 3, stride: 1)
      return [$0.relu($0.add(a, a))]
    },
    Self("two inputs added, both also outputs of something") {
      let a = $0.input("a", channels: 3, stride: 1)
      let b = $0.input("b", channels: 3, stride: 1)
      return [$0.add(a, b), $0.relu(a), $0.affine(b, scale: -3, shift: 0)]
    },
  ]

  private static let composite = [
    Self("residual blocks in a row, the first result is an output") {
      let a = $0.input("a", channels: 8, stride: 1)
      let x = Residual(name: "r0", kernel: 5).append(to: &$0, a)
      let y = Residual(name: "r1", kernel: 3).append(to: &$0, x)
      return [x, Residual(name: "r2", kernel: 3).append(to: &$0, y)]
    },
    Self("inverted residuals") {
      let a = $0.input("a", channels: 4, stride: 1)
      let x = InvertedResidual(name: "i0", channels: 4, expansion: 6, stride: 1)
        .append(to: &$0, a)
      let y = InvertedResidual(name: "i1", channels: 4, expansion: 2, stride: 1)
        .append(to: &$0, x)
      return [InvertedResidual(name: "i2", channels: 6, expansion: 2, stride: 2).append(to: &$0, y)]
    },
    Self("basic blocks") {
      let a = $0.input("a", channels: 4, stride: 1)
      let x = BasicBlock(name: "b0", channels: 4, stride: 1).append(to: &$0, a)
      let y = BasicBlock(name: "b1", channels: 6, stride: 2).append(to: &$0, x)
      return [x, BasicBlock(name: "b2", channels: 6, stride: 1).append(to: &$0, y)]
    },
    Self("enlarged and added to a side branch, ReLU, read twice") {
      let a = $0.input("a", channels: 4, stride: 2)
      let b = $0.input("b", channels: 3, stride: 1)
      let up = $0.upsample($0.convolution("u", [a], channels: 8), factor: 2)
      let x = $0.relu($0.add(up, $0.convolution("s", [b], channels: 8)))
      let y = $0.add(x, $0.convolution("d", [x], channels: 8))
      return [$0.convolution("p", [y], channels: 1, kernel: 3), $0.depthwise("q", x, kernel: 3)]
    },
  ]
}

@Suite("Gradients of operations")
struct OperationGradientTests {
  @Test(arguments: GradientCase.all)
  func everyOperation(_ example: GradientCase) throws {
    let expectation = GradientExpectation(example)
    for instructionSet in InstructionSet.supported {
      for threads in [1, 3] {
        check(expectation, instructionSet, threads: threads)
      }
    }
  }

  private func check(
    _ expectation: GradientExpectation, _ instructionSet: InstructionSet, threads: Int
  ) {
    let graph = expectation.graph
    let samples = expectation.samples
    let plan = GradientPlan(
      graph, size: GradientExpectation.size, microBatch: 2, kernels: Kernels(instructionSet),
      pool: ThreadPool(threadCount: threads))
    let tape = GradientTape(plan, samples: samples.count)
    var held: [AlignedBuffer] = []
    var inputGradients: [String: [AlignedBuffer]] = [:]
    func buffers(_ maps: [ReferenceMap]) -> [AlignedBuffer] {
      let made = maps.map { map in
        let buffer = AlignedBuffer(count: map.scalars.count)
        for (index, value) in map.scalars.enumerated() { buffer.base[index] = Float(value) }
        return buffer
      }
      held += made
      return made
    }
    for name in samples[0].inputs.keys {
      let maps = samples.map { $0.inputs[name] ?? ReferenceMap(0, 0, 0) }
      tape.bind(name, buffers(maps).map(\.base))
      let gradients = buffers(maps.map { $0.map { _ in 1 } })
      inputGradients[name] = gradients
      tape.bindGradient(name, gradients.map(\.base))
    }
    plan.load(expectation.parameters)
    plan.reset()
    plan.forward(tape, samples: 0..<samples.count)
    let variant = "\(instructionSet), \(threads) threads"
    for (index, output) in graph.outputs.enumerated() {
      tape.bindGradient(output.value, buffers(samples.map { $0.seeds[index] }).map(\.base))
      for sample in samples.indices {
        let expected = expectation.outputs[sample][index]
        let actual = UnsafeBufferPointer(
          start: tape.activation(output.value.index, sample), count: expected.count)
        let error = relativeError(Array(actual), expected)
        #expect(error < 1e-5, "\(output.name), \(variant): \(error)")
      }
    }
    plan.backward(tape, samples: 0..<samples.count)
    var gradients = expectation.parameters
    plan.collect(into: &gradients)
    for (name, slopes) in expectation.parameterSlopes {
      let values = gradients[name]
      let error = relativeError(slopes.map { values[$0.index] }, slopes.map(\.slope))
      #expect(error < 1e-4, "\(name), \(variant): \(error)")
    }
    for (name, slopes) in expectation.inputSlopes {
      // The buffers began at 1: gradients are added.
      let actual = slopes.map { (inputGradients[name]?[$0.sample].base[$0.index] ?? 0) - 1 }
      let error = relativeError(actual, slopes.map(\.slope))
      #expect(error < 1e-4, "\(name), \(variant): \(error)")
    }
  }
}

/// Random inputs and parameters of a case, outputs, and slopes of a random sum of the outputs.
struct GradientExpectation {
  /// One sample: inputs, and the weights of the outputs in the sum.
  struct Sample {
    var inputs: [String: ReferenceMap] = [:]
    var seeds: [ReferenceMap] = []
  }

  static let size = FrameSize(width: 12, height: 8)
  /// Finite differences are taken of at most so many scalars per tensor.
  private static let probes = 12

  let graph: Graph
  var parameters: ParameterSet
  var samples: [Sample] = []
  /// `[sample][output]`.
  var outputs: [[[Float]]] = []
  var parameterSlopes: [String: [(index: Int, slope: Float)]] = [:]
  var inputSlopes: [String: [(sample: Int, index: Int, slope: Float)]] = [:]

  init(_ example: GradientCase) {
    graph = example.graph
    parameters = ParameterSet(graph.parameters)
    var generator = SeededGenerator(seed: 7)
    func random(_ count: Int) -> [Double] {
      (0..<count).map { _ in Double(Float.random(in: -1.5...1.5, using: &generator)) }
    }
    let nodes = graph.nodes
    func random(_ value: Graph.Value) -> ReferenceMap {
      let node = nodes[value.index]
      var map = ReferenceMap(
        Self.size.height / node.stride, Self.size.width / node.stride, node.channels)
      map.scalars = random(map.scalars.count)
      return map
    }
    var reference = ReferenceGraph(graph: graph, parameters: [:])
    for parameter in graph.parameters {
      let values = random(parameter.count)
      reference.parameters[parameter.name] = values
      parameters[parameter.name] = values.map { Float($0) }
    }
    for _ in 0..<3 {
      var sample = Sample()
      for (index, node) in nodes.enumerated() {
        if case .input(let name) = node.operation {
          sample.inputs[name] = random(Graph.Value(index: index))
        }
      }
      sample.seeds = graph.outputs.map { random($0.value) }
      samples.append(sample)
      let values = reference.run(sample.inputs)
      outputs.append(graph.outputs.map { values[$0.value.index].scalars.map { Float($0) } })
    }
    func positions(_ count: Int) -> [Int] {
      count <= Self.probes
        ? Array(0..<count)
        : (0..<Self.probes).map { _ in Int.random(in: 0..<count, using: &generator) }
    }
    for parameter in graph.parameters {
      parameterSlopes[parameter.name] = positions(parameter.count).map { index in
        let slope = difference(1e-5) { change in
          var changed = reference
          changed.parameters[parameter.name]?[index] += change
          return samples.reduce(0) { $0 + objective(changed, $1) }
        }
        return (index, Float(slope))
      }
    }
    for (name, map) in samples[0].inputs {
      inputSlopes[name] = samples.indices.flatMap { sample in
        positions(map.scalars.count).map { index in
          let slope = difference(1e-5) { change in
            var changed = samples[sample]
            changed.inputs[name]?.scalars[index] += change
            return objective(reference, changed)
          }
          return (sample, index, Float(slope))
        }
      }
    }
  }

  private func objective(_ reference: ReferenceGraph, _ sample: Sample) -> Double {
    let values = reference.run(sample.inputs)
    return zip(graph.outputs, sample.seeds).reduce(0) { sum, pair in
      zip(values[pair.0.value.index].scalars, pair.1.scalars).reduce(sum) { $0 + $1.0 * $1.1 }
    }
  }
}

/// The central difference quotient at 0.
func difference(_ step: Double, _ body: (Double) -> Double) -> Double {
  (body(step) - body(-step)) / (2 * step)
}
