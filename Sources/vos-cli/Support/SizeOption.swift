// Sizes on the command line, height first as the literature writes network inputs.

import ArgumentParser
import MemoryVOS

/// `480` (short side) or `480x864` (height × width).
enum SizeOption: ExpressibleByArgument {
  case shortSide(Int)
  case exact(FrameSize)

  init?(argument: String) {
    let parts = argument.lowercased().split(
      omittingEmptySubsequences: false, whereSeparator: { $0 == "x" || $0 == "×" })
    let numbers = parts.compactMap { Int($0) }.filter { (1...16384).contains($0) }
    switch (parts.count, numbers.count) {
    case (1, 1): self = .shortSide(numbers[0])
    case (2, 2): self = .exact(FrameSize(width: numbers[1], height: numbers[0]))
    default: return nil
    }
  }

  var defaultValueDescription: String {
    switch self {
    case .shortSide(let side): "\(side)"
    case .exact(let size): "\(size.height)x\(size.width)"
    }
  }

  var inputSize: Tracker.Configuration.InputSize {
    switch self {
    case .shortSide(let side): .shortSide(side)
    case .exact(let size): .exact(size)
    }
  }
}

/// Options of every command that runs the network.
struct EngineOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Frames in memory, the first included; further annotated frames come on top (default: the "
        + "checkpoint's, 3 for vos-mobile).", valueName: "frames"))
  var memory: Int?

  @Option(
    help: ArgumentHelp(
      "Memory entries that each position reads; 0 reads all (default: the checkpoint's, 30).",
      valueName: "entries"))
  var topK: Int?

  @Option(help: ArgumentHelp("Threads (default: one for each core).", valueName: "count"))
  var threads: Int?

  func validate() throws {
    if let memory, memory < 1 {
      throw ValidationError("--memory \(memory): at least 1 is needed")
    }
    guard topK ?? 0 >= 0 else { throw ValidationError("--top-k must not be negative") }
    guard (1...1024).contains(threads ?? 1) else {
      throw ValidationError("--threads must be between 1 and 1024")
    }
  }

  func configuration(size: SizeOption, _ tracking: TrackingOptions) -> Tracker.Configuration {
    var configuration = Tracker.Configuration()
    configuration.inputSize = size.inputSize
    configuration.memoryFrames = memory
    configuration.topK = topK
    configuration.memoryInterval = tracking.memoryInterval
    configuration.keepsStrays = tracking.keepStrays
    configuration.zoomLimit = tracking.zoom
    configuration.threads = threads
    return configuration
  }
}

/// Options of the commands whose tracker is the user's own, beside `EngineOptions`.
struct TrackingOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Frames between those kept in a memory of three frames or more, beside the newest.",
      valueName: "frames"))
  var memoryInterval = 5

  @Flag(
    help: ArgumentHelp(
      "Keep pieces of an object that appear far from where it just was: for one of several parts "
        + "that come and go. Without it they are taken for look-alikes."))
  var keepStrays = false

  @Option(
    help: ArgumentHelp(
      "Network pixels for one pixel of the frame, along a side, up to which small objects are "
        + "enlarged, at the same cost; 0 shows the network the whole frame always.",
      valueName: "scale"))
  var zoom = 1.25

  func validate() throws {
    guard zoom.isFinite, zoom >= 0 else {
      throw ValidationError("--zoom \(zoom): 0 (no zoom) or more is needed")
    }
    guard memoryInterval >= 1 else {
      throw ValidationError("--memory-interval \(memoryInterval): at least 1 is needed")
    }
  }

  /// What makes masks of one run differ from those of another.
  var settings: String {
    "memory interval \(memoryInterval), strays \(keepStrays ? "kept" : "dropped by piece"), "
      + "zoom \(zoom)"
  }
}
