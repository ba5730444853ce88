// `vos-cli train` and `vos-cli distill`: a recipe run by Trainer, with a progress bar.

import ArgumentParser
import Distill
import Foundation
import MemoryVOS

/// What both commands take.
struct TrainingOptions: ParsableArguments {
  @Argument(help: ArgumentHelp("The recipe, a JSON file.", valueName: "recipe"))
  var recipe: String?

  @Option(
    name: .shortAndLong,
    help: ArgumentHelp(
      "Folder for results; an unfinished run of the same recipe in it is resumed.",
      valueName: "folder"))
  var output: String?

  @Option(
    name: .customLong("init"),
    help: ArgumentHelp(
      "Checkpoint to start from, in place of the recipe's 'initial' and 'pretrained'.",
      valueName: "file"))
  var initial: String?

  @Option(
    help: ArgumentHelp(
      "Where random choices start, in place of the recipe's 'seed'.", valueName: "number"))
  var seed: UInt64?

  @Option(
    help: ArgumentHelp(
      "Stop after this step of the recipe; the same command without it, or with a later one, goes "
        + "on.", valueName: "step"))
  var until: Int?

  @Flag(help: "Print a recipe with every key and its default, and stop.")
  var printRecipe = false

  @Option(
    help: ArgumentHelp(
      "Write a picture of samples and damaged priors, and stop.", valueName: "file.png"))
  var preview: String?

  @Flag(help: "Check recipe, data and disk, print the estimate, and stop.")
  var dryRun = false

  func validate() throws {
    if printRecipe { return }
    if let until, until < 1 { throw ValidationError("--until \(until): at least 1 is needed") }
    guard recipe != nil else {
      throw ValidationError("name a recipe; --print-recipe prints one to start from")
    }
    guard output != nil || preview != nil else {
      throw ValidationError("name a folder for results with --output")
    }
  }

  /// The recipe with `--init` and `--seed` applied, and the folder to which its paths are relative.
  ///
  /// What the recipe leaves out of `network` is as in the checkpoint to start from.
  func read() throws -> (recipe: Recipe, folder: String) {
    let path = recipe ?? ""
    guard let data = FileManager.default.contents(atPath: path) else {
      throw CommandFailure("\(path): the recipe cannot be read; check the path")
    }
    let json = String(decoding: data, as: UTF8.self)
    let folder = URL(filePath: path).standardizedFileURL.deletingLastPathComponent()
    var recipe = try Recipe(json: json, name: path)
    let start =
      initial.map { URL(filePath: $0) } ?? URL(filePath: recipe.initial, relativeTo: folder)
    if initial != nil || !recipe.initial.isEmpty {
      let network = try Network.configuration(of: Checkpoint(path: start.standardizedFileURL.path))
      recipe = try Recipe(json: json, name: path, network: network)
    }
    if initial != nil {
      recipe.initial = start.standardizedFileURL.path
      recipe.pretrained = ""
    }
    if let seed { recipe.seed = seed }
    return (recipe, folder.path)
  }

  /// Runs the recipe.
  ///
  /// `check` refuses recipes that are not for this command.
  func run(check: (Recipe) throws -> Void = { _ in }) throws {
    try TrainingProcesses.run { try run(in: $0, check: check) }
  }

  private func run(in group: any ProcessGroup, check: (Recipe) throws -> Void) throws {
    @Sendable func say(_ text: String) {
      if group.isFirst { FileHandle.standardError.write(Data(text.utf8)) }
    }
    if printRecipe, group.isFirst {
      var recipe = Recipe()
      var set = DatasetRecipe(.davis, path: "DAVIS")
      set.list = "ImageSets/2017/train.txt"
      recipe.data = [set]
      print(recipe.json, terminator: "")
    }
    if printRecipe { return }
    let (recipe, folder) = try read()
    try check(recipe)
    if let preview {
      try Trainer.preview(recipe, folder: folder).write(to: preview)
      return
    }
    let trainer = try Trainer(recipe, folder: folder, output: output ?? "", group: group) {
      say("\rskipped (\($1) so far): \($0)\n")
    }
    if trainer.step > 0 {
      say("resuming after step \(trainer.step)\n")
    } else {
      for note in trainer.notes { say(note + "\n") }
    }
    let estimate = try trainer.estimate()
    say(
      "\(recipe.steps - trainer.step) steps of about \(rounded(estimate.secondsPerStep)) s: "
        + "\(duration(estimate.seconds)), \(estimate.diskBytes >> 20) MiB in \(trainer.output)\n")
    if dryRun { return }
    do { try train(trainer, say: say) } catch {
      // The message goes below the progress bar.
      say("\n")
      throw error
    }
    say("\n")
    if trainer.step < recipe.steps { say("stopped after step \(trainer.step), as asked\n") }
    guard group.isFirst else { return }
    print("\(trainer.output)/student.safetensors")
    if trainer.bestValidation != nil { print("\(trainer.output)/best.safetensors") }
  }

