// A result set against truth: the whole of scoring behind one call. `vos-cli score` and `evaluate`
// call this.

import Dispatch
import Synchronization

/// Scores result sets.
public enum Scorer {
  /// Frames that one thread takes at a time.
  private static let runLength = 24

  /// Scores the masks in `results/SEQUENCE/FRAME.png` against truth, on all cores.
  ///
  /// Every frame of the truth needs a result of the same size; further files are ignored. Files are
  /// read once and dropped: memory does not grow with the number of frames.
  ///
  /// - Parameters:
  ///   - results: the folder of the result set.
  ///   - name: what to call it; the folder's own name when `nil`.
  ///   - truth: the sequences to score.
  ///   - options: protocol and switches.
  /// - Returns: scores of every frame, object and group.
  /// - Throws: `MediaError` that names the first file, in order, that is missing or unusable.
  public static func score(
    results: String, name: String? = nil, truth: TruthSet, options: ScoringOptions
  ) throws(MediaError) -> ResultScore {
    for sequence in truth.sequences { try checkPresence(of: sequence, in: results) }
    let scorers = truth.sequences.map {
      SequenceScorer(sequence: $0, results: results, options: options)
    }
    var blocks: [(sequence: Int, frames: Range<Int>)] = []
    for (index, sequence) in truth.sequences.enumerated() {
      for start in stride(from: 0, to: sequence.frames.count, by: runLength) {
        blocks.append((index, start..<min(start + runLength, sequence.frames.count)))
      }
    }
    let runs = try scoreBlocks(blocks, scorers)
    var objects: [ObjectScore] = []
    var sequencesWithVoid = 0
    for (index, scorer) in scorers.enumerated() {
      var whole = FrameRun()
      for (block, run) in zip(blocks, runs) where block.sequence == index {
        whole.values += run.values
        whole.truthLabels += run.truthLabels
        whole.resultLabels += run.resultLabels
        whole.hasVoid = whole.hasVoid || run.hasVoid
      }
      if whole.hasVoid { sequencesWithVoid += 1 }
      objects += try scorer.objects(whole)
    }
    guard !objects.isEmpty else {
      throw MediaError(
        path: truth.sequences[0].folder,
        problem: "no object has a frame that counts; is this the folder with the first masks only?")
    }
    return ResultScore(
      name: name ?? results.split(separator: "/").last.map(String.init) ?? results,
      scoringProtocol: options.scoringProtocol, objects: objects, global: GroupScore(objects),
      seen: group(objects, seen: true), unseen: group(objects, seen: false),
      frameCount: truth.sequences.reduce(0) { $0 + $1.frames.count },
      notes: notes(objects, options, truth: truth, sequencesWithVoid: sequencesWithVoid))
  }

  // MARK: - Steps

  private static func checkPresence(
    of sequence: TruthSet.Sequence, in results: String
  ) throws(MediaError) {
    let folder = sequence.isFlat ? results : "\(results)/\(sequence.name)"
    guard Folder.kind(of: results) == .folder else {
      throw MediaError(path: results, problem: "no such folder of results")
    }
    guard Folder.kind(of: folder) == .folder else {
      throw MediaError(
        path: folder,
        problem: "the results of sequence '\(sequence.name)' are missing; "
          + "\(sequence.frames.count) masks were expected here")
    }
    let present = Set(try Folder.stems(in: folder))
    let missing = sequence.frames.filter { !present.contains($0) }
    guard let first = missing.first else { return }
    throw MediaError(
      path: "\(folder)/\(first).png",
      problem: "the result of this frame is missing (\(missing.count) of "
        + "\(sequence.frames.count) frames of '\(sequence.name)' are)")
  }

  /// All blocks in parallel; the error of the earliest block wins, whatever the timing.
  private static func scoreBlocks(
    _ blocks: [(sequence: Int, frames: Range<Int>)], _ scorers: [SequenceScorer]
  ) throws(MediaError) -> [FrameRun] {
    let outcome = Mutex<(runs: [FrameRun?], failure: (block: Int, error: MediaError)?)>(
      (.init(repeating: nil, count: blocks.count), nil))
    DispatchQueue.concurrentPerform(iterations: blocks.count) { index in
      let isNeeded = outcome.withLock { $0.failure.map { $0.block > index } ?? true }
      guard isNeeded else { return }
      do throws(MediaError) {
        let run = try scorers[blocks[index].sequence].score(blocks[index].frames)
        outcome.withLock { $0.runs[index] = run }
      } catch {
        outcome.withLock {
          if $0.failure.map({ $0.block > index }) ?? true { $0.failure = (index, error) }
        }
      }
    }
    let (runs, failure) = outcome.withLock { $0 }
    if let failure { throw failure.error }
    return runs.compactMap(\.self)
  }

  private static func group(_ objects: [ObjectScore], seen: Bool) -> GroupScore? {
    let members = objects.filter { $0.isSeen == seen }
    return members.isEmpty ? nil : GroupScore(members)
  }

  private static func notes(
    _ objects: [ObjectScore], _ options: ScoringOptions, truth: TruthSet, sequencesWithVoid: Int
  ) -> [String] {
    var notes: [String] = []
    let isDAVIS = options.scoringProtocol.excludesEnds
    if isDAVIS && sequencesWithVoid > 0 {
      notes.append(
        options.isCompatible
          ? "Void truth in \(sequencesWithVoid) sequences counted as background, as the official "
            + "semi-supervised tool counts it."
          : "Void truth in \(sequencesWithVoid) sequences does not count; the official "
            + "semi-supervised tool takes it for background (--compatible).")
    }
    let long = objects.filter { $0.frames.count > 256 }
    if isDAVIS && !long.isEmpty {
      notes.append(
        options.isCompatible
          ? "Decay of \(long.count) objects with more than 256 frames is cut at positions modulo "
            + "256, as the official tool cuts it: it means nothing."
          : "Decay of \(long.count) objects with more than 256 frames differs from the official "
            + "tool, whose frame positions wrap at 256 (--compatible).")
    }
    if options.scoringProtocol == .youTubeVOS {
      notes.append(
        options.includesFirstAppearance
          ? "Objects count from the frame of their first appearance on."
          : "Objects count on the annotated frames after their first appearance.")
      let unknown = objects.count { $0.isSeen == nil }
      if unknown > 0 {
        notes.append(
          "The category of \(unknown) of \(objects.count) objects is not known; without groups "
            + "the score is the mean over all objects.")
      }
    }
    return notes
  }
}
