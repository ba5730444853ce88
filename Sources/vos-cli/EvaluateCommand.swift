// `vos-cli evaluate`: a checkpoint on a whole data set, from images to scores.

import ArgumentParser
import Dispatch
import Foundation
import MemoryVOS
import Synchronization

struct EvaluateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "evaluate",
    abstract: "Track a whole data set with a checkpoint and score it.",
    discussion: """
      Tracks every sequence of a set from its given masks, writes \
      OUTPUT/masks/SEQUENCE/FRAME.png, then scores them into OUTPUT (CSV tables, report.html). \
      Finished sequences are skipped when the command is run again with the same settings.

        vos-cli evaluate --davis DAVIS --year 2017 --set val --output out
        vos-cli evaluate --davis YouTube/valid --protocol youtube-vos --output out --zip

      Layouts: DAVIS, with ImageSets/YEAR/SET.txt and Annotations and JPEGImages by resolution; \
      YouTube-VOS, with Annotations/SEQUENCE and JPEGImages/SEQUENCE, where each object's mask is \
      taken from the first frame that has it. Where truth holds the given masks only, as in the \
      servers' sets, masks and the zip are written and nothing is scored.

      Speed is given as papers give it: frames tracked divided by the seconds spent in tracking \
      steps (resizing, network, masks; no reading and no writing of files), over all sequences.
      """)

  @Option(help: ArgumentHelp("The root of the data set.", valueName: "root"))
  var davis: String

  @Option(help: ArgumentHelp("The folder of set lists in ImageSets.", valueName: "year"))
  var year = "2017"

  @Option(
    name: .customLong("set"),
    help: ArgumentHelp("The list in ImageSets. It also names the CSV files.", valueName: "name"))
  var setName = "val"

  @Option(help: ArgumentHelp("The folder in Annotations and JPEGImages.", valueName: "name"))
  var resolution = "480p"

  @OptionGroup var rules: RuleOptions

  @Option(help: ArgumentHelp("Where masks, tables and the report go.", valueName: "dir"))
  var output: String

  @Option(help: CheckpointLocation.help)
  var checkpoint: String?

  @Option(help: ArgumentHelp("Network input: short side, or HxW.", valueName: "size"))
  var size = SizeOption.shortSide(480)

  @OptionGroup var engine: EngineOptions
  @OptionGroup var tracking: TrackingOptions
  @OptionGroup var adaptation: AdaptOption

  @Option(
    help: ArgumentHelp(
      "Sequences tracked at the same time, each with its share of the threads "
        + "(default: one for each thread, 8 at most; one with --adapt).", valueName: "count"))
  var sequences: Int?

  @Flag(help: "Also pack the masks as the evaluation servers take them: OUTPUT/masks.zip.")
  var zip = false

  @Flag(help: "Throw away what an earlier run left in OUTPUT/masks.")
  var overwrite = false

  @Flag(help: "Print JSON instead of a table.")
  var json = false

  func validate() throws {
    for (option, value) in [("--set", setName), ("--year", year), ("--resolution", resolution)] {
      guard !value.isEmpty, !value.contains("/"), value != ".." else {
        throw ValidationError("\(option) takes a name, not '\(value)'.")
      }
    }
    guard (1...64).contains(sequences ?? 1) else {
      throw ValidationError("--sequences must be between 1 and 64")
    }
  }

  func run() throws {
    let options = try rules.options()
    let truth = try loadTruth(options.scoringProtocol)
    let path = try CheckpointLocation.path(checkpoint)
    let weights = try Checkpoint(path: path)
    let network = try Network(weights)
    try adaptation.check(weights)
    let bytes = try Data(contentsOf: URL(fileURLWithPath: path), options: .alwaysMapped)
    let cores = engine.threads ?? ProcessInfo.processInfo.activeProcessorCount
    // A training takes as much memory as ten trackers.
    let workers = min(
      sequences ?? (adaptation.adapt > 0 ? 1 : min(cores, 8)), truth.sequences.count)
    let threads = max(1, cores / workers)
    let folder = EvaluationFolder(path: output)
    try folder.prepare(
      settings: settings(digest: Digest.sha256(bytes), threads: threads), overwrite: overwrite)
    StopSignal.install()

    var configuration = engine.configuration(size: size, tracking)
    configuration.threads = threads
    let pending = truth.sequences.filter { !folder.isFinished($0) }
    let progress = EvaluationProgress(frames: pending.reduce(0) { $0 + $1.imageCount })
    let tracker = SequenceTracker(
      network: network, configuration: configuration,
      scoringProtocol: options.scoringProtocol,
      adapt: adaptation.eachSequence(weights, threads: threads) { [steps = adaptation.adapt] in
        progress.show($1 < steps ? "adapting to \($0), \($1)/\(steps)" : nil)
      })
    let skipped = truth.sequences.count - pending.count
    if skipped > 0 { Message.note("\(skipped) finished sequences are kept") }
    let wall = try track(pending, tracker, folder, progress, workers: workers)
    let speed = try folder.speed(of: truth)
    let rate = speed.seconds > 0 ? Double(speed.frames) / speed.seconds : 0
    let facts = [
      "checkpoint \(path.split(separator: "/").last ?? "")",
      String(
        format: "%.1f frames/s (%d frames / %.1f s in tracking steps, %d sequence%@ at a time, "
          + "%d thread%@ each)", rate, speed.frames, speed.seconds, workers,
        workers == 1 ? "" : "s", threads, threads == 1 ? "" : "s"),
      speed.adaptationSeconds.map {
        String(
          format: "%.1f s for adapting to each sequence, which the clock alone counts",
          $0 / Double(truth.sequences.count))
      },
      wall.frames > 0
        ? String(
          format: "%.1f frames/s with reading and writing, by the clock",
          Double(wall.frames) / wall.seconds) : "all sequences were tracked by an earlier run",
    ].compactMap { $0 }
    if zip {
      let prefix = options.scoringProtocol == .youTubeVOS ? "Annotations/" : ""
      try folder.zip(truth, prefix: prefix)
    }
    guard hasTruth(truth) else {
      print("masks in \(folder.masks); the truth holds the given masks only, so nothing is scored")
      facts.dropFirst().forEach { print($0) }
      return
    }
    let score = try Scorer.score(
      results: folder.masks, name: "\(path.split(separator: "/").last ?? "results")", truth: truth,
      options: options)
    try ScoreReport(
      scores: [score], folders: [folder.masks], truth: truth, comparison: nil, images: nil,
      facts: facts
    ).write(to: "\(output)/report.html")
    try ScoreTables(score, set: setName).write(to: output)
    if json {
      print(
        try ScoreJSON(
          scores: [score], comparison: nil,
          speed: .init(
            frames: speed.frames, stepSeconds: speed.seconds, framesPerSecond: rate,
            sequencesAtATime: workers, threadsEach: threads,
            adaptationSeconds: speed.adaptationSeconds)
        ).text())
    } else {
      print(ScoreText.table(of: [score], comparison: nil), terminator: "")
      facts.dropFirst().forEach { print($0) }
      print("masks, tables and report.html in \(output)")
    }
  }

  // MARK: - Steps

  /// DAVIS by set list; YouTube-VOS, which has none, by folder.
  private func loadTruth(_ scoringProtocol: ScoringProtocol) throws -> TruthSet {
    guard scoringProtocol == .youTubeVOS,
      !FileManager.default.fileExists(atPath: "\(davis)/ImageSets")
    else { return try TruthSet(davis: davis, year: year, set: setName, resolution: resolution) }
    let resolved = "\(davis)/Annotations/\(resolution)"
    let isDeep = FileManager.default.fileExists(atPath: resolved)
    return try TruthSet(folder: isDeep ? resolved : "\(davis)/Annotations")
  }

  /// Whether any sequence has more annotated frames than the given ones could be.
  private func hasTruth(_ truth: TruthSet) -> Bool {
    truth.sequences.allSatisfy { $0.frames.count > 2 }
  }

  /// What makes masks of one run differ from those of another.
  private func settings(digest: String, threads: Int) -> String {
    """
    checkpoint \(digest)
    size \(size.defaultValueDescription), memory \(engine.memory.map(String.init) ?? "default"), \
    top-k \(engine.topK.map(String.init) ?? "default"), \(tracking.settings)\(adaptation.settings(threads: threads))
    protocol \(rules.scoringProtocol.rawValue), resolution \(resolution)

    """
  }

  private func track(
    _ pending: [TruthSet.Sequence], _ tracker: SequenceTracker, _ folder: EvaluationFolder,
    _ progress: EvaluationProgress, workers: Int
  ) throws -> (frames: Int, seconds: Double) {
    let next = Atomic<Int>(0)
    let start = ContinuousClock.now
    DispatchQueue.concurrentPerform(iterations: min(workers, max(1, pending.count))) { _ in
      while true {
        let index = next.wrappingAdd(1, ordering: .relaxed).oldValue
        guard index < pending.count, progress.goesOn else { return }
        let sequence = pending[index]
        do {
          let speed = try tracker.track(
            sequence, into: folder.masks(of: sequence), frameDone: progress.frameDone)
          guard let speed else { return }
          try folder.save(speed, of: sequence)
        } catch {
          progress.fail("\(error)")
        }
      }
    }
    let frames = try progress.finish()
    if StopSignal.isRequested {
      Message.warning("stopped; finished sequences are kept, run the same command to go on")
      throw ExitCode(StopSignal.exitCode)
    }
    return (frames, (ContinuousClock.now - start) / .seconds(1))
  }
}

