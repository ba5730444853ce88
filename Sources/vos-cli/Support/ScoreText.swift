// Scores for terminals and programs: tables and JSON. ScoreCommand and EvaluateCommand print these.

import Foundation
import MemoryVOS

/// Scores as text.
enum ScoreText {
  /// A table of objects and the overall line for each result set, then the comparison.
  static func table(of scores: [ResultScore], comparison: ScoreComparison?) -> String {
    var text = ""
    for score in scores {
      let width = max(8, score.objects.map(\.name.count).max() ?? 0)
      let header = ["J&F", "J", "J-Rec", "J-Dec", "F", "F-Rec", "F-Dec", "Flicker"]
      text += "\(score.name) (\(score.scoringProtocol.rawValue), \(score.frameCount) frames)\n"
      text += pad("", width) + header.map { pad($0, 8, left: true) }.joined() + "\n"
      for object in score.objects {
        text += pad(object.name, width)
        text += cells(object.mean, object.region, object.boundary, object.flicker)
      }
      for (name, group) in [("seen", score.seen), ("unseen", score.unseen)] {
        guard let group else { continue }
        text += pad(name, width) + cells(group.mean, group.region, group.boundary, group.flicker)
      }
      let global = score.global
      text += pad("mean", width)
      text += cells(global.mean, global.region, global.boundary, global.flicker)
      if score.seen != nil && score.unseen != nil {
        text += pad("G", width) + pad(percent(score.overall), 8, left: true) + "\n"
      }
      for note in score.notes { text += "note: \(note)\n" }
      text += "\n"
    }
    if let comparison { text += self.text(of: comparison) } else { text.removeLast() }
    return text
  }

  static func text(of comparison: ScoreComparison) -> String {
    let width = max(8, comparison.objects.map { "\($0.sequence)_\($0.object)".count }.max() ?? 0)
    var text = "\(comparison.name) against \(comparison.other): differences in points\n"
    text += pad("", width) + ["J&F", "J", "F"].map { pad($0, 8, left: true) }.joined() + "\n"
    for object in comparison.objects {
      text += pad("\(object.sequence)_\(object.object)", width)
      text +=
        [object.mean, object.region, object.boundary]
        .map { pad(signed($0), 8, left: true) }.joined() + "\n"
    }
    text += pad("mean", width)
    text +=
      [comparison.mean, comparison.region, comparison.boundary]
      .map { pad(signed($0), 8, left: true) }.joined() + "\n"
    text += "\(summary(of: comparison))\n"
    return text
  }

  /// One sentence with wins, losses and the interval.
  static func summary(of comparison: ScoreComparison) -> String {
    "\(comparison.wins) wins, \(comparison.losses) losses, \(comparison.ties) ties; J&F "
      + "\(signed(comparison.mean)) points, 95 % interval \(signed(comparison.low)) … "
      + "\(signed(comparison.high)) (bootstrap over \(comparison.sequences) "
      + "sequence\(comparison.sequences == 1 ? "" : "s"), \(comparison.samples) samples, "
      + "seed \(comparison.seed))"
  }

  /// A fraction in points: 81.2.
  static func percent(_ value: Double) -> String {
    value.isNaN ? "–" : String(format: "%.1f", value * 100)
  }

  static func signed(_ value: Double) -> String {
    value.isNaN ? "–" : String(format: "%+.1f", value * 100)
  }

  private static func cells(
    _ mean: Double, _ region: MeasureStatistics, _ boundary: MeasureStatistics, _ flicker: Double
  ) -> String {
    let values = [
      mean, region.mean, region.recall, region.decay, boundary.mean, boundary.recall,
      boundary.decay, flicker,
    ]
    return values.map { pad(percent($0), 8, left: true) }.joined() + "\n"
  }

  private static func pad(_ text: String, _ width: Int, left: Bool = false) -> String {
    let space = String(repeating: " ", count: max(0, width - text.count))
    return left ? space + text : text + space
  }
}

/// What `--json` prints.
struct ScoreJSON: Encodable {
  /// How fast `evaluate` tracked.
  struct Speed: Encodable {
    let frames: Int
    let stepSeconds: Double
    let framesPerSecond: Double
    let sequencesAtATime: Int
    let threadsEach: Int
    /// Seconds of adapting to all sequences; they are in no other number.
    let adaptationSeconds: Double?
  }

  let scores: [ResultScore]
  let comparison: ScoreComparison?
  var speed: Speed?

