// Recipes and whole trainings of a tiny network: results, resuming bit for bit, errors.

import Foundation
import MemoryVOS
import TestSupport
import Testing

@testable import Distill

@Suite struct RecipeTests {
  private func problem(_ json: String) -> String {
    do {
      _ = try Recipe(json: json, name: "r.json")
      return "no error"
    } catch { return error.description }
  }

  private let data = "\"data\": [{\"kind\": \"stills\", \"path\": \"x\"}]"

  @Test func defaultsFillWhatIsLeftOut() throws {
    let recipe = try Recipe(
      json: "{\(data), \"steps\": 7, \"loss\": {\"dice\": 2}, \"samples\": {\"size\": 128}}",
      name: "r.json")
    #expect(recipe.steps == 7 && recipe.loss.dice == 2 && recipe.loss.crossEntropy == 1)
    #expect(recipe.samples.size == 128 && recipe.samples.batch == 3)
    #expect(recipe.data[0].kind == .stills && recipe.data[0].share == 1)
    #expect(recipe.network == NetworkConfiguration())
  }

  @Test func recipesComeBackFromTheirText() throws {
    var recipe = Recipe()
    recipe.data = [DatasetRecipe(.stills, path: "x")]
    recipe.seed = 1 << 53
    recipe.loss.omega = 0.3
    recipe.schedule.peak = 1e-3
    #expect(try Recipe(json: recipe.json, name: "r.json") == recipe)
  }

  @Test(arguments: [
    ("{", "not valid JSON"),
    ("[]", "expected an object"),
    ("{\"stepps\": 3}", "unknown key 'stepps'; did you mean 'steps'?"),
    ("{\"loss\": {\"dise\": 3}}", "unknown key 'loss.dise'; did you mean 'dice'?"),
    ("{\"loss\": 3}", "'loss': expected an object"),
    ("{\"xyzzy\": 3}", "known here: average_decay"),
    ("{\"data\": [{\"pth\": \"x\"}]}", "unknown key 'data[0].pth'; did you mean 'path'?"),
    ("{\"data\": [{\"kind\": \"coc\"}]}", "data[0].kind"),
    ("{\"steps\": \"many\"}", "'steps': expected a whole number"),
    ("{}", "'data' lists no data set"),
  ]) func mistakesAreNamed(json: String, message: String) {
    let problem = problem(json)
    #expect(problem.contains(message), "\(problem)")
    #expect(problem.hasPrefix("r.json: "))
  }

  @Test func networksHaveNames() throws {
    let recipe = try Recipe(
      json: "{\(data), \"network\": {\"preset\": \"vos-teacher\", \"key_channels\": 32}}",
      name: "r.json")
    var expected = try #require(NetworkConfiguration(preset: "vos-teacher"))
    expected.keyChannels = 32
    #expect(recipe.network == expected && expected.encoder == .resNet18)
    #expect(try Recipe(json: recipe.json, name: "r.json") == recipe)
    for preset in NetworkConfiguration.presets {
      #expect(NetworkConfiguration(preset: preset)?.problem == nil, "\(preset)")
    }
    var mobile = NetworkConfiguration()
    (mobile.locality, mobile.memoryFrames, mobile.contextBlocks) = (6, 3, 3)
    (mobile.objectBias.newest, mobile.objectBias.older) = (0.4, -0.5)
    (mobile.objectBias.newestOfSeveral, mobile.objectBias.olderOfSeveral) = (0.25, -1)
    #expect(NetworkConfiguration(preset: "vos-mobile") == mobile)
    for (network, message) in [
      ("{\"preset\": \"vos-teecher\"}", "did you mean 'vos-teacher'?"),
      ("{\"preset\": 3}", "'network.preset': expected text"),
      ("{\"encoder\": \"vgg\"}", "network.encoder"),
      ("{\"encoder\": \"resnet18\", \"encoder_width\": 0.5}", "only mobilenet_v2 has widths"),
      ("{\"decoder_channels\": [8, 8]}", "network: 2 decoder"),
      ("{\"aspp_rates\": [3, 3]}", "network: aspp_rates"),
      ("{\"refinement_channels\": -1}", "network: refinement_channels"),
      ("{\"object_bias\": {\"older\": -50}}", "network: object_bias"),
      ("{\"object_bias\": 3}", "object_bias"),
      ("{\"object_bias\": {\"oldest\": -1}}", "oldest"),
    ] {
      #expect(problem("{\(data), \"network\": \(network)}").contains(message), "\(network)")
    }
  }

  @Test func impossibleValuesAreNamed() {
    for (key, message) in [
      ("\"steps\": 0", "steps 0"), ("\"gradient_norm\": 0", "gradient_norm"),
      ("\"loss\": {\"omega\": 2}", "omega"), ("\"samples\": {\"size\": 100}", "samples.size 100"),
      (
        "\"samples\": {\"size\": 48}, \"network\": {\"context_blocks\": 1}",
        "samples.size 48, expected a multiple of 32"
      ),
      ("\"optimizer\": {\"beta1\": 1}", "beta1"), ("\"schedule\": {\"peak\": 0}", "peak"),
    ] {
      #expect(problem("{\(data), \(key)}").contains(message), "\(key)")
    }
  }
}

