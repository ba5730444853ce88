// Every loss in Double: its gradient against finite differences, its value against its definition.

import MemoryVOS
import TestSupport
import Testing

@testable import Distill

/// Largest difference between a gradient and central differences of `loss`, relative to the largest
/// slope.
private func worstSlope(
  _ x: [Double], _ gradient: [Double], step: Double = 1e-6, _ loss: ([Double]) -> Double
) -> Double {
  var (worst, scale) = (0.0, 1e-12)
  for index in x.indices {
    let slope = difference(step) { change in
      var changed = x
      changed[index] += change
      return loss(changed)
    }
    worst = max(worst, abs(slope - gradient[index]))
    scale = max(scale, abs(slope))
  }
  return worst / scale
}

private func softmax(_ odds: [Double], classes: Int) -> [Double] {
  let count = odds.count / classes
  var result = odds
  for pixel in 0..<count {
    let total = (0..<classes).reduce(0) { $0 + Double.exponential(odds[$1 * count + pixel]) }
    for j in 0..<classes {
      result[j * count + pixel] = Double.exponential(odds[j * count + pixel]) / total
    }
  }
  return result
}

private func random(_ count: Int, _ range: ClosedRange<Double>, seed: UInt64) -> [Double] {
  var generator = SeededGenerator(seed: seed)
  return (0..<count).map { _ in Double.random(in: range, using: &generator) }
}

@Suite("Losses")
struct LossTests {
  private func crossEntropy(
    _ odds: [Double], _ target: [UInt8], weights: [Double]? = nil, classes: Int, share: Double,
    poly1: Double, weight: Double = 1
  ) -> (value: Double, gradient: [Double]) {
    let loss = BootstrappedCrossEntropy(share: share, poly1: poly1)
    var gradient = [Double](repeating: 0, count: odds.count)
    var scratch = [Double](repeating: 0, count: 2 * target.count)
    let value = loss.evaluate(
      probabilities: softmax(odds, classes: classes), target: target, weights: weights,
      classes: classes, count: target.count, weight: weight, scratch: &scratch, gradient: &gradient)
    return (value, gradient)
  }

  @Test(arguments: [2, 3, 5], [(1.0, 0.0), (0.25, 0.0), (0.5, 1.0), (0.001, 2.0)])
  func crossEntropyOverHardPixels(classes: Int, choice: (share: Double, poly1: Double)) {
    let count = 40
    let odds = random(classes * count, -3...3, seed: 1)
    let target = (0..<count).map { UInt8($0 * 7 % classes) }
    let (value, gradient) = crossEntropy(
      odds, target, classes: classes, share: choice.share, poly1: choice.poly1, weight: 3)
    let worst = worstSlope(odds, gradient) {
      3
        * crossEntropy($0, target, classes: classes, share: choice.share, poly1: choice.poly1)
        .value
    }
    #expect(worst < 1e-6)
    // By definition, with a sort.
    let p = softmax(odds, classes: classes)
    let pixels = (0..<count).map { pixel in
      let own = p[Int(target[pixel]) * count + pixel]
      return choice.poly1 * (1 - own) - Double.logarithm(own)
    }
    let kept = max(1, Int(Double(count) * choice.share))
    let expected = pixels.sorted(by: >).prefix(kept).reduce(0, +) / Double(kept)
    #expect(abs(value - expected) < 1e-12)
  }

  @Test(arguments: [1.0, 0.4]) func weightedPixelsCountMoreAndSooner(share: Double) {
    let count = 30
    let odds = random(3 * count, -3...3, seed: 4)
    let target = (0..<count).map { UInt8($0 * 7 % 3) }
    let weights = (0..<count).map { $0 % 4 == 0 ? 4.0 : 1 }
    func loss(_ odds: [Double]) -> (value: Double, gradient: [Double]) {
      crossEntropy(odds, target, weights: weights, classes: 3, share: share, poly1: 0.5)
    }
    let (value, gradient) = loss(odds)
    #expect(worstSlope(odds, gradient) { loss($0).value } < 1e-6)
    let p = softmax(odds, classes: 3)
    let pixels = (0..<count).map { pixel in
      let own = p[Int(target[pixel]) * count + pixel]
      return weights[pixel] * (0.5 * (1 - own) - Double.logarithm(own))
    }
    let kept = Int(Double(count) * share)
    let expected = pixels.sorted(by: >).prefix(kept).reduce(0, +) / Double(kept)
    #expect(abs(value - expected) < 1e-12)
  }

