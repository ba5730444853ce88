// Zip archives over libarchive: what evaluation servers take.

import CArchive
import Glibc

/// Writing of zip archives.
package enum ZipFile {
  /// Packs files into a zip archive, which appears under its name when it is complete.
  ///
  /// Entries keep the given order and no time, so that equal files make equal archives.
  package static func write(
    _ entries: [(name: String, path: String)], to path: String
  ) throws(MediaError) {
    let temporary = "\(path).\(getpid()).part"
    guard let archive = archive_write_new() else {
      throw MediaError(path: path, problem: "libarchive did not start")
    }
    defer { archive_write_free(archive) }
    do throws(MediaError) {
      try check(archive_write_set_format_zip(archive), archive, path)
      try check(archive_write_open_filename(archive, temporary), archive, path)
      for entry in entries {
        let bytes = try AtomicFile.read(entry.path)
        guard let header = archive_entry_new() else {
          throw MediaError(path: path, problem: "libarchive is out of memory")
        }
        defer { archive_entry_free(header) }
        archive_entry_set_pathname(header, entry.name)
        archive_entry_set_size(header, Int64(bytes.count))
        archive_entry_set_filetype(header, 0o100000)  // AE_IFREG, a macro that is not imported.
        archive_entry_set_perm(header, 0o644)
        archive_entry_set_mtime(header, 0, 0)
        try check(archive_write_header(archive, header), archive, path)
        let written = bytes.withUnsafeBytes {
          archive_write_data(archive, $0.baseAddress, $0.count)
        }
        guard written == bytes.count else {
          try check(ARCHIVE_FATAL, archive, path)
          return
        }
      }
      try check(archive_write_close(archive), archive, path)
    } catch {
      unlink(temporary)
      throw error
    }
    guard rename(temporary, path) == 0 else {
      let reason = String(cString: strerror(errno))
      unlink(temporary)
      throw MediaError(path: path, problem: "cannot be written: \(reason)")
    }
  }

  private static func check(
    _ status: Int32, _ archive: OpaquePointer, _ path: String
  ) throws(MediaError) {
    guard status < ARCHIVE_WARN else { return }
    let reason = archive_error_string(archive).map { String(cString: $0) } ?? "unknown reason"
    throw MediaError(path: path, problem: "the zip archive cannot be written: \(reason)")
  }
}
