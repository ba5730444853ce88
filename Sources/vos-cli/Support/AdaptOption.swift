// `--adapt`, of the commands that track: a short training on the annotated frames first.

import ArgumentParser
import Distill
import MemoryVOS

struct AdaptOption: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Train the network on the given masks' frames first (evaluate: on each sequence's first), for "
        + "this many steps: \(Adaptation.advisedSteps), some 20 s and 1 GB, are what to try. Thin "
        + "parts and unusual objects gain most. Not for int8 networks, nor from a pipe.",
      valueName: "steps"))
  var adapt = 0

  func validate() throws {
    guard (0...100_000).contains(adapt) else {
      throw ValidationError("--adapt must be between 0 (the network stays as it is) and 100000")
    }
  }

  /// What makes masks of one run differ from those of another.
  func settings(threads: Int) -> String {
    adapt == 0 ? "" : ", adapted \(adapt) steps, \(threads) threads"
  }

  /// Throws when the checkpoint cannot be adapted and is to be.
  func check(_ weights: Checkpoint) throws {
    guard adapt > 0, weights.isQuantized || weights.isSimulated else { return }
    throw CommandFailure(
      "\(weights.path): --adapt trains float weights, this network's are integers; choose the float "
        + "one or leave it out")
  }

  /// The network to track these frames' objects with: the given one, with a warning, where they
  /// are nothing to learn from; `nil` when a signal or `goesOn`, called with the number of steps
  /// that are done, ended the training.
  func network(
    _ weights: Checkpoint, for frames: [AnnotatedFrame], of clip: String, threads: Int,
    goesOn: (_ step: Int) -> Bool
  ) throws -> Network? {
    let adapted: Checkpoint?
    do throws(TrainingError) {
      adapted = try Adaptation(steps: adapt, threads: threads).adapted(weights, to: frames) {
        goesOn($0) && !StopSignal.isRequested
      }
    } catch {
      Message.warning("\(clip): tracked without adaptation: \(error)")
      return try Network(weights)
    }
    return try adapted.map { try Network($0) }
  }

  /// The same for every sequence of a data set; `nil` without `--adapt`.
  func eachSequence(
    _ weights: Checkpoint, threads: Int,
    goesOn: @escaping @Sendable (_ sequence: String, _ step: Int) -> Bool
  ) -> SequenceTracker.Adapt? {
    guard adapt > 0 else { return nil }
    return { [self] sequence, frame, mask in
      try network(
        weights, for: [AnnotatedFrame(frame, labels: mask)], of: sequence.name, threads: threads
      ) { goesOn(sequence.name, $0) }
    }
  }
}
