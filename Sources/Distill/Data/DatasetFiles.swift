// The layouts of DAVIS, YouTube-VOS and taught clips, and what all layouts share. Called by Dataset.open.

import Foundation
import MemoryVOS

/// Lists and checks the files of one data set.
struct DatasetFiles {
  /// The set's folder.
  let root: String
  /// The recipe's folder, where lists may be too.
  var recipeFolder = "."

  static let pictureExtensions: Set<String> = [
    "jpg", "jpeg", "png", "bmp", "tif", "tiff", "webp", "ppm",
  ]
  static let videoExtensions: Set<String> = ["mp4", "mov", "mkv", "webm", "avi", "m4v", "mpg"]

  // MARK: - Layouts

  func davisClips(_ recipe: DatasetRecipe) throws(TrainingError) -> [TrainingClip] {
    try labelledClips(recipe, everyFrame: true)
  }

  func youTubeClips(_ recipe: DatasetRecipe) throws(TrainingError) -> [TrainingClip] {
    try labelledClips(recipe, everyFrame: false)
  }

  /// Folders of all clips' frames and of their masks, for DAVIS and YouTube-VOS.
  func labelledFolders(
    _ recipe: DatasetRecipe
  ) throws(TrainingError) -> (frames: String, masks: String) {
    let resolution = recipe.kind == .davis ? "/" + (try resolution(recipe)) : ""
    return ("\(root)/JPEGImages\(resolution)", "\(root)/Annotations\(resolution)")
  }

  /// The resolution that the recipe names, or else the one that has the first clip of its list.
  private func resolution(_ recipe: DatasetRecipe) throws(TrainingError) -> String {
    guard recipe.resolution.isEmpty else { return recipe.resolution }
    let images = "\(root)/JPEGImages"
    try requireFolder(images)
    let clip = try list(recipe.list)[0]
    let found = try entries(images).filter { isFolder(in: images)("\($0)/\(clip)") }
    if found.contains("480p") { return "480p" }
    if found.count == 1 { return found[0] }
    throw TrainingError(
      images,
      found.isEmpty
        ? "no folder in it has the clip '\(clip)' of \(recipe.list)"
        : "\(found.joined(separator: ", ")) all have the clip '\(clip)'; name one as 'resolution'")
  }

  /// Names of the clips of a DAVIS or YouTube-VOS set, those that are held out included.
  func clipNames(_ recipe: DatasetRecipe) throws(TrainingError) -> [String] {
    guard recipe.list.isEmpty else { return try list(recipe.list) }
    let masks = try labelledFolders(recipe).masks
    try requireFolder(masks)
    return try entries(masks).filter(isFolder(in: masks))
  }

  private func labelledClips(
    _ recipe: DatasetRecipe, everyFrame: Bool
  ) throws(TrainingError) -> [TrainingClip] {
    let names = try clipNames(recipe)
    for name in recipe.holdOut where !names.contains(name) {
      let hint = RecipeJSON.nearest(name, names).map { "; did you mean '\($0)'?" } ?? ""
      throw TrainingError(root, "hold_out: no clip '\(name)' in this set\(hint)")
    }
    guard names.count > recipe.holdOut.count else {
      throw TrainingError(
        root, "hold_out names all \(names.count) clips; nothing is left to train on")
    }
    let folders = try labelledFolders(recipe)
    var clips: [TrainingClip] = []
    for name in names where !recipe.holdOut.contains(name) {
      let (frames, masks) = ("\(folders.frames)/\(name)", "\(folders.masks)/\(name)")
      try requireFolder(frames)
      try requireFolder(masks)
      clips.append(
        try clip(name, frames: frames, masks: masks, everyFrame: everyFrame, recipe: recipe))
    }
    return clips
  }

