// `vos-cli score`: results against truth, in tables, JSON and a report.

public import ArgumentParser
import Foundation
public import MemoryVOS

struct ScoreCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "score",
    abstract: "Score masks against truth: J, F, recall, decay and flicker.",
    discussion: """
      Results and truth are DIR/SEQUENCE/FRAME.png, indexed or grey PNGs of object ids. Truth comes \
      from --truth, or from a DAVIS root with --davis, --year and --set.

        vos-cli score --davis DAVIS --year 2017 --set val --results masks --output scores
        vos-cli score --truth truth --results ours --results theirs --report report.html
        vos-cli score --truth truth --results new --against old

      Protocols: davis2017 scores the objects of the first frame and leaves the first and the last \
      frame out. davis2016 does the same with everything merged into one object. youtube-vos scores \
      every object of the truth on the annotated frames after its first appearance; with --meta and \
      --seen the score is the mean over seen and unseen categories. folder scores every object on \
      every frame, also of a single folder of masks.

      Truth of 255 is void and does not count, except in grey masks of only 0 and 255: there it is \
      object 1. Nothing is written when anything is missing or wrong.
      """)

  @OptionGroup var truth: TruthOptions

  @Option(
    help: ArgumentHelp(
      "A folder of results; repeat it to put several side by side. NAME=DIR names it.",
      valueName: "[name=]dir"))
  var results: [String]

  @OptionGroup var rules: RuleOptions

  @Option(
    help: ArgumentHelp("A result set to compare the first one with.", valueName: "[name=]dir"))
  var against: String?

  @Option(help: ArgumentHelp("Bootstrap samples of --against.", valueName: "count"))
  var samples = 10_000

  @Option(help: ArgumentHelp("Seed of the bootstrap samples.", valueName: "number"))
  var seed: UInt64 = 1

  @Option(help: ArgumentHelp("Write the CSV tables into this folder.", valueName: "dir"))
  var output: String?

  @Option(help: ArgumentHelp("Write a report as one self-contained page.", valueName: "file.html"))
  var report: String?

  @Option(
    help: ArgumentHelp(
      "Images for the report, DIR/SEQUENCE/FRAME.jpg (default: beside the truth).",
      valueName: "dir"))
  var images: String?

  @Flag(help: "Print JSON instead of a table.")
  var json = false

  func validate() throws {
    if results.isEmpty { throw ValidationError("Name a folder of results with --results.") }
    if samples < 1 { throw ValidationError("--samples must be at least 1.") }
    try truth.validate()
  }

  func run() throws {
    let options = try rules.options()
    let truthSet = try truth.load(options.scoringProtocol)
    // The set compared with may be one of those side by side.
    let isListed = against.map { results.contains($0) } ?? true
    let named = ResultName.unique(results + (isListed ? [] : [against ?? ""]))
    let all = try named.map {
      try Scorer.score(results: $0.path, name: $0.name, truth: truthSet, options: options)
    }
    let scores = Array(all.prefix(results.count))
    let comparison = try against.map { other in
      try ScoreComparison(
        all[0], against: all[results.firstIndex(of: other) ?? results.count], samples: samples,
        seed: seed)
    }
    if let report {
      let page = ScoreReport(
        scores: all, folders: named.map(\.path), truth: truthSet, comparison: comparison,
        images: images)
      try page.write(to: report)
    }
    if let output {
      for score in scores {
        let folder = scores.count == 1 ? output : "\(output)/\(score.name)"
        try ScoreTables(score, set: truth.setName).write(to: folder)
      }
    }
    if json {
      try print(ScoreJSON(scores: scores, comparison: comparison).text())
    } else {
      print(ScoreText.table(of: scores, comparison: comparison), terminator: "")
    }
  }
}

/// Where the truth is.
struct TruthOptions: ParsableArguments {
  @Option(
    name: .customLong("truth"),
    help: ArgumentHelp("The folder of truth, DIR/SEQUENCE/FRAME.png.", valueName: "dir"))
  var folder: String?

