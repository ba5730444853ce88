// Bootstrapped cross-entropy with poly-1, and dice: losses against labels. TrainingStep adds them up.

/// Cross-entropy over the hardest pixels of one sample.
///
///     l = w (-log p_y + ε (1 - p_y)),  L = mean of the n largest l,  n = ⌊share · pixels⌋
///
/// with p the softmax over log-odds, y the true class and w the pixel's weight, 1 without `weights`.
/// ε = 0 is plain cross-entropy; poly-1 is Leng et al., PolyLoss, ICLR 2022, equation 4. Hard pixels: Pohlen et al., CVPR 2017; in video object
/// segmentation STCN (Cheng et al., NeurIPS 2021, section 3.4). Pixels are chosen per sample, so that
/// the other samples of a batch do not matter. Of equally hard ones the first count.
struct BootstrappedCrossEntropy<Scalar: TrainingScalar> {
  /// Share of the pixels that count, in 0…1; at least one does.
  var share: Double
  /// ε.
  var poly1: Scalar

  /// The loss; adds `weight` times its gradient with respect to the log-odds to `gradient`:
  /// w (p_j - [j = y]) (1 + ε p_y) / n for the pixels that count.
  ///
  /// `probabilities` is the softmax over log-odds, `[classes][count]`, `target` the true class of each
  /// pixel, 255 where it is not known: such pixels do not count, and when all are such the loss is 0.
  /// `scratch` has room for 2 · count scalars.
  func evaluate(
    probabilities: UnsafePointer<Scalar>, target: UnsafePointer<UInt8>,
    weights: UnsafePointer<Scalar>? = nil, classes: Int, count: Int, weight: Scalar,
    scratch: UnsafeMutablePointer<Scalar>, gradient: UnsafeMutablePointer<Scalar>
  ) -> Double {
    let values = scratch
    var known = count
    for pixel in 0..<count {
      if target[pixel] == voidLabel {
        values[pixel] = -Scalar.infinity
        known -= 1
        continue
      }
      let p = probabilities[Int(target[pixel]) * count + pixel]
      values[pixel] =
        (weights?[pixel] ?? 1)
        * (poly1 * (1 - p) - Scalar.logarithm(max(p, Scalar.leastNormalMagnitude)))
    }
    guard known > 0 else { return 0 }
    let chosen = min(known, max(1, Int(Double(known) * share)))
    var threshold = -Scalar.infinity
    var ties = 0
    if chosen < count {
      let copy = scratch + count
      copy.update(from: values, count: count)
      threshold = HardestPixels.select(copy, count: count, rank: chosen)
      var larger = 0
      for pixel in 0..<count where values[pixel] > threshold { larger += 1 }
      ties = chosen - larger
    }
    var sum = 0.0
    let step = weight / Scalar(chosen)
    for pixel in 0..<count {
      let value = values[pixel]
      if value < threshold { continue }
      if value == threshold {
        if ties == 0 { continue }
        ties -= 1
      }
      sum += Double(value)
      let label = Int(target[pixel])
      let slope = 1 + poly1 * probabilities[label * count + pixel]
      let scale = step * (weights?[pixel] ?? 1) * slope
      for j in 0..<classes {
        let p = probabilities[j * count + pixel]
        gradient[j * count + pixel] += scale * (j == label ? p - 1 : p)
      }
    }
    return sum / Double(chosen)
  }
}

/// Selection without sorting.
enum HardestPixels {
  /// The `rank`-th largest (1 = the largest) of `count` values, which are reordered (Hoare's select).
  static func select<Scalar: TrainingScalar>(
    _ values: UnsafeMutablePointer<Scalar>, count: Int, rank: Int
  ) -> Scalar {
    var (low, high) = (0, count - 1)
    let wanted = rank - 1
    while low < high {
      let (a, b, c) = (values[low], values[(low + high) / 2], values[high])
      let pivot = max(min(a, b), min(max(a, b), c))
      var (i, j) = (low, high)
      while i <= j {
        while values[i] > pivot { i += 1 }
        while values[j] < pivot { j -= 1 }
        if i <= j {
          (values[i], values[j]) = (values[j], values[i])
          i += 1
          j -= 1
        }
      }
      if wanted <= j {
        high = j
      } else if wanted >= i {
        low = i
      } else {
        return values[wanted]
      }
    }
    return values[wanted]
  }
}

/// Dice loss of one object's probabilities p against its mask y.
///
/// Milletari et al., 3DV 2016, with first powers and smoothing as in XMem:
///
///     L = 1 - (2 Σ p y + 1) / (Σ p + Σ y + 1)
struct DiceLoss<Scalar: TrainingScalar> {
  /// The loss; adds `weight` times its gradient with respect to p to `gradient`.
  ///
  /// Pixels whose `target` is 255 do not count; without it all do.
  func evaluate(
    probabilities: UnsafePointer<Scalar>, mask: UnsafePointer<Float>, count: Int, weight: Scalar,
    target: UnsafePointer<UInt8>? = nil, gradient: UnsafeMutablePointer<Scalar>
  ) -> Double {
    var (both, sum) = (0.0, 0.0)
    for pixel in 0..<count {
      if let target, target[pixel] == voidLabel { continue }
      let (p, y) = (Double(probabilities[pixel]), Double(mask[pixel]))
      both += p * y
      sum += p + y
    }
    let (numerator, denominator) = (2 * both + 1, sum + 1)
    let inside = weight * Scalar((numerator - 2 * denominator) / (denominator * denominator))
    let outside = weight * Scalar(numerator / (denominator * denominator))
    for pixel in 0..<count {
      if let target, target[pixel] == voidLabel { continue }
      let y = Scalar(mask[pixel])
      gradient[pixel] += outside + (inside - outside) * y
    }
    return 1 - numerator / denominator
  }
}
