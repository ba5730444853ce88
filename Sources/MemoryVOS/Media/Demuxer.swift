// One open container and its video stream. VideoReader reads packets from it, PacketIndex scans it.

import CLibAV
import Foundation

/// The video packets of one input, in the order of the file.
final class Demuxer {
  /// What reading a packet gave.
  enum Step {
    case packet
    case damagedPacket
    case end
  }

  let input: String
  let log = LibAVLog()
  let stream: UnsafeMutablePointer<AVStream>
  /// Whether the container said that it is damaged: a read error or a packet cut short.
  private(set) var isDamaged = false
  private var context: UnsafeMutablePointer<AVFormatContext>
  private var consecutiveErrors = 0

  /// Opens a path, a URL or `-` (standard input).
  init(_ input: String) throws(MediaError) {
    LibAV.prepare
    self.input = input
    let isLocal = input != "-" && !input.contains("://")
    if isLocal { try Demuxer.checkFile(input) }
    var opened = avformat_alloc_context()
    opened?.pointee.opaque = UnsafeMutableRawPointer(log.storage)
    var options: OpaquePointer?
    defer { av_dict_free(&options) }
    // A playlist may name other files, never the network.
    if isLocal { av_dict_set(&options, "protocol_whitelist", "file,pipe,crypto,data", 0) }
    av_dict_set(&options, "pattern_type", "none", 0)
    let url = input == "-" ? "pipe:0" : isLocal ? "file:" + input : input
    var code = avformat_open_input(&opened, url, nil, &options)
    guard code >= 0, let opened else {
      throw MediaError(path: input, problem: Demuxer.explain(code, log: log, input: input))
    }
    context = opened
    var closing: UnsafeMutablePointer<AVFormatContext>? = opened
    code = avformat_find_stream_info(opened, nil)
    let format = String(cString: opened.pointee.iformat.pointee.name)
    guard code >= 0, !["tty", "bin", "xbin", "adf", "idf"].contains(format) else {
      avformat_close_input(&closing)
      let problem =
        code < 0
        ? Demuxer.explain(code, log: log, input: input) : "expected a video, found a text file"
      throw MediaError(path: input, problem: problem)
    }
    let best = av_find_best_stream(opened, AVMEDIA_TYPE_VIDEO, -1, -1, nil, 0)
    guard best >= 0, let stream = opened.pointee.streams[Int(best)],
      stream.pointee.disposition & AV_DISPOSITION_ATTACHED_PIC == 0
    else {
      avformat_close_input(&closing)
      throw MediaError(
        path: input,
        problem: "expected a video, found a \(format) file without a video stream")
    }
    self.stream = stream
    for index in 0..<Int(opened.pointee.nb_streams) where index != Int(best) {
      opened.pointee.streams[index]?.pointee.discard = AVDISCARD_ALL
    }
  }

  deinit {
    var closing: UnsafeMutablePointer<AVFormatContext>? = context
    avformat_close_input(&closing)
  }

  /// Reads the next packet of the video stream; the caller unreferences it.
  func read(_ packet: UnsafeMutablePointer<AVPacket>) -> Step {
    while true {
      let code = av_read_frame(context, packet)
      if code == vos_averror_eagain() { continue }
      if code == vos_averror_eof() {
        noteTruncation()
        return .end
      }
      if code < 0 {
        // Some demuxers step over damage, others meet it again and again.
        isDamaged = true
        consecutiveErrors += 1
        if consecutiveErrors > 64 { return .end }
        continue
      }
      guard packet.pointee.stream_index == stream.pointee.index else {
        av_packet_unref(packet)
        continue
      }
      consecutiveErrors = 0
      guard packet.pointee.flags & AV_PKT_FLAG_CORRUPT == 0 else {
        isDamaged = true
        return .damagedPacket
      }
      return .packet
    }
  }

  /// Some demuxers meet the end of a truncated file with a message and no error.
  private func noteTruncation() {
    let message = log.message.lowercased()
    for sign in ["prematurely", "truncat", "partial file"] where message.contains(sign) {
      isDamaged = true
    }
  }

