// A safetensors file of which parts are read: stored outputs of teachers are larger than memory.
// Distill/Data reads them frame by frame; networks are read whole by Checkpoint.

import Foundation

/// An open safetensors file whose header has been checked.
package final class CheckpointFile: Sendable {
  /// The file, as the user named it.
  package let path: String
  /// Free text by key.
  package let metadata: [String: String]
  /// Shape and scalar type of each tensor.
  package let tensors: [String: (shape: [Int], dtype: CheckpointScalar)]

  private let descriptor: Int32
  private let starts: [String: Int]

  /// Opens a file and checks its header as `Checkpoint` does.
  package init(path: String) throws(CheckpointError) {
    func failure(_ found: String) -> CheckpointError {
      CheckpointError(
        path: path, expected: "a safetensors file", found: found, suggestion: "check the path")
    }
    // Not blocking, since opening a pipe would wait for a writer.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw failure("'\(String(cString: strerror(errno)))'") }
    do throws(CheckpointError) {
      var status = stat()
      guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
        throw failure("something that is not a file")
      }
      let size = Int(status.st_size)
      guard let prefix = Self.read(descriptor, at: 0, count: 8) else {
        throw failure("\(size) bytes")
      }
      let declared = prefix.withUnsafeBytes {
        UInt64(littleEndian: $0.loadUnaligned(as: UInt64.self))
      }
      guard declared <= UInt64(min(Checkpoint.maximumHeaderCount, size - 8)),
        let json = Self.read(descriptor, at: 8, count: Int(declared))
      else { throw failure("a header length of \(declared) in a file of \(size) bytes") }
      let start = 8 + Int(declared)
      let header = try SafetensorsHeader(json: json[...], dataCount: size - start, path: path)
      metadata = header.metadata
      tensors = header.entries.mapValues { ($0.shape, $0.dtype) }
      starts = header.entries.mapValues { start + $0.range.lowerBound }
    } catch {
      close(descriptor)
      throw error
    }
    self.path = path
    self.descriptor = descriptor
  }

  deinit { close(descriptor) }

  /// Scalars of a floating-point tensor from position `first` on, converted to 32 bits; traps for a
  /// name or a range that the tensor does not have.
  package func floats(
    _ name: String, from first: Int, count: Int
  ) throws(CheckpointError) -> [Float] {
    guard let tensor = tensors[name], let start = starts[name] else {
      preconditionFailure("no tensor \(name) in \(path)")
    }
    let size = tensor.dtype.byteCount
    precondition(
      first >= 0 && count >= 0 && first + count <= tensor.shape.reduce(1, *),
      "scalars \(first) ..< \(first + count) of \(name) of shape \(tensor.shape)")
    guard
      let bytes = Self.read(descriptor, at: start + first * size, count: count * size)
    else {
      throw CheckpointError(
        path: path, tensor: name, expected: "\(count * size) more bytes", found: "the file's end",
        suggestion: "the file changed while it was read")
    }
    return try CheckpointTensor(
      shape: [count], dtype: tensor.dtype, bytes: bytes[...], origin: (path, name)
    ).floats()
  }

  /// Exactly `count` bytes at `offset`, or `nil`.
  private static func read(_ descriptor: Int32, at offset: Int, count: Int) -> [UInt8]? {
    var done = 0
    let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      while done < count, let base = buffer.baseAddress {
        let got = pread(descriptor, base + done, count - done, off_t(offset + done))
        if got < 0, errno == EINTR { continue }
        if got <= 0 { break }
        done += got
      }
      initialized = done
    }
    return done == count ? bytes : nil
  }
}