@Suite struct TrainerTests {
  private let folder = TemporaryFolder()

  private func recipe() throws -> Recipe {
    var recipe = Recipe()
    recipe.data = [try SyntheticData.davis(folder)]
    recipe.samples = SyntheticData.samples
    recipe.samples.severalShare = 0.5
    recipe.samples.batch = 1
    recipe.network.valueChannels = 16
    recipe.network.keyChannels = 16
    recipe.network.decoderChannels = [16, 16, 16]
    recipe.network.valueEncoderChannels = [8, 8, 16]
    recipe.steps = 4
    recipe.checkpointEvery = 2
    recipe.threads = 2
    recipe.schedule.warmUp = 2
    return recipe
  }

  private func losses(_ output: String) throws -> [String] {
    try String(contentsOfFile: output + "/metrics.csv", encoding: .utf8)
      .split(separator: "\n").map(String.init)
  }

  @Test func resumedRunsAreBitIdentical() throws {
    let recipe = try recipe()
    let (whole, parts) = (folder.path + "/whole", folder.path + "/parts")
    let trainer = try Trainer(recipe, output: whole)
    let estimate = try trainer.estimate()
    #expect(estimate.secondsPerStep > 0 && estimate.diskBytes > 0)
    var seen: [Int] = []
    try trainer.run { seen.append($0.step) }
    #expect(seen == [1, 2, 3, 4])
    #expect(try losses(whole).count == 5)

    // Killed after step 3: the state is that of step 2.
    try Trainer(recipe, output: parts).run(limit: 2)
    let saved = try Data(contentsOf: URL(filePath: parts + "/state.safetensors"))
    try Trainer(recipe, output: parts).run(limit: 1)
    try saved.write(to: URL(filePath: parts + "/state.safetensors"))
    let resumed = try Trainer(recipe, output: parts)
    #expect(resumed.step == 2)
    try resumed.run()
    #expect(try losses(parts) == losses(whole))
    for name in ["student.safetensors", "state.safetensors"] {
      #expect(
        try Data(contentsOf: URL(filePath: whole + "/" + name))
          == Data(contentsOf: URL(filePath: parts + "/" + name)), "\(name)")
    }
    #expect(folder.names(in: "parts").contains("report.html"))
    #expect(!folder.names(in: "parts").contains { $0.hasSuffix(".part") })

    // The student is a network, and a start for another training.
    let network = try Network(checkpoint: whole + "/student.safetensors")
    #expect(network.configuration == recipe.network)
    var next = recipe
    next.initial = whole + "/student.safetensors"
    let adapted = try Trainer(next, output: folder.path + "/next")
    #expect(adapted.student.tensors["t"]?.bytes == trainer.student.tensors["t"]?.bytes)
    // A run of another recipe is not overwritten.
    #expect(throws: TrainingError.self) { try Trainer(next, output: whole) }
    let soup = try Network.average([trainer.student, trainer.student])
    #expect(soup.tensors["key.weight"]?.bytes == trainer.student.tensors["key.weight"]?.bytes)
  }

  @Test func problemsShowBeforeTraining() throws {
    var recipe = try recipe()
    recipe.loss.distillation = 1
    #expect(throws: TrainingError.self) { try Trainer(recipe, output: folder.path + "/o") }
    recipe.loss.distillation = 0
    recipe.loss.regression = 1
    #expect(throws: TrainingError.self) { try Trainer(recipe, output: folder.path + "/o") }
    recipe.loss.regression = 0
    recipe.initial = "nothing.safetensors"
    #expect(throws: TrainingError.self) { try Trainer(recipe, output: folder.path + "/o") }
    recipe.initial = ""
    recipe.data[0].list = "none.txt"
    #expect(throws: TrainingError.self) { try Trainer(recipe, output: folder.path + "/o") }
    #expect(!FileManager.default.fileExists(atPath: folder.path + "/o"))
  }

  @Test func aFailedWriteLeavesTheOldState() throws {
    let recipe = try recipe()
    let output = folder.path + "/o"
    let trainer = try Trainer(recipe, output: output)
    try trainer.run(limit: 2)
    let saved = try Data(contentsOf: URL(filePath: output + "/state.safetensors"))
    // A folder in the place of a result cannot be replaced by a file.
    try FileManager.default.removeItem(atPath: output + "/student.safetensors")
    try FileManager.default.createDirectory(
      atPath: output + "/student.safetensors/x", withIntermediateDirectories: true)
    #expect(throws: TrainingError.self) { try trainer.run(limit: 2) }
    #expect(try Data(contentsOf: URL(filePath: output + "/state.safetensors")) == saved)
    #expect(!folder.names(in: "o").contains { $0.hasSuffix(".part") })
  }
}
