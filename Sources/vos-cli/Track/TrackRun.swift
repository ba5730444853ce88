// One run of `track`: opens everything, lets `Propagation` work, writes what it computes.

import Distill
import Foundation
import MemoryVOS

final class TrackRun: PropagationOutput {
  private let command: TrackCommand
  private let checkpoint: String
  private let weights: Checkpoint
  private let network: Network
  private let source: any FrameSource
  private let annotations: [ClipAnnotation]
  private let folder: OutputFolder
  private let settings: String
  private let resumed: PropagationState?
  private let outputs: ClipOutputs
  private var statistics = TrackStatistics()
  private var progress = ProgressBar(total: nil)
  private var adaptationSeconds: Double?

  /// Opens input, masks, checkpoint and outputs; every mistake is found before the first frame.
  init(_ command: TrackCommand) throws {
    self.command = command
    checkpoint = try CheckpointLocation.path(command.checkpoint)
    weights = try Checkpoint(path: checkpoint)
    network = try Network(weights)
    try command.adaptation.check(weights)
    source = try Media.openFrames(command.input)
    guard command.adaptation.adapt == 0 || source.isSeekable else {
      throw CommandFailure(
        "--adapt reads the annotated frames before the others, which a pipe cannot give; "
          + "name a file or leave it out")
    }
    let size = source.size
    annotations = try command.mask.map {
      try $0.annotation(
        size: size, defaultFrame: command.start, resizes: command.resizeMask,
        objects: command.object)
    }
    try Self.check(command.object, in: annotations)
    settings = Self.settings(command, weights: weights, annotations: annotations)
    folder = OutputFolder(path: command.output)
    resumed = try folder.prepare(settings: settings, overwrite: command.overwrite)
    for file in command.further.files {
      try Self.checkReplaceable(file, overwrite: command.overwrite || resumed != nil)
    }
    outputs = try ClipOutputs(
      command.further, input: command.input, source: source)
  }

  /// Tracks; false when a signal ended it early.
  func run() throws -> Bool {
    var propagation = try propagation(of: network)
    if command.adaptation.adapt > 0 {
      guard let adapted = try adaptedNetwork() else { return false }
      propagation = try self.propagation(of: adapted)
    }
    let start = ContinuousClock.now
    let before = resumed?.frameCount ?? 0
    progress = ProgressBar(total: propagation.expectedFrameCount, done: before)
    for (frame, statuses) in resumed?.statuses ?? [:] { statistics.add(statuses, frame: frame) }
    let finished: Bool
    do {
      finished = try propagation.run(into: self, resuming: resumed)
    } catch {
      // What was written so far must be usable; the first error is the one to report.
      try? outputs.finish()
      throw error
    }
    try outputs.finish()
    if let note = outputs.note { Message.warning(note) }
    if finished { folder.forgetState() }
    try report(
      finished: finished, before: before, seconds: (.now - start) / .seconds(1),
      isResumable: propagation.isResumable)
    return finished
  }

  private func propagation(of network: Network) throws -> Propagation {
    try Propagation(
      source: source, annotations: annotations,
      selection: FrameSelection(start: command.start, end: command.end, every: command.every),
      network: network,
      configuration: command.engine.configuration(size: command.size, command.tracking))
  }

  /// The network, trained on the annotated frames; `nil` when a signal ended that.
  private func adaptedNetwork() throws -> Network? {
    let adaptation = command.adaptation
    // The source of the tracking stays where it is.
    let source = try Media.openFrames(command.input)
    var frames: [AnnotatedFrame] = []
    for annotation in annotations {
      try source.seek(to: annotation.frame)
      // What lies beyond the clip's end is reported by the tracking.
      guard let item = try source.next() else { return network }
      frames.append(AnnotatedFrame(item.frame, labels: annotation.mask))
    }
    let bar = ProgressBar(total: adaptation.adapt, unit: "steps")
    let start = ContinuousClock.now
    let adapted = try adaptation.network(
      weights, for: frames, of: command.input, threads: Self.threads(command)
    ) {
      bar.update($0)
      return true
    }
    let seconds = (ContinuousClock.now - start) / .seconds(1)
    adaptationSeconds = seconds
    bar.finish(String(format: "%.1f s for adapting", seconds))
    if adapted == nil {
      Message.warning("interrupted in the adaptation; no further frame was tracked")
    }
    return adapted
  }

  /// Threads of the adaptation, on whose number its weights depend.
  private static func threads(_ command: TrackCommand) -> Int {
    command.engine.threads ?? ProcessInfo.processInfo.activeProcessorCount
  }

