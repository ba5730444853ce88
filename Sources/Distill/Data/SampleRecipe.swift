// How samples are made of pictures: the part of a recipe that SampleMaker and RecipePrior read.

/// Size of samples and their augmentation.
public struct SampleRecipe: Codable, Sendable, Hashable {
  /// Side of the square samples in pixels, a multiple of the network's stride.
  public var size = 256
  /// Samples in a batch.
  public var batch = 3
  /// Frames in a sample, the annotated first one included.
  public var frames = 4
  /// Share of batches with several objects; the others have one.
  public var severalShare = 0.35
  /// Objects in the samples of such a batch.
  public var objects = 2
  /// Share of such batches' samples that take all objects from one clip where it has enough.
  public var ownObjectsShare = 0.5
  /// Share of samples with a look-alike: the object once more, cropped and moved on its own.
  ///
  /// It is the second object of a sample with several, background of one with one.
  public var lookalikeShare = 0.0
  /// How often a sample, or an object pasted into another one, is tried as rendered bodies that turn.
  ///
  /// Pictures of the data sets are their textures and background. They have no look-alikes.
  public var renderedShare = 0.0
  /// Frames between neighbours of a sample, at most one of these.
  public var gaps = [1, 2, 3, 5, 8, 12]
  /// Pairs [progress, largest gap]: which gaps are allowed from a share of the training on.
  public var gapLimits = [[0.0, 12.0]]
  /// Share of clips that run backward.
  public var reversedShare = 0.5
  /// Share of samples that are mirrored.
  public var mirroredShare = 0.5
  /// Scale of video crops: 1 shows the short side, 2 half of it.
  public var videoScale = [0.95, 1.6]
  /// Scale of crops of stills.
  public var stillScale = [0.7, 1.5]
  /// Share of crops that are centred on a pixel of the object.
  public var centeredShare = 0.8
  /// Motion added to each frame of a clip: degrees, log of scale, shift, shear.
  public var videoMotion = [2.0, 0.02, 0.02, 0.01]
  /// Motion between frames of a still: degrees, log of scale, shift, shear.
  public var stillMotion = [12.0, 0.12, 0.1, 0.08]
  /// Share of stills' frames that are bent by a thin-plate spline.
  public var splineShare = 0.33
  /// Control points of the spline.
  public var splinePoints = 12
  /// Deviation of the control points as a share of the side.
  public var splineDeviation = 0.02
  /// Brightness, contrast and saturation of a sample: factors 1 ± this.
  public var colorJitter = 0.25
  /// The same for each frame, on top.
  public var frameColorJitter = 0.05
  /// Short side to which larger pictures are reduced when they are decoded.
  public var pictureSide = 480
  /// The previous mask as the decoder sees it.
  public var prior = PriorRecipe()
  /// Predicted masks as memory and priors take them.
  public var decay = DecayRecipe()

  /// The prototype's augmentation.
  public init() {}

  /// What makes these values impossible, or `nil`.
  var problem: String? {
    guard size >= 32, size <= 2048, size % 16 == 0 else {
      return "samples.size \(size), expected a multiple of 16 in 32…2048"
    }
    guard (1...1024).contains(batch) else { return "samples.batch \(batch), not in 1…1024" }
    guard (2...64).contains(frames) else { return "samples.frames \(frames), not in 2…64" }
    guard (1...16).contains(objects) else { return "samples.objects \(objects), not in 1…16" }
    let shares = [
      ("several_share", severalShare), ("own_objects_share", ownObjectsShare),
      ("lookalike_share", lookalikeShare), ("rendered_share", renderedShare),
      ("reversed_share", reversedShare), ("mirrored_share", mirroredShare),
      ("centered_share", centeredShare), ("spline_share", splineShare),
    ]
    for (name, share) in shares where !(0...1).contains(share) {
      return "samples.\(name) \(share), not in 0…1"
    }
    guard !gaps.isEmpty, gaps.allSatisfy({ (1...10_000).contains($0) }) else {
      return "samples.gaps \(gaps), expected numbers from 1 on"
    }
    let smallest = Double(gaps.min() ?? 1)
    guard gapLimits.first?.first == 0,
      gapLimits.allSatisfy({ $0.count == 2 && (0...1).contains($0[0]) && $0[1] >= smallest })
    else {
      return "samples.gap_limits \(gapLimits), expected [progress, gap] pairs that start at "
        + "progress 0, no gap below \(Int(smallest))"
    }
    for (name, range) in [("video_scale", videoScale), ("still_scale", stillScale)]
    where range.count != 2 || range[0] < 0.1 || range[1] < range[0] || range[1] > 16 {
      return "samples.\(name) \(range), expected [low, high] in 0.1…16"
    }
    for (name, motion) in [("video_motion", videoMotion), ("still_motion", stillMotion)]
    where motion.count != 4 || !motion.allSatisfy({ (0...180).contains($0) }) || motion[1] > 1 {
      return "samples.\(name) \(motion), expected [degrees, log of scale ≤ 1, shift, shear]"
    }
    guard (3...64).contains(splinePoints), (0...0.2).contains(splineDeviation) else {
      return
        "samples.spline_points \(splinePoints) (3…64), spline_deviation \(splineDeviation) (0…0.2)"
    }
    guard (0...0.9).contains(colorJitter), (0...0.9).contains(frameColorJitter) else {
      return
        "samples.color_jitter \(colorJitter) or frame_color_jitter \(frameColorJitter), not in 0…0.9"
    }
    guard (32...8192).contains(pictureSide) else {
      return "samples.picture_side \(pictureSide), not in 32…8192"
    }
    return prior.problem ?? decay.problem
  }

