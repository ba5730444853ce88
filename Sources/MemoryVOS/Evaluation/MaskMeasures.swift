// START HERE for scoring: the measures of one object in one frame. The rest of this folder decides
// which frames and objects count and how numbers are averaged.

/// The DAVIS measures of one object in one frame.
///
/// Perazzi et al., "A Benchmark Dataset and Evaluation Methodology for Video Object Segmentation",
/// CVPR 2016, section 4; conventions for empty masks are the official tool's.
public enum MaskMeasures {
  /// Region similarity J: intersection over union of two masks.
  ///
  ///     J = |result ∩ truth| / |result ∪ truth|, 1 when the union is empty
  ///
  /// Pixels count as the object's when their label is not 0; void truth (255) counts for neither.
  /// Traps when sizes differ.
  public static func regionSimilarity(result: LabelMap, truth: LabelMap) -> Double {
    let pair = MaskPair(result: result, truth: truth, merged: true)
    return pair.regionSimilarity(of: 1)
  }

  /// Boundary accuracy F: how well two outlines match within a small distance.
  ///
  ///     F = 2PR / (P + R), 0 when P + R = 0
  ///
  /// P is the part of the result's boundary within `radius` pixels of the truth's, R the reverse. An
  /// empty boundary against another gives P or R = 0, two empty ones give 1. Pixels count as for
  /// `regionSimilarity`. Traps when sizes differ.
  ///
  /// - Parameters:
  ///   - result: the tracker's mask.
  ///   - truth: the annotation.
  ///   - radius: pixels; 0.008 of the diagonal, rounded up, when `nil`.
  /// - Returns: F in 0…1.
  public static func boundaryAccuracy(
    result: LabelMap, truth: LabelMap, radius: Int? = nil
  ) -> Double {
    let pair = MaskPair(result: result, truth: truth, merged: true)
    let matcher = BoundaryMatcher(size: truth.size, radius: radius)
    return pair.boundaryAccuracy(of: 1, matcher)
  }
}

/// Truth and result of one frame as bit planes, void taken out of both.
struct MaskPair {
  let result: LabelBits
  let truth: LabelBits

  /// The planes of two maps; `merged` makes all labels but 0 and void one object, 1.
  ///
  /// Traps when sizes differ.
  init(result: LabelMap, truth: LabelMap, merged: Bool = false) {
    precondition(result.size == truth.size, "a result of \(result.size) for truth of \(truth.size)")
    self.result = LabelBits(result, merged: merged)
    self.truth = LabelBits(truth, merged: merged)
    self.result.clear(255, of: self.truth)
  }

  func regionSimilarity(of label: UInt8) -> Double {
    var union = 0
    var intersection = 0
    switch (result[label], truth[label]) {
    case (nil, nil): return 1
    case (let one?, nil), (nil, let one?):
      for index in 0..<truth.wordCount { union += one[index].nonzeroBitCount }
    case (let a?, let b?):
      for index in 0..<truth.wordCount where a[index] | b[index] != 0 {
        intersection += (a[index] & b[index]).nonzeroBitCount
        union += (a[index] | b[index]).nonzeroBitCount
      }
    }
    return union == 0 ? 1 : Double(intersection) / Double(union)
  }

  func boundaryAccuracy(of label: UInt8, _ matcher: BoundaryMatcher) -> Double {
    matcher.counts(result: result[label], truth: truth[label]).accuracy
  }

  /// The result's change since the frame before beyond the truth's, relative to the object's size.
  ///
  ///     max(0, |Pt ⊕ Pt−1| − |Gt ⊕ Gt−1|) / |Gt ∪ Gt−1|
  ///
  /// Pixels that are void in either frame do not count. Where the truth is empty in both frames the
  /// value is 0 when the result did not change and 1 when it did.
  func flicker(of label: UInt8, since before: MaskPair) -> Double {
    var resultChange = 0
    var truthChange = 0
    var union = 0
    let voids = [truth[255], before.truth[255]]
    let (p, q) = (result[label], before.result[label])
    let (g, h) = (truth[label], before.truth[label])
    for index in 0..<truth.wordCount {
      var valid = UInt64.max
      for void in voids { if let void { valid &= ~void[index] } }
      let (new, old) = (g?[index] ?? 0, h?[index] ?? 0)
      resultChange += (((p?[index] ?? 0) ^ (q?[index] ?? 0)) & valid).nonzeroBitCount
      truthChange += ((new ^ old) & valid).nonzeroBitCount
      union += ((new | old) & valid).nonzeroBitCount
    }
    let excess = max(0, resultChange - truthChange)
    guard union > 0 else { return excess > 0 ? 1 : 0 }
    return Double(excess) / Double(union)
  }
}
