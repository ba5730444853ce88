// Folders for tests that write files.

import Foundation

/// A folder that is empty at first and gone when the value is.
public final class Scratch {
  /// The folder's path.
  public let path: String

  /// Makes the folder under the system's temporary directory.
  public init() {
    path = NSTemporaryDirectory() + "/memoryvos-" + UUID().uuidString
    // A test that cannot write fails on its first file.
    try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  /// The path of a file in the folder.
  public func file(_ name: String) -> String { path + "/" + name }

  /// Names in the folder, hidden ones included, in ascending order.
  public var contents: [String] {
    ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).sorted()
  }
}

/// Numbers that look random and are the same in every run (SplitMix64).
public struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  /// A generator whose numbers follow from `seed`.
  public init(seed: UInt64) { state = seed }

  /// The next number.
  public mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
    return z ^ z >> 31
  }
}

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
