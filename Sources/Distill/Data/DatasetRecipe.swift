// How a recipe names its data. Dataset.open turns each of these into clips.

/// One data set of a recipe.
public struct DatasetRecipe: Codable, Sendable, Hashable {
  /// How files are laid out.
  public enum Kind: String, Codable, Sendable, CaseIterable {
    /// `JPEGImages/RESOLUTION/CLIP/*.jpg`, `Annotations/RESOLUTION/CLIP/*.png`, `ImageSets/…/*.txt`.
    case davis
    /// `JPEGImages/CLIP/*.jpg` and `Annotations/CLIP/*.png`, masks on some of the frames.
    case youTubeVOS = "youtube-vos"
    /// `images/*` beside `masks/*.png`, in the folder itself or in folders below it.
    case stills
    /// Oxford-IIIT pets: `images/*.jpg`, `annotations/trimaps/*.png`.
    case oxfordPets = "oxford-pets"
    /// Clothing Co-Parsing: `photos/*.jpg`, `annotations/pixel-level/*.mat`.
    case clothingCoParsing = "clothing-co-parsing"
    /// Images beside a COCO instances JSON with polygons or run lengths.
    case coco
    /// Clips without labels: folders of frames or videos, with a teacher's stored outputs.
    case taught
  }

  /// What the labels of a mask are.
  public enum Labels: String, Codable, Sendable, CaseIterable {
    /// Parts of one object: unions of them are objects too.
    case parts
    /// Objects.
    case instances
    /// Parts of one object, as DAVIS-2016 sees the masks of DAVIS-2017.
    case foreground
  }

  /// The layout.
  public var kind = Kind.davis
  /// The data set's folder; relative to the recipe's own.
  public var path = ""
  /// What to take of the set: a file with a name a line, relative to `path` or else to the recipe.
  ///
  /// DAVIS needs one; stills in folders and taught clips have none.
  public var list = ""
  /// DAVIS: the folder between `JPEGImages` and the clips; empty: the one that has the clips, 480p
  /// where several do.
  public var resolution = ""
  /// DAVIS and YouTube-VOS: clips that are not trained on but tracked and scored by validation.
  public var holdOut: [String] = []
  /// COCO: the JSON file, relative to `path`.
  public var annotations = ""
  /// What mask values are.
  public var labels = Labels.instances
  /// Stills with masks in files: whether those without an object are left out instead of being an error.
  public var skipsEmpty = false
  /// Stored teacher outputs, `CLIP.safetensors` each, relative to `path`; empty for none.
  public var outputs = ""
  /// How often samples come from this set, relative to the other sets.
  public var share = 1.0

  /// An unnamed DAVIS set: `path` must be set.
  public init() {}

  /// The layout and where it is; everything else as by default.
  public init(_ kind: Kind, path: String) {
    self.kind = kind
    self.path = path
  }

  /// What makes these values impossible, or `nil`.
  var problem: String? {
    guard !path.isEmpty else { return "a data set without 'path'" }
    guard share >= 0, share.isFinite else { return "\(path): share \(share), expected 0 or more" }
    if kind == .davis, list.isEmpty {
      return "\(path): a davis set needs 'list', for example ImageSets/2017/train.txt"
    }
    if kind == .coco, annotations.isEmpty {
      return "\(path): a coco set needs 'annotations', its instances JSON"
    }
    if kind == .taught, outputs.isEmpty {
      return
        "\(path): a taught set needs 'outputs' (`vos-cli teach` or Tools/export_teacher.py writes them)"
    }
    guard holdOut.isEmpty || kind == .davis || kind == .youTubeVOS else {
      return "\(path): 'hold_out' names clips with labels; a \(kind.rawValue) set has none"
    }
    if let name = holdOut.first(where: { $0.isEmpty || $0.contains("/") || $0 == ".." }) {
      return "\(path): hold_out '\(name)' is not the name of a clip"
    }
    guard Set(holdOut).count == holdOut.count else {
      return "\(path): 'hold_out' names a clip twice"
    }
    return nil
  }

  enum CodingKeys: String, CodingKey {
    case kind, path, list, resolution, annotations, labels, outputs, share
    case holdOut = "hold_out"
    case skipsEmpty = "skips_empty"
  }
}
