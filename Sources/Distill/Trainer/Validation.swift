// Held-out clips tracked by the public tracker and scored by the public scorer. Trainer+Validation.swift
// runs it between steps.

import Foundation
import MemoryVOS

/// Mean scores over the objects of all held-out clips, 0…1.
public struct ValidationScore: Sendable, Equatable {
  /// Steps that were done.
  public let step: Int
  /// Region similarity J.
  public let region: Double
  /// Boundary accuracy F.
  public let boundary: Double
  /// (J + F) / 2.
  public var mean: Double { (region + boundary) / 2 }
}

/// The held-out clips of a recipe.
struct Validation {
  /// Sequences that are scored alike.
  private struct Part {
    let truth: TruthSet
    let scoringProtocol: ScoringProtocol
  }

  private let recipe: ValidationRecipe
  private let threads: Int?
  private let parts: [Part]

  /// Finds the clips, `nil` when the recipe has none.
  ///
  /// - Throws: `TrainingError` for clips that are missing, have no truth to score, or are trained on.
  init?(_ recipe: Recipe, training: [Dataset], folder: String) throws(TrainingError) {
    self.recipe = recipe.validation
    threads = recipe.threads == 0 ? nil : recipe.threads
    let trained = Set(training.flatMap(\.clips).map { Self.standardized($0.name) })
    var parts: [Part] = []
    for set in recipe.data where !set.holdOut.isEmpty {
      parts.append(
        try Self.part(set, clips: set.holdOut, recipe.validation, folder: folder, trained: trained))
    }
    for set in recipe.validation.data {
      parts.append(
        try Self.part(set, clips: nil, recipe.validation, folder: folder, trained: trained))
    }
    guard !parts.isEmpty else { return nil }
    self.parts = parts
  }

  private static func standardized(_ path: String) -> String {
    URL(filePath: path).standardizedFileURL.path
  }

  private static func part(
    _ set: DatasetRecipe, clips: [String]?, _ recipe: ValidationRecipe, folder: String,
    trained: Set<String>
  ) throws(TrainingError) -> Part {
    let files = DatasetFiles(
      root: set.path.hasPrefix("/") ? set.path : folder + "/" + set.path, recipeFolder: folder)
    try files.requireFolder(files.root)
    let folders = try files.labelledFolders(set)
    var names: [String]
    if let clips { names = clips } else { names = try files.clipNames(set) }
    if recipe.clips > 0 { names = Array(names.prefix(recipe.clips)) }
    for name in names where trained.contains(standardized("\(folders.frames)/\(name)")) {
      throw TrainingError(
        files.root,
        "the clip '\(name)' is in 'data' and in 'validation'; name it in the set's hold_out or take "
          + "it off one of the lists")
    }
    let scoring = set.kind == .youTubeVOS ? ScoringProtocol.youTubeVOS : recipe.scoringProtocol
    do {
      var truth = try TruthSet(names: names, in: folders.masks, images: folders.frames)
      if recipe.frames > 0 { truth = truth.prefix(frames: recipe.frames) }
      for sequence in truth.sequences { try check(sequence, scoring) }
      return Part(truth: truth, scoringProtocol: scoring)
    } catch { throw TrainingError("\(error)") }
  }

  /// The sequence has images, enough truth, and an object to begin with.
  private static func check(
    _ sequence: TruthSet.Sequence, _ scoring: ScoringProtocol
  ) throws(MediaError) {
    guard sequence.images != nil else {
      throw MediaError(
        path: sequence.folder, problem: "no images of the validation clip '\(sequence.name)'")
    }
    guard sequence.frames.count >= 3 else {
      throw MediaError(
        path: sequence.folder,
        problem: "\(sequence.frames.count) annotated frames; validation needs at least 3")
    }
    // DAVIS gives the first mask only; elsewhere objects may come later.
    let needed = scoring == .youTubeVOS ? sequence.frames[...] : sequence.frames.prefix(1)
    for frame in needed {
      let labels = try MaskFile.read(sequence.mask(frame), role: .truth).labels
      if labels.contains(where: { $0 != 0 && $0 != 255 }) { return }
    }
    throw MediaError(
      path: sequence.mask(sequence.frames[0]),
      problem: "the mask that validation starts from holds no object")
  }

  /// Annotated frames that a validation tracks.
  var frameCount: Int {
    parts.reduce(0) { $0 + $1.truth.sequences.reduce(0) { $0 + $1.frames.count } }
  }

  /// Tracks and scores every clip; masks stay in `folder/SET/CLIP`.
  ///
  /// - Throws: `TrainingError` for files that cannot be read or written.
  func score(
    _ student: Checkpoint, step: Int, masks folder: String
  ) throws(TrainingError) -> ValidationScore {
    do {
      let network = try Network(student)
      var configuration = Tracker.Configuration()
      configuration.inputSize = .shortSide(recipe.size)
      configuration.memoryFrames = recipe.memory > 0 ? recipe.memory : nil
      configuration.threads = threads
      var objects: [ObjectScore] = []
      for (index, part) in parts.enumerated() {
        var tracker = SequenceTracker(
          network: network, configuration: configuration, scoringProtocol: part.scoringProtocol)
        tracker.endsAtLastTruth = true
        let results = "\(folder)/\(index + 1)"
        for sequence in part.truth.sequences {
          _ = try tracker.track(sequence, into: "\(results)/\(sequence.name)")
        }
        objects += try Scorer.score(
          results: results, truth: part.truth, options: ScoringOptions(part.scoringProtocol)
        ).objects
      }
      func mean(_ value: (ObjectScore) -> Double) -> Double {
        objects.reduce(0) { $0 + value($1) } / Double(objects.count)
      }
      return ValidationScore(
        step: step, region: mean(\.region.mean), boundary: mean(\.boundary.mean))
    } catch { throw TrainingError("validation at step \(step): \(error)") }
  }

  /// Seconds of one validation, from a few frames of the first clip, scoring excluded.
  func estimatedSeconds(_ student: Checkpoint) throws(TrainingError) -> Double {
    guard let part = parts.first, let sequence = part.truth.sequences.first,
      let images = sequence.images
    else { return 0 }
    do {
      let source = try Media.openFrames(images)
      var configuration = Tracker.Configuration()
      configuration.inputSize = .shortSide(recipe.size)
      configuration.memoryFrames = recipe.memory > 0 ? recipe.memory : nil
      configuration.threads = threads
      var tracker = try Tracker(
        network: try Network(student), frameSize: source.size, configuration: configuration)
      var mask = LabelMap(size: source.size)
      mask.labels[0] = 1
      var seconds = 0.0
      for index in 0..<3 {
        guard let item = try source.next() else { break }
        _ = try tracker.step(item.frame, mask: index == 0 ? mask : nil)
        seconds = tracker.timings.total
      }
      return seconds * Double(frameCount)
    } catch { throw TrainingError("\(error)") }
  }
}
