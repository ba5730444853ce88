// A folder for one test, gone when the test is.

import Foundation

/// A fresh folder under the system's temporary folder, removed with everything in it at the end.
public final class TemporaryFolder {
  /// The folder, without a slash at the end.
  public let path: String

  /// A new empty folder.
  public init() {
    path = NSTemporaryDirectory() + "memoryvos-\(UUID().uuidString)"
    guard
      (try? FileManager.default.createDirectory(
        atPath: path, withIntermediateDirectories: true)) != nil
    else { preconditionFailure("no temporary folder at \(path)") }
  }

  /// The path of a name inside the folder; folders on the way are made.
  public func path(_ name: String) -> String {
    let url = URL(fileURLWithPath: path).appendingPathComponent(name)
    try? FileManager.default.createDirectory(
      at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
    return url.path
  }

  /// The names in a folder inside this one, sorted.
  public func names(in folder: String = "") -> [String] {
    let names = try? FileManager.default.contentsOfDirectory(atPath: "\(path)/\(folder)")
    return (names ?? []).sorted()
  }

  deinit {
    try? FileManager.default.removeItem(atPath: path)
  }
}
