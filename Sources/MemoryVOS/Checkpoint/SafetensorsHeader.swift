// The JSON header of a safetensors file, parsed strictly: only what the format allows is accepted,
// each name once, numbers are unsigned integers, nothing is nested deeper than the format nests.
// A general JSON parser would drop duplicate names silently and recurse as deep as the file likes.

/// What the header says, offsets and sizes checked.
struct SafetensorsHeader {
  /// One tensor: type, shape and the range of its bytes after the header.
  struct Entry: Equatable {
    var dtype: CheckpointScalar
    var shape: [Int]
    var range: Range<Int>
  }

  var metadata: [String: String] = [:]
  var entries: [String: Entry] = [:]

  /// Parses the header's bytes and checks it against `dataCount`, the bytes that follow it.
  init(json: ArraySlice<UInt8>, dataCount: Int, path: String) throws(CheckpointError) {
    var parser = HeaderParser(bytes: json, path: path)
    var seenMetadata = false
    try parser.object { parser, key throws(CheckpointError) in
      if key == "__metadata__" {
        guard !seenMetadata else { throw parser.duplicate(key) }
        seenMetadata = true
        try parser.object { parser, name throws(CheckpointError) in
          let value = try parser.string()
          guard metadata.updateValue(value, forKey: name) == nil else {
            throw parser.duplicate(name)
          }
        }
      } else {
        let entry = try parser.entry(of: key, dataCount: dataCount)
        guard entries.updateValue(entry, forKey: key) == nil else { throw parser.duplicate(key) }
      }
    }
    try parser.end()
    try checkCover(dataCount: dataCount, path: path)
  }

  /// The tensors must cover the data exactly: no byte unused, no byte used twice.
  private func checkCover(dataCount: Int, path: String) throws(CheckpointError) {
    var end = 0
    var previous = ""
    let ordered = entries.sorted {
      ($0.value.range.lowerBound, $0.value.range.upperBound, $0.key)
        < ($1.value.range.lowerBound, $1.value.range.upperBound, $1.key)
    }
    for (name, entry) in ordered {
      guard entry.range.lowerBound == end else {
        let how = entry.range.lowerBound < end ? "overlaps tensor '\(previous)'" : "leaves a gap"
        throw CheckpointError(
          path: path, tensor: name, expected: "data at offset \(end)",
          found: "offset \(entry.range.lowerBound), which \(how)", suggestion: Self.damaged)
      }
      end = entry.range.upperBound
      previous = name
    }
    guard end == dataCount else {
      throw CheckpointError(
        path: path, expected: "\(end) bytes of tensor data, as the header says",
        found: "\(dataCount) bytes", suggestion: Self.damaged)
    }
  }

  static let damaged = "the file is damaged or cut short; copy or download it again"
}

/// A cursor over the header's bytes.
private struct HeaderParser {
  private let bytes: ArraySlice<UInt8>
  private let path: String
  private var position: Int

  init(bytes: ArraySlice<UInt8>, path: String) {
    self.bytes = bytes
    self.path = path
    position = bytes.startIndex
  }

  func error(_ expected: String, found: String? = nil) -> CheckpointError {
    let here =
      position < bytes.endIndex
      ? "'\(Character(UnicodeScalar(bytes[position])))'" : "the end of the header"
    return CheckpointError(
      path: path, expected: expected,
      found: "\(found ?? here) at byte \(position - bytes.startIndex) of the header",
      suggestion: "this is not a sound safetensors file; copy or download it again")
  }

  func duplicate(_ name: String) -> CheckpointError {
    error("each name once", found: "a second '\(name)'")
  }

  private mutating func skipSpace() {
    while position < bytes.endIndex, [0x20, 0x09, 0x0a, 0x0d].contains(bytes[position]) {
      position += 1
    }
  }

  private mutating func take(_ character: Character) -> Bool {
    skipSpace()
    guard position < bytes.endIndex, bytes[position] == character.asciiValue else { return false }
    position += 1
    return true
  }

  private mutating func expect(_ character: Character) throws(CheckpointError) {
    guard take(character) else { throw error("'\(character)'") }
  }

  /// `{"key": …, …}`; `member` reads each value.
  mutating func object(
    _ member: (inout HeaderParser, String) throws(CheckpointError) -> Void
  ) throws(CheckpointError) {
    try expect("{")
    if take("}") { return }
    repeat {
      let key = try string()
      try expect(":")
      try member(&self, key)
    } while take(",")
    try expect("}")
  }

  /// Nothing but white space may follow the header's object.
  mutating func end() throws(CheckpointError) {
    skipSpace()
    if position < bytes.endIndex { throw error("the end of the header") }
  }

