// One libavcodec decoder: packets in, pictures out. For videos and for single images.

import CLibAV

/// Owns a codec context and the picture that it decoded last.
final class PictureDecoder {
  let log = LibAVLog()
  /// The picture of the last successful `receive()`.
  let picture = LibAV.allocated(av_frame_alloc())
  private let context: UnsafeMutablePointer<AVCodecContext>

  /// A decoder for a stream; `threads` pictures are decoded at the same time.
  convenience init(
    stream: UnsafeMutablePointer<AVStream>, threads: Int, input: String
  ) throws(MediaError) {
    let parameters = LibAV.allocated(stream.pointee.codecpar)
    let size = (Int(parameters.pointee.width), Int(parameters.pointee.height))
    if size != (0, 0), let refusal = LibAV.refusal(width: size.0, height: size.1) {
      throw MediaError(path: input, problem: refusal)
    }
    try self.init(codec: parameters.pointee.codec_id, threads: threads, input: input) {
      avcodec_parameters_to_context($0, parameters)
      $0.pointee.pkt_timebase = stream.pointee.time_base
    }
  }

  /// A decoder that `configure` may set up before it is opened.
  init(
    codec id: AVCodecID, threads: Int, input: String,
    configure: (UnsafeMutablePointer<AVCodecContext>) -> Void = { _ in }
  ) throws(MediaError) {
    LibAV.prepare
    guard let codec = avcodec_find_decoder(id) else {
      let name = String(cString: avcodec_get_name(id))
      throw MediaError(
        path: input,
        problem: "this build of FFmpeg's libraries has no decoder for \(name); convert the file")
    }
    let context = LibAV.allocated(avcodec_alloc_context3(codec))
    configure(context)
    context.pointee.opaque = UnsafeMutableRawPointer(log.storage)
    context.pointee.thread_count = Int32(clamping: max(1, threads))
    context.pointee.max_pixels = Int64(LibAV.largestArea)
    // The integer transform that libjpeg uses by default: nearly all values equal other readers'.
    if id == AV_CODEC_ID_MJPEG { context.pointee.idct_algo = FF_IDCT_INT }
    let code = avcodec_open2(context, codec, nil)
    guard code >= 0 else {
      var closing: UnsafeMutablePointer<AVCodecContext>? = context
      avcodec_free_context(&closing)
      throw MediaError(
        path: input, problem: "its pictures cannot be decoded (\(log.reason(code)))")
    }
    self.context = context
  }

  deinit {
    var closing: UnsafeMutablePointer<AVCodecContext>? = context
    avcodec_free_context(&closing)
    var frame: UnsafeMutablePointer<AVFrame>? = picture
    av_frame_free(&frame)
  }

  /// Hands over one packet, or `nil` at the end of the stream, and returns libav's code.
  func send(_ packet: UnsafeMutablePointer<AVPacket>?) -> Int32 {
    avcodec_send_packet(context, packet)
  }

  /// Decodes the next picture into `picture` and returns libav's code.
  func receive() -> Int32 { avcodec_receive_frame(context, picture) }

  /// Forgets everything, before reading from elsewhere or after the end.
  func flush() { avcodec_flush_buffers(context) }

  /// Whether pictures come as JPEG does: full range, BT.601.
  var isJPEG: Bool { context.pointee.codec_id == AV_CODEC_ID_MJPEG }
}
