// One image file to pixels. ImageFolderReader calls it for each frame.

import CLibAV
import Foundation

/// Decodes image files by what they contain, whatever they are called.
final class ImageDecoder {
  /// File name endings that count as images in a folder.
  static let extensions: Set<String> = [
    "jpg", "jpeg", "jpe", "jfif", "png", "bmp", "dib", "webp", "tif", "tiff", "ppm", "pgm", "pbm",
    "pnm", "pam", "jp2", "j2k", "tga",
  ]
  /// Largest file that is read.
  static let largestFile = 1 << 30

  private var decoders: [UInt32: PictureDecoder] = [:]

  /// The kinds that files say they are.
  enum Kind: Equatable {
    case tiff
    case codec(AVCodecID)
  }

  /// What the first bytes say; Targa has none and goes by its name.
  static func kind(of start: some Collection<UInt8>, path: String) -> Kind? {
    let bytes = Array(start.prefix(16))
    func begins(_ pattern: [UInt8], at offset: Int = 0) -> Bool {
      bytes.dropFirst(offset).starts(with: pattern)
    }
    if begins([0xFF, 0xD8, 0xFF]) { return .codec(AV_CODEC_ID_MJPEG) }
    if begins([0x89, 0x50, 0x4E, 0x47]) { return .codec(AV_CODEC_ID_PNG) }
    for mark: [UInt8] in [[0x49, 0x49, 0x2A, 0], [0x4D, 0x4D, 0, 0x2A]] where begins(mark) {
      return .tiff
    }
    for mark: [UInt8] in [[0x49, 0x49, 0x2B, 0], [0x4D, 0x4D, 0, 0x2B]] where begins(mark) {
      return .tiff
    }
    if begins(Array("RIFF".utf8)), begins(Array("WEBP".utf8), at: 8) {
      return .codec(AV_CODEC_ID_WEBP)
    }
    if begins(Array("BM".utf8)) { return .codec(AV_CODEC_ID_BMP) }
    if begins([0, 0, 0, 0x0C, 0x6A, 0x50]) || begins([0xFF, 0x4F, 0xFF, 0x51]) {
      return .codec(AV_CODEC_ID_JPEG2000)
    }
    if bytes.count > 2, bytes[0] == UInt8(ascii: "P"), bytes[2] <= 32 {
      switch bytes[1] {
      case UInt8(ascii: "1"), UInt8(ascii: "4"): return .codec(AV_CODEC_ID_PBM)
      case UInt8(ascii: "2"), UInt8(ascii: "5"): return .codec(AV_CODEC_ID_PGM)
      case UInt8(ascii: "3"), UInt8(ascii: "6"): return .codec(AV_CODEC_ID_PPM)
      case UInt8(ascii: "7"): return .codec(AV_CODEC_ID_PAM)
      default: break
      }
    }
    return path.lowercased().hasSuffix(".tga") ? .codec(AV_CODEC_ID_TARGA) : nil
  }

  /// The picture of a file, upright as its EXIF says.
  ///
  /// Alpha is blended over black in 8-bit images and ignored in deeper ones.
  func decode(_ path: String) throws(MediaError) -> DecodedImage {
    let bytes = try ImageDecoder.read(path)
    guard let kind = ImageDecoder.kind(of: bytes, path: path) else {
      throw MediaError(
        path: path,
        problem: "expected an image (JPEG, PNG, TIFF, WebP, BMP, PNM …), found something else")
    }
    guard case .codec(let codec) = kind else {
      let file = try TIFFFile(path)
      guard file.pageCount == 1 else {
        throw MediaError(
          path: path,
          problem: "expected one picture in each file of a folder, found \(file.pageCount) pages; "
            + "give the file itself to track it as a stack")
      }
      return try file.read(page: 0)
    }
    guard ImageDecoder.hasEnd(bytes, codec: codec) else {
      throw MediaError(path: path, problem: "this image is cut off: its end is missing")
    }
    return try decode(bytes, codec: codec, path: path)
  }

  private func decode(
    _ bytes: [UInt8], codec: AVCodecID, path: String
  ) throws(MediaError) -> DecodedImage {
    let decoder: PictureDecoder
    if let known = decoders[codec.rawValue] {
      decoder = known
      decoder.flush()
    } else {
      decoder = try PictureDecoder(codec: codec, threads: 1, input: path)
      decoders[codec.rawValue] = decoder
    }
    let packet = LibAV.allocated(av_packet_alloc())
    defer {
      var freed: UnsafeMutablePointer<AVPacket>? = packet
      av_packet_free(&freed)
    }
    guard av_new_packet(packet, Int32(bytes.count)) >= 0, let data = packet.pointee.data else {
      throw MediaError(path: path, problem: "not enough memory for this image")
    }
    data.update(from: bytes, count: bytes.count)
    packet.pointee.flags |= AV_PKT_FLAG_KEY
    var code = decoder.send(packet)
    if code >= 0 {
      code = decoder.receive()
      if code == vos_averror_eagain() {
        _ = decoder.send(nil)
        code = decoder.receive()
      }
    }
    guard code >= 0 else {
      // A decoder that failed may keep part of this image.
      decoders[codec.rawValue] = nil
      throw MediaError(
        path: path, problem: "this image is damaged or cut off (\(decoder.log.reason(code)))")
    }
    let picture = decoder.picture
    let converter = FrameConverter(input: path)
    if let deep = try converter.convertDeep(picture) { return .deep(deep) }
    var frame = try converter.convert(picture, isJPEG: decoder.isJPEG)
    if let matrix = vos_av_frame_matrix(picture) {
      frame = Orientation(matrix: matrix).apply(to: frame)
    }
    return .frame(frame)
  }

  /// Whether a file's end is there, for formats whose decoders show what they have without a word.
  private static func hasEnd(_ bytes: [UInt8], codec: AVCodecID) -> Bool {
    // Padding may follow.
    let tail = bytes.suffix(1 << 16)
    switch codec {
    case AV_CODEC_ID_MJPEG:
      return zip(tail, tail.dropFirst()).contains { $0 == 0xFF && $1 == 0xD9 }
    case AV_CODEC_ID_PNG:
      let mark = Array("IEND".utf8)
      return tail.indices.contains { tail[$0] == mark[0] && tail[$0...].starts(with: mark) }
    case AV_CODEC_ID_WEBP:
      guard bytes.count >= 12 else { return false }
      let length = (0..<4).reduce(0) { $0 | Int(bytes[4 + $1]) << (8 * $1) }
      return bytes.count >= length + 8
    default: return true
    }
  }

  private static func read(_ path: String) throws(MediaError) -> [UInt8] {
    guard let file = fopen(path, "rb") else {
      throw MediaError(path: path, problem: MediaError.reason(errno))
    }
    defer { fclose(file) }
    var status = stat()
    guard fstat(fileno(file), &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      throw MediaError(path: path, problem: "expected an image file, found something else")
    }
    let length = Int(status.st_size)
    guard length > 0 else {
      throw MediaError(path: path, problem: "expected an image, found an empty file (0 bytes)")
    }
    guard length <= largestFile else {
      throw MediaError(
        path: path, problem: "an image file of \(length >> 20) MB; at most 1024 MB are read")
    }
    let bytes = [UInt8](unsafeUninitializedCapacity: length) { target, count in
      count = fread(target.baseAddress, 1, length, file)
    }
    guard bytes.count == length else {
      throw MediaError(path: path, problem: "cannot be read to its end")
    }
    return bytes
  }
}
