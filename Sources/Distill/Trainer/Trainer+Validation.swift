// Validation between steps: when it is due, what it leaves in the output folder. Trainer's run loop
// calls `validateIfDue`; Validation tracks and scores.

import Foundation
import MemoryVOS

/// The scores of a run so far: validation.csv.
struct ValidationLog {
  static let header = "step,j_and_f,j,f"

  private(set) var scores: [ValidationScore] = []

  /// The best score, the earliest of equal ones.
  var best: ValidationScore? {
    scores.reduce(nil) { best, score in
      if let best, best.mean >= score.mean { best } else { score }
    }
  }

  /// Adds a score; whether it is better than all before.
  mutating func append(_ score: ValidationScore) -> Bool {
    let isBest = best.map { score.mean > $0.mean } ?? true
    scores.append(score)
    return isBest
  }

  /// Takes the scores of the first `step` steps from a file that an earlier process wrote.
  mutating func read(_ path: String, through step: Int) throws(TrainingError) {
    guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
      throw TrainingError(path, "cannot be read, but the run has \(step) steps; restore the file")
    }
    scores = []
    for line in text.split(whereSeparator: \.isNewline).dropFirst() {
      let fields = line.split(separator: ",", omittingEmptySubsequences: false)
      let values = fields.compactMap { Double($0) }
      guard values.count == 4, fields.count == 4, let number = Int(fields[0]) else {
        throw TrainingError(path, "a damaged row: '\(line)'")
      }
      if number > step { continue }
      scores.append(ValidationScore(step: number, region: values[2], boundary: values[3]))
    }
  }

  /// The file: numbers are written so that reading them gives the same bits.
  var text: String {
    scores.reduce(Self.header + "\n") {
      $0 + "\($1.step),\($1.mean),\($1.region),\($1.boundary)\n"
    }
  }
}

extension Trainer {
  /// The best validation so far, whose weights are in `best.safetensors`.
  public var bestValidation: ValidationScore? { validations.best }

  /// Takes up the scores of an earlier process.
  func resumeValidation() throws(TrainingError) {
    guard validation != nil, step >= recipe.validation.every else { return }
    try validations.read(file("validation.csv"), through: step)
  }

  /// Scores the averaged weights after the steps that the recipe names and keeps the best; the first
  /// process does.
  func validateIfDue() throws(TrainingError) -> ValidationScore? {
    guard group.isFirst, let validation,
      step % recipe.validation.every == 0 || step == recipe.steps
    else { return nil }
    var checkpoint = student
    let rounded: Checkpoint
    do { rounded = try Self.rounded(checkpoint) } catch { throw TrainingError("\(error)") }
    let score = try validation.score(rounded, step: step, masks: file("validation"))
    if validations.append(score) {
      checkpoint.metadata["validation"] =
        "{\"J&F\": \(score.mean), \"J\": \(score.region), \"F\": \(score.boundary)}"
      do { try checkpoint.write(to: file("best.safetensors")) } catch {
        throw TrainingError("\(error)")
      }
    }
    try write(validations.text, to: "validation.csv")
    return score
  }

  /// Seconds that the validations still to come take, scoring excluded.
  func estimatedValidationSeconds() throws(TrainingError) -> Double {
    guard let validation else { return 0 }
    let every = recipe.validation.every
    let left = (recipe.steps + every - 1) / every - step / every
    return left > 0 ? try validation.estimatedSeconds(student) * Double(left) : 0
  }
}
