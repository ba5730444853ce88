// The representation loss on correlation matrices of pixel features. TrainingStep adds it up.

/// Distillation of pixel-wise relations, MobileVOS (Miles et al., CVPR 2023).
///
///     L = 1/N · (log₂ Σ_ij C_ij² - log₂ Σ_ij (C_ij T_ij)²)
///     C = Z Zᵀ,  T = ω Z_t Z_tᵀ + (1 - ω) Y Yᵀ
///
/// Z and Z_t are the features of N pixels of student and teacher, each row of unit length, and Y their
/// one-hot labels. ω = 0 is supervised contrastive, ω = 1 pure distillation. The published text was
/// read only in part; that |C| means N and the ε inside the logarithms (1e-8) are our choices.
///
/// C, T and C∘T have unit diagonals, so with the matrix-based Rényi entropy of order 2,
/// S₂(A) = -log₂ tr((A / tr A)²), the loss is (S₂(T) - I₂(C; T)) / N: minimising it maximises the mutual
/// information I₂ = S₂(C) + S₂(T) - S₂(C∘T).
struct RepresentationLoss<Scalar: TrainingScalar> {
  /// ω.
  var omega: Scalar

  private let epsilon = Scalar(1e-8)

  /// The loss, and adds `weight` times its gradient with respect to `student` to `gradient`. With
  ///
  ///     G = 2 / (N ln 2) · (C / Σ C² - C∘T∘T / Σ (C∘T)²),  dZ = 2 G Z,
  ///
  /// the gradient of row x = |x| z is (dz - (dz·z) z) / |x|.
  ///
  /// `student` are features `[N, studentChannels]`, not yet of unit length, `teacher` features
  /// `[N, teacherChannels]`, where nil stands for ω = 0; `labels` is the class of each pixel.
  func evaluate(
    student: [Scalar], studentChannels: Int, teacher: [Scalar]?, teacherChannels: Int,
    labels: [UInt8], weight: Scalar, gradient: inout [Scalar]
  ) -> Double {
    let count = labels.count
    precondition(student.count == count * studentChannels && gradient.count == student.count)
    precondition(teacher.map { $0.count == count * teacherChannels } ?? true)
    guard count > 0 else { return 0 }
    let (z, lengths) = Self.normalized(student, channels: studentChannels)
    let target = targets(teacher, teacherChannels, labels)
    var correlations = [Scalar](repeating: 0, count: count * count)
    Self.correlate(z, channels: studentChannels, into: &correlations)

    var (all, aligned): (Scalar, Scalar) = (epsilon, epsilon)
    for index in correlations.indices {
      let (c, t) = (correlations[index], target[index])
      all += c * c
      aligned += c * t * c * t
    }
    let ln2 = Scalar(0.693147180559945309)
    let scale = 4 * weight / (Scalar(count) * ln2)
    for index in correlations.indices {
      let (c, t) = (correlations[index], target[index])
      correlations[index] = scale * (c / all - c * t * t / aligned)
    }
    var dz = [Scalar](repeating: 0, count: studentChannels)
    for i in 0..<count {
      for c in 0..<studentChannels { dz[c] = 0 }
      for j in 0..<count {
        let g = correlations[i * count + j]
        for c in 0..<studentChannels { dz[c] += g * z[j * studentChannels + c] }
      }
      var along: Scalar = 0
      for c in 0..<studentChannels { along += dz[c] * z[i * studentChannels + c] }
      for c in 0..<studentChannels {
        let index = i * studentChannels + c
        gradient[index] += (dz[c] - along * z[index]) / lengths[i]
      }
    }
    return Double((Scalar.logarithm(all) - Scalar.logarithm(aligned)) / ln2) / Double(count)
  }

  /// T.
  private func targets(_ teacher: [Scalar]?, _ channels: Int, _ labels: [UInt8]) -> [Scalar] {
    let count = labels.count
    let omega = teacher == nil ? 0 : omega
    var result = [Scalar](repeating: 0, count: count * count)
    if let teacher, omega > 0 {
      Self.correlate(
        Self.normalized(teacher, channels: channels).rows, channels: channels,
        into: &result)
    }
    for i in 0..<count {
      for j in 0..<count {
        let same: Scalar = labels[i] == labels[j] ? 1 : 0
        result[i * count + j] = omega * result[i * count + j] + (1 - omega) * same
      }
    }
    return result
  }

  /// Rows of unit length, and their lengths (at least 1e-12).
  static func normalized(_ rows: [Scalar], channels: Int) -> (rows: [Scalar], lengths: [Scalar]) {
    var result = rows
    var lengths: [Scalar] = []
    for start in stride(from: 0, to: rows.count, by: channels) {
      var sum: Scalar = 0
      for index in start..<start + channels { sum += rows[index] * rows[index] }
      let length = max(sum.squareRoot(), Scalar(1e-12))
      for index in start..<start + channels { result[index] /= length }
      lengths.append(length)
    }
    return (result, lengths)
  }

  /// Z Zᵀ.
  private static func correlate(_ z: [Scalar], channels: Int, into result: inout [Scalar]) {
    let count = z.count / channels
    z.withUnsafeBufferPointer { z in
      for i in 0..<count {
        for j in 0...i {
          var sum: Scalar = 0
          for c in 0..<channels { sum += z[i * channels + c] * z[j * channels + c] }
          result[i * count + j] = sum
          result[j * count + i] = sum
        }
      }
    }
  }
}