  /// Trains to the end, with a progress bar.
  private func train(_ trainer: Trainer, say: (String) -> Void) throws {
    var skipped = trainer.skippedSteps
    try trainer.run(limit: max(0, (until ?? .max) - trainer.step)) { progress in
      if progress.skippedSteps > skipped {
        say(
          "\rstep \(progress.step): the gradient was not finite, the step was left out "
            + "(\(progress.skippedSteps) so far)\n")
      }
      skipped = progress.skippedSteps
      let share = Double(progress.step) / Double(progress.steps)
      let filled = Int(share * 20)
      let bar =
        String(repeating: "#", count: filled) + String(repeating: "-", count: 20 - filled)
      say(
        "\r[\(bar)] \(progress.step)/\(progress.steps) loss \(rounded(progress.losses.total)) "
          + "IoU \(rounded(progress.losses.overlap)) \(rounded(progress.framesPerSecond)) frames/s "
      )
      if let score = progress.validation, let best = trainer.bestValidation {
        say(
          "\nvalidation after step \(score.step): J&F \(rounded(score.mean)) "
            + "(J \(rounded(score.region)), F \(rounded(score.boundary))), "
            + (best.step == score.step
              ? "the best so far\n" : "best \(rounded(best.mean)) after step \(best.step)\n"))
      }
    }
  }

  private func rounded(_ value: Double) -> String { String(format: "%.3f", value) }

  private func duration(_ seconds: Double) -> String {
    let minutes = Int(seconds / 60)
    return minutes < 60 ? "\(minutes) min" : "\(minutes / 60) h \(minutes % 60) min"
  }
}

struct TrainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "train",
    abstract: "Train a network from labelled clips and stills.",
    discussion: """
      The recipe names data sets, losses and everything else that decides the result; what it leaves \
      out is as --print-recipe shows it. Relative paths are relative to the recipe.

      mpirun -np N vos-cli train … shares every step among N processes, each with the recipe's batch \
      (a build with MPI: make build-mpi).

      The output folder gets student.safetensors (for track --checkpoint), state.safetensors, \
      recipe.json, metrics.csv and report.html. A recipe with 'validation' or a data set with \
      'hold_out' tracks and scores these clips during training: validation.csv gets the scores, \
      best.safetensors the weights of the best. Run the same command again to resume after an \
      interruption: the losses go on bit for bit.
      """)

  @OptionGroup var options: TrainingOptions

  func run() throws { try options.run() }
}

struct DistillCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "distill",
    abstract: "Train a network from a teacher.",
    discussion: """
      The same as train, for recipes with a teacher and a loss that reads it: loss.distillation, \
      loss.representation or loss.regression. The teacher is a checkpoint that runs live ('teacher' \
      in the recipe), or stored outputs that data sets name as 'outputs': `vos-cli teach` writes a \
      checkpoint's, Tools/export_teacher.py those of a PyTorch model. Clips without outputs are \
      taught by their labels. docs/RECIPES.md has every key.
      """)

  @OptionGroup var options: TrainingOptions

  func run() throws {
    try options.run { recipe in
      let loss = recipe.loss
      guard loss.distillation > 0 || loss.representation > 0 || loss.regression > 0 else {
        throw CommandFailure(
          "no loss of this recipe reads a teacher; set loss.distillation, loss.representation or "
            + "loss.regression, or use `vos-cli train`")
      }
    }
  }
}
