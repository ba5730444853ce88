// `vos-cli repack`: a checkpoint rewritten with other metadata. How the shipped files are made.

import ArgumentParser
import Foundation
import MemoryVOS

struct RepackCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "repack",
    abstract: "Rewrite a checkpoint with new metadata, its tensors unchanged.",
    discussion: """
      Reads any safetensors file, checks it, and writes it with its data aligned to 64 bytes. The \
      metadata is replaced by the members of a JSON object: strings as they are, everything else \
      as JSON text.

      The shipped checkpoint is made from the weights that training wrote:
        vos-cli repack trained.safetensors Checkpoints/vos-mobile.safetensors \\
          --metadata Checkpoints/vos-mobile.json
      """)

  @Argument(help: ArgumentHelp("The checkpoint to read.", valueName: "input"))
  var input: String

  @Argument(help: ArgumentHelp("The checkpoint to write.", valueName: "output"))
  var output: String

  @Option(help: ArgumentHelp("A JSON object with the new metadata.", valueName: "file"))
  var metadata: String?

  func run() throws {
    var checkpoint = try Checkpoint(path: input)
    if let metadata { checkpoint.metadata = try Self.metadata(fromJSON: metadata) }
    try checkpoint.write(to: output)
  }

  /// Metadata from a JSON object: strings as they are, other values as compact, sorted JSON.
  static func metadata(fromJSON path: String) throws(MediaError) -> [String: String] {
    guard let data = FileManager.default.contents(atPath: path) else {
      throw MediaError(path: path, problem: "cannot be read; check the path")
    }
    guard let object = try? JSONDecoder().decode([String: JSONValue].self, from: data) else {
      throw MediaError(path: path, problem: "expected a JSON object, found something else")
    }
    return object.mapValues(\.text)
  }
}

/// Any JSON value, printed again without loss of small decimals.
private enum JSONValue: Codable {
  case string(String)
  case bool(Bool)
  case integer(Int)
  case number(Double)
  case array([JSONValue])
  case object([String: JSONValue])

  init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if let value = try? container.decode(String.self) {
      self = .string(value)
    } else if let value = try? container.decode(Bool.self) {
      self = .bool(value)
    } else if let value = try? container.decode(Int.self) {
      self = .integer(value)
    } else if let value = try? container.decode(Double.self) {
      self = .number(value)
    } else if let value = try? container.decode([JSONValue].self) {
      self = .array(value)
    } else {
      self = .object(try container.decode([String: JSONValue].self))
    }
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .string(let value): try container.encode(value)
    case .bool(let value): try container.encode(value)
    case .integer(let value): try container.encode(value)
    case .number(let value): try container.encode(value)
    case .array(let value): try container.encode(value)
    case .object(let value): try container.encode(value)
    }
  }

  /// A string as it is, anything else as JSON.
  var text: String {
    if case .string(let value) = self { return value }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    // Values that were decoded from JSON can be encoded.
    return (try? encoder.encode(self)).map { String(decoding: $0, as: UTF8.self) } ?? ""
  }
}
