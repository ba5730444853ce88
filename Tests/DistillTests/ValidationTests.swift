// Validation during training: what is held out, what is scored, which weights are kept, resuming.

import Foundation
import MemoryVOS
import TestSupport
import Testing

@testable import Distill

@Suite struct ValidationTests {
  private let folder = TemporaryFolder()

  private func recipe() throws -> Recipe {
    var recipe = Recipe()
    recipe.data = [try SyntheticData.davis(folder)]
    recipe.samples = SyntheticData.samples
    recipe.samples.batch = 1
    recipe.samples.severalShare = 0
    recipe.network = SyntheticData.network
    recipe.steps = 5
    recipe.checkpointEvery = 2
    recipe.threads = 1
    recipe.averageDecay = 0
    recipe.data[0].holdOut = ["b"]
    recipe.validation.every = 2
    recipe.validation.size = 64
    return recipe
  }

  private func text(_ path: String) throws -> String {
    try String(contentsOfFile: path, encoding: .utf8)
  }

  private func problem(_ recipe: Recipe) -> String {
    do {
      _ = try Trainer(recipe, output: folder.path + "/never")
      return "no error"
    } catch { return "\(error)" }
  }

  @Test func heldOutClipsAreScoredAndTheBestIsKept() throws {
    let recipe = try recipe()
    let dataset = try Dataset.open(recipe.data[0])
    #expect(dataset.clips.map(\.name).map { $0.hasSuffix("/a") } == [true])
    let (whole, parts) = (folder.path + "/whole", folder.path + "/parts")
    var scores: [ValidationScore] = []
    var steps: [Int] = []
    let trainer = try Trainer(recipe, output: whole)
    try trainer.run {
      if let score = $0.validation {
        scores.append(score)
        steps.append($0.step)
      }
    }
    #expect(steps == [2, 4, 5] && scores.map(\.step) == steps)
    #expect(scores.allSatisfy { (0...1).contains($0.mean) })
    let best = try #require(trainer.bestValidation)
    #expect(best.mean == scores.map(\.mean).max())
    let kept = try Checkpoint(path: whole + "/best.safetensors")
    #expect(kept.metadata["step"] == "\(best.step)")

    // The same numbers as scoring the kept weights by hand with the public tracker.
    var configuration = Tracker.Configuration()
    configuration.inputSize = .shortSide(64)
    let truth = try TruthSet(
      davis: folder.path + "/davis", year: "", set: "held", resolution: "tiny")
    #expect(truth.sequences.map(\.name) == ["b"])
    _ = try SequenceTracker(
      network: try Network(kept), configuration: configuration, scoringProtocol: .davis2017
    ).track(truth.sequences[0], into: folder.path + "/masks/b")
    let score = try Scorer.score(
      results: folder.path + "/masks", truth: truth, options: ScoringOptions(.davis2017))
    #expect(abs(score.global.mean - best.mean) < 1e-12)
    #expect(try text(whole + "/report.html").contains("validation J&amp;F (best"))

    // Interrupted after step 3, whose state is that of step 2, then resumed.
    try Trainer(recipe, output: parts).run(limit: 2)
    let saved = try Data(contentsOf: URL(filePath: parts + "/state.safetensors"))
    try Trainer(recipe, output: parts).run(limit: 2)
    try saved.write(to: URL(filePath: parts + "/state.safetensors"))
    let resumed = try Trainer(recipe, output: parts)
    #expect(resumed.step == 2 && resumed.bestValidation == scores[0])
    try resumed.run()
    for name in [
      "validation.csv", "metrics.csv", "best.safetensors", "student.safetensors",
      "state.safetensors",
    ] {
      #expect(
        try Data(contentsOf: URL(filePath: whole + "/" + name))
          == Data(contentsOf: URL(filePath: parts + "/" + name)), "\(name)")
    }
  }

  @Test func theFirstOfEqualScoresIsTheBest() throws {
    var log = ValidationLog()
    func score(_ step: Int, _ value: Double) -> ValidationScore {
      ValidationScore(step: step, region: value, boundary: value / 3)
    }
    #expect(log.best == nil)
    #expect(log.append(score(2, 0.5)) && !log.append(score(4, 0.5)) && !log.append(score(6, 0.2)))
    #expect(log.append(score(8, 0.6)) && log.best?.step == 8)
    let path = folder.path + "/validation.csv"
    try Data(log.text.utf8).write(to: URL(filePath: path))
    var copy = ValidationLog()
    try copy.read(path, through: 6)
    #expect(copy.scores == Array(log.scores.prefix(3)) && copy.best?.step == 2)
    try Data("step\n3,x,1,1\n".utf8).write(to: URL(filePath: path))
    #expect(throws: TrainingError.self) { try copy.read(path, through: 6) }
    #expect(throws: TrainingError.self) { try copy.read(path + "x", through: 6) }
  }

  @Test func limitsShortenIt() throws {
    var recipe = try recipe()
    recipe.data[0].holdOut = []
    var other = try SyntheticData.davis(folder, name: "other")
    recipe.validation.data = [other]
    let datasets = [try Dataset.open(recipe.data[0])]
    func frames() throws -> Int? {
      try Validation(recipe, training: datasets, folder: ".")?.frameCount
    }
    #expect(try frames() == 16)
    recipe.validation.clips = 1
    #expect(try frames() == 8)
    recipe.validation.frames = 5
    #expect(try frames() == 5)
    let score = try Validation(recipe, training: datasets, folder: ".")?.score(
      try Trainer(recipe, output: folder.path + "/o").student, step: 1,
      masks: folder.path + "/masks")
    #expect(score?.step == 1)
    #expect(folder.names(in: "masks/1/a").count == 5)
    other.list = "none.txt"
    recipe.validation.data = [other]
    #expect(throws: TrainingError.self) { try frames() }
  }

  @Test func mistakesAreNamedBeforeTraining() throws {
    var recipe = try recipe()
    recipe.data[0].holdOut = ["bb"]
    #expect(problem(recipe).contains("hold_out: no clip 'bb' in this set; did you mean 'b'?"))
    recipe.data[0].holdOut = ["a", "b"]
    #expect(problem(recipe).contains("nothing is left to train on"))
    recipe.data[0].holdOut = ["b", "b"]
    #expect(problem(recipe).contains("twice"))
    recipe.data[0].holdOut = []
    recipe.validation.data = [recipe.data[0]]
    #expect(problem(recipe).contains("the clip 'a' is in 'data' and in 'validation'"))
    recipe.validation.data = [DatasetRecipe(.stills, path: "x")]
    #expect(problem(recipe).contains("a stills set cannot be scored"))
    recipe.validation.data = []
    recipe.validation.every = 0
    #expect(problem(recipe).contains("validation: every 0"))
    recipe.validation.every = 1
    recipe.data[0].kind = .stills
    recipe.data[0].holdOut = ["b"]
    #expect(problem(recipe).contains("hold_out"))
    // A clip without an object on its first frame cannot be tracked.
    recipe = try self.recipe()
    let mask = folder.path + "/davis/Annotations/tiny/b/00000.png"
    try MaskFile.write(LabelMap(size: SyntheticData.size), to: mask)
    #expect(problem(recipe).contains("\(mask): the mask that validation starts from"))
    #expect(!FileManager.default.fileExists(atPath: folder.path + "/never"))
  }
}
