// What can go wrong with files of the world.

/// A file, video or image that cannot be used. Its description is one line that names the file, what
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
