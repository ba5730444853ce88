// Everything that a training needs to go on where it was: written by Trainer every few steps, whole or
// not at all.

import Foundation
import MemoryVOS

/// Weights, their average, the optimizer's moments and the number of steps.
struct TrainingState {
  static let format = "vos-training-state"

  /// Steps that are done; the next one has this number.
  var step = 0
  /// Steps that were left out because their gradient was not finite.
  var skippedSteps = 0
  var parameters: ParameterSet
  var average: WeightAverage
  var optimizer: AdamW

  /// The state before the first step.
  init(_ parameters: ParameterSet, recipe: Recipe) {
    self.parameters = parameters
    average = WeightAverage(parameters, decay: recipe.averageDecay)
    optimizer = AdamW(parameters, configuration: recipe.optimizer)
  }

  /// Takes an optimizer step.
  mutating func update(_ gradients: ParameterSet, learningRate: Float) {
    optimizer.update(&parameters, gradients: gradients, learningRate: learningRate)
    average.update(parameters, step: step)
  }

  /// Gives every process the state of process 0.
  mutating func broadcast(_ group: any ProcessGroup) {
    var counters = [step, skippedSteps, optimizer.steps]
    group.broadcast(&counters)
    (step, skippedSteps, optimizer.steps) = (counters[0], counters[1], counters[2])
    group.broadcast(&parameters.scalars)
    group.broadcast(&average.parameters.scalars)
    group.broadcast(&optimizer.moments.scalars)
    group.broadcast(&optimizer.squares.scalars)
  }

  /// Bytes of a file that holds it, nearly.
  var byteCount: Int { parameters.scalars.count * 4 * 4 + 1 << 16 }

  /// Writes it to a temporary name, then renames.
  func write(to path: String, recipe: Recipe) throws(TrainingError) {
    var tensors: [String: CheckpointTensor] = [:]
    for (prefix, set) in sets {
      for (name, tensor) in set.tensors { tensors[prefix + name] = tensor }
    }
    let metadata = [
      "format": Self.format, "format_version": "1", "step": "\(step)",
      "skipped_steps": "\(skippedSteps)", "optimizer_steps": "\(optimizer.steps)",
      "recipe": recipe.json,
    ]
    do {
      try Checkpoint(metadata: metadata, tensors: tensors).write(to: path)
    } catch { throw TrainingError("\(error)") }
  }

  /// Reads the state of a run of the same recipe over `self`.
  mutating func read(_ path: String, recipe: Recipe) throws(TrainingError) {
    let checkpoint: Checkpoint
    do { checkpoint = try Checkpoint(path: path) } catch { throw TrainingError("\(error)") }
    let metadata = checkpoint.metadata
    func number(_ key: String) -> Int? { metadata[key].flatMap { Int($0) } }
    guard metadata["format"] == Self.format, metadata["format_version"] == "1",
      let step = number("step"), let skipped = number("skipped_steps"),
      let taken = number("optimizer_steps"), step >= 0, taken >= 0
    else { throw TrainingError(path, "not the state of a training that this version can resume") }
    // Compared by meaning: keys that an older version did not know have their defaults.
    guard (try? Recipe(json: metadata["recipe"] ?? "", name: path)) == recipe else {
      throw TrainingError(
        path,
        "belongs to a run of another recipe (\(Self.difference(metadata["recipe"], recipe))); "
          + "resume with that run's recipe.json, or choose another output folder")
    }
    self.step = step
    skippedSteps = skipped
    optimizer.steps = taken
    do throws(CheckpointError) {
      try checkpoint.check(
        expected: sets.flatMap { prefix, set in
          set.entries.map { (prefix + $0.name, $0.shape) }
        })
      try Self.load(&parameters, checkpoint, "weights/")
      try Self.load(&average.parameters, checkpoint, "average/")
      try Self.load(&optimizer.moments, checkpoint, "moments/")
      try Self.load(&optimizer.squares, checkpoint, "squares/")
    } catch { throw TrainingError("\(error)") }
  }

  private var sets: [(String, ParameterSet)] {
    [
      ("weights/", parameters), ("average/", average.parameters), ("moments/", optimizer.moments),
      ("squares/", optimizer.squares),
    ]
  }

  private static func load(
    _ set: inout ParameterSet, _ checkpoint: Checkpoint, _ prefix: String
  ) throws(CheckpointError) {
    for entry in set.entries {
      if let tensor = checkpoint.tensors[prefix + entry.name] {
        set[entry.name] = try tensor.floats()
      }
    }
  }

  /// The first line in which two recipes differ.
  private static func difference(_ old: String?, _ recipe: Recipe) -> String {
    let (a, b) = ((old ?? "").split(separator: "\n"), recipe.json.split(separator: "\n"))
    guard let pair = zip(a, b).first(where: { $0 != $1 }) else { return "of another length" }
    return pair.0.trimmingCharacters(in: .whitespaces) + " there, "
      + pair.1.trimmingCharacters(in: .whitespaces) + " here"
  }
}
