// Text files that grow while a clip is tracked and appear when they are complete.

import Foundation

/// A file written piece by piece beside its final name, renamed by `finish()`.
///
/// Without `finish()` nothing is left behind and a file of that name stays as it was.
final class StreamedFile {
  let path: String
  private let temporary: String
  private var file: UnsafeMutablePointer<FILE>?

  /// Creates the temporary file.
  init(_ path: String) throws(MediaError) {
    self.path = path
    temporary = StreamedFile.temporaryName(for: path)
    file = fopen(temporary, "wbx")
    guard file != nil else { throw StreamedFile.failure(path, errno) }
  }

  deinit {
    guard let file else { return }
    fclose(file)
    unlink(temporary)
  }

  /// A name beside `path` that is not in use.
  static func temporaryName(for path: String) -> String {
    "\(path).\(getpid())-\(UInt32.random(in: 0...(.max))).part"
  }

  /// An error of writing `path`.
  static func failure(_ path: String, _ code: Int32) -> MediaError {
    MediaError(path: path, problem: "cannot be written: \(MediaError.reason(code))")
  }

  /// Appends text; traps after `finish()`.
  func write(_ text: String) throws(MediaError) {
    guard let file else { preconditionFailure("written after finish()") }
    let bytes = Array(text.utf8)
    guard fwrite(bytes, 1, bytes.count, file) == bytes.count else {
      throw StreamedFile.failure(path, errno)
    }
  }

  /// Completes the file and gives it its name; traps when called twice.
  func finish() throws(MediaError) {
    guard let file else { preconditionFailure("finished twice") }
    self.file = nil
    let isWritten = fflush(file) == 0
    let code = errno
    guard fclose(file) == 0, isWritten, rename(temporary, path) == 0 else {
      let reason = isWritten ? errno : code
      unlink(temporary)
      throw StreamedFile.failure(path, reason)
    }
  }
}
