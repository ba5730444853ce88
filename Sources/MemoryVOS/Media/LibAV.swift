// libav's global state and messages, for the readers and writers of this folder.

import CLibAV

/// What all uses of libav share.
enum LibAV {
  /// Longest side of a picture that is accepted.
  static let longestSide = 32_768
  /// Most pixels of a picture that is accepted: 400 MB as RGB.
  static let largestArea = 1 << 27

  /// Silences libav's own printing; every use begins here.
  static let prepare: Void = vos_av_install_log()

  /// libav's words for an error code.
  static func message(_ code: Int32) -> String {
    var buffer = [CChar](repeating: 0, count: 128)
    av_strerror(code, &buffer, buffer.count)
    return text(buffer)
  }

  /// Text up to the terminating zero.
  static func text(_ characters: [CChar]) -> String {
    String(decoding: characters.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// Traps: the sizes of pictures are checked, so only an exhausted machine comes here.
  static func allocated<T>(_ pointer: UnsafeMutablePointer<T>?) -> UnsafeMutablePointer<T> {
    guard let pointer else { fatalError("out of memory") }
    return pointer
  }

  /// Why a picture of this size is refused, or `nil`.
  static func refusal(width: Int, height: Int) -> String? {
    if width < 1 || height < 1 { return "a picture of \(width)×\(height) pixels" }
    guard width > longestSide || height > longestSide || width * height > largestArea else {
      return nil
    }
    return
      "pictures of \(width)×\(height) are larger than this program accepts "
      + "(\(longestSide) pixels a side, \(largestArea >> 20) million in all); scale them down first"
  }
}

/// The newest error message of one container or codec.
final class LibAVLog {
  /// Handed to libav as `opaque`; must outlive the context that holds it.
  let storage = LibAV.allocated(vos_av_log_create())

  deinit { av_free(storage) }

  /// Number of error messages so far.
  var count: Int { Int(storage.pointee.count) }

  /// The newest message on one line, empty when there is none.
  var message: String {
    var buffer = [CChar](repeating: 0, count: 256)
    vos_av_log_read(storage, &buffer, Int32(buffer.count))
    let line = LibAV.text(buffer).split(whereSeparator: \.isNewline).joined(separator: " ")
    return String(line.reversed().drop { $0 == " " || $0 == "." }.reversed())
  }

  /// The newest message if there is one, else libav's words for `code`.
  func reason(_ code: Int32) -> String {
    let message = message
    return message.isEmpty ? LibAV.message(code) : message
  }
}