  private enum Key: String, CodingKey {
    case results, comparison, speed
    case name, scoringProtocol = "protocol", frames, overall, global, seen, unseen, objects, notes
    case sequence, object, mean = "J&F-Mean", jMean = "J-Mean", jRecall = "J-Recall"
    case jDecay = "J-Decay", fMean = "F-Mean", fRecall = "F-Recall", fDecay = "F-Decay"
    case flicker = "Flicker", frame, j = "J", f = "F", isSeen = "seen-category", objectCount =
      "count"
    case other, wins, losses, ties, low = "ci-low", high = "ci-high", samples, seed, sequences
  }

  /// The JSON text, keys sorted.
  func text() throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    return String(decoding: try encoder.encode(self), as: UTF8.self)
  }

  func encode(to encoder: any Encoder) throws {
    var top = encoder.container(keyedBy: Key.self)
    var results = top.nestedUnkeyedContainer(forKey: .results)
    for score in scores {
      var item = results.nestedContainer(keyedBy: Key.self)
      try item.encode(score.name, forKey: .name)
      try item.encode(score.scoringProtocol, forKey: .scoringProtocol)
      try item.encode(score.frameCount, forKey: .frames)
      try item.encode(score.overall, forKey: .overall)
      try item.encode(score.notes, forKey: .notes)
      for (key, group) in [
        (Key.global, score.global), (.seen, score.seen), (.unseen, score.unseen),
      ] {
        guard let group else { continue }
        var container = item.nestedContainer(keyedBy: Key.self, forKey: key)
        try container.encode(group.objects, forKey: .objectCount)
        try encode(group.mean, group.region, group.boundary, group.flicker, into: &container)
      }
      var objects = item.nestedUnkeyedContainer(forKey: .objects)
      for object in score.objects {
        var container = objects.nestedContainer(keyedBy: Key.self)
        try container.encode(object.sequence, forKey: .sequence)
        try container.encode(object.object, forKey: .object)
        try container.encodeIfPresent(object.isSeen, forKey: .isSeen)
        try encode(object.mean, object.region, object.boundary, object.flicker, into: &container)
        var frames = container.nestedUnkeyedContainer(forKey: .frames)
        for frame in object.frames {
          var line = frames.nestedContainer(keyedBy: Key.self)
          try line.encode(frame.frame, forKey: .frame)
          try line.encode(frame.region, forKey: .j)
          try line.encode(frame.boundary, forKey: .f)
          try line.encodeIfPresent(frame.flicker, forKey: .flicker)
        }
      }
    }
    try top.encodeIfPresent(speed, forKey: .speed)
    guard let comparison else { return }
    var item = top.nestedContainer(keyedBy: Key.self, forKey: .comparison)
    try item.encode(comparison.name, forKey: .name)
    try item.encode(comparison.other, forKey: .other)
    try item.encode(comparison.mean, forKey: .mean)
    try item.encode(comparison.region, forKey: .jMean)
    try item.encode(comparison.boundary, forKey: .fMean)
    try item.encode(comparison.wins, forKey: .wins)
    try item.encode(comparison.losses, forKey: .losses)
    try item.encode(comparison.ties, forKey: .ties)
    try item.encode(comparison.low, forKey: .low)
    try item.encode(comparison.high, forKey: .high)
    try item.encode(comparison.sequences, forKey: .sequences)
    try item.encode(comparison.samples, forKey: .samples)
    try item.encode(comparison.seed, forKey: .seed)
    var objects = item.nestedUnkeyedContainer(forKey: .objects)
    for object in comparison.objects {
      var container = objects.nestedContainer(keyedBy: Key.self)
      try container.encode(object.sequence, forKey: .sequence)
      try container.encode(object.object, forKey: .object)
      try container.encode(object.mean, forKey: .mean)
      try container.encode(object.region, forKey: .jMean)
      try container.encode(object.boundary, forKey: .fMean)
      try container.encode(object.flicker, forKey: .flicker)
    }
  }

  private func encode(
    _ mean: Double, _ region: MeasureStatistics, _ boundary: MeasureStatistics, _ flicker: Double,
    into container: inout KeyedEncodingContainer<Key>
  ) throws {
    try container.encode(mean, forKey: .mean)
    try container.encode(region.mean, forKey: .jMean)
    try container.encode(region.recall, forKey: .jRecall)
    try container.encode(region.decay, forKey: .jDecay)
    try container.encode(boundary.mean, forKey: .fMean)
    try container.encode(boundary.recall, forKey: .fRecall)
    try container.encode(boundary.decay, forKey: .fDecay)
    try container.encode(flicker, forKey: .flicker)
  }
}
