// A clip's masks as one JSON file with COCO run lengths. vos-cli's --coco writes through this.

import Foundation

/// Masks in the layout of YouTube-VIS: one annotation per object, one entry per frame in it.
///
///     {"videos": [{"id": 1, "file_names": […], "width": …, "height": …, "length": …}],
///      "categories": [{"id": 1, "name": "object"}],
///      "annotations": [{"id": 7, "video_id": 1, "category_id": 1, "object_id": 7, "iscrowd": 0, …,
///        "segmentations": [{"size": [height, width], "counts": "…"}, null, …],
///        "bboxes": [[x, y, width, height], null, …], "areas": [n, null, …],
///        "scores": [confidence, null, …]}]}
///
/// `null` where an object is not in the frame. `counts` are pycocotools' compressed strings. The
/// file appears when `finish()` is called; until then some hundred bytes per mask are in memory.
public final class COCOWriter {
  private struct Document: Encodable {
    let videos: [Video]
    let categories = [Category()]
    let annotations: [Annotation]
  }
  private struct Video: Encodable {
    let id = 1
    let name: String
    let file_names: [String]
    let width: Int
    let height: Int
    let length: Int
  }
  private struct Category: Encodable {
    let id = 1
    let name = "object"
  }
  private struct Segmentation: Encodable {
    let size: [Int]
    let counts: String
  }
  private struct Annotation: Encodable {
    let id: Int
    let video_id = 1
    let category_id = 1
    let object_id: Int
    let iscrowd = 0
    let width: Int
    let height: Int
    var length = 0
    var segmentations: [Segmentation?] = []
    var bboxes: [[Int]?] = []
    var areas: [Int?] = []
    var scores: [Float?] = []

    /// Adds frames without the object until there are `count`.
    mutating func pad(to count: Int) {
      while length < count { append(nil, nil, nil) }
    }

    mutating func append(_ mask: RunLengthMask?, _ shape: ObjectShape?, _ score: Float?) {
      length += 1
      segmentations.append(
        mask.map { Segmentation(size: [$0.size.height, $0.size.width], counts: $0.string) })
      bboxes.append(shape.map { [$0.left, $0.top, $0.width, $0.height] })
      areas.append(shape?.area)
      scores.append(mask == nil ? nil : score)
    }
  }

  private let path: String
  private let name: String
  private let size: FrameSize
  private var stems: [String] = []
  private var annotations: [ObjectID: Annotation] = [:]

  /// Begins the masks of a clip.
  ///
  /// - Parameters:
  ///   - path: The JSON file.
  ///   - name: What the clip is called.
  ///   - size: Size of every frame.
  public init(_ path: String, name: String, size: FrameSize) {
    self.path = path
    self.name = name
    self.size = size
  }

  /// Appends the masks of the next frame; traps when they have another size.
  ///
  /// - Parameters:
  ///   - stem: The frame's name.
  ///   - labels: The frame's objects.
  ///   - confidences: Confidence 0…1 of objects; those without one get `null`.
  public func append(stem: String, labels: LabelMap, confidences: [ObjectID: Float] = [:]) {
    precondition(labels.size == size, "labels of \(labels.size) in a clip of \(size)")
    let shapes = ObjectShape.shapes(in: labels)
    for (object, mask) in RunLengthMask.masks(of: labels) {
      let number = Int(object.rawValue)
      var annotation =
        annotations.removeValue(forKey: object)
        ?? Annotation(id: number, object_id: number, width: size.width, height: size.height)
      annotation.pad(to: stems.count)
      annotation.append(mask, shapes[object], confidences[object])
      annotations[object] = annotation
    }
    stems.append(stem)
  }

  /// Writes the file.
  ///
  /// - Throws: `MediaError` when it cannot be written.
  public func finish() throws(MediaError) {
    var list: [Annotation] = []
    for object in annotations.keys.sorted() {
      guard var annotation = annotations[object] else { continue }
      annotation.pad(to: stems.count)
      list.append(annotation)
    }
    let video = Video(
      name: name, file_names: stems, width: size.width, height: size.height, length: stems.count)
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    guard let data = try? encoder.encode(Document(videos: [video], annotations: list)) else {
      preconditionFailure("a document of numbers and strings")
    }
    try AtomicFile.write([UInt8](data), to: path)
  }
}