  /// What no square of 5 × 5 covers, found by trying every square.
  @Test(arguments: 0..<8) func thinIsWhatNoSquareCovers(seed: UInt64) {
    let (width, height, radius) = (31, 23, 2)
    var generator = SeededGenerator(seed: seed)
    var labels = [UInt8](repeating: 0, count: width * height)
    for label in [1, 2, 1, 255, 2, 1] as [UInt8] {
      let (x, y) = (
        Int.random(in: -3..<width, using: &generator),
        Int.random(in: -3..<height, using: &generator)
      )
      let (w, h) = (
        Int.random(in: 1...14, using: &generator), Int.random(in: 1...9, using: &generator)
      )
      for row in max(0, y)..<min(height, max(0, y + h)) {
        for column in max(0, x)..<min(width, max(0, x + w)) { labels[row * width + column] = label }
      }
    }
    // Squares may reach over the border, where nothing contradicts.
    var isThin = labels.map { $0 == 1 || $0 == 2 }
    for y in 0..<height {
      for x in 0..<width {
        let square = (max(0, y - radius)...min(height - 1, y + radius)).flatMap { row in
          (max(0, x - radius)...min(width - 1, x + radius)).map { row * width + $0 }
        }
        if Set(square.map { labels[$0] }).count == 1 {
          for pixel in square { isThin[pixel] = false }
        }
      }
    }
    #expect(
      PixelSampling.thin(labels, width: width, height: height, radius: radius) == isThin)
    #expect(isThin.contains(true) && isThin.contains(false))
  }

  @Test func equallyHardPixelsCountInOrderAndOnlyTheirNumber() {
    let odds = [Double](repeating: 0, count: 2 * 10)
    let target = [UInt8](repeating: 1, count: 10)
    let (value, gradient) = crossEntropy(odds, target, classes: 2, share: 0.3, poly1: 0)
    #expect(abs(value - Double.logarithm(2)) < 1e-12)
    #expect(gradient[10..<20].filter { $0 != 0 }.count == 3)
    #expect(gradient[10] != 0 && gradient[13] == 0)
  }

  @Test(arguments: [1, 2, 3, 7, 100, 1000])
  func selectionIsSorting(count: Int) {
    for levels in [2.0, 1000.0] {
      let values = random(count, 0...levels, seed: UInt64(count)).map { $0.rounded() }
      let sorted = values.sorted(by: >)
      for rank in Set([1, (count + 1) / 2, count]) {
        var copy = values
        #expect(HardestPixels.select(&copy, count: count, rank: rank) == sorted[rank - 1])
      }
    }
  }

  @Test func dice() {
    let p = random(50, 0...1, seed: 2)
    for mask in [[Float](repeating: 0, count: 50), (0..<50).map { Float($0 % 3 == 0 ? 1 : 0) }] {
      func loss(_ p: [Double], _ gradient: inout [Double]) -> Double {
        DiceLoss<Double>().evaluate(
          probabilities: p, mask: mask, count: 50, weight: 2, gradient: &gradient)
      }
      var gradient = [Double](repeating: 0, count: 50)
      let value = loss(p, &gradient)
      var ignored = gradient
      #expect(worstSlope(p, gradient) { 2 * loss($0, &ignored) } < 1e-6)
      let both = zip(p, mask).reduce(0) { $0 + $1.0 * Double($1.1) }
      let sum = p.reduce(0, +) + mask.reduce(0) { $0 + Double($1) }
      #expect(abs(value - (1 - (2 * both + 1) / (sum + 1))) < 1e-12)
    }
  }

  @Test(arguments: [0.1, 1.0, 4.0], [false, true])
  func distillationOfLogits(temperature: Double, isBounded: Bool) {
    let (classes, count) = (3, 20)
    let odds = random(classes * count, -2...2, seed: 3)
    let teacher = random(classes * count, -2...2, seed: 4).map { Float($0) }
    let included = (0..<count).map { $0 % 2 == 0 }
    let loss = LogitDistillation(temperature: temperature)
    func evaluate(_ odds: [Double], _ gradient: inout [Double]) -> Double {
      included.withUnsafeBufferPointer {
        loss.evaluate(
          student: odds, teacher: teacher, classes: classes, count: count,
          included: isBounded ? $0.baseAddress : nil, weight: 2, gradient: &gradient)
      }
    }
    var gradient = [Double](repeating: 0, count: odds.count)
    let value = evaluate(odds, &gradient)
    var ignored = gradient
    #expect(worstSlope(odds, gradient) { 2 * evaluate($0, &ignored) } < 1e-6)
    let p = softmax(odds.map { $0 / temperature }, classes: classes)
    let q = softmax(teacher.map { Double($0) / temperature }, classes: classes)
    var expected = 0.0
    for pixel in 0..<count where !isBounded || included[pixel] {
      for j in 0..<classes {
        let index = j * count + pixel
        expected += q[index] * Double.logarithm(q[index] / p[index])
      }
    }
    #expect(abs(value - expected / Double(isBounded ? count / 2 : count)) < 1e-9)
    // A student that agrees has nothing to learn.
    gradient = [Double](repeating: 0, count: odds.count)
    #expect(abs(evaluate(teacher.map { Double($0) }, &gradient)) < 1e-9)
    #expect(gradient.allSatisfy { abs($0) < 1e-9 })
  }

  @Test(arguments: [false, true])
  func featureRegression(projected: Bool) {
    let (count, inputs) = (6, 3)
    let outputs = projected ? 5 : 3
    let features = random(count * inputs, -1...1, seed: 5)
    let teacher = random(count * outputs, -1...1, seed: 6).map { Float($0) }
    let matrix = random(outputs * inputs, -1...1, seed: 7)
    let loss = FeatureRegression<Double>(studentChannels: inputs, teacherChannels: outputs)
    func evaluate(
      _ features: [Double], _ matrix: [Double]
    ) -> (value: Double, df: [Double], da: [Double]) {
      var df = [Double](repeating: 0, count: features.count)
      var da = [Double](repeating: 0, count: matrix.count)
      var scratch = [Double](repeating: 0, count: outputs)
      let value = matrix.withUnsafeBufferPointer { matrix in
        da.withUnsafeMutableBufferPointer { da in
          var pair: (matrix: UnsafePointer<Double>, gradient: UnsafeMutablePointer<Double>)?
          if projected, let matrix = matrix.baseAddress, let da = da.baseAddress {
            pair = (matrix, da)
          }
          return loss.evaluate(
            student: features, teacher: teacher, count: count, projection: pair, weight: 2,
            scratch: &scratch, gradient: &df)
        }
      }
      return (value, df, da)
    }
    let result = evaluate(features, matrix)
    #expect(worstSlope(features, result.df) { 2 * evaluate($0, matrix).value } < 1e-6)
    if projected {
      #expect(worstSlope(matrix, result.da) { 2 * evaluate(features, $0).value } < 1e-6)
    }
  }
}
