// Training in several processes, as `mpirun` starts them. `make test-mpi` builds the command with MPI
// and names it in $VOS_MPI_COMMAND.

import Foundation
import MemoryVOS
import TestSupport
import Testing

private let command = ProcessInfo.processInfo.environment["VOS_MPI_COMMAND"]

@Suite(
  .enabled(if: command != nil, "needs a command built with MPI: make test-mpi"), .serialized)
struct MPITests {
  private let folder = TemporaryFolder()

  /// A clip to train on.
  private func makeClip() throws {
    let result = try BuiltCommand.run(
      "render-sample", "--output", folder.path("sample"), "--size", "96x160", "--frames", "6")
    #expect(result.code == 0)
    for (from, to) in [("frames", "JPEGImages"), ("Annotations", "Annotations")] {
      try FileManager.default.createDirectory(
        atPath: folder.path("set/\(to)"), withIntermediateDirectories: true)
      try FileManager.default.moveItem(
        atPath: folder.path("sample/\(from)"), toPath: folder.path("set/\(to)/clip"))
    }
  }

  /// Starts a training; every process has `batch` samples of a step.
  private func start(
    _ name: String, processes: Int, batch: Int, steps: Int, every: Int? = nil
  ) throws -> Process {
    let recipe = """
      {"seed": 5, "steps": \(steps), "threads": 1, "checkpoint_every": \(every ?? steps),
       "data": [{"kind": "youtube-vos", "path": "set"}],
       "schedule": {"warm_up": 0, "peak": 1e-4},
       "loss": {"representation": 0.1, "omega": 0},
       "samples": {"size": 32, "batch": \(batch), "frames": 3, "several_share": 0.5}}
      """
    try write(Data(recipe.utf8), to: folder.path("\(name).json"))
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = [
      "mpirun", "--allow-run-as-root", "--oversubscribe", "-np", "\(processes)", command ?? "",
      "train", folder.path("\(name).json"), "--output", folder.path(name),
    ]
    process.standardError = FileHandle.nullDevice
    process.standardOutput = FileHandle.nullDevice
    try process.run()
    return process
  }

  private func train(_ name: String, processes: Int, batch: Int, steps: Int) throws -> Int32 {
    let process = try start(name, processes: processes, batch: batch, steps: steps)
    process.waitUntilExit()
    return process.terminationStatus
  }

  /// The processes that `mpirun` started.
  private func children(of process: Process) throws -> [pid_t] {
    let path = "/proc/\(process.processIdentifier)/task"
    return try FileManager.default.contentsOfDirectory(atPath: path).flatMap { thread in
      let text = (try? String(contentsOfFile: "\(path)/\(thread)/children", encoding: .utf8)) ?? ""
      return text.split(whereSeparator: \.isWhitespace).compactMap { pid_t($0) }
    }
  }

  private func state(_ name: String) throws -> Checkpoint {
    try Checkpoint(path: folder.path("\(name)/state.safetensors"))
  }

  private func losses(_ name: String) throws -> [Double] {
    let text = try String(contentsOfFile: folder.path("\(name)/metrics.csv"), encoding: .utf8)
    return text.split(separator: "\n").dropFirst().compactMap {
      let fields = $0.split(separator: ",")
      return fields.count > 1 ? Double(fields[1]) : nil
    }
  }

  @Test("The first step's gradients are those of one process with twice the batch.")
  func gradients() throws {
    try makeClip()
    #expect(try train("two", processes: 2, batch: 2, steps: 1) == 0)
    #expect(try train("one", processes: 1, batch: 4, steps: 1) == 0)
    let (two, one) = (try state("two"), try state("one"))
    // After one step the first moments are a tenth of the clipped gradients.
    var compared = 0
    for (name, tensor) in one.tensors where name.hasPrefix("moments/") {
      let expected = try tensor.floats().map(Double.init)
      let found = try two.tensors[name]?.floats().map(Double.init) ?? []
      try #require(found.count == expected.count, "\(name)")
      let norm = expected.reduce(0) { $0 + $1 * $1 }.squareRoot()
      let distance = zip(expected, found).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
      #expect(distance.squareRoot() <= 1e-5 * norm, "\(name)")
      compared += norm > 0 ? 1 : 0
    }
    #expect(compared > 100)
  }

  @Test("After 50 steps the loss is that of one process with twice the batch, within 1 %.")
  func losses() throws {
    try makeClip()
    #expect(try train("two", processes: 2, batch: 2, steps: 50) == 0)
    #expect(try train("one", processes: 1, batch: 4, steps: 50) == 0)
    let (two, one) = (try losses("two"), try losses("one"))
    try #require(two.count == 50 && one.count == 50)
    #expect(abs(two[49] - one[49]) <= 0.01 * abs(one[49]))
    #expect(abs(two[0] - one[0]) <= 1e-6 * abs(one[0]))
  }

  @Test("A run that was stopped is resumed by all processes: the same bits as without the pause.")
  func resume() throws {
    try makeClip()
    let steps = 60
    let whole = try start("whole", processes: 2, batch: 1, steps: steps, every: 1)
    whole.waitUntilExit()
    #expect(whole.terminationStatus == 0)
    let stopped = try start("stopped", processes: 2, batch: 1, steps: steps, every: 1)
    while stopped.isRunning,
      !FileManager.default.fileExists(atPath: folder.path("stopped/state.safetensors"))
    { usleep(10_000) }
    // Without one of its processes the run ends.
    let child = try #require(try children(of: stopped).first, "it ended before it was stopped")
    kill(child, SIGKILL)
    stopped.waitUntilExit()
    #expect(stopped.terminationStatus != 0)
    #expect(try state("stopped").metadata["step"] != "\(steps)", "it ended before it was stopped")
    let resumed = try start("stopped", processes: 2, batch: 1, steps: steps, every: 1)
    resumed.waitUntilExit()
    #expect(resumed.terminationStatus == 0)
    let (a, b) = (try state("whole"), try state("stopped"))
    #expect(a.metadata["step"] == "\(steps)" && b.metadata["step"] == "\(steps)")
    #expect(Set(a.tensors.keys) == Set(b.tensors.keys))
    for (name, tensor) in a.tensors { #expect(try tensor.floats() == b.tensors[name]?.floats()) }
  }

  @Test("An error in one process ends all of them with a message and a status.")
  func failure() throws {
    #expect(try train("none", processes: 2, batch: 1, steps: 1) != 0)
  }
}