  private func report(
    finished: Bool, before: Int, seconds: Double, isResumable: Bool
  ) throws {
    let done = before + statistics.computed
    let rate = String(format: "%.1f", seconds > 0 ? Double(statistics.computed) / seconds : 0)
    if finished {
      progress.finish("\(done) frames, \(rate) frames/s, masks in \(command.output)")
    } else {
      progress.finish("stopped after \(done) frames")
      Message.warning(
        "interrupted after \(done) frames; their masks are complete"
          + (isResumable ? ", the same command goes on from there" : ""))
    }
    if command.further.json {
      let configuration = command.engine.configuration(size: command.size, command.tracking)
      let input = configuration.networkSize(for: source.size, network: network.configuration)
      try JSONOutput.print(
        statistics.summary(
          TrackSummary.Run(
            input: command.input, output: command.output, checkpoint: checkpoint,
            frameSize: "\(source.size.height)x\(source.size.width)",
            networkInput: "\(input.height)x\(input.width)", frames: done,
            framesResumed: before, framesLost: source.lostFrames, interrupted: !finished,
            seconds: JSONOutput.rounded(seconds),
            adaptationSeconds: adaptationSeconds.map { JSONOutput.rounded($0) })))
    }
    if finished, source.lostFrames > 0 {
      throw MediaError(
        path: command.input,
        problem: "\(source.lostFrames) frames could not be decoded and have no mask; the masks of "
          + "the other \(done) are written")
    }
  }

  // MARK: - PropagationOutput

  var shouldStop: Bool { StopSignal.isRequested }
  var wantsOrder: Bool { outputs.wantsOrder }
  var savesState: Bool { true }

  func computed(_ step: PropagationStep, tracker: borrowing Tracker) throws {
    let clock = ContinuousClock.now
    try MaskFile.write(step.result.labels, to: folder.mask(step.source.stem))
    try outputs.computed(step, tracker: tracker)
    statistics.add(step.result.objects, frame: step.source.index)
    statistics.add(step, writeSeconds: (.now - clock) / .seconds(1))
    progress.update((resumed?.frameCount ?? 0) + statistics.computed)
  }

  func inOrder(_ step: PropagationStep) throws {
    guard outputs.wantsOrder else { return }
    let clock = ContinuousClock.now
    try outputs.inOrder(step)
    statistics.add(writeSeconds: (.now - clock) / .seconds(1))
  }

  func labels(of frame: SourceFrame) throws -> LabelMap {
    try MaskFile.read(folder.mask(frame.stem), role: .result)
  }

  func save(_ state: PropagationState) throws { try folder.save(state, settings: settings) }

  // MARK: - Settings

  /// A file appears under its name by renaming, which would take the place of a device too.
  private static func checkReplaceable(_ path: String, overwrite: Bool) throws {
    var status = stat()
    guard stat(path, &status) == 0 else { return }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw MediaError(path: path, problem: "is a folder or a device; name a file to write")
    }
    guard overwrite else {
      throw MediaError(path: path, problem: "exists already; pass --overwrite to replace it")
    }
  }

  private static func check(_ objects: [UInt8], in annotations: [ClipAnnotation]) throws {
    guard !objects.isEmpty else { return }
    let known = Set(annotations.flatMap { $0.mask.objects.map(\.rawValue) })
    guard let unknown = objects.first(where: { !known.contains($0) }) else { return }
    throw CommandFailure("no mask holds object \(unknown), which --object asks for")
  }

  /// Everything that the masks depend on: a run is only resumed when it is the same.
  private static func settings(
    _ command: TrackCommand, weights: Checkpoint, annotations: [ClipAnnotation]
  ) -> String {
    var bytes: [UInt8] = []
    for name in weights.names { bytes += weights.tensors[name]?.bytes ?? [] }
    let masks = annotations.map { "\($0.frame):\(Digest.sha256($0.mask.labels))" }
    bytes += Array((weights.metadata["configuration"] ?? "").utf8)
    let topK = command.engine.topK.map(String.init) ?? "default"
    let memory = command.engine.memory.map(String.init) ?? "default"
    return [
      URL(filePath: command.input).path, Digest.sha256(bytes), masks.joined(separator: ","),
      "start \(command.start)", "end \(command.end.map(String.init) ?? "none")",
      "every \(command.every)", "size \(command.size.defaultValueDescription)",
      "memory \(memory)", "top-k \(topK)",
      command.tracking.settings + command.adaptation.settings(threads: threads(command)),
    ].joined(separator: "; ")
  }
}