  @Option(help: ArgumentHelp("The root of a DAVIS data set.", valueName: "root"))
  var davis: String?

  @Option(help: ArgumentHelp("With --davis: the year of the set, 2016 or 2017.", valueName: "year"))
  var year = "2017"

  @Option(
    name: .customLong("set"),
    help: ArgumentHelp(
      "With --davis: the list in ImageSets. It also names the CSV files.", valueName: "name"))
  var setName = "val"

  @Option(help: ArgumentHelp("With --davis: the folder in Annotations.", valueName: "name"))
  var resolution = "480p"

  func validate() throws {
    guard (folder == nil) != (davis == nil) else {
      throw ValidationError("Name the truth with either --truth or --davis.")
    }
    for (option, value) in [("--set", setName), ("--year", year), ("--resolution", resolution)] {
      guard !value.isEmpty, !value.contains("/"), value != ".." else {
        throw ValidationError("\(option) takes a name, not '\(value)'.")
      }
    }
  }

  func load(_ scoringProtocol: ScoringProtocol) throws -> TruthSet {
    if let folder {
      return try TruthSet(folder: folder, allowsFlat: scoringProtocol == .folder)
    }
    return try TruthSet(davis: davis ?? "", year: year, set: setName, resolution: resolution)
  }
}

/// Which frames and objects count.
struct RuleOptions: ParsableArguments {
  @Option(
    name: .customLong("protocol"),
    help: ArgumentHelp("Which frames and objects count.", valueName: "name"))
  var scoringProtocol = ScoringProtocol.davis2017

  @Flag(help: "youtube-vos: score objects also on the frame where they first appear.")
  var includeFirst = false

  @Option(
    help: ArgumentHelp(
      "youtube-vos: the set's meta.json, with the categories of its objects.", valueName: "file"))
  var meta: String?

  @Option(
    help: ArgumentHelp(
      "youtube-vos: the training set's meta.json, or a text file of seen categories.",
      valueName: "file"))
  var seen: String?

  @Flag(
    help: ArgumentHelp(
      "Follow the official DAVIS tool where it is wrong.",
      discussion: "Decay of more than 256 frames is cut at positions modulo 256, and void truth "
        + "counts as background."))
  var compatible = false

  func validate() throws {
    guard (meta == nil) == (seen == nil) else {
      throw ValidationError("Groups of categories need both --meta and --seen.")
    }
  }

  func options() throws -> ScoringOptions {
    var options = ScoringOptions(scoringProtocol)
    options.includesFirstAppearance = includeFirst
    options.isCompatible = compatible
    if let meta, let seen { options.categories = try CategoryGroups(meta: meta, seen: seen) }
    return options
  }
}

extension ScoringProtocol: ExpressibleByArgument {}

/// A result folder and what to call it.
struct ResultName {
  let name: String
  let path: String

  /// Names for folders: what is before `=`, else the shortest end of the path that is unique.
  static func unique(_ arguments: [String]) -> [ResultName] {
    var given: [(name: String?, parts: [String], path: String)] = []
    for argument in arguments {
      if let equals = argument.firstIndex(of: "="), equals != argument.startIndex,
        !argument[..<equals].contains("/"), !FileManager.default.fileExists(atPath: argument)
      {
        let path = String(argument[argument.index(after: equals)...])
        given.append((String(argument[..<equals]), [], path))
      } else {
        let parts = argument.split(separator: "/").map(String.init).filter { $0 != "." }
        given.append((nil, parts, argument))
      }
    }
    for depth in 1...16 {
      let names = given.map { $0.name ?? $0.parts.suffix(depth).joined(separator: "-") }
      if Set(names).count == names.count && !names.contains("") {
        return zip(names, given).map { ResultName(name: $0, path: $1.path) }
      }
    }
    return given.enumerated().map { index, item in
      ResultName(name: "\(index + 1)-\(item.name ?? item.parts.last ?? "results")", path: item.path)
    }
  }
}
