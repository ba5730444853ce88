// The folder that `track` writes masks to: what may already be in it, and an interrupted run's state.

import Foundation
import MemoryVOS

struct OutputFolder {
  let path: String
  var statePath: String { path + "/.vos-track.safetensors" }

  /// The file of a frame's mask.
  func mask(_ stem: String) -> String { "\(path)/\(stem).png" }

  /// Makes the folder, and decides what becomes of what is in it.
  ///
  /// - Returns: the state of an interrupted run with the same settings, if there is one.
  /// - Throws: when the folder cannot be used, holds masks of a finished run, or an interrupted run
  ///   with other settings.
  func prepare(settings: String, overwrite: Bool) throws -> PropagationState? {
    let files = FileManager.default
    var isFolder: ObjCBool = false
    if files.fileExists(atPath: path, isDirectory: &isFolder) {
      guard isFolder.boolValue else {
        throw MediaError(path: path, problem: "is a file; --output needs a folder")
      }
    } else {
      do {
        try files.createDirectory(atPath: path, withIntermediateDirectories: true)
      } catch {
        throw MediaError(
          path: path, problem: "the output folder cannot be made; check the path and its rights")
      }
    }
    guard access(path, W_OK | X_OK) == 0 else {
      throw MediaError(path: path, problem: "no right to write into the output folder")
    }
    if overwrite {
      try? files.removeItem(atPath: statePath)
      return nil
    }
    if files.fileExists(atPath: statePath) {
      return try PropagationState(Checkpoint(path: statePath), settings: settings)
    }
    let names: [String]
    do { names = try files.contentsOfDirectory(atPath: path) } catch {
      throw MediaError(path: path, problem: "the output folder cannot be read")
    }
    let masks = names.count { $0.hasSuffix(".png") }
    guard masks == 0 else {
      throw MediaError(
        path: path,
        problem: "holds \(masks) PNG files already; choose another folder or pass --overwrite")
    }
    return nil
  }

  func save(_ state: PropagationState, settings: String) throws {
    try state.checkpoint(settings: settings).write(to: statePath)
  }

  /// The run is complete: nothing to go on from.
  func forgetState() { try? FileManager.default.removeItem(atPath: statePath) }
}
