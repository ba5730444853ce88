// Clips and stills as every data set gives them to SampleMaker: where pictures and masks are.

public import MemoryVOS

/// A picture that can be had at any time.
public enum PictureReference: Sendable {
  /// An image file.
  case file(String)
  /// A frame of a video file.
  case video(String, frame: Int)
  /// A picture in memory.
  case decoded(Frame, name: String)

  /// The file, or the name of a picture in memory.
  public var path: String {
    switch self {
    case .file(let path), .video(let path, _), .decoded(_, let path): path
    }
  }
}

/// Where the labels of a picture are.
enum MaskReference: Sendable {
  /// A file of labels.
  case file(String, as: MaskCoding)
  /// Labels in memory.
  case decoded(LabelMap)
  /// Instances of a COCO file.
  case instances(InstanceMasks)
  /// The most probable object of each pixel in a teacher's stored outputs.
  case outputs(StoredOutputs, frame: Int)
}

/// A clip in which objects move, or a still that is set in motion.
public struct TrainingClip: Sendable {
  /// One picture with its labels.
  struct Item: Sendable {
    let picture: PictureReference
    let mask: MaskReference
  }

  /// The clip's or image's name, for messages.
  public let name: String
  /// Pictures in order of time; exactly one for a still.
  let items: [Item]
  /// What mask values are.
  let labels: DatasetRecipe.Labels
  /// A teacher's outputs for these pictures, in the same order.
  let outputs: StoredOutputs?

  /// Whether motion has to be made up.
  public var isStill: Bool { items.count == 1 }
  /// Number of pictures.
  public var frameCount: Int { items.count }
}

/// Clips of one data set and how often they are chosen.
public struct Dataset: Sendable {
  /// The set's folder, for messages.
  public let name: String
  /// How often samples come from this set, relative to other sets.
  public let share: Double
  /// The clips, in the order of their names or list.
  public let clips: [TrainingClip]
  /// Running sums of the clips' weights: the square root of their number of frames.
  let sums: [Double]

  init(name: String, share: Double, clips: [TrainingClip]) {
    self.name = name
    self.share = share
    self.clips = clips
    var sum = 0.0
    sums = clips.map {
      sum += Double($0.frameCount).squareRoot()
      return sum
    }
  }

  /// Pictures in all clips.
  public var frameCount: Int { clips.reduce(0) { $0 + $1.frameCount } }

  /// Finds the clips of a set and checks that every picture has its mask.
  ///
  /// - Parameters:
  ///   - recipe: the set; a relative path is relative to `folder`.
  ///   - folder: the recipe's folder, or the working folder.
  /// - Returns: the clips that were found, at least one.
  /// - Throws: `TrainingError` for files that are missing, do not fit together or hold no object.
  public static func open(
    _ recipe: DatasetRecipe, folder: String = "."
  ) throws(TrainingError) -> Dataset {
    if let problem = recipe.problem { throw TrainingError(problem) }
    let root = recipe.path.hasPrefix("/") ? recipe.path : folder + "/" + recipe.path
    let files = DatasetFiles(root: root, recipeFolder: folder)
    try files.requireFolder(root)
    let clips: [TrainingClip]
    switch recipe.kind {
    case .davis: clips = try files.davisClips(recipe)
    case .youTubeVOS: clips = try files.youTubeClips(recipe)
    case .stills: clips = try files.stills(recipe)
    case .oxfordPets: clips = try files.oxfordPets(recipe)
    case .clothingCoParsing: clips = try files.clothingCoParsing(recipe)
    case .coco: clips = try files.cocoStills(recipe)
    case .taught: clips = try files.taughtClips(recipe)
    }
    guard !clips.isEmpty else {
      throw TrainingError(root, "a \(recipe.kind.rawValue) set without clips")
    }
    return Dataset(name: root, share: recipe.share, clips: clips)
  }
}
