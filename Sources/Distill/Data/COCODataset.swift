// COCO's instances JSON over a folder of images, each image a still. Called by Dataset.open.

import Foundation
import MemoryVOS

extension DatasetFiles {
  func cocoStills(_ recipe: DatasetRecipe) throws(TrainingError) -> [TrainingClip] {
    let path =
      recipe.annotations.hasPrefix("/") ? recipe.annotations : "\(root)/\(recipe.annotations)"
    guard let data = FileManager.default.contents(atPath: path) else {
      throw TrainingError(path, "cannot be read; check the recipe's 'annotations'")
    }
    let file: COCOFile
    do {
      file = try JSONDecoder().decode(COCOFile.self, from: data)
    } catch {
      throw TrainingError(path, "not a COCO instances file: \(RecipeJSON.explain(error))")
    }
    var outlines: [Int: [InstanceMasks.Outline]] = [:]
    for annotation in file.annotations where annotation.isCrowd != 1 {
      let place = "\(path): annotation \(annotation.id ?? -1)"
      if let outline = try annotation.segmentation.outline(place) {
        outlines[annotation.imageID, default: []].append(outline)
      }
    }
    var clips: [TrainingClip] = []
    for image in try listed(file.images, recipe.list, path) {
      guard let outlines = outlines.removeValue(forKey: image.id) else { continue }
      guard (1...32768).contains(image.width), (1...32768).contains(image.height) else {
        throw TrainingError(path, "image \(image.id) of \(image.width)×\(image.height) pixels")
      }
      let picture = "\(root)/\(image.fileName)"
      guard FileManager.default.fileExists(atPath: picture) else {
        throw TrainingError(
          picture, "no such image, but \(path) has annotations for it; is 'path' the image folder?")
      }
      let size = FrameSize(width: image.width, height: image.height)
      try checkSize(of: picture, mask: size, name: "\(picture) in \(path)")
      let masks = InstanceMasks(size: size, outlines: outlines)
      clips.append(
        TrainingClip(
          name: picture, items: [.init(picture: .file(picture), mask: .instances(masks))],
          labels: recipe.labels, outputs: nil))
    }
    if recipe.list.isEmpty, let image = outlines.keys.min() {
      throw TrainingError(path, "annotations for image \(image), which 'images' does not list")
    }
    guard !clips.isEmpty else { throw TrainingError(path, "no image has annotations") }
    return clips
  }

  /// All images, or those that a list names, in its order.
  private func listed(
    _ images: [COCOFile.Image], _ list: String, _ path: String
  ) throws(TrainingError) -> [COCOFile.Image] {
    if list.isEmpty { return images }
    let known = Dictionary(images.map { (stem($0.fileName), $0) }) { first, _ in first }
    var found: [COCOFile.Image] = []
    for name in try listedPictures(list) {
      guard let image = known[name] else {
        throw TrainingError(path, "no image '\(name)', but \(list) lists it")
      }
      found.append(image)
    }
    return found
  }
}

/// The parts of the JSON that are read.
private struct COCOFile: Decodable {
  struct Image: Decodable {
    let id: Int
    let fileName: String
    let width: Int
    let height: Int

    enum CodingKeys: String, CodingKey {
      case id, width, height
      case fileName = "file_name"
    }
  }

  struct Annotation: Decodable {
    let id: Int?
    let imageID: Int
    let isCrowd: Int?
    let segmentation: Segmentation

    enum CodingKeys: String, CodingKey {
      case id, segmentation
      case imageID = "image_id"
      case isCrowd = "iscrowd"
    }
  }

  enum Segmentation: Decodable {
    case polygons([[Double]])
    case runs([Int])
    case compressed(String)

    private struct RunLengths: Decodable {
      let counts: Counts
    }

    private enum Counts: Decodable {
      case plain([Int])
      case text(String)

      init(from decoder: any Decoder) throws {
        let value = try decoder.singleValueContainer()
        if let text = try? value.decode(String.self) {
          self = .text(text)
        } else {
          self = .plain(try value.decode([Int].self))
        }
      }
    }

    init(from decoder: any Decoder) throws {
      let value = try decoder.singleValueContainer()
      if let polygons = try? value.decode([[Double]].self) {
        self = .polygons(polygons)
        return
      }
      switch try value.decode(RunLengths.self).counts {
      case .plain(let runs): self = .runs(runs)
      case .text(let text): self = .compressed(text)
      }
    }

    /// The outline, `nil` for one that encloses nothing.
    func outline(_ place: String) throws(TrainingError) -> InstanceMasks.Outline? {
      switch self {
      case .polygons(let rings):
        for ring in rings where ring.count % 2 != 0 || !ring.allSatisfy({ abs($0) < 1e6 }) {
          throw TrainingError(place, "a polygon of \(ring.count) numbers that are no x, y pairs")
        }
        return rings.contains { $0.count >= 6 } ? .polygons(rings) : nil
      case .runs(let runs): return runs.count > 1 ? .runs(runs) : nil
      case .compressed(let text):
        guard let runs = InstanceMasks.runs(compressed: text) else {
          throw TrainingError(place, "'counts' is not COCO's compressed run lengths")
        }
        return runs.count > 1 ? .runs(runs) : nil
      }
    }
  }

  let images: [Image]
  let annotations: [Annotation]
}
