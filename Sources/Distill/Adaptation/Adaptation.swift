// Learning a video's objects before tracking them: `vos-cli track --adapt` and `evaluate --adapt`.
//
//     let annotated = AnnotatedFrame(frame, labels: mask)
//     if let adapted = try Adaptation().adapted(checkpoint, to: [annotated]) {
//       var tracker = try Tracker(network: try Network(adapted), frameSize: frame.size)

public import MemoryVOS

/// A frame with the labels of its pixels: object ids, 0 is background, 255 void.
public struct AnnotatedFrame: Sendable {
  /// The picture.
  public let frame: Frame
  /// As large as the picture.
  public let labels: LabelMap

  /// A frame and its labels; traps when their sizes differ.
  public init(_ frame: Frame, labels: LabelMap) {
    precondition(
      frame.size == labels.size, "a frame of \(frame.size) with a mask of \(labels.size)")
    self.frame = frame
    self.labels = labels
  }
}

/// A short training of a network on a video's annotated frames, before it tracks that video.
///
/// The frames are set in motion as stills are, with objects pasted over each other (Khoreva et al.,
/// "Lucid Data Dreaming for Video Object Segmentation", IJCV 2019). That alone also teaches that what
/// is not to be seen on them is background. Two things hold against it: samples of rendered bodies
/// with the frames' textures, which turn and so show new sides; and the result is the mean of the
/// trained weights and the given ones (Wortsman et al., "Robust Fine-Tuning of Zero-Shot Models",
/// CVPR 2022).
public struct Adaptation: Sendable, Hashable {
  /// Optimizer steps, at least 1.
  public var steps: Int
  /// Threads of a step; `nil` for one per core.
  public var threads: Int?
  /// Where random choices start: the same seed, frames and threads give the same weights.
  public var seed: UInt64 = 1

  /// Steps that have been measured to be enough.
  public static let advisedSteps = 60

  /// An adaptation of that many steps.
  public init(steps: Int = Self.advisedSteps, threads: Int? = nil) {
    self.steps = steps
    self.threads = threads
  }

  /// Trains.
  ///
  /// - Parameters:
  ///   - checkpoint: a float network's; one that computes in integers or simulates that is refused.
  ///   - frames: the annotated frames, at least one.
  ///   - goesOn: called with the number of steps that are done; false stops the adaptation.
  /// - Returns: the adapted network's checkpoint, or `nil` when it was stopped.
  /// - Throws: `TrainingError` for a checkpoint that cannot be trained, for frames on which every object
  ///   is too small or too large to make samples of, and for a gradient that is not finite.
  public func adapted(
    _ checkpoint: Checkpoint, to frames: [AnnotatedFrame],
    goesOn: (_ step: Int) -> Bool = { _ in true }
  ) throws(TrainingError) -> Checkpoint? {
    precondition(steps >= 1, "an adaptation of \(steps) steps")
    let (recipe, given) = try start(from: checkpoint)
    // Rendered bodies alone are nothing to adapt to: there must be samples of a single object too.
    var single = recipe.samples
    single.renderedShare = 0
    single.severalShare = 0
    _ = try maker(of: frames, single).batch(0, progress: 0)
    let maker = try maker(of: frames, recipe.samples)
    let trainingStep: TrainingStep
    do {
      trainingStep = try TrainingStep(recipe.network, loss: recipe.loss, threads: threads)
    } catch { throw TrainingError("\(error)") }
    var state = TrainingState(given, recipe: recipe)
    let loader = BatchLoader(steps: 0..<steps, capacity: 3) { [steps] step throws(TrainingError) in
      try maker.batch(step, progress: Double(step) / Double(steps))
    }
    defer { loader.stop() }
    while let batch = try loader.next() {
      let progress = Double(state.step) / Double(steps)
      _ = trainingStep.run(
        batch, parameters: state.parameters,
        prior: RecipePrior(recipe.samples, seed: seed, step: state.step), progress: progress)
      guard trainingStep.gradients.clip(norm: recipe.gradientNorm).isFinite else {
        throw TrainingError("step \(state.step) of the adaptation: the gradient is not finite")
      }
      state.update(
        trainingStep.gradients,
        learningRate: Float(recipe.schedule.rate(step: state.step, progress: progress)))
      state.step += 1
      guard goesOn(state.step) else { return nil }
    }
    return Checkpoint(
      metadata: checkpoint.metadata,
      tensors: ParameterSet.mean([state.average.parameters, given]).tensors)
  }

  private func maker(
    of frames: [AnnotatedFrame], _ samples: SampleRecipe
  ) throws(TrainingError) -> SampleMaker {
    try SampleMaker(
      [Dataset(frames)], recipe: samples, seed: seed, cacheBytes: 64 << 20, report: { _, _ in })
  }

  /// How to train the checkpoint's network, and its parameters.
  private func start(
    from checkpoint: Checkpoint
  ) throws(TrainingError) -> (recipe: Recipe, parameters: ParameterSet) {
    guard !checkpoint.isQuantized, !checkpoint.isSimulated else {
      throw TrainingError(
        checkpoint.path,
        "its weights are integers or stand for integers, which cannot be adapted; choose a float "
          + "network")
    }
    do throws(CheckpointError) {
      let network = try Network(checkpoint).configuration
      var parameters = ParameterSet(network)
      try parameters.load(checkpoint)
      return (recipe(network), parameters)
    } catch { throw TrainingError("\(error)") }
  }

  /// Samples, losses and schedule of `steps` steps.
  func recipe(_ network: NetworkConfiguration) -> Recipe {
    var recipe = Recipe()
    recipe.network = network
    recipe.seed = seed
    recipe.steps = steps
    recipe.averageDecay = 0.9
    recipe.schedule.peak = 1e-4
    recipe.schedule.warmUp = 5
    recipe.schedule.floor = 0.1
    recipe.loss.thinWeight = 4
    recipe.loss.hardestShare = 0.3
    recipe.loss.hardestSlope = 20
    recipe.samples.size = 288
    recipe.samples.batch = 2
    recipe.samples.frames = 5
    recipe.samples.severalShare = 0.3
    recipe.samples.ownObjectsShare = 0
    recipe.samples.lookalikeShare = 0.2
    recipe.samples.pictureSide = 360
    recipe.samples.renderedShare = 0.6
    recipe.samples.splineShare = 0.2
    recipe.samples.prior.empty = 0.05
    recipe.samples.prior.distorted = 0.05
    recipe.samples.prior.misplaced = 0.03
    recipe.samples.decay.lost = 0.25
    recipe.samples.decay.gained = 0.12
    recipe.samples.decay.swapped = 0.12
    return recipe
  }
}

extension Dataset {
  /// Annotated frames as stills.
  init(_ frames: [AnnotatedFrame]) {
    precondition(!frames.isEmpty, "an adaptation to no frames")
    let clips = frames.enumerated().map { index, annotated in
      let name = "annotated frame \(index + 1)"
      return TrainingClip(
        name: name,
        items: [
          .init(picture: .decoded(annotated.frame, name: name), mask: .decoded(annotated.labels))
        ], labels: .instances, outputs: nil)
    }
    self.init(name: "annotated frames", share: 1, clips: clips)
  }
}
