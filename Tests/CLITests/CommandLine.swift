// Runs the built command as users do.

import Foundation
import MemoryVOS
import TestSupport

/// What a run of `vos-cli` left behind.
struct CommandResult: CustomStringConvertible {
  let code: Int32
  let output: String
  let errors: String

  /// Lines on standard error that are not empty.
  var errorLines: [Substring] { errors.split(separator: "\n") }
  var description: String { "exit \(code), output: \(output.prefix(800)), errors: \(errors)" }
}

/// The command beside the test bundle.
enum BuiltCommand {
  static let url: URL = {
    let folder = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath()
      .deletingLastPathComponent()
    let beside = folder.appending(path: "vos-cli")
    if FileManager.default.isExecutableFile(atPath: beside.path) { return beside }
    // The test runner is a tool of the toolchain; the bundle is its argument.
    let bundle = CommandLine.arguments.first { $0.hasSuffix(".xctest") } ?? ""
    return URL(filePath: bundle).deletingLastPathComponent().appending(path: "vos-cli")
  }()

  /// Starts the command; `finish` waits for it.
  static func start(
    _ arguments: [String], input: FileHandle? = nil, environment: [String: String] = [:]
  ) throws -> RunningCommand {
    try RunningCommand(arguments, input: input, environment: environment)
  }

  /// Runs the command to its end.
  static func run(
    _ arguments: String..., environment: [String: String] = [:]
  ) throws -> CommandResult {
    try start(arguments, environment: environment).finish()
  }
}

/// Writes a file as it is.
func write(_ data: Data?, to path: String) throws {
  try (data ?? Data()).write(to: URL(filePath: path))
}

/// A run of the command, its output going to files.
final class RunningCommand {
  let process = Process()
  private let folder = TemporaryFolder()

  fileprivate init(
    _ arguments: [String], input: FileHandle?, environment: [String: String]
  ) throws {
    process.executableURL = BuiltCommand.url
    process.arguments = arguments
    process.environment = ProcessInfo.processInfo.environment
      .merging(["SWIFT_BACKTRACE": "enable=no"]) { $1 }.merging(environment) { $1 }
    for name in ["out", "err"] {
      try write(nil, to: folder.path(name))
    }
    process.standardInput = input ?? FileHandle.nullDevice
    process.standardOutput = FileHandle(forWritingAtPath: folder.path("out"))
    process.standardError = FileHandle(forWritingAtPath: folder.path("err"))
    try process.run()
  }

  func finish() throws -> CommandResult {
    process.waitUntilExit()
    func text(_ name: String) -> String {
      String(
        decoding: FileManager.default.contents(atPath: folder.path(name)) ?? Data(), as: UTF8.self)
    }
    return CommandResult(
      code: process.terminationStatus, output: text("out"), errors: text("err"))
  }
}

/// A small clip on disk: `frames/00000.png` … and `masks/00000.png` ….
final class ClipOnDisk {
  let folder = TemporaryFolder()
  let scene: SampleScene

  init(_ count: Int = 6, size: FrameSize = FrameSize(width: 70, height: 50)) throws {
    scene = SampleScene(named: .standard, size: size, frameCount: count)
    for index in 0..<count {
      let (frame, labels) = scene.frame(at: index)
      try PNGImage(size: size, kind: .rgb, samples: .bytes(frame.pixels))
        .write(to: folder.path("frames/" + Self.name(index)))
      try MaskFile.write(labels, to: folder.path("masks/" + Self.name(index)))
    }
  }

  static func name(_ index: Int) -> String { String(format: "%05d.png", index) }

  var frames: String { folder.path("frames") }
  func mask(_ index: Int = 0) -> String { folder.path("masks/" + Self.name(index)) }
  var output: String { folder.path + "/out" }

  /// Arguments of a fast run over this clip.
  func track(_ more: String..., mask: String? = nil) -> [String] {
    ["track", frames, "--mask", mask ?? self.mask(), "--output", output, "--size", "32x64"] + more
  }

  /// The masks that were written, by file name.
  func results() throws -> [String: LabelMap] {
    var results: [String: LabelMap] = [:]
    for name in folder.names(in: "out") where name.hasSuffix(".png") {
      results[name] = try MaskFile.read(output + "/" + name, role: .result)
    }
    return results
  }
}
