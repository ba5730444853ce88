// What data loading, trainer and training step agree on: one batch, the prior's corruption, losses.
//
// Data/ makes batches, Trainer/ feeds them to `TrainingStep`; nothing here computes.

public import MemoryVOS

/// Clips of equal length, size and number of objects, ready for one training step.
public struct TrainingBatch: Sendable {
  /// Number of clips B.
  public let batch: Int
  /// Frames per clip T, at least 2; masks are given on frame 0, the loss is on the others.
  public let frames: Int
  /// Objects per clip K, at least 1.
  ///
  /// A clip with fewer has empty masks for the others.
  public let objects: Int
  /// Width W and height H, multiples of 16; of 32 for networks of that stride.
  public let size: FrameSize
  /// `[B][T][H][W][3]`, RGB in -1…1.
  public var images: [Float]
  /// `[B][T][K][H][W]`, 0 or 1, at most one object per pixel.
  public var masks: [Float]
  /// `[B][T][H][W]`, 1 where the truth says nothing (void, 255 in a mask) and no loss counts; empty
  /// when it always says something.
  public var void: [UInt8]
  /// What a teacher says, or `nil`.
  public var teacher: TeacherOutputs?

  /// A batch; traps when counts do not fit the shape.
  public init(
    batch: Int, frames: Int, objects: Int, size: FrameSize, images: [Float], masks: [Float],
    void: [UInt8] = [], teacher: TeacherOutputs? = nil
  ) {
    let pixels = size.width * size.height
    precondition(batch >= 1 && frames >= 2 && objects >= 1, "an empty batch")
    precondition(size.width % 16 == 0 && size.height % 16 == 0, "a training size of \(size)")
    precondition(images.count == batch * frames * pixels * 3, "\(images.count) image scalars")
    precondition(masks.count == batch * frames * objects * pixels, "\(masks.count) mask scalars")
    precondition(
      void.isEmpty || void.count == batch * frames * pixels, "\(void.count) void pixels")
    self.batch = batch
    self.frames = frames
    self.objects = objects
    self.size = size
    self.images = images
    self.masks = masks
    self.void = void
    self.teacher = teacher
  }
}

/// A teacher's outputs for every frame of a batch, warped exactly like the images.
public struct TeacherOutputs: Sendable {
  /// Aggregated log-odds `[B][T][K + 1][H][W]`, background first.
  ///
  /// Temperatures apply to them. Empty when the teacher gives none.
  public var logOdds: [Float]
  /// Features before the last layer, `[B][T][K][H / 4][W / 4][C]`; empty when there are none.
  public var features: [Float]
  /// C, the channels of `features`.
  public var featureChannels: Int

  /// Outputs of a teacher; empty arrays for what it does not give.
  public init(logOdds: [Float] = [], features: [Float] = [], featureChannels: Int = 0) {
    self.logOdds = logOdds
    self.features = features
    self.featureChannels = featureChannels
  }
}

/// Damages the previous soft masks before the decoder sees them, so that it learns when not to
/// believe them.
///
/// Called from several threads; the result must follow from the arguments alone.
public protocol PriorCorruption: Sendable {
  /// Changes `masks`, the probabilities `[K][H][W]` in 0…1 of one clip's objects.
  ///
  /// `sample` is the clip's position in the batch, `frame` the frame to be decoded (1 ..< T); the
  /// masks are those of the frame before.
  func corrupt(_ masks: inout [Float], objects: Int, size: FrameSize, sample: Int, frame: Int)

  /// What becomes of a predicted mask before it enters the memory and becomes a prior, so that the
  /// network learns to recover from its own mistakes; `nil` (the default) for nothing.
  ///
  /// `masks` are the probabilities `[K][H][W]` predicted for `frame` (1 ..< T - 1). The losses see
  /// the mask as it was predicted.
  func decay(
    of masks: UnsafeBufferPointer<Float>, objects: Int, size: FrameSize, sample: Int, frame: Int
  ) -> MaskDecay?
}

extension PriorCorruption {
  /// Nothing decays.
  public func decay(
    of masks: UnsafeBufferPointer<Float>, objects: Int, size: FrameSize, sample: Int, frame: Int
  ) -> MaskDecay? { nil }
}

/// A part of one object's mask that is replaced by a constant, or given to another object.
public struct MaskDecay: Sendable, Equatable {
  /// The object, from 0 on.
  public let object: Int
  /// Another object, whose probability becomes 1 there; `nil` for none.
  public let heir: Int?
  /// `[H][W]`, whether a pixel is replaced.
  public let isReplaced: [Bool]
  /// The probability put there, 0…1.
  public let value: Float

  /// Puts `value` in the place of `object`'s probability where `isReplaced`, and 1 in that of `heir`.
  public init(object: Int, heir: Int? = nil, isReplaced: [Bool], value: Float) {
    precondition(heir != object, "an object cannot be its own heir")
    self.object = object
    self.heir = heir
    self.isReplaced = isReplaced
    self.value = value
  }
}

