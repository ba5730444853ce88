// START HERE for a whole training: data, steps, checkpoints. `vos-cli train` is a thin cover of this.
//
//     let trainer = try Trainer(recipe, folder: "recipes", output: "run")
//     try trainer.run { progress in print(progress.step, progress.losses.total) }
//
// In the output folder: recipe.json, state.safetensors (to resume), student.safetensors (averaged
// weights, for Network), metrics.csv and report.html; with validation also validation.csv,
// best.safetensors and the newest masks in validation/.

import Foundation
public import MemoryVOS

/// What a step measured, for a progress bar.
public struct TrainingProgress: Sendable {
  /// Steps that are done.
  public let step: Int
  /// Steps in all.
  public let steps: Int
  /// The newest step's losses.
  public let losses: StepLosses
  /// Norm of the gradient before clipping.
  public let gradientNorm: Double
  /// Frames per second since this process started training.
  public let framesPerSecond: Double
  /// Seconds that the steps of this process have waited for samples.
  public let waitedSeconds: Double
  /// Steps of the run so far whose gradient was not finite: they changed nothing.
  public let skippedSteps: Int
  /// The score after this step, when a validation was due.
  public let validation: ValidationScore?
}

/// What a training will need.
public struct TrainingEstimate: Sendable {
  /// Seconds of one step, samples excluded.
  public let secondsPerStep: Double
  /// Seconds for the steps that are left.
  public let seconds: Double
  /// Bytes of the output folder at most, a file being replaced included.
  public let diskBytes: Int
}

/// Runs a recipe, from the start or from where an earlier process was.
public final class Trainer {
  /// The recipe.
  public let recipe: Recipe
  /// The folder of the results.
  public let output: String
  /// What the initial checkpoint has too much of or lacks: a line if it is wider, one for each tensor.
  public let notes: [String]
  /// Steps that are done.
  public var step: Int { state.step }
  /// Steps that changed nothing because their gradient was not finite.
  public var skippedSteps: Int { state.skippedSteps }
  /// Pictures that could not be read so far.
  public var skippedPictures: Int { maker.skippedCount }

  let validation: Validation?
  private let teacher: LiveTeacher?
  var validations = ValidationLog()
  private var state: TrainingState
  private var metrics = TrainingMetrics()
  private let maker: SampleMaker
  private let trainingStep: TrainingStep
  let group: any ProcessGroup
  private var failedInARow = 0

  /// Opens data and weights and checks everything that can be checked before the first step.
  ///
  /// - Parameters:
  ///   - recipe: what to train, on what and how.
  ///   - folder: paths in the recipe are relative to it.
  ///   - output: the folder for results; made when it is missing. A run of the same recipe that is
  ///     there already is resumed.
  ///   - group: the processes that train together, each on other samples: a batch is theirs together.
  ///     Process 0 alone reads and writes `output`.
  ///   - report: called for each picture that cannot be read; from any thread.
  /// - Throws: `TrainingError` for a recipe, data, weights or an output folder that cannot be used.
  public init(
    _ recipe: Recipe, folder: String = ".", output: String,
    group: any ProcessGroup = SingleProcess(), report: @escaping SampleMaker.Report = { _, _ in }
  ) throws(TrainingError) {
    if let problem = recipe.problem { throw TrainingError(problem) }
    self.recipe = recipe
    self.output = output
    self.group = group
    var datasets: [Dataset] = []
    for set in recipe.data where set.share > 0 {
      datasets.append(try Dataset.open(set, folder: folder))
    }
    validation = try Validation(recipe, training: datasets, folder: folder)
    let channels: Int
    (teacher, channels) = try Self.teacher(recipe, datasets, folder: folder)
    maker = try SampleMaker(
      datasets, recipe: recipe.samples, seed: recipe.seed, cacheBytes: recipe.cacheMegabytes << 20,
      withTeacher: teacher == nil && recipe.loss.distillation > 0,
      featureChannels: teacher == nil ? channels : 0, report: report)
    do {
      trainingStep = try TrainingStep(
        recipe.network, loss: recipe.loss, teacherChannels: channels,
        threads: recipe.threads == 0 ? nil : recipe.threads)
    } catch { throw TrainingError("\(error)") }
    let first = try Self.initialParameters(recipe, folder: folder, like: trainingStep.gradients)
    notes = first.notes
    var parameters = first.parameters
    trainingStep.rounding = try Self.rounding(recipe, &parameters, maker: maker, folder: folder)
    state = TrainingState(parameters, recipe: recipe)
    if group.isFirst { try prepareOutput() }
    try synchronize()
  }