  func taughtClips(_ recipe: DatasetRecipe) throws(TrainingError) -> [TrainingClip] {
    let outputs = recipe.outputs.hasPrefix("/") ? recipe.outputs : "\(root)/\(recipe.outputs)"
    try requireFolder(outputs)
    var clips: [TrainingClip] = []
    for (name, path, pictures) in try unlabelledClips(besides: outputs) {
      let stored = try StoredOutputs(path: "\(outputs)/\(name).safetensors")
      try stored.check(frameCount: pictures.count, clip: path)
      if let first = pictures.first, let size = try? PictureStore.size(of: first) {
        try stored.check(view: size, of: path)
      }
      let items = pictures.enumerated().map {
        TrainingClip.Item(picture: $1, mask: .outputs(stored, frame: $0))
      }
      var hasObject = false
      for frame in items.indices where !hasObject {
        hasObject = try stored.labels(frame: frame).labels.contains { $0 != 0 }
      }
      guard hasObject else {
        throw TrainingError(stored.path, "the teacher found no object in any frame")
      }
      clips.append(
        TrainingClip(name: path, items: items, labels: recipe.labels, outputs: stored))
    }
    return clips
  }

  /// Folders of frames and videos in the set's folder, but for the folder `outputs`.
  func unlabelledClips(
    besides outputs: String
  ) throws(TrainingError) -> [(name: String, path: String, pictures: [PictureReference])] {
    let skipped = URL(fileURLWithPath: outputs).standardizedFileURL.path
    var clips: [(name: String, path: String, pictures: [PictureReference])] = []
    for entry in try entries(root) {
      let path = "\(root)/\(entry)"
      if isFolder(in: root)(entry) {
        if URL(fileURLWithPath: path).standardizedFileURL.path == skipped { continue }
        clips.append((entry, path, try pictures(path).map { .file("\(path)/\($0)") }))
      } else if Self.videoExtensions.contains(fileExtension(entry)) {
        clips.append((stem(entry), path, try videoFrames(path)))
      }
    }
    var names = Set<String>()
    for clip in clips where !names.insert(clip.name).inserted {
      throw TrainingError(clip.path, "another clip has the same name but for its extension")
    }
    return clips
  }

  // MARK: - Clips

  /// A clip of frames and masks of the same names; `everyFrame`: a frame without mask is an error.
  private func clip(
    _ name: String, frames: String, masks: String, everyFrame: Bool, recipe: DatasetRecipe
  ) throws(TrainingError) -> TrainingClip {
    let pictures = try pictures(frames)
    let files = try entries(masks).filter { $0.hasSuffix(".png") }
    if everyFrame, pictures.count != files.count {
      throw TrainingError(
        frames,
        "\(pictures.count) frames, but \(files.count) masks in \(masks); each frame needs one")
    }
    var left = Set(files)
    var items: [TrainingClip.Item] = []
    for picture in pictures {
      let mask = stem(picture) + ".png"
      if left.remove(mask) != nil {
        items.append(
          .init(
            picture: .file("\(frames)/\(picture)"), mask: .file("\(masks)/\(mask)", as: .labels)))
      } else if everyFrame {
        throw TrainingError("\(frames)/\(picture)", "no mask; expected \(masks)/\(mask)")
      }
    }
    if let mask = left.min() {
      throw TrainingError("\(masks)/\(mask)", "no frame of this name in \(frames)")
    }
    guard items.count >= 2 else {
      throw TrainingError(frames, "\(items.count) frames with masks; a clip needs at least 2")
    }
    try checkSizes(items)
    let first = try firstObjects(items, masks: masks)
    var outputs: StoredOutputs?
    if !recipe.outputs.isEmpty {
      let folder = recipe.outputs.hasPrefix("/") ? recipe.outputs : "\(root)/\(recipe.outputs)"
      let stored = try StoredOutputs(path: "\(folder)/\(name).safetensors")
      try stored.check(frameCount: items.count, clip: frames)
      try stored.check(view: first.size, of: frames)
      for object in first.objects where !stored.objects.contains(object) {
        throw TrainingError(
          stored.path,
          "holds objects \(stored.objects.map(\.description).joined(separator: ", ")), but "
            + "\(first.mask) has object \(object) too")
      }
      outputs = stored
    }
    return TrainingClip(name: frames, items: items, labels: recipe.labels, outputs: outputs)
  }

  /// The first mask that holds an object: its file, size and objects.
  private func firstObjects(
    _ items: [TrainingClip.Item], masks: String
  ) throws(TrainingError) -> (mask: String, size: FrameSize, objects: [ObjectID]) {
    for item in items {
      guard case .file(let path, let coding) = item.mask else { continue }
      let mask = try coding.read(path)
      if !mask.objects.isEmpty { return (path, mask.size, mask.objects) }
    }
    throw TrainingError(masks, "no mask holds an object; every pixel is 0 or 255")
  }

