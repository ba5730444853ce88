// `vos-cli benchmark`: how long a step takes, stage by stage, on this machine.

import ArgumentParser
import Foundation
import MemoryVOS

struct BenchmarkCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "benchmark",
    abstract: "Time a whole tracking step and its stages.",
    discussion: """
      Tracks a synthetic clip whose frames are in memory: no decoding, no writing. After a warm-up \
      that fills the memory it reports the median and the 95th percentile of every stage and of \
      the whole step, frames per second, peak memory, and the machine. Two frames are in memory \
      unless --memory says otherwise, as in the published comparisons.

      EXAMPLES:
        vos-cli benchmark
        vos-cli benchmark --size 480x864 --objects 3 --threads 1
        VOS_ISA=scalar vos-cli benchmark --steps 10 --json
        vos-cli benchmark --training --steps 10
        vos-cli benchmark --training --network vos-teacher --steps 3
      """)

  @Option(help: CheckpointLocation.help)
  var checkpoint: String?

  @Option(help: ArgumentHelp("Frame size and network input, HxW.", valueName: "HxW"))
  var size = SizeOption.exact(FrameSize(width: 864, height: 480))

  @Option(help: ArgumentHelp("Objects tracked at once, 1 to 254.", valueName: "count"))
  var objects = 1

  @OptionGroup var engine: EngineOptions
  @OptionGroup var tracking: TrackingOptions

  @Option(help: ArgumentHelp("Steps that are measured.", valueName: "count"))
  var steps = 40

  @Flag(help: "Time training steps instead: batch 3, four frames of 256×256, one object.")
  var training = false

  @Option(
    help: ArgumentHelp(
      "With --training: \(NetworkConfiguration.presets.joined(separator: ", ")).",
      valueName: "name"))
  var network = "vos-mobile"

  @Flag(help: "Print JSON; the whole step is step.median_ms, training training.frames_per_second.")
  var json = false

  func validate() throws {
    guard case .exact = size else { throw ValidationError("--size needs height and width: HxW") }
    guard (1...254).contains(objects) else {
      throw ValidationError("--objects must be between 1 and 254")
    }
    guard NetworkConfiguration(preset: network) != nil else {
      throw ValidationError(
        "--network \(network): one of \(NetworkConfiguration.presets.joined(separator: ", "))")
    }
    guard training || network == "vos-mobile" else {
      throw ValidationError("--network is for --training; name a --checkpoint")
    }
    guard (1...1_000_000).contains(steps) else {
      throw ValidationError("--steps must be between 1 and 1000000")
    }
  }

  func run() throws {
    if training { return try runTraining() }
    guard case .exact(let frameSize) = size else { return }
    let path = try CheckpointLocation.path(checkpoint)
    let network = try Network(checkpoint: path)
    var configuration = engine.configuration(size: size, tracking)
    let memory = engine.memory ?? 2
    configuration.memoryFrames = memory
    var tracker = try Tracker(
      network: network, frameSize: frameSize, configuration: configuration)
    let scene = SampleScene(named: .standard, size: frameSize, frameCount: 72)
    let frames = (0..<8).map { scene.frame(at: $0).frame }
    _ = try tracker.step(frames[0], mask: Self.mask(objects: objects, size: frameSize))
    let warmUp = memory + 4
    var step: [Double] = []
    var stages: [(name: String, seconds: [Double])] = tracker.timings.stages.map { ($0.name, []) }
    for index in 1...warmUp + steps {
      // There and back again, so that no step is a cut.
      let place = index % (2 * frames.count - 2)
      let frame = frames[min(place, 2 * frames.count - 2 - place)]
      let clock = ContinuousClock.now
      _ = try tracker.step(frame)
      let seconds = (.now - clock) / .seconds(1)
      guard index > warmUp else { continue }
      step.append(seconds)
      for (i, stage) in tracker.timings.stages.enumerated() {
        stages[i].seconds.append(stage.seconds)
      }
    }
    let input = configuration.networkSize(for: frameSize, network: network.configuration)
    let record = Record(
      step: TimeStatistics(step),
      stages: Dictionary(
        uniqueKeysWithValues: stages.map { ($0.name, TimeStatistics($0.seconds)) }),
      framesPerSecond: JSONOutput.rounded(1 / (step.sorted()[step.count / 2]), digits: 2),
      peakMemoryMb: JSONOutput.rounded(Double(Machine.peakMemory) / 1e6, digits: 1),
      networkInput: "\(input.height)x\(input.width)", objects: objects,
      memoryFrames: memory, topK: engine.topK ?? network.configuration.topK,
      threads: engine.threads ?? Machine().cores, steps: steps, checkpoint: path,
      checkpointSha256: Digest.sha256(FileManager.default.contents(atPath: path) ?? Data()),
      version: VOSCommand.configuration.version, machine: Machine())
    if json { try JSONOutput.print(record) } else { record.print(order: stages.map(\.name)) }
  }

  /// `count` rectangles in a grid, each a third of its cell.
  static func mask(objects count: Int, size: FrameSize) -> LabelMap {
    var columns = 1
    while columns * columns < count { columns += 1 }
    let rows = (count + columns - 1) / columns
    var mask = LabelMap(size: size)
    for object in 0..<count {
      let (row, column) = (object / columns, object % columns)
      func range(_ index: Int, _ cells: Int, _ extent: Int) -> Range<Int> {
        let low = (3 * index + 1) * extent / (3 * cells)
        return low..<min(extent, max(low + 1, (3 * index + 2) * extent / (3 * cells)))
      }
      for y in range(row, rows, size.height) {
        for x in range(column, columns, size.width) {
          mask.labels[y * size.width + x] = UInt8(object + 1)
        }
      }
    }
    return mask
  }

  private struct Record: Encodable {
    let step: TimeStatistics
    let stages: [String: TimeStatistics]
    let framesPerSecond: Double
    let peakMemoryMb: Double
    let networkInput: String
    let objects: Int
    let memoryFrames: Int
    let topK: Int
    let threads: Int
    let steps: Int
    let checkpoint: String
    let checkpointSha256: String
    let version: String
    let machine: Machine

    func print(order: [String]) {
      func line(_ name: String, _ time: TimeStatistics) {
        let cells = [time.medianMs, time.p95Ms, time.minMs].map { String(format: "%10.2f", $0) }
        Swift.print(name.padding(toLength: 12, withPad: " ", startingAt: 0) + cells.joined())
      }
      Swift.print("stage           median       p95       min  (ms)")
      for name in order { if let time = stages[name] { line(name, time) } }
      line("step", step)
      let reads = topK == 0 ? "full read" : "top \(topK)"
      Swift.print(
        """

        frames/s      \(framesPerSecond)
        peak memory   \(peakMemoryMb) MB
        settings      input \(networkInput), \(objects) object\(objects == 1 ? "" : "s"), memory \
        \(memoryFrames) frames, \(reads), \(threads) thread\(threads == 1 ? "" : "s"), \
        \(steps) steps
        machine       \(machine.processor), \(machine.instructionSet) kernels, OpenBLAS \
        \(machine.openBLASCore)
        checkpoint    \(checkpoint)
        """)
    }
  }
}
