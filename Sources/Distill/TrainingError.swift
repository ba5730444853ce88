// What can go wrong before and during training.

/// Data, a recipe or a run that cannot be used.
///
/// The description is one line that names the place, what was expected, what was found and what to
/// try.
public struct TrainingError: Error, Sendable, Equatable, CustomStringConvertible {
  /// One line.
  public let description: String

  /// An error with a complete description.
  public init(_ description: String) { self.description = description }

  /// "place: problem".
  init(_ place: String, _ problem: String) { description = "\(place): \(problem)" }
}
