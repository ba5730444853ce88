// Where checkpoints are found without being named by path.

import ArgumentParser
import Foundation

/// The folders in which `--checkpoint NAME` and the default are looked for.
enum CheckpointLocation {
  static let defaultName = "vos-mobile"

  static let help = ArgumentHelp(
    "Checkpoint file, or the name of a shipped one (default: vos-mobile).",
    discussion: """
      Names are looked for in $VOS_CHECKPOINTS, beside the installed command \
      (PREFIX/share/memoryvos) and in the source tree (Checkpoints).
      """,
    valueName: "file")

  /// In this order: the environment's, the installed one, the source tree's.
  static func folders(
    executable: URL? = Bundle.main.executableURL,
    environment: [String: String] = ProcessInfo.processInfo.environment
  ) -> [String] {
    var folders: [String] = []
    if let folder = environment["VOS_CHECKPOINTS"], !folder.isEmpty { folders.append(folder) }
    guard let executable = executable?.resolvingSymlinksInPath() else { return folders }
    var folder = executable.deletingLastPathComponent()
    folders.append(
      folder.deletingLastPathComponent().appending(path: "share/memoryvos").path)
    // .build/release/vos-cli and the like.
    while folder.path != "/" {
      if FileManager.default.fileExists(atPath: folder.appending(path: "Package.swift").path) {
        folders.append(folder.appending(path: "Checkpoints").path)
      }
      folder.deleteLastPathComponent()
    }
    return folders
  }

  /// The file that `option` means: a path when there is such a file or it looks like one.
  static func path(_ option: String?, folders: [String] = folders()) throws -> String {
    let name = option ?? defaultName
    if option != nil, name.contains("/") || FileManager.default.fileExists(atPath: name) {
      return name
    }
    let file = name.hasSuffix(".safetensors") ? name : name + ".safetensors"
    for folder in folders {
      let path = folder + "/" + file
      if FileManager.default.fileExists(atPath: path) { return path }
    }
    throw CommandFailure(
      "no checkpoint \(file) in \(folders.joined(separator: ", ")); name one with --checkpoint "
        + "FILE or its folder in $VOS_CHECKPOINTS")
  }
}

/// An error of the world that no library error describes, in one line.
struct CommandFailure: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}