/// What the workers of an evaluation share: the bar, and the first failure, which stops them all.
final class EvaluationProgress: Sendable {
  private struct State: ~Copyable {
    let bar: ProgressBar
    var frames = 0
    var note: String?
    var failure: String?

    init(bar: sending ProgressBar) { self.bar = bar }
  }

  private let state: Mutex<State>

  /// A bar of so many frames.
  init(frames: Int) { state = Mutex(State(bar: ProgressBar(total: frames))) }

  /// Whether nothing has failed and no signal has come.
  var goesOn: Bool { state.withLock { $0.failure == nil } && !StopSignal.isRequested }

  /// Counts a frame; returns `goesOn`.
  func frameDone() -> Bool {
    state.withLock {
      $0.frames += 1
      $0.bar.update($0.frames, note: $0.note)
    }
    return goesOn
  }

  /// Draws the bar with a note from here on, or without; returns `goesOn`.
  func show(_ note: String?) -> Bool {
    state.withLock {
      $0.note = note
      $0.bar.update($0.frames, note: note)
    }
    return goesOn
  }

  func fail(_ reason: String) {
    state.withLock { if $0.failure == nil { $0.failure = reason } }
  }

  /// Ends the bar's line; the number of frames, or the failure thrown.
  func finish() throws -> Int {
    let (frames, failure) = state.withLock { state in
      state.bar.finish("\(state.frames) frames tracked")
      return (state.frames, state.failure)
    }
    if let failure { throw CommandFailure(failure) }
    return frames
  }
}