  private static func initialParameters(
    _ recipe: Recipe, folder: String, like set: ParameterSet
  ) throws(TrainingError) -> (parameters: ParameterSet, notes: [String]) {
    var parameters = set
    var notes: [String] = []
    parameters.initialize(seed: recipe.seed)
    func path(_ name: String) -> String { name.hasPrefix("/") ? name : folder + "/" + name }
    do throws(CheckpointError) {
      let pretrained =
        recipe.pretrained.isEmpty ? nil : try Checkpoint(path: path(recipe.pretrained))
      if !recipe.initial.isEmpty {
        let whole = try Checkpoint(path: path(recipe.initial))
        let initial = try whole.narrowed(to: recipe.network)
        if initial.parameterCount < whole.parameterCount {
          notes.append(
            "\(whole.path) is wider: started from its strongest channels, "
              + "\(initial.parameterCount) of \(whole.parameterCount) parameters")
        }
        notes += try parameters.load(initial: initial, over: pretrained)
      } else if let pretrained {
        try parameters.load(pretrained: pretrained, prefix: ParameterSet.encoderPrefix)
      }
    } catch { throw TrainingError("\(error)") }
    return (parameters, notes)
  }

  private func prepareOutput() throws(TrainingError) {
    do {
      try FileManager.default.createDirectory(
        atPath: output, withIntermediateDirectories: true)
    } catch {
      throw TrainingError(output, "the folder cannot be made: \(error.localizedDescription)")
    }
    if FileManager.default.fileExists(atPath: file("state.safetensors")) {
      try state.read(file("state.safetensors"), recipe: recipe)
      try metrics.read(file("metrics.csv"), before: state.step)
      try resumeValidation()
    }
    try write(recipe.json, to: "recipe.json")
  }

  /// Gives all processes the state of process 0.
  private func synchronize() throws(TrainingError) {
    guard group.size > 1 else { return }
    guard group.agrees(on: Checksum.of(Array(recipe.json.utf8))) else {
      throw TrainingError(
        "the processes were given different recipes; give each the same file and options")
    }
    state.broadcast(group)
  }

  /// Times a step and adds up files.
  ///
  /// - Throws: `TrainingError` when the disk has less room than the results need.
  public func estimate() throws(TrainingError) -> TrainingEstimate {
    var batch = try maker.batch(state.step, progress: progress(state.step))
    var seconds = 0.0
    // The first one makes buffers.
    for _ in 0..<2 {
      let start = ContinuousClock.now
      try teacher?.teach(&batch)
      _ = trainingStep.run(batch, parameters: state.parameters)
      seconds = (ContinuousClock.now - start) / .seconds(1)
    }
    let students = validation == nil ? 1 : 3
    let bytes =
      2 * state.byteCount + recipe.steps * 200 + students * 4 * state.parameters.scalars.count
    var status = statvfs()
    if statvfs(output, &status) == 0 {
      let free = Int(clamping: UInt64(status.f_bavail) * UInt64(status.f_frsize))
      let missing = bytes - existingBytes
      guard free >= missing else {
        throw TrainingError(
          output,
          "needs \(missing >> 20) MiB more, the disk has \(free >> 20) MiB left; free some or "
            + "choose another folder")
      }
    }
    return TrainingEstimate(
      secondsPerStep: seconds,
      seconds: seconds * Double(recipe.steps - state.step) + (try estimatedValidationSeconds()),
      diskBytes: bytes)
  }

