// Losses against a teacher: logits with temperature, and features. TrainingStep adds them up.

/// Distillation of logits (Hinton et al., 2015, section 2).
///
/// The mean over pixels of
///
///     KL(q ‖ p) = Σ_j q_j (log q_j - log p_j),  p = softmax(L / τ),  q = softmax(L_teacher / τ)
///
/// L are aggregated log-odds, background first. There is no factor τ²: the weight is the caller's, and
/// temperatures below 1 (sharpening) are used too.
struct LogitDistillation<Scalar: TrainingScalar> {
  /// τ.
  var temperature: Scalar

  /// The loss; adds `weight` times its gradient with respect to `student` to `gradient`:
  /// (p_j - q_j) / (τ n) at each of the n pixels.
  ///
  /// `student` and `teacher` are log-odds `[classes][count]`, `included` the pixels that count, nil for
  /// all. When none does the loss is 0.
  func evaluate(
    student: UnsafePointer<Scalar>, teacher: UnsafePointer<Float>, classes: Int, count: Int,
    included: UnsafePointer<Bool>?, weight: Scalar, gradient: UnsafeMutablePointer<Scalar>
  ) -> Double {
    var total = count
    if let included {
      total = 0
      for pixel in 0..<count where included[pixel] { total += 1 }
    }
    guard total > 0 else { return 0 }
    let step = weight / (temperature * Scalar(total))
    var sum = 0.0
    for pixel in 0..<count where included?[pixel] ?? true {
      let p = logSum(classes) { student[$0 * count + pixel] / temperature }
      let q = logSum(classes) { Scalar(teacher[$0 * count + pixel]) / temperature }
      for j in 0..<classes {
        let a = student[j * count + pixel] / temperature - p
        let b = Scalar(teacher[j * count + pixel]) / temperature - q
        let share = Scalar.exponential(b)
        sum += Double(share * (b - a))
        gradient[j * count + pixel] += step * (Scalar.exponential(a) - share)
      }
    }
    return sum / Double(total)
  }

  /// log Σ exp.
  private func logSum(_ classes: Int, _ value: (Int) -> Scalar) -> Scalar {
    var largest = value(0)
    for j in 1..<classes { largest = max(largest, value(j)) }
    var sum: Scalar = 0
    for j in 0..<classes { sum += Scalar.exponential(value(j) - largest) }
    return largest + Scalar.logarithm(sum)
  }
}

/// Mean squared difference between features and the teacher's.
///
/// Romero et al., FitNets, ICLR 2015, equation 2:
///
///     L = 1 / (n C_t) · Σ_i |A f_i - g_i|²
///
/// A is the identity when widths are equal, else a trained `[C_t, C_s]` matrix.
struct FeatureRegression<Scalar: TrainingScalar> {
  /// C_s and C_t.
  var studentChannels: Int
  /// C_t.
  var teacherChannels: Int

  /// The loss; adds `weight` times its gradients.
  ///
  /// `student` is `[count, C_s]`, `teacher` `[count, C_t]`; `projection` A and where its gradient goes,
  /// or nil for the identity; `scratch` has room for C_t scalars.
  func evaluate(
    student: UnsafePointer<Scalar>, teacher: UnsafePointer<Float>, count: Int,
    projection: (matrix: UnsafePointer<Scalar>, gradient: UnsafeMutablePointer<Scalar>)?,
    weight: Scalar, scratch: UnsafeMutablePointer<Scalar>,
    gradient: UnsafeMutablePointer<Scalar>
  ) -> Double {
    precondition(projection != nil || studentChannels == teacherChannels, "widths differ")
    let (inputs, outputs) = (studentChannels, teacherChannels)
    let step = 2 * weight / Scalar(count * outputs)
    var sum = 0.0
    for pixel in 0..<count {
      let f = student + pixel * inputs
      let g = teacher + pixel * outputs
      let df = gradient + pixel * inputs
      for row in 0..<outputs {
        var value: Scalar = 0
        if let projection {
          for column in 0..<inputs { value += projection.matrix[row * inputs + column] * f[column] }
        } else {
          value = f[row]
        }
        scratch[row] = value - Scalar(g[row])
        sum += Double(scratch[row] * scratch[row])
      }
      guard let projection else {
        for row in 0..<outputs { df[row] += step * scratch[row] }
        continue
      }
      for row in 0..<outputs {
        let error = step * scratch[row]
        let (a, da) = (projection.matrix + row * inputs, projection.gradient + row * inputs)
        for column in 0..<inputs {
          df[column] += error * a[column]
          da[column] += error * f[column]
        }
      }
    }
    return sum / Double(count * outputs)
  }
}
