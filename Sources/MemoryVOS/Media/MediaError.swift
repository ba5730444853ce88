// What can go wrong with files of the world.

import Foundation

/// A file, video or image that cannot be used.
///
/// Its description is one line that names the file, what
/// was expected, what was found and what to try.
public struct MediaError: Error, Sendable, CustomStringConvertible {
  /// The file or folder, as the user named it.
  public let path: String
  /// What was expected, what was found and what to try.
  public let problem: String

  /// An error about one file.
  public init(path: String, problem: String) {
    self.path = path
    self.problem = problem
  }

  /// "path: problem".
  public var description: String { "\(path): \(problem)" }
}

extension MediaError {
  /// The system's words for an error number, with what to try where that is plain.
  static func reason(_ code: Int32) -> String {
    switch code {
    case ENOENT: return "no such file or folder; check the path"
    case EACCES, EPERM: return "no permission; check the file's and its folder's access rights"
    case ENOSPC: return "no space left on the device; free some or choose another folder"
    case EROFS: return "the file system is read-only; choose another folder"
    default: return String(cString: strerror(code))
    }
  }
}