/// Which losses a step adds up, and how.
///
/// Each can be used alone; a weight of 0 switches it off.
public struct LossConfiguration: Sendable, Hashable, Codable {
  /// Weight of the cross-entropy of the softmax over log-odds.
  public var crossEntropy: Float = 1
  /// ε of poly-1: ε · (1 - p of the true class) is added to each pixel's cross-entropy.
  public var poly1: Float = 0
  /// Factor on the cross-entropy of pixels of objects where no square of 5 × 5 pixels fits in.
  public var thinWeight: Float = 1
  /// Share of each sample's pixels, the hardest, that count at the end of training.
  public var hardestShare: Double = 0.25
  /// How fast the share falls from 1: max(`hardestShare`, 1 - `hardestSlope` · progress).
  public var hardestSlope: Double = 1.5
  /// Weight of the dice loss.
  public var dice: Float = 0.5
  /// Weight of the distillation of logits, KL(teacher ‖ student).
  public var distillation: Float = 0
  /// Temperature that divides both sides' log-odds.
  public var temperature: Float = 1
  /// Whether distillation counts only pixels near object boundaries.
  public var distillsBoundaryOnly = false
  /// Weight of the representation loss on correlation matrices.
  public var representation: Float = 0
  /// ω, between labels (0) and teacher (1), of the representation loss.
  public var omega: Float = 0.95
  /// Pixels per sample of which correlations are built, boundary pixels first.
  public var representationPixels = 256
  /// Weight of the mean squared difference between features and the teacher's.
  public var regression: Float = 0

  /// The prototype's losses: cross-entropy over hard pixels and dice.
  public init() {}

  /// Reads the keys that are there and takes the defaults for the others.
  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    let defaults = Self()
    func read<T: Decodable>(_ key: CodingKeys, _ value: T) throws -> T {
      try values.decodeIfPresent(T.self, forKey: key) ?? value
    }
    crossEntropy = try read(.crossEntropy, defaults.crossEntropy)
    poly1 = try read(.poly1, defaults.poly1)
    thinWeight = try read(.thinWeight, defaults.thinWeight)
    hardestShare = try read(.hardestShare, defaults.hardestShare)
    hardestSlope = try read(.hardestSlope, defaults.hardestSlope)
    dice = try read(.dice, defaults.dice)
    distillation = try read(.distillation, defaults.distillation)
    temperature = try read(.temperature, defaults.temperature)
    distillsBoundaryOnly = try read(.distillsBoundaryOnly, defaults.distillsBoundaryOnly)
    representation = try read(.representation, defaults.representation)
    omega = try read(.omega, defaults.omega)
    representationPixels = try read(.representationPixels, defaults.representationPixels)
    regression = try read(.regression, defaults.regression)
  }

  /// What makes these losses impossible, or `nil`.
  public var problem: String? {
    let weights = [crossEntropy, dice, distillation, representation, regression]
    guard weights.allSatisfy({ $0 >= 0 && $0.isFinite }) else { return "a negative loss weight" }
    guard weights.contains(where: { $0 > 0 }) else { return "all loss weights are 0" }
    guard (1...100).contains(thinWeight) else { return "thin_weight \(thinWeight), not in 1…100" }
    guard hardestShare > 0, hardestShare <= 1 else {
      return "hardest_share \(hardestShare), not in 0…1"
    }
    guard hardestSlope >= 0, hardestSlope.isFinite else { return "hardest_slope \(hardestSlope)" }
    guard poly1.isFinite else { return "poly1 \(poly1)" }
    guard temperature > 0, temperature.isFinite else { return "temperature \(temperature)" }
    guard omega >= 0, omega <= 1 else { return "omega \(omega), not in 0…1" }
    guard (2...4096).contains(representationPixels) else {
      return "representation_pixels \(representationPixels), not in 2…4096"
    }
    return nil
  }

  /// Share of the pixels that count after `progress` (0…1) of the training.
  public func hardShare(at progress: Double) -> Double {
    max(hardestShare, 1 - hardestSlope * progress)
  }

  enum CodingKeys: String, CodingKey, CaseIterable {
    case crossEntropy = "cross_entropy"
    case poly1
    case thinWeight = "thin_weight"
    case hardestShare = "hardest_share"
    case hardestSlope = "hardest_slope"
    case dice
    case distillation
    case temperature
    case distillsBoundaryOnly = "distills_boundary_only"
    case representation
    case omega
    case representationPixels = "representation_pixels"
    case regression
  }
}

/// What one step measured.
///
/// All parts are unweighted means over the batch and the predicted frames.
public struct StepLosses: Sendable, Equatable {
  /// The number that was minimised: weighted parts, summed over frames and scaled by 2 / (T - 1).
  public var total: Double = 0
  /// Cross-entropy over the hardest pixels (with poly-1).
  public var crossEntropy: Double = 0
  /// Dice loss.
  public var dice: Double = 0
  /// Distillation of logits.
  public var distillation: Double = 0
  /// Representation loss.
  public var representation: Double = 0
  /// Feature regression.
  public var regression: Double = 0
  /// Intersection over union of the first object on the last frame, mean over the batch, 0…1.
  public var overlap: Double = 0

  /// All zero.
  public init() {}
}
