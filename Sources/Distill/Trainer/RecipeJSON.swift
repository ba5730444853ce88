// Recipes as JSON: keys that are left out take their defaults, unknown keys are errors that suggest
// the right one. Recipe uses it; COCODataset borrows its words for decoding errors.

import Foundation

/// Strict reading of JSON into defaulted Codable structures.
enum RecipeJSON {
  /// Reads a value: what `json` leaves out is as in `defaults`.
  ///
  /// `elements` are the defaults of arrays' elements by their key.
  static func read<Value: Codable>(
    _ json: Data, defaults: Value, elements: [String: any Encodable] = [:], name: String
  ) throws(TrainingError) -> Value {
    do {
      let given = try JSONSerialization.jsonObject(with: json, options: [.fragmentsAllowed])
      let full = try JSONSerialization.jsonObject(with: JSONEncoder().encode(defaults))
      let parts = try elements.mapValues {
        try JSONSerialization.jsonObject(with: JSONEncoder().encode($0))
      }
      let merged = try merge(given, over: full, elements: parts, path: "", name: name)
      return try JSONDecoder().decode(
        Value.self, from: JSONSerialization.data(withJSONObject: merged))
    } catch let error as TrainingError {
      throw error
    } catch let error as DecodingError {
      throw TrainingError(name, explain(error))
    } catch {
      let detail = (error as NSError).userInfo[NSDebugDescriptionErrorKey].map { " (\($0))" } ?? ""
      throw TrainingError(name, "not valid JSON\(detail)")
    }
  }

  /// Sorted, indented JSON with a newline at its end.
  static func text(_ value: some Encodable) -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    guard let data = try? encoder.encode(value) else {
      preconditionFailure("a recipe holds finite numbers only")
    }
    return String(decoding: data, as: UTF8.self) + "\n"
  }

  /// What is wrong, in one line, with the key's path.
  static func explain(_ error: any Error) -> String {
    func place(_ context: DecodingError.Context) -> String {
      context.codingPath.map { $0.intValue.map { "[\($0)]" } ?? $0.stringValue }
        .joined(separator: ".").replacingOccurrences(of: ".[", with: "[")
    }
    switch error as? DecodingError {
    case .typeMismatch(let type, let context)?:
      return "'\(place(context))': expected \(words(type))"
    case .keyNotFound(let key, let context)?:
      return "'\(key.stringValue)' is missing in '\(place(context))'"
    case .valueNotFound(let type, let context)?:
      return "'\(place(context))': expected \(words(type)), found null"
    case .dataCorrupted(let context)?:
      return "'\(place(context))': \(context.debugDescription)"
    default: return "\(error)"
    }
  }

  private static func words(_ type: any Any.Type) -> String {
    switch type {
    case is String.Type: "text"
    case is Bool.Type: "true or false"
    case is Int.Type: "a whole number"
    case is Double.Type, is Float.Type: "a number"
    default: "a \(type)"
    }
  }

  private static func merge(
    _ given: Any, over defaults: Any, elements: [String: Any], path: String, name: String
  ) throws(TrainingError) -> Any {
    guard let defaults = defaults as? [String: Any] else {
      guard let list = given as? [Any], let element = elements[path] else { return given }
      var merged: [Any] = []
      for (index, value) in list.enumerated() {
        merged.append(
          try merge(
            value, over: element, elements: elements, path: "\(path)[\(index)]", name: name))
      }
      return merged
    }
    guard let given = given as? [String: Any] else {
      throw TrainingError(
        name, path.isEmpty ? "expected an object { … }" : "'\(path)': expected an object { … }")
    }
    var merged = defaults
    for (key, value) in given.sorted(by: { $0.key < $1.key }) {
      let place = path.isEmpty ? key : "\(path).\(key)"
      guard let old = defaults[key] else {
        let known = defaults.keys.sorted()
        let hint =
          nearest(key, known).map { "did you mean '\($0)'?" }
          ?? "known here: \(known.joined(separator: ", "))"
        throw TrainingError(name, "unknown key '\(place)'; \(hint)")
      }
      merged[key] = try merge(value, over: old, elements: elements, path: place, name: name)
    }
    return merged
  }

  /// The known word that is at most a third of its letters away.
  static func nearest(_ word: String, _ known: [String]) -> String? {
    known.map { ($0, distance(Array(word.lowercased()), Array($0))) }
      .filter { $0.1 <= max(1, max(word.count, $0.0.count) / 3) }
      .min { $0.1 < $1.1 }?.0
  }

  /// Levenshtein's distance.
  private static func distance(_ a: [Character], _ b: [Character]) -> Int {
    var row = Array(0...b.count)
    for (i, x) in a.enumerated() {
      var diagonal = row[0]
      row[0] = i + 1
      for (j, y) in b.enumerated() {
        let next = min(row[j + 1] + 1, row[j] + 1, diagonal + (x == y ? 0 : 1))
        (diagonal, row[j + 1]) = (row[j + 1], next)
      }
    }
    return row[b.count]
  }
}
