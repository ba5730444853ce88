// The sound of a video, packet by packet, for a video made from its frames. OverlayWriter owns it.

import CLibAV
import Glibc

/// Reads the audio packets of an input and moves them to the new video's clock.
final class AudioCopier {
  /// The stream to be copied.
  let stream: UnsafeMutablePointer<AVStream>
  private var context: UnsafeMutablePointer<AVFormatContext>
  private let packet = LibAV.allocated(av_packet_alloc())
  private var isHolding = false
  private var isAtEnd = false
  /// The container's time that becomes 0.
  private var origin = 0.0

  /// The best audio stream of a file; `nil` when it has none or cannot be read twice.
  init?(_ input: String) {
    LibAV.prepare
    let isLocal = !input.contains("://")
    var status = stat()
    // Opening a pipe again would take bytes from its reader, or wait for ever.
    if isLocal, stat(input, &status) != 0 || status.st_mode & S_IFMT != S_IFREG { return nil }
    var options: OpaquePointer?
    defer { av_dict_free(&options) }
    if isLocal { av_dict_set(&options, "protocol_whitelist", "file,pipe,crypto,data", 0) }
    var opened: UnsafeMutablePointer<AVFormatContext>?
    let url = isLocal ? "file:" + input : input
    guard avformat_open_input(&opened, url, nil, &options) >= 0, let opened else { return nil }
    context = opened
    var closing: UnsafeMutablePointer<AVFormatContext>? = opened
    let found = avformat_find_stream_info(opened, nil)
    let best = av_find_best_stream(opened, AVMEDIA_TYPE_AUDIO, -1, -1, nil, 0)
    guard found >= 0, best >= 0, let stream = opened.pointee.streams[Int(best)],
      let bytes = opened.pointee.pb, bytes.pointee.seekable & AVIO_SEEKABLE_NORMAL != 0
    else {
      avformat_close_input(&closing)
      return nil
    }
    self.stream = stream
    for index in 0..<Int(opened.pointee.nb_streams) where index != Int(best) {
      opened.pointee.streams[index]?.pointee.discard = AVDISCARD_ALL
    }
  }

  deinit {
    var freed: UnsafeMutablePointer<AVPacket>? = packet
    av_packet_free(&freed)
    var closing: UnsafeMutablePointer<AVFormatContext>? = context
    avformat_close_input(&closing)
  }

  /// Begins at a time of the container, which becomes 0.
  func start(at seconds: Double) {
    origin = seconds
    let ticks = seconds / av_q2d(stream.pointee.time_base)
    guard seconds > 1, abs(ticks) < 1e15 else { return }
    // Where this fails, packets before the start are read and passed over.
    av_seek_frame(context, stream.pointee.index, Int64(ticks), AVSEEK_FLAG_BACKWARD)
  }

  /// The next packet that begins before `seconds` of the new clock, in the stream's own ticks; the
  /// caller hands it on before asking again.
  func next(before seconds: Double) -> UnsafeMutablePointer<AVPacket>? {
    while !isAtEnd {
      if !isHolding {
        guard av_read_frame(context, packet) >= 0 else {
          isAtEnd = true
          return nil
        }
        guard packet.pointee.stream_index == stream.pointee.index,
          packet.pointee.pts != vos_av_nopts_value()
        else {
          av_packet_unref(packet)
          continue
        }
        isHolding = true
      }
      let tick = av_q2d(stream.pointee.time_base)
      let time = Double(packet.pointee.pts) * tick - origin
      if time >= seconds { return nil }
      isHolding = false
      guard time >= 0 else {
        av_packet_unref(packet)
        continue
      }
      let shift = Int64((origin / tick).rounded())
      packet.pointee.pts -= shift
      packet.pointee.dts =
        packet.pointee.dts == vos_av_nopts_value() ? packet.pointee.pts : packet.pointee.dts - shift
      return packet
    }
    return nil
  }
}
