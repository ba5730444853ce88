import Foundation
import Testing

@testable import MemoryVOS

/// The reference scores, where the reference data is there.
@Suite struct ReferenceScoreTests {
  /// `../shared` beside the repository, or `$VOS_SHARED`.
  static let shared: String = {
    if let path = ProcessInfo.processInfo.environment["VOS_SHARED"] { return path }
    var url = URL(fileURLWithPath: #filePath)
    for _ in 0..<3 { url.deleteLastPathComponent() }
    return url.appending(path: "../shared").standardized.path
  }()
  static let exists = FileManager.default.fileExists(atPath: shared + "/reference/scoring")

  struct Case: Sendable, CustomStringConvertible {
    let description: String
    let truth: String
    let results: String
    let expected: String
  }
  static let cases = [
    Case(
      description: "davis2016-dev", truth: "data/DAVIS/Annotations/480p",
      results: "davis2016-dev/stm", expected: "davis2016-dev/expected"),
    Case(
      description: "multi-object", truth: "reference/scoring/multi-object/annotations",
      results: "multi-object/perturbed", expected: "multi-object/expected"),
  ]

  @Test(.enabled(if: exists, "reference data is not there"), arguments: cases)
  func everyNumberIsTheOfficialTools(reference: Case) throws {
    let scoring = Self.shared + "/reference/scoring/"
    let score = try Scorer.score(
      results: scoring + reference.results,
      truth: try TruthSet(folder: "\(Self.shared)/\(reference.truth)"), options: .init(.davis2017))
    let tables = ScoreTables(score, set: "val")
    for table in tables.files.prefix(2) {
      let expected = try String(
        contentsOfFile: scoring + reference.expected + "/" + table.name, encoding: .utf8)
      #expect(table.content == expected)
    }
    for (table, name) in [(tables.files[2], "per-object"), (tables.files[3], "per-frame")] {
      let expected = try String(
        contentsOfFile: scoring + reference.expected + "/\(name).csv", encoding: .utf8)
      let lines = expected.split(whereSeparator: \.isNewline).dropFirst()
      let own = table.content.split(separator: "\n").dropFirst()
      #expect(lines.count == own.count)
      for (line, other) in zip(lines, own) {
        let cells = line.split(separator: ",")
        // Ours have a last column more.
        for (cell, value) in zip(cells, other.split(separator: ",")) {
          guard cell != value else { continue }
          let (a, b) = (try #require(Double(cell)), try #require(Double(value)))
          #expect(abs(a - b) <= 1e-9, "\(name): \(line) and \(other)")
        }
      }
    }
  }
}