  /// The largest gap of one sample, drawn from those allowed at `progress`.
  func gap(at progress: Double, _ random: inout SampleGenerator) -> Int {
    let limit = gapLimit(at: progress)
    let allowed = gaps.filter { $0 <= limit }
    return allowed[random.index(allowed.count)]
  }

  /// The largest gap allowed at `progress`.
  func gapLimit(at progress: Double) -> Int {
    Int(gapLimits.last { $0[0] <= progress }?[1] ?? 1)
  }

  enum CodingKeys: String, CodingKey {
    case size, batch, frames, objects, gaps, prior, decay
    case severalShare = "several_share"
    case ownObjectsShare = "own_objects_share"
    case lookalikeShare = "lookalike_share"
    case renderedShare = "rendered_share"
    case gapLimits = "gap_limits"
    case reversedShare = "reversed_share"
    case mirroredShare = "mirrored_share"
    case videoScale = "video_scale"
    case stillScale = "still_scale"
    case centeredShare = "centered_share"
    case videoMotion = "video_motion"
    case stillMotion = "still_motion"
    case splineShare = "spline_share"
    case splinePoints = "spline_points"
    case splineDeviation = "spline_deviation"
    case colorJitter = "color_jitter"
    case frameColorJitter = "frame_color_jitter"
    case pictureSide = "picture_side"
  }
}

/// Shares of the previous masks that are damaged in each way; the rest stays as it is.
public struct PriorRecipe: Codable, Sendable, Hashable {
  /// Nothing is left.
  public var empty = 0.1
  /// Shifted by up to a sixteenth of the side.
  public var shifted = 0.1
  /// A minimum over 5, 9 or 15 pixels.
  public var eroded = 0.15
  /// A maximum over 5, 9 or 15 pixels.
  public var dilated = 0.1
  /// Turned, scaled and shifted a little: close enough to be followed.
  public var distorted = 0.1
  /// Turned, scaled and shifted strongly: to be discarded.
  public var misplaced = 0.05

  /// 40 % untouched.
  public init() {}

  /// The shares in the order in which they are drawn.
  var shares: [Double] { [empty, shifted, eroded, dilated, distorted, misplaced] }

  /// What makes these values impossible, or `nil`.
  var problem: String? {
    guard shares.allSatisfy({ $0 >= 0 }), shares.reduce(0, +) <= 1 + 1e-9 else {
      return "samples.prior: shares \(shares), expected 0 or more, together at most 1"
    }
    return nil
  }

  enum CodingKeys: String, CodingKey {
    case empty, shifted, eroded, dilated, distorted, misplaced
  }
}

/// Shares of the predicted masks that lose, gain or swap a part before they enter the memory and become
/// priors, so that the network learns to recover what it lost and to drop what it should not have.
public struct DecayRecipe: Codable, Sendable, Hashable {
  /// A tenth to three fifths of an object, on one side of a line, is lost.
  public var lost = 0.0
  /// An ellipse at an object's edge or near it is gained.
  public var gained = 0.0
  /// A part like the lost ones goes to another object, in samples with several.
  public var swapped = 0.0

  /// No decay.
  public init() {}

  /// What makes these values impossible, or `nil`.
  var problem: String? {
    let shares = [lost, gained, swapped]
    guard shares.allSatisfy({ $0 >= 0 }), shares.reduce(0, +) <= 1 else {
      return "samples.decay: shares \(shares), expected 0 or more, together at most 1"
    }
    return nil
  }
}