  /// Moves before the key frame at or before `timestamp`, in the stream's clock.
  func seek(to timestamp: Int64) -> Bool {
    consecutiveErrors = 0
    return av_seek_frame(context, stream.pointee.index, timestamp, AVSEEK_FLAG_BACKWARD) >= 0
  }

  /// Whether the bytes can be read again.
  var isSeekable: Bool {
    guard let bytes = context.pointee.pb else { return false }
    return bytes.pointee.seekable & AVIO_SEEKABLE_NORMAL != 0
  }

  /// Frames a second: the average when known, else the container's guess, else 25.
  var framesPerSecond: Double {
    let guess = av_guess_frame_rate(context, stream, nil)
    for rate in [stream.pointee.avg_frame_rate, guess, stream.pointee.r_frame_rate]
    where rate.num > 0 && rate.den > 0 {
      return av_q2d(rate)
    }
    return 25
  }

  /// Frames that the container promises, and how many of them lie beyond the end of the file.
  var promisedFrames: (count: Int?, missing: Int) {
    let entries = avformat_index_get_entries_count(stream)
    let format = String(cString: context.pointee.iformat.pointee.name)
    if format.hasPrefix("mov"), entries > 0, let bytes = context.pointee.pb {
      let length = avio_size(bytes)
      var (count, missing) = (0, 0)
      for index in 0..<entries {
        guard let entry = avformat_index_get_entry(stream, index)?.pointee,
          entry.flags & AVINDEX_DISCARD_FRAME == 0
        else { continue }
        count += 1
        if length > 0, entry.pos + Int64(entry.size) > length { missing += 1 }
      }
      return (count, missing)
    }
    if stream.pointee.nb_frames > 0 { return (Int(clamping: stream.pointee.nb_frames), 0) }
    var seconds: Double?
    if stream.pointee.duration > 0 {
      seconds = Double(stream.pointee.duration) * av_q2d(stream.pointee.time_base)
    } else if context.pointee.duration > 0 {
      seconds = Double(context.pointee.duration) / Double(AV_TIME_BASE)
    }
    guard let frames = seconds.map({ ($0 * framesPerSecond).rounded() }), frames < 1e9 else {
      return (nil, 0)
    }
    return (max(1, Int(frames)), 0)
  }

  // MARK: - Errors

  private static func checkFile(_ path: String) throws(MediaError) {
    var status = stat()
    guard stat(path, &status) == 0 else {
      throw MediaError(path: path, problem: MediaError.reason(errno))
    }
    if status.st_mode & S_IFMT == S_IFDIR {
      throw MediaError(path: path, problem: "expected a video file, found a folder")
    }
    if status.st_mode & S_IFMT == S_IFREG, status.st_size == 0 {
      throw MediaError(path: path, problem: "expected a video, found an empty file (0 bytes)")
    }
    if access(path, R_OK) != 0 {
      throw MediaError(path: path, problem: MediaError.reason(errno))
    }
  }

  /// Whether a regular file begins with nothing but text.
  private static func isText(_ path: String) -> Bool {
    guard let file = fopen(path, "rb") else { return false }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 512)
    let count = fread(&bytes, 1, bytes.count, file)
    return count > 0
      && bytes.prefix(count).allSatisfy { (32..<127).contains($0) || (9...13).contains($0) }
  }

  private static func explain(_ code: Int32, log: LibAVLog, input: String) -> String {
    if input != "-", isText(input) { return "expected a video, found a text file" }
    let reason = log.reason(code)
    if reason.contains("moov atom not found") {
      return
        "expected a complete video, found one without its index (moov): the recording was cut "
        + "off, the file is not an MP4, or an MP4 made for seeking comes through a pipe "
        + "(rewrite it with -movflags +faststart)"
    }
    return
      "expected a video that FFmpeg's libraries can read (mp4, mov, mkv, webm, avi …), "
      + "found something else (\(reason))"
  }
}
