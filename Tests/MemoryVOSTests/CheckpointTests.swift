import Foundation
import TestSupport
import Testing

@testable import MemoryVOS

/// Bytes of a safetensors file with this header and `dataCount` bytes of data.
private func file(_ header: String, data: [UInt8], declared: UInt64? = nil) -> [UInt8] {
  let json = Array(header.utf8)
  let length = declared ?? UInt64(json.count)
  return withUnsafeBytes(of: length.littleEndian) { Array($0) } + json + data
}

private func entry(
  _ name: String, _ dtype: String, _ shape: String, _ begin: String, _ end: String
) -> String {
  #""\#(name)":{"dtype":"\#(dtype)","shape":\#(shape),"data_offsets":[\#(begin),\#(end)]}"#
}

private func sample() -> Checkpoint {
  var generator = SeededGenerator(seed: 1)
  func floats(_ count: Int) -> [Float] {
    (0..<count).map { _ in Float.random(in: -3...3, using: &generator) }
  }
  return Checkpoint(
    metadata: ["format_version": "1", "note": "\"quoted\" \\ new\nline, tab\t, é, 🦢, \u{1}"],
    tensors: [
      "b.weight": CheckpointTensor(shape: [2, 3, 1, 1], floats: floats(6)),
      "a.weight": CheckpointTensor(shape: [16], floats: floats(16)),
      "scalar": CheckpointTensor(shape: [], floats: [2.5]),
      "empty": CheckpointTensor(shape: [0, 4], floats: []),
      "bytes": CheckpointTensor(shape: [3], dtype: .int8, bytes: [1, 2, 255]),
      "half": CheckpointTensor(shape: [2], dtype: .float16, bytes: [0x00, 0x3c, 0x00, 0xc0]),
      "brain": CheckpointTensor(shape: [1], dtype: .bfloat16, bytes: [0x80, 0x3f]),
      "naïve \"name\"": CheckpointTensor(shape: [1], dtype: .int64, bytes: [UInt8](1...8)),
    ])
}

