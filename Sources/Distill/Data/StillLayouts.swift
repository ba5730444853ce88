// The layouts of stills with masks in files: our own, Oxford-IIIT pets, Clothing Co-Parsing. Called by
// Dataset.open.

import Foundation
import MemoryVOS

extension DatasetFiles {
  /// Folders `images` and `masks` beside each other, here or below.
  func stills(_ recipe: DatasetRecipe) throws(TrainingError) -> [TrainingClip] {
    var clips: [TrainingClip] = []
    for folder in try stillFolders(root, depth: 0) {
      let (images, masks) = (folder + "/images", folder + "/masks")
      let pictures = try pictures(images)
      var left = Set(try entries(masks).filter { $0.hasSuffix(".png") })
      for picture in pictures {
        let mask = stem(picture) + ".png"
        guard left.remove(mask) != nil else {
          throw TrainingError("\(images)/\(picture)", "no mask; expected \(masks)/\(mask)")
        }
        let clip = try still(
          "\(images)/\(picture)", mask: "\(masks)/\(mask)", as: .labels, recipe: recipe)
        if let clip { clips.append(clip) }
      }
      if let mask = left.min() {
        throw TrainingError(
          "\(masks)/\(mask)", "no image of this name in \(images) (\(left.count) such masks)")
      }
    }
    return clips
  }

  /// Oxford-IIIT pets as unpacked: `images/*.jpg`, `annotations/trimaps/*.png`.
  func oxfordPets(_ recipe: DatasetRecipe) throws(TrainingError) -> [TrainingClip] {
    try archive(recipe, images: "images", masks: "annotations/trimaps", as: .trimap)
  }

  /// Clothing Co-Parsing as cloned: `photos/*.jpg`, `annotations/pixel-level/*.mat`.
  func clothingCoParsing(_ recipe: DatasetRecipe) throws(TrainingError) -> [TrainingClip] {
    try archive(recipe, images: "photos", masks: "annotations/pixel-level", as: .matlab)
  }

  /// The masks of a folder, or those that the recipe lists, with their images; other images are left.
  private func archive(
    _ recipe: DatasetRecipe, images: String, masks: String, as coding: MaskCoding
  ) throws(TrainingError) -> [TrainingClip] {
    let (images, masks) = ("\(root)/\(images)", "\(root)/\(masks)")
    try requireFolder(images)
    try requireFolder(masks)
    let files = Dictionary(try pictures(images).map { (stem($0), $0) }) { first, _ in first }
    let names =
      recipe.list.isEmpty
      ? try entries(masks).filter { $0.hasSuffix(coding.fileExtension) }.map(stem)
      : try listedPictures(recipe.list)
    var clips: [TrainingClip] = []
    for name in names {
      let mask = "\(masks)/\(name)\(coding.fileExtension)"
      guard FileManager.default.fileExists(atPath: mask) else {
        throw TrainingError(mask, "no such mask, but \(recipe.list) lists it")
      }
      guard let picture = files[name] else {
        throw TrainingError(mask, "no image of this name in \(images)")
      }
      let clip = try still("\(images)/\(picture)", mask: mask, as: coding, recipe: recipe)
      if let clip { clips.append(clip) }
    }
    return clips
  }

  /// One still, `nil` for one without an object that the recipe skips.
  private func still(
    _ picture: String, mask: String, as coding: MaskCoding, recipe: DatasetRecipe
  ) throws(TrainingError) -> TrainingClip? {
    let map = try coding.read(mask)
    guard map.labels.contains(where: { $0 != 0 && $0 != 255 }) else {
      if recipe.skipsEmpty { return nil }
      throw TrainingError(
        mask,
        "the mask holds no object, every pixel is background or void; remove it and its image, or "
          + "set 'skips_empty' in the recipe")
    }
    try checkSize(of: picture, mask: map.size, name: mask)
    return TrainingClip(
      name: picture, items: [.init(picture: .file(picture), mask: .file(mask, as: coding))],
      labels: recipe.labels, outputs: nil)
  }

  /// Folders that hold `images` and `masks`.
  private func stillFolders(_ path: String, depth: Int) throws(TrainingError) -> [String] {
    guard depth < 16 else { throw TrainingError(path, "folders nested deeper than 16") }
    let folders = try entries(path).filter(isFolder(in: path))
    if folders.contains("images") || folders.contains("masks") {
      for name in ["images", "masks"] where !folders.contains(name) {
        throw TrainingError(
          path, "'images' and 'masks' belong beside each other; no '\(name)' here")
      }
      return [path]
    }
    var found: [String] = []
    for folder in folders { found += try stillFolders("\(path)/\(folder)", depth: depth + 1) }
    if depth == 0, found.isEmpty {
      throw TrainingError(path, "no folders 'images' and 'masks' beside each other, here or below")
    }
    return found
  }
}
