// Seen and unseen categories of YouTube-VOS, from the data set's own meta.json files.

import Foundation

/// Which objects belong to categories that occur in the training set.
public struct CategoryGroups: Sendable {
  private let categories: [String: [UInt8: String]]
  private let seen: Set<String>

  /// Groups from files.
  ///
  /// - Parameters:
  ///   - meta: the evaluated set's `meta.json`, which gives each object's category.
  ///   - seen: the training set's `meta.json`, or a text file with one category a line.
  /// - Throws: `MediaError` when a file cannot be read or holds something else.
  public init(meta: String, seen: String) throws(MediaError) {
    var categories: [String: [UInt8: String]] = [:]
    for (video, content) in try Self.decode(meta).videos {
      for (id, object) in content.objects {
        guard let label = UInt8(id), let category = object.category else { continue }
        categories[video, default: [:]][label] = category
      }
    }
    self.categories = categories
    if seen.hasSuffix(".json") {
      let objects = try Self.decode(seen).videos.values.flatMap(\.objects.values)
      self.seen = Set(objects.compactMap(\.category))
    } else {
      let text = String(decoding: try AtomicFile.read(seen), as: UTF8.self)
      self.seen = Set(
        text.split(whereSeparator: \.isNewline).map { $0.trimmingCharacters(in: .whitespaces) }
          .filter { !$0.isEmpty })
    }
    guard !self.seen.isEmpty else {
      throw MediaError(path: seen, problem: "names no category")
    }
  }

  /// Whether an object's category is a seen one; `nil` when its category is not known.
  func isSeen(object: UInt8, sequence: String) -> Bool? {
    categories[sequence]?[object].map { seen.contains($0) }
  }

  private struct Meta: Decodable {
    struct Video: Decodable { let objects: [String: Object] }
    struct Object: Decodable { let category: String? }
    let videos: [String: Video]
  }

  private static func decode(_ path: String) throws(MediaError) -> Meta {
    let bytes = try AtomicFile.read(path)
    guard let meta = try? JSONDecoder().decode(Meta.self, from: Data(bytes)) else {
      throw MediaError(
        path: path, problem: "is not a YouTube-VOS meta.json with videos, objects and categories")
    }
    return meta
  }
}