@Suite struct CheckpointTests {
  @Test func roundTrip() throws {
    let scratch = TemporaryFolder()
    let path = scratch.path("a.safetensors")
    let original = sample()
    try original.write(to: path)
    let read = try Checkpoint(path: path)
    #expect(read.metadata == original.metadata)
    #expect(read.names == original.names)
    for (name, tensor) in original.tensors {
      #expect(read.tensors[name]?.shape == tensor.shape)
      #expect(read.tensors[name]?.dtype == tensor.dtype)
      #expect(read.tensors[name]?.bytes.elementsEqual(tensor.bytes) == true, "\(name)")
    }
    #expect(try read.tensors["half"]?.floats() == [1, -2])
    #expect(try read.tensors["brain"]?.floats() == [1])
    #expect(scratch.names() == ["a.safetensors"], "a temporary file was left")
    try read.write(to: scratch.path("b.safetensors"))
    #expect(
      FileManager.default.contents(atPath: path)
        == FileManager.default.contents(atPath: scratch.path("b.safetensors")))
  }

  @Test func dataIsAlignedAndOrdered() throws {
    let (header, order) = sample().serializedHeader()
    #expect(header.count % 64 == 0)
    // Whole lines of 64 bytes (the empty one has none), then by scalar size.
    #expect(
      order == [
        "a.weight", "empty", "naïve \"name\"", "b.weight", "scalar", "brain", "half", "bytes",
      ])
  }

  @Test func emptyCheckpoint() throws {
    let scratch = TemporaryFolder()
    try Checkpoint().write(to: scratch.path("e"))
    let read = try Checkpoint(path: scratch.path("e"))
    #expect(read.tensors.isEmpty && read.metadata.isEmpty && read.parameterCount == 0)
  }

  @Test func everyHalfConvertsExactly() {
    for bits in UInt16.min...UInt16.max {
      let sign: Float = bits & 0x8000 == 0 ? 1 : -1
      let exponent = Int(bits >> 10 & 31)
      let fraction = Float(bits & 1023)
      let expected: Float =
        switch exponent {
        case 0: sign * fraction * 0x1p-24
        case 31: fraction == 0 ? sign * .infinity : .nan
        default:
          sign * (1 + fraction / 1024) * Float(sign: .plus, exponent: exponent - 15, significand: 1)
        }
      let actual = CheckpointTensor.float(half: bits)
      #expect(actual == expected || actual.isNaN && expected.isNaN, "\(bits)")
      #expect(actual.isNaN || actual.sign == (bits & 0x8000 == 0 ? .plus : .minus), "\(bits)")
    }
  }

  @Test(arguments: [Float.nan, .infinity, -.infinity, .signalingNaN])
  func nonFiniteWeightsAreNamed(_ bad: Float) throws {
    let scratch = TemporaryFolder()
    let tensor = CheckpointTensor(shape: [2, 2], floats: [0, 1, bad, bad])
    try Checkpoint(tensors: ["p.weight": tensor]).write(to: scratch.path("n"))
    let read = try Checkpoint(path: scratch.path("n"))
    let error = #expect(throws: CheckpointError.self) { try read.tensors["p.weight"]?.floats() }
    #expect(error?.tensor == "p.weight")
    #expect(error?.found.contains("index 2 of 4") == true)
    #expect(error?.description.contains(scratch.path("n")) == true)
  }

  @Test func integersAreNotFloats() throws {
    let error = #expect(throws: CheckpointError.self) { try sample().tensors["bytes"]?.floats() }
    #expect(error?.found == "I8")
  }

  @Test func missingUnknownAndMisshapenTensors() throws {
    var checkpoint = Checkpoint(tensors: [
      "a": CheckpointTensor(shape: [2], floats: [1, 2]),
      "b": CheckpointTensor(shape: [1, 3], floats: [1, 2, 3]),
    ])
    try checkpoint.check(expected: [("a", [2]), ("b", [1, 3])])
    let shape = #expect(throws: CheckpointError.self) {
      try checkpoint.check(expected: [("a", [2]), ("b", [3, 1])])
    }
    #expect(shape?.tensor == "b" && shape?.expected == "shape [3, 1]")
    #expect(shape?.found == "shape [1, 3]")
    let missing = #expect(throws: CheckpointError.self) {
      try checkpoint.check(expected: [("a", [2]), ("b", [1, 3]), ("c", [4]), ("d", [])])
    }
    #expect(missing?.tensor == "c" && missing?.expected == "shape [4]")
    #expect(missing?.found == "no such tensor (and 1 more missing)")
    checkpoint.tensors["z"] = CheckpointTensor(shape: [5], floats: [1, 2, 3, 4, 5])
    let unknown = #expect(throws: CheckpointError.self) {
      try checkpoint.check(expected: [("a", [2]), ("b", [1, 3])])
    }
    #expect(unknown?.tensor == "z" && unknown?.found == "shape [5]")
  }

  @Test func architectureAndFormatVersion() throws {
    var checkpoint = Checkpoint(metadata: ["architecture": "vos-mobile"])
    try checkpoint.check(architecture: "vos-mobile")
    #expect(throws: CheckpointError.self) { try checkpoint.check(architecture: "other") }
    checkpoint.metadata["format_version"] = "2"
    #expect(throws: CheckpointError.self) { try checkpoint.check(architecture: "vos-mobile") }
    checkpoint.metadata = [:]
    #expect(throws: CheckpointError.self) { try checkpoint.check(architecture: "vos-mobile") }
  }

  // MARK: - Hostile files

  static let hostile: [(String, [UInt8], String)] = {
    let good = entry("a", "F32", "[2]", "0", "8")
    let eight = [UInt8](repeating: 0, count: 8)
    func one(_ entry: String, _ expected: String, data: [UInt8]? = nil) -> (String, [UInt8], String)
    {
      (entry, file("{\(entry)}", data: data ?? eight), expected)
    }
    return [
      ("nothing", [], "safetensors file"),
      ("seven bytes", [UInt8](repeating: 1, count: 7), "safetensors file"),
      ("header length only", file("", data: []), "'{'"),
      ("huge header", file("{}", data: eight, declared: .max), "header length"),
      ("header of 2^63", file("{}", data: eight, declared: 1 << 63), "header length"),
      ("header longer than file", file("{}", data: [], declared: 3), "header length"),
      ("header over the limit", file("{}", data: eight, declared: 100_000_001), "header length"),
      ("text", Array("this is a text file, not a checkpoint\n".utf8), "header length"),
      ("array", file("[]", data: []), "'{'"),
      ("unclosed", file("{\(good)", data: eight), "'}'"),
      ("trailing text", file("{\(good)} x", data: eight), "end of the header"),
      ("trailing comma", file("{\(good),}", data: eight), "'\"'"),
      ("number as name", file("{1:2}", data: eight), "'\"'"),
      (
        "deep nesting", file(String(repeating: "{\"a\":", count: 100_000), data: eight), "once each"
      ),
      ("deep arrays", file("{\"a\":" + String(repeating: "[", count: 100_000), data: eight), "'{'"),
      ("unfinished string", file("{\"a", data: eight), "end of a string"),
      ("bad escape", file("{\"\\q\":1}", data: eight), "escape"),
      ("lone surrogate", file("{\"\\ud800\":1}", data: eight), "Unicode scalar"),
      ("bad surrogate pair", file("{\"\\ud800\\u0041\":1}", data: eight), "surrogate"),
      ("short escape", file("{\"\\u12", data: eight), "hexadecimal"),
      ("control character", file("{\"a\u{1}\":1}", data: eight), "control characters"),
      (
        "invalid UTF-8",
        withUnsafeBytes(of: UInt64(5).littleEndian) { Array($0) }
          + [0x7b, 0x22, 0xff, 0x22, 0x7d], "UTF-8"
      ),
      ("duplicate tensor", file("{\(good),\(good)}", data: eight), "second 'a'"),
      ("duplicate metadata", file(#"{"__metadata__":{},"__metadata__":{}}"#, data: []), "second"),
      ("duplicate key", file(#"{"__metadata__":{"k":"1","k":"2"}}"#, data: []), "second 'k'"),
      ("metadata number", file(#"{"__metadata__":{"k":1}}"#, data: []), "'\"'"),
      ("metadata list", file(#"{"__metadata__":[]}"#, data: []), "'{'"),
      ("missing offsets", file(#"{"a":{"dtype":"F32","shape":[2]}}"#, data: eight), "incomplete"),
      ("extra field", file(#"{"a":{"dtype":"F32","kind":"x"}}"#, data: eight), "'kind'"),
      ("dtype twice", file(#"{"a":{"dtype":"F32","dtype":"F32"}}"#, data: eight), "'dtype'"),
      one(entry("a", "F33", "[2]", "0", "8"), "dtype among"),
      one(entry("a", "f32", "[2]", "0", "8"), "dtype among"),
      one(entry("a", "F32", "[2]", "8", "0"), "within 8 bytes"),
      one(entry("a", "F32", "[2]", "0", "16"), "within 8 bytes"),
      one(entry("a", "F32", "[2]", "-8", "0"), "non-negative"),
      one(entry("a", "F32", "[2]", "0", "8.0"), "']'"),
      one(entry("a", "F32", "[2]", "0", "1e1"), "']'"),
      one(entry("a", "F32", "[2]", "00", "8"), "non-negative"),
      one(entry("a", "F32", "[2]", "0", "99999999999999999999"), "2^63"),
      one(entry("a", "F32", "[2]", "0", "9223372036854775807"), "within 8 bytes"),
      one(entry("a", "F32", "[3]", "0", "8"), "12 bytes"),
      one(entry("a", "F32", "[-2]", "0", "8"), "non-negative"),
      one(entry("a", "F32", "[4611686018427387904,4]", "0", "8"), "more than 2^63"),
      one(entry("a", "F32", "[4294967296,4294967296]", "0", "0"), "more than 2^63"),
      one(
        entry("a", "F32", "[" + String(repeating: "1,", count: 16) + "2]", "0", "8"), "at most 16"),
      one(entry("a", "F32", "[1]", "0", "4"), "4 bytes of tensor data"),
      one(entry("a", "F32", "[1]", "4", "8"), "leaves a gap"),
      one(
        entry("a", "F32", "[1]", "0", "4") + "," + entry("b", "F32", "[1]", "0", "4"), "overlaps"),
      one(
        entry("a", "F32", "[2]", "0", "8") + "," + entry("b", "F32", "[1]", "4", "8"), "overlaps"),
      one(
        entry("a", "F32", "[1]", "0", "4") + "," + entry("b", "U8", "[2]", "6", "8"), "leaves a gap"
      ),
      ("data without tensors", file("{}", data: eight), "0 bytes of tensor data"),
    ]
  }()

  @Test(arguments: hostile.indices)
  func hostileFileIsRefused(_ index: Int) {
    let (name, bytes, expected) = Self.hostile[index]
    let error = #expect(throws: CheckpointError.self, "\(name)") {
      try Checkpoint(bytes: bytes, path: "x.safetensors")
    }
    let line = error?.description ?? ""
    #expect(line.contains(expected), "\(name): \(line)")
    #expect(line.hasPrefix("x.safetensors: ") && !line.contains("\n"), "\(name): \(line)")
    #expect(line.count < 1_000, "\(name): a line of \(line.count) characters")
  }

  @Test func everyTruncationIsRefused() throws {
    let scratch = TemporaryFolder()
    try sample().write(to: scratch.path("a"))
    let whole = Array(FileManager.default.contents(atPath: scratch.path("a")) ?? Data())
    #expect(whole.count > 400)
    for count in 0..<whole.count {
      #expect(throws: CheckpointError.self, "\(count) of \(whole.count) bytes") {
        try Checkpoint(bytes: Array(whole[..<count]), path: "a")
      }
    }
    #expect(throws: CheckpointError.self) { try Checkpoint(bytes: whole + [0], path: "a") }
  }

  /// Damaged files are refused or read as what they then say: never a trap, never a tensor whose
  /// bytes do not fit its shape.
  @Test(arguments: 0..<20 as Range<UInt64>)
  func flippedBytes(_ seed: UInt64) throws {
    let scratch = TemporaryFolder()
    try sample().write(to: scratch.path("a"))
    let whole = Array(FileManager.default.contents(atPath: scratch.path("a")) ?? Data())
    var generator = SeededGenerator(seed: seed)
    for _ in 0..<200 {
      var bytes = whole
      for _ in 0..<Int.random(in: 1...4, using: &generator) {
        let index = Int.random(in: bytes.indices, using: &generator)
        bytes[index] = UInt8.random(in: 0...255, using: &generator)
      }
      guard let read = try? Checkpoint(bytes: bytes, path: "a") else { continue }
      for tensor in read.tensors.values {
        #expect(tensor.bytes.count == tensor.shape.reduce(1, *) * tensor.dtype.byteCount)
        _ = try? tensor.floats()
      }
    }
  }

  @Test func namesOfHostileFilesStayOnOneLine() {
    let name = "a\\n\\u001b[31m" + String(repeating: "x", count: 10_000)
    let error = #expect(throws: CheckpointError.self) {
      try Checkpoint(
        bytes: file("{\(entry(name, "F9", "[1]", "0", "4"))}", data: [0, 0, 0, 0]), path: "x")
    }
    let line = error?.description ?? ""
    #expect(line.contains("a\\u{a}\\u{1b}[31m") && line.contains("…") && line.count < 600)
  }

  // MARK: - Paths

  @Test func pathsThatAreNoFiles() throws {
    let scratch = TemporaryFolder()
    let missing = #expect(throws: CheckpointError.self) {
      try Checkpoint(path: scratch.path("missing"))
    }
    #expect(missing?.description.contains("No such file") == true)
    let folder = #expect(throws: CheckpointError.self) { try Checkpoint(path: scratch.path) }
    #expect(folder?.found == "a folder")
    mkfifo(scratch.path("pipe"), 0o600)
    #expect(throws: CheckpointError.self) { try Checkpoint(path: scratch.path("pipe")) }
  }

  @Test func failedWriteLeavesTheOldFile() throws {
    let scratch = TemporaryFolder()
    let path = scratch.path("a")
    try sample().write(to: path)
    let before = FileManager.default.contents(atPath: path)
    #expect(throws: CheckpointError.self) { try sample().write(to: path + "/b") }
    #expect(throws: CheckpointError.self) {
      try sample().write(to: scratch.path + "/no/such/folder")
    }
    #expect(FileManager.default.contents(atPath: path) == before)
    try FileManager.default.createDirectory(
      atPath: scratch.path("folder/inside"), withIntermediateDirectories: true)
    #expect(throws: CheckpointError.self) { try sample().write(to: scratch.path("folder")) }
    #expect(scratch.names() == ["a", "folder"], "a temporary file was left")
  }

  @Test func readingAndWritingDoNotShareStorage() throws {
    let original = sample()
    var copy = original
    copy.tensors["scalar"] = CheckpointTensor(shape: [], floats: [7])
    copy.metadata["note"] = nil
    #expect(try original.tensors["scalar"]?.floats() == [2.5])
    #expect(original.metadata["note"] != nil)
  }

  @Test(
    .enabled(if: SharedData.has("weights")),
    arguments: [
      ("vos-mobile-prototype", 153, 990_000...1_000_000),
      ("mobilenet_v2_imagenet", 104, 2_000_000...2_300_000),
    ])
  func filesOfOthers(_ name: String, tensors: Int, parameters: ClosedRange<Int>) throws {
    let read = try Checkpoint(path: "\(SharedData.path)/weights/\(name).safetensors")
    #expect(read.tensors.count == tensors)
    #expect(parameters.contains(read.parameterCount), "\(read.parameterCount)")
    for tensor in read.tensors.values { _ = try tensor.floats() }
  }
}
