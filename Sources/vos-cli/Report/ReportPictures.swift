// The worst frames of a result set as pictures for the report.

import Foundation
import MemoryVOS

/// Chooses and draws the frames in which the first result set is worst.
struct ReportPictures {
  let scores: [ResultScore]
  let folders: [String]
  let truth: TruthSet
  let images: String?
  /// How many frames are shown, how many of one object, and how far apart those are.
  var limit = 12
  var perObject = 2
  var distance = 8

  /// The worst frames with their pictures, the worst first.
  func worst() throws -> [PageData.Worst] {
    let sequences = Dictionary(
      truth.sequences.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
    return try chosen().compactMap { object, index in
      guard let sequence = sequences[object.sequence] else { return nil }
      return try picture(of: object, index, sequence)
    }
  }

  /// Objects and positions in their frames.
  private func chosen() -> [(ObjectScore, Int)] {
    guard let score = scores.first else { return [] }
    var all: [(object: Int, frame: Int, mean: Double)] = []
    for (number, object) in score.objects.enumerated() {
      for (index, frame) in object.frames.enumerated() where frame.mean < 0.995 {
        all.append((number, index, frame.mean))
      }
    }
    all.sort { ($0.mean, $0.object, $0.frame) < ($1.mean, $1.object, $1.frame) }
    var taken: [Int: [Int]] = [:]
    var result: [(ObjectScore, Int)] = []
    for item in all where result.count < limit {
      let before = taken[item.object] ?? []
      guard before.count < perObject, before.allSatisfy({ abs($0 - item.frame) >= distance })
      else { continue }
      taken[item.object, default: []].append(item.frame)
      result.append((score.objects[item.object], item.frame))
    }
    return result
  }

  private func picture(
    of object: ObjectScore, _ index: Int, _ sequence: TruthSet.Sequence
  ) throws -> PageData.Worst {
    let frame = object.frames[index].frame
    let truthMap = try MaskFile.read(sequence.mask(frame), role: .truth)
    let isMerged = scores[0].scoringProtocol == .davis2016
    var sides: [PageData.Worst.Side] = []
    for (score, folder) in zip(scores, folders) {
      let path = sequence.result(frame, in: folder)
      let map = try MaskFile.read(path, role: .result)
      let own = score.objects.first {
        $0.sequence == object.sequence && $0.object == object.object
      }
      let values = own.flatMap { $0.frames.indices.contains(index) ? $0.frames[index] : nil }
      sides.append(
        .init(
          name: score.name, j: values?.region ?? 0, f: values?.boundary ?? 0,
          result: try Self.url(overlay: map) { Self.paint($0, merged: isMerged) },
          errors: try Self.errors(
            result: map, truth: truthMap, label: isMerged ? nil : object.object)))
    }
    return PageData.Worst(
      object: object.name, frame: frame,
      ratio: Double(truthMap.size.width) / Double(truthMap.size.height),
      image: imageURL(sequence, frame),
      truth: try Self.url(overlay: truthMap) { Self.paint($0, merged: isMerged) }, sides: sides)
  }

  // MARK: - Drawing

  private typealias Pixel = (UInt8, UInt8, UInt8, UInt8)

  /// The palette's colours, brightened so that they show on a dark picture.
  private static func paint(_ label: UInt8, merged: Bool) -> Pixel {
    if label == 0 { return (0, 0, 0, 0) }
    if label == 255 { return (255, 255, 255, 90) }
    let color = Palette.color(of: merged ? 1 : label)
    func bright(_ value: UInt8) -> UInt8 { value == 0 ? 30 : UInt8(min(255, Int(value) + 95)) }
    return (bright(color.red), bright(color.green), bright(color.blue), 150)
  }

  /// Right pixels pale green, missed ones blue, wrong ones red.
  private static func errors(result: LabelMap, truth: LabelMap, label: UInt8?) throws -> String {
    func isObject(_ value: UInt8) -> Bool { label.map { $0 == value } ?? (value != 0) }
    var classes = [UInt8](repeating: 0, count: truth.labels.count)
    for index in classes.indices where truth.labels[index] != 255 {
      let (r, t) = (isObject(result.labels[index]), isObject(truth.labels[index]))
      classes[index] = r ? (t ? 1 : 3) : (t ? 2 : 0)
    }
    return try url(overlay: LabelMap(size: truth.size, labels: classes)) { kind in
      switch kind {
      case 1: (160, 230, 160, 90)
      case 2: (40, 110, 255, 200)
      case 3: (255, 40, 40, 200)
      default: (0, 0, 0, 0)
      }
    }
  }

  private static func url(overlay map: LabelMap, color: (UInt8) -> Pixel) throws -> String {
    let table = (UInt8.min...UInt8.max).map(color)
    var samples: [UInt8] = []
    samples.reserveCapacity(map.labels.count * 4)
    for label in map.labels {
      let pixel = table[Int(label)]
      samples.append(pixel.0)
      samples.append(pixel.1)
      samples.append(pixel.2)
      samples.append(pixel.3)
    }
    let image = PNGImage(size: map.size, kind: .rgba, samples: .bytes(samples))
    return "data:image/png;base64," + Data(try image.encoded(compression: 9)).base64EncodedString()
  }

  // MARK: - Images

  /// The frame's image as it is on disk, when there is one of at most 8 MB.
  private func imageURL(_ sequence: TruthSet.Sequence, _ frame: String) -> String? {
    var folders = images.map { ["\($0)/\(sequence.name)", $0] } ?? []
    if let own = sequence.images { folders.append(own) }
    for folder in folders {
      for (suffix, type) in [
        ("jpg", "jpeg"), ("png", "png"), ("jpeg", "jpeg"), ("JPG", "jpeg"), ("webp", "webp"),
      ] {
        guard let data = FileManager.default.contents(atPath: "\(folder)/\(frame).\(suffix)"),
          data.count <= 8 << 20
        else { continue }
        return "data:image/\(type);base64,\(data.base64EncodedString())"
      }
    }
    return nil
  }
}
