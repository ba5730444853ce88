// Scores as files: the official CSV tables to the byte, and finer ones of ours.

import Foundation

/// The CSV files of a score.
public struct ScoreTables: Sendable {
  /// File name and content, in the order in which they are written.
  public let files: [(name: String, content: String)]

  /// The tables of a score; `set` names the files.
  ///
  /// `global_results-SET.csv` and `per-sequence_results-SET.csv` are the official tool's.
  /// `per-object_results-SET.csv` has every statistic and `per-frame_results-SET.csv` every measure
  /// at full precision.
  public init(_ score: ResultScore, set: String) {
    let global = score.global
    let overall = [
      global.mean, global.region.mean, global.region.recall, global.region.decay,
      global.boundary.mean, global.boundary.recall, global.boundary.decay,
    ]
    var globalTable = "J&F-Mean,J-Mean,J-Recall,J-Decay,F-Mean,F-Recall,F-Decay\n"
    globalTable += overall.map(Self.rounded).joined(separator: ",") + "\n"
    var sequenceTable = "Sequence,J-Mean,F-Mean\n"
    var objectTable = "sequence,object,J-Mean,J-Recall,J-Decay,F-Mean,F-Recall,F-Decay,Flicker\n"
    var frameTable = "sequence,object,frame,J,F,flicker\n"
    for object in score.objects {
      let means = [object.region.mean, object.boundary.mean].map(Self.rounded)
      sequenceTable += "\(Self.quoted(object.name)),\(means[0]),\(means[1])\n"
      let statistics = [
        object.region.mean, object.region.recall, object.region.decay,
        object.boundary.mean, object.boundary.recall, object.boundary.decay, object.flicker,
      ]
      let start = "\(Self.quoted(object.sequence)),\(object.object)"
      objectTable += "\(start),\(statistics.map(Self.exact).joined(separator: ","))\n"
      for frame in object.frames {
        frameTable += "\(start),\(Self.quoted(frame.frame)),\(frame.region),\(frame.boundary),"
        frameTable += frame.flicker.map { "\($0)" } ?? ""
        frameTable += "\n"
      }
    }
    files = [
      ("global_results-\(set).csv", globalTable),
      ("per-sequence_results-\(set).csv", sequenceTable),
      ("per-object_results-\(set).csv", objectTable), ("per-frame_results-\(set).csv", frameTable),
    ]
  }

  /// Writes the tables into a folder, which is made if need be: all of them or none.
  public func write(to folder: String) throws(MediaError) {
    do {
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    } catch {
      throw MediaError(path: folder, problem: "the output folder cannot be made: \(error)")
    }
    // Everything is on disk before anything has its name.
    let suffix = ".\(ProcessInfo.processInfo.processIdentifier).part"
    do {
      for file in files {
        try AtomicFile.write(file.content, to: "\(folder)/\(file.name)\(suffix)")
      }
    } catch {
      for file in files { unlink("\(folder)/\(file.name)\(suffix)") }
      throw error
    }
    for file in files {
      let path = "\(folder)/\(file.name)"
      guard rename(path + suffix, path) == 0 else {
        let reason = String(cString: strerror(errno))
        for file in files { unlink("\(folder)/\(file.name)\(suffix)") }
        throw MediaError(path: path, problem: "cannot be written: \(reason)")
      }
    }
  }

  /// As the official tool prints: three digits, nothing for what is not a number.
  static func rounded(_ value: Double) -> String {
    value.isNaN ? "" : String(format: "%.3f", value)
  }

  private static func exact(_ value: Double) -> String { value.isNaN ? "" : "\(value)" }

  /// A field as CSV wants it when the name has a comma, a quote or a line break.
  private static func quoted(_ field: String) -> String {
    guard field.contains(where: { ",\"\n\r".contains($0) }) else { return field }
    return "\"\(field.replacingOccurrences(of: "\"", with: "\"\""))\""
  }
}
