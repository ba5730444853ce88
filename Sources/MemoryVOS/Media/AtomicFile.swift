// Files that exist whole or not at all. Everything that writes results uses this.

import Glibc

/// Reading and writing whole files; a written file appears under its name only when it is complete.
package enum AtomicFile {
  /// Files beyond this many bytes are not read into memory.
  package static let readLimit = 1 << 30

  /// The bytes of a file; at most `readLimit` of them.
  package static func read(_ path: String) throws(MediaError) -> [UInt8] {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw failure(path, "cannot be opened") }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw failure(path, "cannot be read") }
    guard status.st_mode & S_IFMT != S_IFDIR else {
      throw MediaError(path: path, problem: "is a folder; a file was expected")
    }
    var bytes: [UInt8] = []
    var room = max(4096, Int(status.st_size) + 1)
    while true {
      guard bytes.count + room <= readLimit else {
        throw MediaError(path: path, problem: "is larger than 1 GiB, too large to be read whole")
      }
      let old = bytes.count
      var got = 0
      bytes.reserveCapacity(old + room)
      let block = [UInt8](unsafeUninitializedCapacity: room) { buffer, count in
        got = Glibc.read(descriptor, buffer.baseAddress, room)
        count = max(got, 0)
      }
      if got < 0 && errno == EINTR { continue }
      guard got >= 0 else { throw failure(path, "cannot be read") }
      guard got > 0 else { return bytes }
      if old == 0 { bytes = block } else { bytes += block }
      room = max(4096, min(room, 1 << 20))
    }
  }

  /// Writes `bytes` beside `path` under a temporary name, then renames.
  package static func write(_ bytes: [UInt8], to path: String) throws(MediaError) {
    var status = stat()
    if stat(path, &status) == 0, status.st_mode & S_IFMT != S_IFREG {
      throw MediaError(path: path, problem: "is a folder or a device; name a file to write")
    }
    let temporary = "\(path).\(getpid())-\(UInt32.random(in: 0...(.max))).part"
    let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw failure(path, "cannot be written") }
    var written = 0
    var succeeded = true
    bytes.withUnsafeBytes { buffer in
      while written < buffer.count, let base = buffer.baseAddress {
        let step = Glibc.write(descriptor, base + written, buffer.count - written)
        if step < 0 && errno == EINTR { continue }
        guard step > 0 else {
          succeeded = false
          return
        }
        written += step
      }
    }
    let error = errno
    let closed = close(descriptor)
    guard succeeded, closed == 0, rename(temporary, path) == 0 else {
      let cause = succeeded ? errno : error
      unlink(temporary)
      errno = cause
      throw failure(path, "cannot be written")
    }
  }

  /// Writes text as `write(_:to:)` does.
  package static func write(_ text: String, to path: String) throws(MediaError) {
    try write(Array(text.utf8), to: path)
  }

  private static func failure(_ path: String, _ what: String) -> MediaError {
    MediaError(path: path, problem: "\(what): \(String(cString: strerror(errno)))")
  }
}
