// START HERE: one training step, from a batch of clips to the gradient of every parameter.
//
// The trainer calls `run`; UnrolledClip.swift holds the network unrolled over the frames, StepLosses
// what the losses see, Gradients/ the differentiated graphs.

import CKernels
public import MemoryVOS

/// The network unrolled over clips, forward and backward.
///
/// Frame 0's mask is given. Frame t is read from the memory of frame 0 (true masks) and frame t - 1
/// (predicted masks; gradients flow through them into the value encoder), decoded with the previous
/// soft mask as prior (damaged by the caller, no gradient), and merged by soft aggregation. Buffers are
/// kept from step to step; a batch of another shape replaces them.
public final class TrainingStep {
  /// The network that is trained.
  public let configuration: NetworkConfiguration
  /// The losses.
  public let loss: LossConfiguration
  /// Gradients of every parameter after `run`; the trainer reduces and clips them in place.
  public var gradients: ParameterSet

  private let kernels: Kernels
  private let pool: ThreadPool
  private let teacherChannels: Int
  private var clip: UnrolledClip?
  /// What weights and activations are rounded to on their way forward; gradients pass straight through.
  package var rounding: NetworkRounding? {
    didSet { clip = nil }
  }

  /// A step of a network under a loss.
  ///
  /// `teacherChannels` are those of the teacher's features, 0 without; a trained projection
  /// `distill.projection` is added when feature regression needs one. Results are the same in every
  /// run with the same number of `threads`, by default one per core.
  ///
  /// - Throws: `EngineError` when `VOS_ISA` asks for instructions that are not there.
  public init(
    _ configuration: NetworkConfiguration, loss: LossConfiguration = .init(),
    teacherChannels: Int = 0, threads: Int? = nil
  ) throws(EngineError) {
    precondition(loss.problem == nil, loss.problem ?? "")
    self.configuration = configuration
    self.loss = loss
    self.teacherChannels = teacherChannels
    kernels = Kernels(try InstructionSet.preferred())
    pool = ThreadPool(threadCount: threads)
    gradients = ParameterSet(
      configuration,
      extra: Self.extraParameters(configuration, loss: loss, teacherChannels: teacherChannels))
  }

  /// Name of the projection of features for regression, `[teacher channels, student channels]`.
  public static let projection = "distill.projection"

  /// The tensors that a loss trains beside the network's.
  public static func extraParameters(
    _ configuration: NetworkConfiguration, loss: LossConfiguration, teacherChannels: Int
  ) -> [(name: String, shape: [Int])] {
    let channels = configuration.featureChannels
    guard loss.regression > 0, teacherChannels > 0, teacherChannels != channels else { return [] }
    return [(projection, [teacherChannels, channels])]
  }

  /// Runs the network over a batch and back; afterwards `gradients` holds the gradient of the total.
  ///
  /// - Parameters:
  ///   - batch: the clips.
  ///   - parameters: the network's, as `gradients` lists them.
  ///   - prior: damage to the previous masks, none by default.
  ///   - progress: how much of the training is done, 0…1; decides the share of hard pixels.
  ///   - seed: the choice of pixels of the representation loss follows from it.
  ///   - firstSample: the number of the batch's first clip among those of all processes.
  /// - Returns: the parts of the loss.
  public func run(
    _ batch: TrainingBatch, parameters: ParameterSet, prior: (any PriorCorruption)? = nil,
    progress: Double = 0, seed: UInt64 = 0, firstSample: Int = 0
  ) -> StepLosses {
    precondition(parameters.entries == gradients.entries, "parameters of another network")
    checkTeacher(batch)
    let control = vos_flush_denormals()
    defer { vos_restore_denormals(control) }

    let shape = UnrolledClip.Shape(batch: batch.batch, frames: batch.frames, size: batch.size)
    let clip: UnrolledClip
    if let known = self.clip, known.shape == shape {
      clip = known
    } else {
      // The old one goes first: both may not fit.
      self.clip = nil
      clip = UnrolledClip(
        configuration, shape: shape, taps: loss.usesFeatures, kernels: kernels, pool: pool,
        rounding: rounding)
      self.clip = clip
    }
    clip.reserve(objects: batch.objects)
    clip.load(parameters)

    var losses = LossTerms(
      loss, batch: batch, hardShare: loss.hardShare(at: progress), seed: seed,
      firstSample: firstSample,
      projection: gradients.entry(Self.projection) == nil ? [] : parameters[Self.projection])
    clip.forward(batch, prior: prior)
    clip.backward(batch, losses: &losses)
    clip.collect(into: &gradients)
    if !losses.projection.isEmpty { gradients[Self.projection] = losses.projectionGradient }
    return losses.result
  }

  private func checkTeacher(_ batch: TrainingBatch) {
    let pixels = batch.size.width * batch.size.height
    let maps = batch.batch * batch.frames
    if loss.distillation > 0 {
      precondition(
        batch.teacher?.logOdds.count == maps * (batch.objects + 1) * pixels,
        "distillation without the teacher's log-odds")
    }
    if loss.regression > 0 || (loss.representation > 0 && loss.omega > 0) {
      precondition(
        teacherChannels > 0 && batch.teacher?.featureChannels == teacherChannels
          && batch.teacher?.features.count == maps * batch.objects * pixels / 16 * teacherChannels,
        "a loss on features without the teacher's")
    }
  }
}

extension LossConfiguration {
  /// Whether any loss compares features with a teacher's.
  var needsTeacherFeatures: Bool { regression > 0 || (representation > 0 && omega > 0) }
  /// Whether any loss looks at the features before the last layer.
  var usesFeatures: Bool { representation > 0 || regression > 0 }
}