  mutating func entry(
    of name: String, dataCount: Int
  ) throws(CheckpointError) -> SafetensorsHeader.Entry {
    var dtypeName: String?
    var shape: [Int]?
    var offsets: [Int]?
    try object { parser, key throws(CheckpointError) in
      switch key {
      case "dtype" where dtypeName == nil: dtypeName = try parser.string()
      case "shape" where shape == nil: shape = try parser.integers(limit: 16)
      case "data_offsets" where offsets == nil: offsets = try parser.integers(limit: 2)
      default:
        throw parser.error(
          "dtype, shape and data_offsets, once each, for tensor '\(name)'", found: "'\(key)'")
      }
    }
    guard let dtypeName, let shape, let offsets, offsets.count == 2 else {
      throw CheckpointError(
        path: path, tensor: name, expected: "dtype, shape and two data_offsets",
        found: "an incomplete entry", suggestion: SafetensorsHeader.damaged)
    }
    guard let dtype = CheckpointScalar(rawValue: dtypeName) else {
      let known = CheckpointScalar.allCases.map(\.rawValue).joined(separator: ", ")
      throw CheckpointError(
        path: path, tensor: name, expected: "a dtype among \(known)", found: "'\(dtypeName)'",
        suggestion: "convert the tensor to F32")
    }
    guard offsets[0] <= offsets[1], offsets[1] <= dataCount else {
      throw CheckpointError(
        path: path, tensor: name, expected: "data_offsets within \(dataCount) bytes of data",
        found: "\(offsets)", suggestion: SafetensorsHeader.damaged)
    }
    let needed = CheckpointTensor.byteCount(shape: shape, dtype: dtype)
    guard needed == offsets[1] - offsets[0] else {
      throw CheckpointError(
        path: path, tensor: name,
        expected: "\(needed.map(String.init) ?? "more than 2^63") bytes for \(dtypeName) of "
          + "shape \(shape)",
        found: "\(offsets[1] - offsets[0]) bytes", suggestion: SafetensorsHeader.damaged)
    }
    return SafetensorsHeader.Entry(dtype: dtype, shape: shape, range: offsets[0]..<offsets[1])
  }

  /// `[1, 2, …]`, at most `limit` of them.
  mutating func integers(limit: Int) throws(CheckpointError) -> [Int] {
    try expect("[")
    if take("]") { return [] }
    var result: [Int] = []
    repeat {
      guard result.count < limit else { throw error("at most \(limit) numbers") }
      result.append(try integer())
    } while take(",")
    try expect("]")
    return result
  }

  private mutating func integer() throws(CheckpointError) -> Int {
    skipSpace()
    let start = position
    var value = 0
    while position < bytes.endIndex, case let digit = bytes[position], (0x30...0x39).contains(digit)
    {
      let (shifted, overflow) = value.multipliedReportingOverflow(by: 10)
      let (sum, carry) = shifted.addingReportingOverflow(Int(digit - 0x30))
      guard !overflow, !carry else { throw error("an integer below 2^63") }
      value = sum
      position += 1
    }
    guard position > start, position == start + 1 || bytes[start] != 0x30 else {
      throw error("a non-negative integer")
    }
    return value
  }

  /// A JSON string: UTF-8 with escapes; lone surrogates and control characters are refused.
  mutating func string() throws(CheckpointError) -> String {
    try expect("\"")
    var units: [UInt8] = []
    while position < bytes.endIndex {
      let byte = bytes[position]
      switch byte {
      case 0x22:
        guard let text = String(validating: units, as: UTF8.self) else {
          throw error("valid UTF-8", found: "invalid bytes in the string that ends")
        }
        position += 1
        return text
      case 0x5c:
        position += 1
        units += String(try escape()).utf8
      case ..<0x20:
        throw error("a string without control characters", found: "byte \(byte)")
      default:
        units.append(byte)
        position += 1
      }
    }
    throw error("the end of a string")
  }

  private mutating func escape() throws(CheckpointError) -> Character {
    guard position < bytes.endIndex else { throw error("an escape") }
    let letter = bytes[position]
    let simple: [UInt8: Character] = [
      0x22: "\"", 0x5c: "\\", 0x2f: "/", 0x62: "\u{8}", 0x66: "\u{c}", 0x6e: "\n", 0x72: "\r",
      0x74: "\t",
    ]
    if let character = simple[letter] {
      position += 1
      return character
    }
    guard letter == 0x75 else { throw error("an escape that JSON has") }
    var unit = try codeUnit()
    if (0xd800..<0xdc00).contains(unit), position < bytes.endIndex, bytes[position] == 0x5c {
      position += 1
      let low = try codeUnit()
      guard (0xdc00..<0xe000).contains(low) else { throw error("the second half of a surrogate") }
      unit = 0x10000 + (unit - 0xd800) << 10 + (low - 0xdc00)
    }
    guard let scalar = UnicodeScalar(unit) else { throw error("a Unicode scalar") }
    return Character(scalar)
  }

  /// `uXXXX`.
  private mutating func codeUnit() throws(CheckpointError) -> UInt32 {
    guard bytes.endIndex - position >= 5, bytes[position] == 0x75 else {
      throw error("four hexadecimal digits")
    }
    var value: UInt32 = 0
    for digit in bytes[position + 1..<position + 5] {
      guard let number = Character(UnicodeScalar(digit)).hexDigitValue else {
        throw error("four hexadecimal digits")
      }
      value = value << 4 | UInt32(number)
    }
    position += 5
    return value
  }
}
