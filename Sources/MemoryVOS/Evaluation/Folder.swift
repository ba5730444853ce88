// Folders of sequences and frames, listed the same way on every machine.

import Glibc

/// What a folder holds, in the order of the names' bytes.
enum Folder {
  enum Kind { case file, folder, missing }

  static func kind(of path: String) -> Kind {
    var status = stat()
    guard stat(path, &status) == 0 else { return .missing }
    return status.st_mode & S_IFMT == S_IFDIR ? .folder : .file
  }

  /// Names in a folder, hidden ones left out.
  static func names(in path: String) throws(MediaError) -> [String] {
    guard let stream = opendir(path) else {
      throw MediaError(
        path: path, problem: "cannot be opened as a folder: \(String(cString: strerror(errno)))")
    }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) {
        String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
      }
      if !name.hasPrefix(".") { names.append(name) }
    }
    return names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }

  /// Stems of the PNG files in a folder, in order.
  static func stems(in path: String) throws(MediaError) -> [String] {
    try names(in: path).filter { $0.hasSuffix(".png") }.map { String($0.dropLast(4)) }
  }
}