/// The output of `evaluate` on disk.
struct EvaluationFolder {
  let path: String
  var masks: String { path + "/masks" }
  private var settingsPath: String { path + "/settings.txt" }

  func masks(of sequence: TruthSet.Sequence) -> String { "\(masks)/\(sequence.name)" }
  private func speedPath(_ sequence: TruthSet.Sequence) -> String {
    "\(path)/speed/\(sequence.name).json"
  }

  /// Makes the folder; masks made with other settings are an error, not reused.
  func prepare(settings: String, overwrite: Bool) throws {
    let files = FileManager.default
    if overwrite {
      try? files.removeItem(atPath: masks)
      try? files.removeItem(atPath: path + "/speed")
    } else if let old = try? String(contentsOfFile: settingsPath, encoding: .utf8), old != settings,
      files.fileExists(atPath: masks)
    {
      throw MediaError(
        path: path,
        problem: "holds masks made with other settings (settings.txt); choose another folder or "
          + "pass --overwrite")
    }
    do {
      for folder in [masks, path + "/speed"] {
        try files.createDirectory(atPath: folder, withIntermediateDirectories: true)
      }
      try Data(settings.utf8).write(to: URL(fileURLWithPath: settingsPath), options: .atomic)
    } catch {
      throw MediaError(path: path, problem: "the output folder cannot be used: \(error)")
    }
  }

  /// A sequence is finished when its folder has its name: it is renamed when complete.
  func isFinished(_ sequence: TruthSet.Sequence) -> Bool {
    FileManager.default.fileExists(atPath: masks(of: sequence))
      && FileManager.default.fileExists(atPath: speedPath(sequence))
  }

  func save(_ speed: SequenceTracker.Speed, of sequence: TruthSet.Sequence) throws {
    do {
      try JSONEncoder().encode(speed)
        .write(to: URL(fileURLWithPath: speedPath(sequence)), options: .atomic)
    } catch {
      throw MediaError(path: speedPath(sequence), problem: "cannot be written: \(error)")
    }
  }

  /// The sum over all sequences, those of earlier runs included.
  func speed(of truth: TruthSet) throws -> SequenceTracker.Speed {
    var sum = SequenceTracker.Speed()
    for sequence in truth.sequences {
      let data = try Data(contentsOf: URL(fileURLWithPath: speedPath(sequence)))
      let speed = try JSONDecoder().decode(SequenceTracker.Speed.self, from: data)
      sum.frames += speed.frames
      sum.seconds += speed.seconds
      if let seconds = speed.adaptationSeconds {
        sum.adaptationSeconds = (sum.adaptationSeconds ?? 0) + seconds
      }
    }
    return sum
  }

  func zip(_ truth: TruthSet, prefix: String) throws {
    var entries: [(name: String, path: String)] = []
    for sequence in truth.sequences {
      let folder = masks(of: sequence)
      for name in try FileManager.default.contentsOfDirectory(atPath: folder).sorted() {
        entries.append(("\(prefix)\(sequence.name)/\(name)", "\(folder)/\(name)"))
      }
    }
    try ZipFile.write(entries, to: path + "/masks.zip")
  }
}

extension TruthSet.Sequence {
  /// How many images there are to track.
  fileprivate var imageCount: Int {
    guard let images else { return frames.count }
    return (try? FileManager.default.contentsOfDirectory(atPath: images).count) ?? frames.count
  }
}
