// Scores runs of frames of one sequence; Scorer runs many at once and joins what they find.

/// What a run of frames gave: measures by frame and label, and which labels were met.
struct FrameRun {
  struct Values {
    var region = 1.0
    var boundary = 1.0
    var flicker: Double? = nil
  }

  /// By frame of the run and label; labels in neither mask are absent and score 1, 1 and 0.
  var values: [[UInt8: Values]] = []
  /// Labels of the truth by frame of the run, void left out.
  var truthLabels: [[UInt8]] = []
  /// Labels of the result by frame of the run.
  var resultLabels: [[UInt8]] = []
  /// Whether any truth of the run has void.
  var hasVoid = false
}

/// One sequence against one result set.
struct SequenceScorer {
  let sequence: TruthSet.Sequence
  let results: String
  let options: ScoringOptions

  private var isMerged: Bool { options.scoringProtocol == .davis2016 }

  /// Measures of a run of frames, and of flicker since the frame before it.
  func score(_ range: Range<Int>) throws(MediaError) -> FrameRun {
    var run = FrameRun()
    var before: MaskPair? = nil
    if range.lowerBound > 0 { before = try pair(range.lowerBound - 1).pair }
    var matcher: BoundaryMatcher? = nil
    for index in range {
      let (pair, hasVoid) = try pair(index)
      if let before, before.truth.size != pair.truth.size {
        throw MediaError(
          path: sequence.mask(sequence.frames[index]),
          problem: "the truth is \(pair.truth.size) pixels, the frame before \(before.truth.size)")
      }
      let frameMatcher = matcher ?? BoundaryMatcher(size: pair.truth.size)
      matcher = frameMatcher
      let isScored =
        !options.scoringProtocol.excludesEnds || (index > 0 && index < sequence.frames.count - 1)
      var labels = Set(pair.truth.labels + pair.result.labels)
      if let before { labels.formUnion(before.truth.labels + before.result.labels) }
      labels.remove(255)
      var values: [UInt8: FrameRun.Values] = [:]
      if isScored {
        for label in labels {
          values[label] = FrameRun.Values(
            region: pair.regionSimilarity(of: label),
            boundary: pair.boundaryAccuracy(of: label, frameMatcher),
            flicker: before.map { pair.flicker(of: label, since: $0) })
        }
      }
      run.values.append(values)
      run.truthLabels.append(pair.truth.labels.filter { $0 != 255 })
      run.resultLabels.append(pair.result.labels)
      run.hasVoid = run.hasVoid || hasVoid
      before = pair
    }
    return run
  }

  /// Both masks of a frame.
  private func pair(_ index: Int) throws(MediaError) -> (pair: MaskPair, hasVoid: Bool) {
    let frame = sequence.frames[index]
    let truthPath = sequence.mask(frame)
    let resultPath = sequence.result(frame, in: results)
    var truth = try MaskFile.read(truthPath, role: .truth)
    var result = try MaskFile.read(resultPath, role: .result)
    guard result.size == truth.size else {
      throw MediaError(
        path: resultPath,
        problem: "the result is \(result.size) pixels, its truth \(truthPath) is \(truth.size); "
          + "write results in the size of the truth")
    }
    // A merged result has no void: everything in it is object.
    if isMerged { result.labels = result.labels.map { $0 == 0 ? 0 : 1 } }
    var pair = MaskPair(result: result, truth: truth, merged: isMerged)
    let hasVoid = pair.truth[255] != nil
    if hasVoid && options.isCompatible {
      truth.labels = truth.labels.map { $0 == 255 ? 0 : $0 }
      pair = MaskPair(result: result, truth: truth, merged: isMerged)
    }
    return (pair, hasVoid)
  }

  // MARK: - Joining

  /// The objects of the whole sequence from its runs, in order.
  func objects(_ run: FrameRun) throws(MediaError) -> [ObjectScore] {
    let known = try objectLabels(run)
    try refuseUnknown(run, known: known)
    let last = sequence.frames.count - 1
    var scores: [ObjectScore] = []
    for label in known {
      var frames: [FrameScore] = []
      let appearance = run.truthLabels.firstIndex { $0.contains(label) } ?? 0
      for index in 0...last {
        switch options.scoringProtocol {
        case .davis2016, .davis2017: if index == 0 || index == last { continue }
        case .youTubeVOS:
          if index < appearance { continue }
          if index == appearance && !options.includesFirstAppearance { continue }
        case .folder: break
        }
        let values = run.values[index][label]
        frames.append(
          FrameScore(
            frame: sequence.frames[index], region: values?.region ?? 1,
            boundary: values?.boundary ?? 1,
            flicker: index == 0 ? nil : values.map { $0.flicker ?? 0 } ?? 0))
      }
      // An object annotated on its last frame only has nothing that could be scored.
      guard !frames.isEmpty else { continue }
      scores.append(
        ObjectScore(
          sequence: sequence.name, object: label, frames: frames,
          isCompatible: options.isCompatible,
          isSeen: options.categories?.isSeen(object: label, sequence: sequence.name)))
    }
    return scores
  }

  private func objectLabels(_ run: FrameRun) throws(MediaError) -> [UInt8] {
    let first = sequence.mask(sequence.frames[0])
    switch options.scoringProtocol {
    case .davis2016, .davis2017:
      guard sequence.frames.count > 2 else {
        throw MediaError(
          path: sequence.folder,
          problem: "\(sequence.frames.count) annotated frames; DAVIS leaves out the first and the "
            + "last, so at least 3 are needed")
      }
      if options.scoringProtocol == .davis2016 { return [1] }
      guard let largest = run.truthLabels[0].max() else {
        throw MediaError(
          path: first,
          problem: "the truth of the first frame holds no object, and DAVIS-2017 scores the "
            + "objects of the first frame; use --protocol youtube-vos or folder")
      }
      return Array(1...largest)
    case .youTubeVOS, .folder:
      let labels = Set(run.truthLabels.joined()).sorted()
      guard !labels.isEmpty else {
        throw MediaError(path: sequence.folder, problem: "the truth holds no object on any frame")
      }
      return labels
    }
  }

  private func refuseUnknown(_ run: FrameRun, known: [UInt8]) throws(MediaError) {
    for (index, labels) in run.resultLabels.enumerated() {
      guard let unknown = labels.filter({ !known.contains($0) }).min() else { continue }
      let path = sequence.result(sequence.frames[index], in: results)
      let strange = labels.count { !known.contains($0) }
      var advice = "a result holds only ids of the truth"
      if strange > 3 {
        advice =
          "\(strange) unknown ids in this frame suggest an anti-aliased or grey-level mask; "
          + "save ids without smoothing"
      } else if options.scoringProtocol == .davis2017,
        run.truthLabels.contains(where: { $0.contains(unknown) })
      {
        advice =
          "the truth has it on a later frame only, and DAVIS-2017 scores the objects of the "
          + "first frame; use --protocol youtube-vos or folder"
      } else if unknown == 255 {
        advice = "255 means void in truth and is no object; write 0 for background"
      }
      let ids =
        known.count > 8
        ? "\(known[0])…\(known[known.count - 1])"
        : known.map(String.init).joined(separator: ", ")
      throw MediaError(
        path: path,
        problem: "id \(unknown) does not exist in the truth of '\(sequence.name)' (ids \(ids)); "
          + advice)
    }
  }
}