  private func videoFrames(_ path: String) throws(TrainingError) -> [PictureReference] {
    do {
      let source = try Media.openFrames(path, threads: 1)
      var count = 0
      while try source.next() != nil { count += 1 }
      return (0..<count).map { .video(path, frame: $0) }
    } catch { throw TrainingError("\(error)") }
  }

  // MARK: - Files

  func requireFolder(_ path: String) throws(TrainingError) {
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
      throw TrainingError(path, "no such folder; check the recipe's path")
    }
    guard isFolder.boolValue else { throw TrainingError(path, "expected a folder, found a file") }
  }

  /// Names in a folder in natural order, hidden ones left out.
  func entries(_ path: String) throws(TrainingError) -> [String] {
    do {
      return try FileManager.default.contentsOfDirectory(atPath: path)
        .filter { !$0.hasPrefix(".") }
        .sorted { $0.compare($1, options: .numeric) == .orderedAscending }
    } catch {
      throw TrainingError(path, "the folder cannot be read: \(error.localizedDescription)")
    }
  }

  /// Image files of a folder; two of the same stem are an error.
  func pictures(_ path: String) throws(TrainingError) -> [String] {
    let names = try entries(path).filter { Self.pictureExtensions.contains(fileExtension($0)) }
    guard !names.isEmpty else { throw TrainingError(path, "no images (jpg, png …) in this folder") }
    var stems = Set<String>()
    for name in names where !stems.insert(stem(name)).inserted {
      throw TrainingError(
        "\(path)/\(name)", "another image has the same name but for its extension")
    }
    return names
  }

  func stem(_ name: String) -> String { (name as NSString).deletingPathExtension }
  func fileExtension(_ name: String) -> String { (name as NSString).pathExtension.lowercased() }

  func isFolder(in folder: String) -> (String) -> Bool {
    { name in
      var isFolder: ObjCBool = false
      return FileManager.default.fileExists(atPath: "\(folder)/\(name)", isDirectory: &isFolder)
        && isFolder.boolValue
    }
  }

  /// Names of a list file, one a line; DAVIS' lists of "frame mask" pairs are refused.
  private func list(_ path: String) throws(TrainingError) -> [String] {
    let (full, lines) = try lines(of: path)
    if let bad = lines.first(where: { $0.contains("/") || $0.contains(" ") || $0 == ".." }) {
      throw TrainingError(full, "expected one clip name a line, found '\(bad)'")
    }
    guard !lines.isEmpty else { throw TrainingError(full, "the list of clips is empty") }
    return lines
  }

  /// Names of pictures without extension: the first word of each line, '#' begins a comment.
  func listedPictures(_ path: String) throws(TrainingError) -> [String] {
    let (full, lines) = try lines(of: path)
    var known = Set<String>()
    var names: [String] = []
    for line in lines where !line.hasPrefix("#") {
      let word = String(line.prefix { !$0.isWhitespace })
      let name = Self.pictureExtensions.contains(fileExtension(word)) ? stem(word) : word
      guard !name.contains("/"), name != ".." else {
        throw TrainingError(full, "expected one picture's name a line, found '\(line)'")
      }
      guard known.insert(name).inserted else {
        throw TrainingError(full, "names '\(name)' twice")
      }
      names.append(name)
    }
    guard !names.isEmpty else { throw TrainingError(full, "the list of pictures is empty") }
    return names
  }

  /// Lines of a list in the set's folder or else in the recipe's, without empty ones.
  private func lines(of list: String) throws(TrainingError) -> (path: String, lines: [String]) {
    let paths = list.hasPrefix("/") ? [list] : ["\(root)/\(list)", "\(recipeFolder)/\(list)"]
    for path in paths where FileManager.default.fileExists(atPath: path) {
      guard let text = try? String(contentsOfFile: path, encoding: .utf8) else { continue }
      return (
        path,
        text.split(whereSeparator: \.isNewline).map { $0.trimmingCharacters(in: .whitespaces) }
          .filter { !$0.isEmpty }
      )
    }
    throw TrainingError(paths[0], "the list cannot be read; check the recipe's 'list'")
  }
}
