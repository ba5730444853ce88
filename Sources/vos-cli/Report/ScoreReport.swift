// The report of `score` and `evaluate`: one HTML page that needs nothing but itself. This file
// gathers the data, ReportPage.swift holds the page, ReportPictures.swift draws the worst frames.

import Foundation
import MemoryVOS

/// One or several scored result sets as a page.
struct ScoreReport {
  let scores: [ResultScore]
  /// The folder of each result set.
  let folders: [String]
  let truth: TruthSet
  let comparison: ScoreComparison?
  /// Where images are; beside the truth when `nil`.
  let images: String?
  /// Lines about the run, for `evaluate`.
  var facts: [String] = []

  /// Writes the page, complete or not at all.
  func write(to path: String) throws {
    let page = try html(
      title: path.split(separator: "/").last.map { String($0.dropLast(5)) } ?? "scores")
    do {
      try Data(page.utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
    } catch {
      throw MediaError(path: path, problem: "the report cannot be written: \(error)")
    }
  }

  /// The page's text.
  func html(title: String) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    let pictures = ReportPictures(
      scores: scores, folders: folders, truth: truth, images: images)
    let data = PageData(
      facts: facts, results: scores.map(PageData.Result.init),
      comparison: comparison.map(PageData.Comparison.init), worst: try pictures.worst())
    // "</script>" inside a name must not end the script.
    let json = String(decoding: try encoder.encode(data), as: UTF8.self)
      .replacingOccurrences(of: "<", with: "\\u003c")
    return ReportPage.html(title: title, json: json)
  }
}

/// What the page's script reads.
///
/// Names are short: they are repeated for every object.
struct PageData: Encodable {
  struct Result: Encodable {
    let name: String
    let scoringProtocol: String
    let frames: Int
    let overall: Double
    /// J&F, J mean, recall, decay, F mean, recall, decay, flicker.
    let global: [Double]
    let seen: [Double]?
    let unseen: [Double]?
    let notes: [String]
    let objects: [Object]

    init(_ score: ResultScore) {
      name = score.name
      scoringProtocol = score.scoringProtocol.rawValue
      frames = score.frameCount
      overall = score.overall
      func row(_ group: GroupScore) -> [Double] {
        Self.row(group.mean, group.region, group.boundary, group.flicker)
      }
      global = row(score.global)
      seen = score.seen.map(row)
      unseen = score.unseen.map(row)
      notes = score.notes
      objects = score.objects.map { object in
        Object(
          name: object.name,
          row: Self.row(object.mean, object.region, object.boundary, object.flicker),
          frames: object.frames.map(\.frame), j: object.frames.map { short($0.region) },
          f: object.frames.map { short($0.boundary) })
      }
    }

    static func row(
      _ mean: Double, _ region: MeasureStatistics, _ boundary: MeasureStatistics, _ flicker: Double
    ) -> [Double] {
      [
        mean, region.mean, region.recall, region.decay, boundary.mean, boundary.recall,
        boundary.decay, flicker,
      ]
    }
  }

  struct Object: Encodable {
    let name: String
    let row: [Double]
    let frames: [String]
    let j: [Double]
    let f: [Double]
  }

  struct Comparison: Encodable {
    let title: String
    let summary: String
    /// Name and differences of J&F, J, F.
    let names: [String]
    let differences: [[Double]]

    init(_ comparison: ScoreComparison) {
      title = "\(comparison.name) against \(comparison.other)"
      summary = ScoreText.summary(of: comparison)
      names = comparison.objects.map { "\($0.sequence)_\($0.object)" }
      differences = comparison.objects.map { [$0.mean, $0.region, $0.boundary] }
    }
  }

  /// One picture row: data URLs.
  struct Worst: Encodable {
    struct Side: Encodable {
      let name: String
      let j: Double
      let f: Double
      let result: String
      let errors: String
    }
    let object: String
    let frame: String
    let ratio: Double
    let image: String?
    let truth: String
    let sides: [Side]
  }

  let facts: [String]
  let results: [Result]
  let comparison: Comparison?
  let worst: [Worst]
}

/// Four digits are enough to draw.
private func short(_ value: Double) -> Double { (value * 10_000).rounded() / 10_000 }
