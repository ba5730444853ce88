// The representation loss: its gradient, and that it is the mutual information it claims to be.

import TestSupport
import Testing

@testable import Distill

@Suite("Representation loss")
struct RepresentationLossTests {
  private let count = 14
  private let labels: [UInt8] = (0..<14).map { UInt8($0 % 3) }

  private func features(_ channels: Int, seed: UInt64) -> [Double] {
    var generator = SeededGenerator(seed: seed)
    return (0..<count * channels).map { _ in Double.random(in: -1...1, using: &generator) }
  }

  private func evaluate(
    _ student: [Double], _ teacher: [Double]?, omega: Double
  ) -> (value: Double, gradient: [Double]) {
    var gradient = [Double](repeating: 0, count: student.count)
    let value = RepresentationLoss(omega: omega).evaluate(
      student: student, studentChannels: 4, teacher: teacher, teacherChannels: 6, labels: labels,
      weight: 3, gradient: &gradient)
    return (value, gradient)
  }

  @Test(arguments: [0.0, 0.3, 0.95, 1.0])
  func gradientIsTheSlope(omega: Double) {
    let (student, teacher) = (features(4, seed: 1), features(6, seed: 2))
    let gradient = evaluate(student, teacher, omega: omega).gradient
    for index in student.indices {
      let slope = difference(1e-6) { change in
        var changed = student
        changed[index] += change
        return 3 * evaluate(changed, teacher, omega: omega).value
      }
      #expect(abs(slope - gradient[index]) < 1e-7)
    }
  }

  @Test(arguments: [0.0, 0.3, 0.95, 1.0])
  func lossIsMinusMutualInformationUpToItsConstant(omega: Double) {
    let (student, teacher) = (features(4, seed: 3), features(6, seed: 4))
    func correlations(_ rows: [Double], _ channels: Int) -> [Double] {
      var result = [Double](repeating: 0, count: count * count)
      func dot(_ i: Int, _ j: Int) -> Double {
        (0..<channels).reduce(0) { $0 + rows[i * channels + $1] * rows[j * channels + $1] }
      }
      for i in 0..<count {
        for j in 0..<count {
          result[i * count + j] = dot(i, j) / (dot(i, i) * dot(j, j)).squareRoot()
        }
      }
      return result
    }
    let c = correlations(student, 4)
    var t = correlations(teacher, 6)
    for i in 0..<count {
      for j in 0..<count {
        let same = labels[i] == labels[j] ? 1.0 : 0
        t[i * count + j] = omega * t[i * count + j] + (1 - omega) * same
      }
    }
    let joint = zip(c, t).map { $0 * $1 }
    let information = entropy(c) + entropy(t) - entropy(joint)
    let loss = evaluate(student, teacher, omega: omega).value
    #expect(abs(Double(count) * loss - (entropy(t) - information)) < 1e-6)
  }

  /// S₂(A) = -log₂ Σ λ², λ the eigenvalues of A / tr A, found by Jacobi rotations.
  private func entropy(_ matrix: [Double]) -> Double {
    let n = count
    let trace = (0..<n).reduce(0) { $0 + matrix[$1 * n + $1] }
    var a = matrix.map { $0 / trace }
    for _ in 0..<30 {
      for p in 0..<n {
        for q in p + 1..<n where abs(a[p * n + q]) > 1e-15 {
          let theta = (a[q * n + q] - a[p * n + p]) / (2 * a[p * n + q])
          let t = (theta >= 0 ? 1 : -1) / (abs(theta) + (theta * theta + 1).squareRoot())
          let c = 1 / (t * t + 1).squareRoot()
          let s = t * c
          for k in 0..<n {
            let (x, y) = (a[k * n + p], a[k * n + q])
            (a[k * n + p], a[k * n + q]) = (c * x - s * y, s * x + c * y)
          }
          for k in 0..<n {
            let (x, y) = (a[p * n + k], a[q * n + k])
            (a[p * n + k], a[q * n + k]) = (c * x - s * y, s * x + c * y)
          }
        }
      }
    }
    let squares = (0..<n).reduce(0) { $0 + a[$1 * n + $1] * a[$1 * n + $1] }
    return -Double.logarithm(squares) / Double.logarithm(2)
  }

  @Test func withoutTeacherItIsContrastive() {
    let student = features(4, seed: 5)
    #expect(evaluate(student, nil, omega: 1).value == evaluate(student, nil, omega: 0).value)
  }

  @Test func boundaryPixelsAreChosenFirstAndToppedUp() {
    var labels = [UInt8](repeating: 0, count: 20 * 10)
    for y in 3..<7 { for x in 5..<15 { labels[y * 20 + x] = 1 } }
    let boundary = PixelSampling.boundary(labels, width: 20, height: 10, radius: 1)
    // By definition: a pixel of another class in the 3×3 square.
    for y in 0..<10 {
      for x in 0..<20 {
        var found = false
        for v in max(0, y - 1)...min(9, y + 1) {
          for u in max(0, x - 1)...min(19, x + 1) where labels[v * 20 + u] != labels[y * 20 + x] {
            found = true
          }
        }
        #expect(boundary[y * 20 + x] == found)
      }
    }
    let near = boundary.filter { $0 }.count
    for wanted in [0, 1, near - 1, near, near + 1, 199, 200, 500] {
      var generator = SplitMix64(seed: 3)
      let chosen = PixelSampling.choose(boundary: boundary, count: wanted, using: &generator)
      #expect(chosen.count == min(wanted, 200) && Set(chosen).count == chosen.count)
      #expect(chosen.filter { boundary[$0] }.count == min(wanted, near))
      var again = SplitMix64(seed: 3)
      #expect(
        chosen == PixelSampling.choose(boundary: boundary, count: wanted, using: &again))
    }
  }
}
