// What can go wrong with a checkpoint file.

/// A checkpoint that cannot be read, used or written.
///
/// Its description is one line that names the file, the tensor, what was expected, what was found
/// and what to try.
public struct CheckpointError: Error, Sendable, Hashable, CustomStringConvertible {
  /// The file, as the user named it; empty for a checkpoint that was never in a file.
  public let path: String
  /// The tensor that is wrong; `nil` when the file as a whole is.
  public let tensor: String?
  /// What a good file holds there.
  public let expected: String
  /// What this one holds.
  public let found: String
  /// What the user can do about it.
  public let suggestion: String

  /// An error about one file, or about one tensor in it.
  public init(
    path: String, tensor: String? = nil, expected: String, found: String, suggestion: String
  ) {
    self.path = path
    self.tensor = tensor
    self.expected = expected
    self.found = found
    self.suggestion = suggestion
  }

  /// "file: tensor 'name': expected …, found …; suggestion", control characters escaped.
  public var description: String {
    let place = tensor.map { "tensor '\(Self.quoted($0))': " } ?? ""
    let file = path.isEmpty ? "checkpoint" : path
    return "\(file): \(place)expected \(expected), found \(Self.quoted(found)); \(suggestion)"
  }

  /// Text of a hostile file made fit for one line of a terminal.
  static func quoted(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars.prefix(160) {
      result +=
        scalar.properties.isDefaultIgnorableCodePoint || scalar.value < 0x20
          || (0x7f...0x9f).contains(scalar.value)
        ? "\\u{\(String(scalar.value, radix: 16))}" : String(scalar)
    }
    return result.unicodeScalars.count < text.unicodeScalars.count ? result + "…" : result
  }
}
