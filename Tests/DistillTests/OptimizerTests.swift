// AdamW, schedule, averages and first values, against their definitions.

import MemoryVOS
import TestSupport
import Testing

@testable import Distill

@Suite("Optimizer")
struct OptimizerTests {
  private func example(seed: UInt64) -> ParameterSet {
    var parameters = ParameterSet([
      .init(name: "k.weight", shape: [5, 3]), .init(name: "p.bias", shape: [9]),
    ])
    var generator = SeededGenerator(seed: seed)
    for index in parameters.scalars.indices {
      parameters.scalars[index] = Float.random(in: -1...1, using: &generator)
    }
    return parameters
  }

  @Test func adamWIsItsDefinition() {
    var parameters = example(seed: 1)
    var configuration = AdamW.Configuration()
    configuration.weightDecay = 0.1
    var optimizer = AdamW(parameters, configuration: configuration)
    var expected = parameters.scalars.map { Double($0) }
    var m = expected.map { _ in 0.0 }
    var v = m
    for step in 1...5 {
      let gradients = example(seed: UInt64(10 + step))
      optimizer.update(&parameters, gradients: gradients, learningRate: 0.01)
      for index in expected.indices {
        let g = Double(gradients.scalars[index])
        let rate = index < 15 ? 0.003 : 0.01
        expected[index] *= 1 - rate * 0.1
        m[index] = 0.9 * m[index] + 0.1 * g
        v[index] = 0.999 * v[index] + 0.001 * g * g
        let n = Double(step)
        let first = m[index] / (1 - TrainingMath.power(0.9, n))
        let second = v[index] / (1 - TrainingMath.power(0.999, n))
        expected[index] -= rate * first / (second.squareRoot() + 1e-8)
      }
    }
    #expect(Difference(parameters.scalars, expected.map { Float($0) }).maximum < 1e-6)
    #expect(optimizer.steps == 5)
  }

  @Test func clippingScalesOnlyWhatIsTooLong() {
    var set = example(seed: 2)
    let before = set
    let norm = set.norm
    #expect(set.clip(norm: norm + 1) == norm)
    #expect(set.scalars == before.scalars)
    #expect(set.clip(norm: 0.5) == norm)
    #expect(abs(set.norm - 0.5) < 1e-5)
    set.scalars[3] = .nan
    #expect(set.clip(norm: 0.5).isNaN)
  }

  @Test func scheduleWarmsUpAndFallsToItsFloor() {
    let schedule = LearningRateSchedule()
    #expect(abs(schedule.rate(step: 0, progress: 0) - 4e-6) < 1e-12)
    #expect(abs(schedule.rate(step: 99, progress: 0) - 4e-4) < 1e-12)
    #expect(abs(schedule.rate(step: 500, progress: 0.5) - 4e-4 * 0.51) < 1e-12)
    #expect(abs(schedule.rate(step: 500, progress: 1) - 4e-4 * 0.02) < 1e-12)
    #expect(schedule.rate(step: 500, progress: 3) == schedule.rate(step: 500, progress: 1))
  }

  @Test func averageForgetsItsBeginning() {
    let (start, next) = (example(seed: 3), example(seed: 4))
    var average = WeightAverage(start)
    average.update(next, step: 0)
    for (index, value) in average.parameters.scalars.enumerated() {
      let expected = start.scalars[index] * 0.1 + next.scalars[index] * 0.9
      #expect(abs(value - expected) < 1e-6)
    }
    let mean = ParameterSet.mean([start, next])
    #expect(abs(mean.scalars[2] - (start.scalars[2] + next.scalars[2]) / 2) < 1e-6)
  }

  @Test func firstValues() {
    var parameters = ParameterSet(NetworkConfiguration())
    parameters.initialize(seed: 1)
    #expect(parameters["t"] == [2.7])
    #expect(parameters["r16.1.b.weight"].allSatisfy { $0 == 0 })
    #expect(parameters["mr.0.b.bias"].allSatisfy { $0 == 0 })
    let bound = 1 / Float(98).squareRoot()
    #expect(parameters["m1.weight"].allSatisfy { abs($0) <= bound })
    #expect(parameters["m1.bias"].contains { abs($0) > bound / 2 })
    let (key, columns) = (parameters["key.weight"], 96 * 9)
    for i in [0, 5, 63] {
      for j in [0, 5, 62] {
        let dot = (0..<columns).reduce(0) { $0 + key[i * columns + $1] * key[j * columns + $1] }
        #expect(abs(dot - (i == j ? 1 : 0)) < 1e-5)
      }
    }
    var again = ParameterSet(NetworkConfiguration())
    again.initialize(seed: 1)
    #expect(again.scalars == parameters.scalars)
  }

  /// A bright square that moves over noise is learned in a few steps.
  @Test func stepsLowerTheLoss() throws {
    var generator = SeededGenerator(seed: 6)
    let side = 64
    var images: [Float] = []
    var masks: [Float] = []
    for frame in 0..<3 {
      for y in 0..<side {
        for x in 0..<side {
          let isInside = (20..<40).contains(y) && (10 + 5 * frame..<30 + 5 * frame).contains(x)
          masks.append(isInside ? 1 : 0)
          for _ in 0..<3 {
            images.append((isInside ? 0.8 : -0.5) + Float.random(in: -0.2...0.2, using: &generator))
          }
        }
      }
    }
    let batch = TrainingBatch(
      batch: 1, frames: 3, objects: 1, size: FrameSize(width: side, height: side), images: images,
      masks: masks)
    let step = try TrainingStep(.init(), threads: 2)
    var parameters = step.gradients
    parameters.initialize(seed: 2)
    var optimizer = AdamW(parameters)
    var totals: [Double] = []
    for _ in 0..<10 {
      totals.append(step.run(batch, parameters: parameters).total)
      step.gradients.clip(norm: 1)
      optimizer.update(&parameters, gradients: step.gradients, learningRate: 2e-3)
    }
    #expect((totals.last ?? .nan) < 0.7 * totals[0], "\(totals)")
  }
}