  /// Bytes of the results of an earlier process.
  private var existingBytes: Int {
    var total = 0
    for name in ["state.safetensors", "student.safetensors", "best.safetensors", "metrics.csv"] {
      var status = stat()
      if stat(file(name), &status) == 0 { total += Int(status.st_size) }
    }
    return total
  }

  /// Trains to the end, or for at most `limit` more steps, and writes all results.
  ///
  /// - Throws: `TrainingError` when no samples can be made, results cannot be written or the training
  ///   diverges; what was written before stays whole.
  public func run(
    limit: Int = .max, _ show: (TrainingProgress) -> Void = { _ in }
  ) throws(TrainingError) {
    let last = min(recipe.steps, state.step + min(limit, recipe.steps))
    let loader = BatchLoader(
      steps: state.step..<last, threads: recipe.loaderThreads,
      capacity: recipe.loaderThreads + 2
    ) { [maker, recipe, group] step throws(TrainingError) in
      try maker.batch(
        step, progress: Double(step) / Double(recipe.steps), part: group.rank, parts: group.size)
    }
    defer { loader.stop() }
    let start = ContinuousClock.now
    var frames = 0
    while var batch = try loader.next() {
      try teacher?.teach(&batch)
      let (losses, norm) = try take(batch)
      frames += batch.batch * batch.frames * group.size
      let score = try validateIfDue()
      show(
        TrainingProgress(
          step: state.step, steps: recipe.steps, losses: losses, gradientNorm: norm,
          framesPerSecond: Double(frames) / ((ContinuousClock.now - start) / .seconds(1)),
          waitedSeconds: loader.waitedSeconds, skippedSteps: state.skippedSteps,
          validation: score))
      if state.step % recipe.checkpointEvery == 0 || state.step == last { try save() }
    }
  }

  private func progress(_ step: Int) -> Double { Double(step) / Double(recipe.steps) }

  /// One optimizer step; one whose gradient is not finite changes nothing and is counted.
  func take(_ batch: TrainingBatch) throws(TrainingError) -> (StepLosses, norm: Double) {
    let step = state.step
    let progress = progress(step)
    let firstSample = group.rank * batch.batch
    let prior = RecipePrior(
      recipe.samples, seed: recipe.seed, step: step, firstSample: firstSample)
    let losses = group.average(
      trainingStep.run(
        batch, parameters: state.parameters, prior: prior, progress: progress,
        seed: recipe.seed &+ UInt64(step) &* 0x9e37_79b9_7f4a_7c15, firstSample: firstSample))
    var gradients = trainingStep.gradients
    group.average(&gradients.scalars)
    let norm = gradients.clip(norm: recipe.gradientNorm)
    let rate = recipe.schedule.rate(step: step, progress: progress)
    if norm.isFinite {
      state.update(gradients, learningRate: Float(rate))
      failedInARow = 0
    } else {
      state.skippedSteps += 1
      failedInARow += 1
      guard failedInARow < 20 else {
        throw TrainingError(
          "step \(step): 20 gradients in a row were not finite; lower schedule.peak and resume from "
            + "the last checkpoint in another folder")
      }
    }
    metrics.append(step: step, losses: losses, gradientNorm: norm, learningRate: rate)
    state.step += 1
    return (losses, norm)
  }

  // MARK: - Results

  /// The averaged weights as a checkpoint that `Network` reads, with what they were rounded to.
  public var student: Checkpoint {
    var student = Self.checkpoint(state.average.parameters, recipe: recipe)
    student.metadata["step"] = "\(state.step)"
    student.metadata[NetworkRounding.trainedKey] = trainingStep.rounding?.json
    return student
  }

