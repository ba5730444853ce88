// Label matrices in MATLAB files, as Clothing Co-Parsing has them. MaskCoding reads them.
// Format: "MAT-File Format", The MathWorks, chapter 1 (level 5: MATLAB 5 … 7.2, SciPy).

import CZlib
import Foundation
import MemoryVOS

/// Reads one matrix of labels from a level 5 file.
enum MATFile {
  /// The labels of a variable: a real matrix [height, width] of whole numbers 0…254.
  ///
  /// - Throws: `TrainingError` for files of another format, damaged ones, and other values.
  static func labels(_ path: String, variable: String) throws(TrainingError) -> LabelMap {
    let attributes = try? FileManager.default.attributesOfItem(atPath: path)
    guard let size = attributes?[.size] as? Int, size <= byteLimit,
      let data = FileManager.default.contents(atPath: path)
    else { throw TrainingError(path, "cannot be read, or has over \(byteLimit >> 20) MiB") }
    do {
      return try labels([UInt8](data), variable: variable)
    } catch { throw TrainingError(path, "\(error)") }
  }

  struct Problem: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
    static let early = Problem("the file ends early")
  }

  private static let pixelLimit = 1 << 24
  /// Bytes of a file or a matrix at most: pixels of eight bytes.
  private static let byteLimit = 8 * pixelLimit

  private static func labels(_ bytes: [UInt8], variable: String) throws(Problem) -> LabelMap {
    guard bytes.count >= 128 else { throw .early }
    if bytes.starts(with: Array("MATLAB 7.3".utf8)) {
      throw Problem("a MATLAB 7.3 file; expected an older format: save it with '-v7'")
    }
    guard bytes[126] == UInt8(ascii: "I"), bytes[127] == UInt8(ascii: "M") else {
      throw Problem("not a MATLAB file of level 5 in little-endian order")
    }
    var names: [String] = []
    var reader = Reader(bytes: bytes[128...])
    while let element = try reader.next() {
      var matrix = element
      if element.type == .compressed {
        var inner = Reader(bytes: try inflated(element.bytes)[...])
        guard let first = try inner.next() else { continue }
        matrix = first
      }
      guard matrix.type == .matrix else { continue }
      var parts = Reader(bytes: matrix.bytes)
      guard let flags = try parts.next(), let sides = try parts.next(), let name = try parts.next()
      else { throw .early }
      names.append(String(decoding: name.bytes, as: UTF8.self))
      guard names.last == variable else { continue }
      guard let values = try parts.next() else { throw .early }
      return try map(flags: flags, sides: sides, values: values)
    }
    let found = names.isEmpty ? "none" : names.joined(separator: ", ")
    throw Problem("no variable '\(variable)'; found \(found)")
  }

  private static func map(
    flags: Element, sides: Element, values: Element
  ) throws(Problem) -> LabelMap {
    let sides = try sides.numbers(atMost: 8)
    // Class 6…15: numbers, not cells, structures, text or sparse matrices; 0x800: complex.
    guard let flags = try flags.numbers(atMost: 2).first.flatMap({ UInt32(exactly: $0) }),
      (6...15).contains(flags & 0xff), flags & 0x800 == 0,
      sides.count == 2, sides.allSatisfy({ (1...32768).contains($0) && $0 == $0.rounded() })
    else { throw Problem("expected a matrix [height, width] of real numbers") }
    let size = FrameSize(width: Int(sides[1]), height: Int(sides[0]))
    guard size.area <= pixelLimit else { throw Problem("\(size) pixels, over 2^24") }
    let numbers = try values.numbers(atMost: pixelLimit)
    guard numbers.count == size.area else {
      throw Problem("\(numbers.count) values for \(size) pixels")
    }
    var map = LabelMap(size: size)
    for (index, number) in numbers.enumerated() {
      guard let label = UInt8(exactly: number), label < 255 else {
        throw Problem("the value \(number); expected labels 0…254")
      }
      map.labels[index % size.height * size.width + index / size.height] = label
    }
    return map
  }

  /// The whole element that zlib packed; its tag tells its size.
  private static func inflated(_ packed: ArraySlice<UInt8>) throws(Problem) -> [UInt8] {
    var stream = z_stream()
    guard inflateInit_(&stream, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else {
      throw Problem("zlib cannot be started")
    }
    defer { inflateEnd(&stream) }
    var packed = Array(packed)
    let element = packed.withUnsafeMutableBufferPointer { input -> [UInt8]? in
      stream.next_in = input.baseAddress
      stream.avail_in = UInt32(input.count)
      func inflate(_ count: Int) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: count) { output, written in
          stream.next_out = output.baseAddress
          stream.avail_out = UInt32(count)
          _ = CZlib.inflate(&stream, Z_SYNC_FLUSH)
          written = count - Int(stream.avail_out)
        }
      }
      let tag = inflate(8)
      guard tag.count == 8 else { return nil }
      let count = tag[4...].reversed().reduce(0) { $0 << 8 | Int($1) }
      guard count <= byteLimit else { return nil }
      let body = inflate(count)
      return body.count == count ? tag + body : nil
    }
    guard let element else { throw Problem("damaged, or a matrix of over \(byteLimit >> 20) MiB") }
    return element
  }

  // MARK: - Elements

  private enum Kind: UInt32 {
    case int8 = 1
    case uint8 = 2
    case int16 = 3
    case uint16 = 4
    case int32 = 5
    case uint32 = 6
    case single = 7
    case double = 9
    case int64 = 12
    case uint64 = 13
    case matrix = 14
    case compressed = 15
    case other = 0
  }

  private struct Element {
    let type: Kind
    let bytes: ArraySlice<UInt8>

    /// The first `limit` numbers or fewer.
    func numbers(atMost limit: Int) throws(Problem) -> [Double] {
      func read<T>(_: T.Type, _ number: (T) -> Double) -> [Double] {
        let stride = MemoryLayout<T>.size
        return bytes.prefix(limit * stride).withUnsafeBytes { buffer in
          (0..<buffer.count / stride).map {
            number(buffer.loadUnaligned(fromByteOffset: $0 * stride, as: T.self))
          }
        }
      }
      switch type {
      case .int8: return read(Int8.self) { Double($0) }
      case .uint8: return read(UInt8.self) { Double($0) }
      case .int16: return read(Int16.self) { Double($0) }
      case .uint16: return read(UInt16.self) { Double($0) }
      case .int32: return read(Int32.self) { Double($0) }
      case .uint32: return read(UInt32.self) { Double($0) }
      case .single: return read(Float.self) { Double($0) }
      case .double: return read(Double.self) { $0 }
      case .int64: return read(Int64.self) { Double($0) }
      case .uint64: return read(UInt64.self) { Double($0) }
      case .matrix, .compressed, .other: throw Problem("damaged: numbers expected")
      }
    }
  }

  /// Elements one after the other: a tag of type and size, then the bytes, filled up to eight.
  private struct Reader {
    var bytes: ArraySlice<UInt8>

    private func word(_ offset: Int) -> UInt32 {
      bytes.dropFirst(offset).prefix(4).reversed().reduce(0) { $0 << 8 | UInt32($1) }
    }

    mutating func next() throws(Problem) -> Element? {
      guard !bytes.isEmpty else { return nil }
      guard bytes.count >= 8 else { throw .early }
      let (first, second) = (word(0), word(4))
      if first >> 16 != 0 {
        // Up to four bytes within the tag itself.
        let count = Int(first >> 16)
        guard count <= 4 else { throw Problem("damaged: a short element of \(count) bytes") }
        let body = bytes.dropFirst(4).prefix(count)
        bytes = bytes.dropFirst(8)
        return Element(type: Kind(rawValue: first & 0xffff) ?? .other, bytes: body)
      }
      let count = Int(second)
      guard bytes.count - 8 >= count else { throw .early }
      let type = Kind(rawValue: first) ?? .other
      let body = bytes.dropFirst(8).prefix(count)
      let filled = type == .compressed ? count : (count + 7) / 8 * 8
      bytes = bytes.dropFirst(8 + filled)
      return Element(type: type, bytes: body)
    }
  }
}
