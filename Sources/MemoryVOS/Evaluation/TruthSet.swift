// Where truth lies on disk: DAVIS, YouTube-VOS and plain folders of masks, as sequences of frames.

/// Sequences of annotated frames.
public struct TruthSet: Sendable {
  /// One sequence.
  public struct Sequence: Sendable {
    /// The sequence's name, which is also its results' folder name.
    public let name: String
    /// The folder of its masks.
    public let folder: String
    /// Names of the masks without `.png`, in order.
    public let frames: [String]
    /// The folder of its images, if there is one at the usual place.
    public let images: String?
    /// Whether results lie in the result folder itself, as the masks do in `folder`.
    public let isFlat: Bool

    /// The file of a frame's mask.
    public func mask(_ frame: String) -> String { "\(folder)/\(frame).png" }
    /// The file of a frame's mask in a result set.
    public func result(_ frame: String, in results: String) -> String {
      isFlat ? "\(results)/\(frame).png" : "\(results)/\(name)/\(frame).png"
    }
  }

  /// The sequences, in the order in which they are scored and written.
  public let sequences: [Sequence]

  /// All sequences of a folder `folder/SEQUENCE/FRAME.png`, or, where `allowsFlat`, the one sequence
  /// of `folder/FRAME.png`.
  ///
  /// - Throws: `MediaError` when there is no sequence, or one without masks.
  public init(folder: String, allowsFlat: Bool = false) throws(MediaError) {
    let folder = Self.trimmed(folder)
    let names = try Folder.names(in: folder)
    if names.contains(where: { $0.hasSuffix(".png") }) {
      guard allowsFlat else {
        throw MediaError(
          path: folder,
          problem: "holds masks itself; folders of sequences, FOLDER/SEQUENCE/FRAME.png, were "
            + "expected; score a single folder with --protocol folder")
      }
      let name = folder.split(separator: "/").last.map(String.init) ?? "masks"
      let sequence = Sequence(
        name: name, folder: folder, frames: try Folder.stems(in: folder), images: nil, isFlat: true)
      self.init(sequences: [sequence])
      return
    }
    let folders = names.filter { Folder.kind(of: "\(folder)/\($0)") == .folder }
    guard !folders.isEmpty else {
      throw MediaError(
        path: folder,
        problem: "holds no sequence; truth is FOLDER/SEQUENCE/FRAME.png; check the path")
    }
    try self.init(names: folders, in: folder, images: Self.images(beside: folder))
  }

  /// A set of a DAVIS root: `Annotations/RESOLUTION/SEQUENCE/FRAME.png` for the sequences listed in
  /// `ImageSets/YEAR/SET.txt` (or `ImageSets/SET.txt`).
  ///
  /// - Parameters:
  ///   - root: the folder that holds `Annotations`, `ImageSets` and `JPEGImages`.
  ///   - year: 2016, 2017, …: the folder of set lists.
  ///   - set: the list's name without `.txt`.
  ///   - resolution: the folder under `Annotations`.
  /// - Throws: `MediaError` when the list, a listed sequence or its masks are missing.
  public init(
    davis root: String, year: String, set: String, resolution: String
  ) throws(MediaError) {
    let root = Self.trimmed(root)
    let folder = "\(root)/Annotations/\(resolution)"
    guard Folder.kind(of: folder) == .folder else {
      let there = ((try? Folder.names(in: "\(root)/Annotations")) ?? []).joined(separator: ", ")
      throw MediaError(
        path: folder,
        problem: "no such folder of annotations; "
          + (there.isEmpty
            ? "is \(root) a DAVIS root?" : "there is \(there): name it with --resolution"))
    }
    let names = try Self.setList(root: root, year: year, set: set)
    try self.init(names: names, in: folder, images: "\(root)/JPEGImages/\(resolution)")
  }

  /// The sequences that a DAVIS set list names, each once.
  static func setList(root: String, year: String, set: String) throws(MediaError) -> [String] {
    let candidates = ["\(root)/ImageSets/\(year)/\(set).txt", "\(root)/ImageSets/\(set).txt"]
    guard let path = candidates.first(where: { Folder.kind(of: $0) == .file }) else {
      throw MediaError(
        path: candidates[0], problem: "no such list of sequences; check --year and --set")
    }
    var names: [String] = []
    for line in String(decoding: try AtomicFile.read(path), as: UTF8.self).split(
      whereSeparator: \.isNewline)
    {
      guard let entry = line.split(whereSeparator: \.isWhitespace).first else { continue }
      // DAVIS-2016 lists frames, /JPEGImages/480p/SEQUENCE/FRAME.jpg; DAVIS-2017 lists sequences.
      let parts = entry.split(separator: "/")
      let name = String(parts.count > 1 ? parts[parts.count - 2] : entry)
      guard name != "..", name != "." else {
        throw MediaError(path: path, problem: "'\(line)' is not the name of a sequence")
      }
      if names.last != name { names.append(name) }
    }
    guard !names.isEmpty else {
      throw MediaError(path: path, problem: "the list of sequences is empty")
    }
    if let twice = Dictionary(grouping: names, by: \.self).first(where: { $0.value.count > 1 }) {
      throw MediaError(path: path, problem: "the sequence '\(twice.key)' is listed twice")
    }
    return names
  }

  /// The sequences `folder/NAME/FRAME.png` of these names, in this order, with their images in
  /// `images/NAME`.
  package init(names: [String], in folder: String, images: String?) throws(MediaError) {
    var sequences: [Sequence] = []
    for name in names {
      let path = "\(folder)/\(name)"
      guard Folder.kind(of: path) == .folder else {
        throw MediaError(path: path, problem: "the truth of sequence '\(name)' is missing")
      }
      let frames = try Folder.stems(in: path)
      guard !frames.isEmpty else {
        throw MediaError(path: path, problem: "the sequence holds no truth, no .png file is in it")
      }
      let pictures = images.map { "\($0)/\(name)" }
      sequences.append(
        Sequence(
          name: name, folder: path, frames: frames,
          images: pictures.flatMap { Folder.kind(of: $0) == .folder ? $0 : nil }, isFlat: false))
    }
    self.sequences = sequences
  }

  private init(sequences: [Sequence]) { self.sequences = sequences }

  /// The first `count` annotated frames of every sequence.
  package func prefix(frames count: Int) -> TruthSet {
    TruthSet(
      sequences: sequences.map {
        Sequence(
          name: $0.name, folder: $0.folder, frames: Array($0.frames.prefix(count)),
          images: $0.images, isFlat: $0.isFlat)
      })
  }

  /// Images as data sets keep them: `JPEGImages` instead of `Annotations` in the path.
  static func images(beside folder: String) -> String? {
    var parts = folder.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
    guard let index = parts.lastIndex(of: "Annotations") else { return nil }
    parts[index] = "JPEGImages"
    let path = parts.joined(separator: "/")
    return Folder.kind(of: path) == .folder ? path : nil
  }

  private static func trimmed(_ path: String) -> String {
    var path = path
    while path.count > 1 && path.hasSuffix("/") { path.removeLast() }
    return path
  }
}