  /// Parameters as a checkpoint.
  static func checkpoint(_ parameters: ParameterSet, recipe: Recipe) -> Checkpoint {
    let network = ParameterSet(recipe.network)
    var tensors: [String: CheckpointTensor] = [:]
    for entry in network.entries {
      tensors[entry.name] = CheckpointTensor(shape: entry.shape, floats: parameters[entry.name])
    }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let configuration = (try? encoder.encode(recipe.network)).map {
      String(decoding: $0, as: UTF8.self)
    }
    return Checkpoint(
      metadata: [
        "architecture": Network.architecture, "format_version": Checkpoint.formatVersion,
        "configuration": configuration ?? "{}", "recipe": recipe.json,
      ], tensors: tensors)
  }

  /// Writes all results, the state last: what it says is then on the disk.
  private func save() throws(TrainingError) {
    guard group.agrees(on: Checksum.of(state.parameters.scalars)) else {
      throw TrainingError(
        "step \(state.step): the processes' weights differ; all need the same build and CPU kind")
    }
    guard group.isFirst else { return }
    try write(metrics.text, to: "metrics.csv")
    do { try student.write(to: file("student.safetensors")) } catch {
      throw TrainingError("\(error)")
    }
    try state.write(to: file("state.safetensors"), recipe: recipe)
    let pictures = [(title: "Predictions on new samples", png: try predictions())]
    let page = metrics.page(
      title: output, recipe: recipe, validations: validations, pictures: pictures)
    try write(page, to: "report.html")
  }

  /// Samples that are never trained on, tracked by the averaged weights.
  private func predictions() throws(TrainingError) -> [UInt8] {
    var batch = try maker.batch(recipe.steps, progress: 1)
    do {
      let network = try Network(student)
      var configuration = Tracker.Configuration()
      configuration.inputSize = .exact(batch.size)
      configuration.threads = recipe.threads == 0 ? nil : recipe.threads
      let area = batch.size.area
      for sample in 0..<batch.batch {
        var tracker = try Tracker(
          network: network, frameSize: batch.size, configuration: configuration)
        for frame in 0..<batch.frames {
          let place = sample * batch.frames + frame
          let first = place * batch.objects * area
          let result = try tracker.step(
            batch.picture(place), mask: frame == 0 ? batch.labels(place) : nil)
          if frame == 0 { continue }
          for index in 0..<batch.objects * area {
            batch.masks[first + index] =
              Int(result.labels.labels[index % area]) == index / area + 1 ? 1 : 0
          }
        }
      }
      var sheet = ContactSheet(size: batch.size)
      sheet.append(batch)
      return try sheet.image.encoded()
    } catch { throw TrainingError("\(error)") }
  }

  func write(_ text: String, to name: String) throws(TrainingError) {
    do { try AtomicFile.write(text, to: file(name)) } catch { throw TrainingError("\(error)") }
  }

  func file(_ name: String) -> String { output + "/" + name }
}

extension Trainer {
  /// Draws `count` batches of samples as they will be trained on, with their damaged priors below.
  public static func preview(
    _ recipe: Recipe, folder: String = ".", batches count: Int = 4
  ) throws(TrainingError) -> PNGImage {
    var datasets: [Dataset] = []
    for set in recipe.data where set.share > 0 {
      datasets.append(try Dataset.open(set, folder: folder))
    }
    let maker = try SampleMaker(
      datasets, recipe: recipe.samples, seed: recipe.seed, cacheBytes: 64 << 20
    ) { _, _ in }
    var sheet = ContactSheet(
      size: FrameSize(width: recipe.samples.size, height: recipe.samples.size))
    for step in 0..<count {
      sheet.append(
        try maker.batch(step, progress: Double(step) / Double(max(count, 1))),
        prior: RecipePrior(recipe.samples, seed: recipe.seed, step: step))
    }
    return sheet.image
  }
}
