// Data beside the repository, for tests that are enabled only where it exists.

import Foundation

/// The data that developers have beside the repository; tests that need it are enabled by it.
public enum SharedData {
  /// `$VOS_SHARED`, or the folder `shared` beside the repository.
  public static let path: String = {
    if let path = ProcessInfo.processInfo.environment["VOS_SHARED"] { return path }
    return URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent().appending(path: "shared").path
  }()

  /// The path of a file there, and whether it exists.
  public static func has(_ name: String) -> Bool {
    FileManager.default.fileExists(atPath: path + "/" + name)
  }
}
