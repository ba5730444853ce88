// Reading and writing safetensors files. Every file is treated as hostile: sizes are checked before
// memory is taken, and nothing outside the declared ranges is read.

import Foundation

extension Checkpoint {
  /// The longest header that is parsed, as in the reference implementation.
  static let maximumHeaderCount = 100_000_000
  /// The largest file that is read: networks of this project have megabytes, teachers gigabytes.
  static let maximumFileCount = 8 << 30

  /// Reads a safetensors file; throws when anything about it is not as the format wants it.
  public init(path: String) throws(CheckpointError) {
    let bytes = try Self.readFile(path)
    try self.init(bytes: bytes, path: path)
  }

  /// A checkpoint from the bytes of a file; `path` is for errors.
  package init(bytes: [UInt8], path: String) throws(CheckpointError) {
    let tooShort = CheckpointError(
      path: path, expected: "a safetensors file", found: "\(bytes.count) bytes",
      suggestion: SafetensorsHeader.damaged)
    guard bytes.count >= 8 else { throw tooShort }
    let declared = bytes.withUnsafeBytes {
      UInt64(littleEndian: $0.loadUnaligned(fromByteOffset: 0, as: UInt64.self))
    }
    guard declared <= UInt64(Self.maximumHeaderCount), declared <= UInt64(bytes.count - 8) else {
      throw CheckpointError(
        path: path,
        expected: "a header of at most \(min(Self.maximumHeaderCount, bytes.count - 8)) bytes",
        found: "a header length of \(declared)",
        suggestion: "this is not a safetensors file, or it was cut short")
    }
    let dataStart = 8 + Int(declared)
    let header = try SafetensorsHeader(
      json: bytes[8..<dataStart], dataCount: bytes.count - dataStart, path: path)
    self.init(metadata: header.metadata)
    self.path = path
    tensors.reserveCapacity(header.entries.count)
    for (name, entry) in header.entries {
      let range = dataStart + entry.range.lowerBound..<dataStart + entry.range.upperBound
      tensors[name] = CheckpointTensor(
        shape: entry.shape, dtype: entry.dtype, bytes: bytes[range], origin: (path, name))
    }
  }

  /// Writes a safetensors file: to a temporary name beside `path`, then renamed, so that a file of
  /// this name is always whole.
  ///
  /// The data begins at a multiple of 64 bytes. Tensors that fill whole lines of 64 bytes come
  /// first and are aligned too (the format forbids gaps); then by scalar size, so that each is
  /// aligned to its scalars.
  public func write(to path: String) throws(CheckpointError) {
    let temporary = path + ".\(getpid()).part"
    let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw Self.failure("a file that can be created", path, errno) }
    var problem = writeAll(to: descriptor) ?? (fsync(descriptor) == 0 ? nil : errno)
    if close(descriptor) != 0 { problem = problem ?? errno }
    if problem == nil, rename(temporary, path) != 0 { problem = errno }
    if let problem {
      unlink(temporary)
      throw Self.failure("a file that can be written", path, problem)
    }
  }

  /// The file's bytes up to the data, and the names in the order of the data.
  func serializedHeader() -> (bytes: [UInt8], order: [String]) {
    let order = tensors.sorted { a, b in
      let (x, y) = (a.value, b.value)
      return (x.bytes.count % 64 == 0 ? 0 : 1, -x.dtype.byteCount, a.key)
        < (y.bytes.count % 64 == 0 ? 0 : 1, -y.dtype.byteCount, b.key)
    }
    var members: [String] = []
    if !metadata.isEmpty {
      let pairs = metadata.sorted { $0.key < $1.key }
        .map { Self.json($0.key) + ":" + Self.json($0.value) }
      members.append("\"__metadata__\":{\(pairs.joined(separator: ","))}")
    }
    var offset = 0
    for (name, tensor) in order {
      let end = offset + tensor.bytes.count
      let shape = tensor.shape.map(String.init).joined(separator: ",")
      members.append(
        "\(Self.json(name)):{\"dtype\":\"\(tensor.dtype.rawValue)\",\"shape\":[\(shape)],"
          + "\"data_offsets\":[\(offset),\(end)]}")
      offset = end
    }
    var json = Array("{\(members.joined(separator: ","))}".utf8)
    json += [UInt8](repeating: 0x20, count: (64 - (json.count + 8) % 64) % 64)
    let length = withUnsafeBytes(of: UInt64(json.count).littleEndian) { Array($0) }
    return (length + json, order.map(\.key))
  }

  /// Writes everything; returns the error number of the first failure.
  private func writeAll(to descriptor: Int32) -> Int32? {
    let (header, order) = serializedHeader()
    for part in [header[...]] + order.compactMap({ tensors[$0]?.bytes }) {
      let problem = part.withUnsafeBytes { raw -> Int32? in
        var rest = raw[...]
        while let base = UnsafeRawBufferPointer(rebasing: rest).baseAddress, !rest.isEmpty {
          let written = Foundation.write(descriptor, base, rest.count)
          if written < 0, errno != EINTR { return errno }
          rest = rest.dropFirst(max(written, 0))
        }
        return nil
      }
      if let problem { return problem }
    }
    return nil
  }

  private static func json(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case _ where scalar.value < 0x20:
        let digits = String(scalar.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }

  private static func readFile(_ path: String) throws(CheckpointError) -> [UInt8] {
    // Asked before opening, since opening a pipe would wait for a writer.
    var status = stat()
    guard stat(path, &status) == 0 else {
      throw failure("a safetensors file", path, errno)
    }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw CheckpointError(
        path: path, expected: "a safetensors file",
        found: status.st_mode & S_IFMT == S_IFDIR ? "a folder" : "something that is not a file",
        suggestion: "name the .safetensors file itself")
    }
    guard status.st_size <= maximumFileCount else {
      throw CheckpointError(
        path: path, expected: "at most \(maximumFileCount) bytes", found: "\(status.st_size)",
        suggestion: "split the checkpoint or keep only the tensors that the network reads")
    }
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw failure("a readable file", path, errno) }
    defer { close(descriptor) }
    var problem: Int32 = 0
    let size = Int(status.st_size)
    let bytes = [UInt8](unsafeUninitializedCapacity: size) { buffer, initialized in
      while initialized < size {
        let count = read(
          descriptor, buffer.baseAddress.map { $0 + initialized }, size - initialized)
        if count < 0, errno == EINTR { continue }
        if count < 0 { problem = errno }
        if count <= 0 { return }
        initialized += count
      }
    }
    guard problem == 0 else { throw failure("a readable file", path, problem) }
    return bytes
  }

  private static func failure(
    _ expected: String, _ path: String, _ number: Int32
  ) -> CheckpointError {
    CheckpointError(
      path: path, expected: expected, found: "'\(String(cString: strerror(number)))'",
      suggestion: number == ENOENT
        ? "check the path"
        : [ENOSPC, EDQUOT, EFBIG].contains(number) ? "free some space" : "check the permissions")
  }
}
