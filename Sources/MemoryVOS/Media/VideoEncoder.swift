// RGB frames to packets of a video stream. OverlayWriter owns it.

import CLibAV

/// The codec that a container can hold and this machine can encode, and its pictures.
final class VideoEncoder {
  let context: UnsafeMutablePointer<AVCodecContext>
  private let picture: UnsafeMutablePointer<AVFrame>
  private let scaler: OpaquePointer
  private let size: FrameSize
  private let log = LibAVLog()

  /// Best first: H.264, then what every FFmpeg has, then WebM's.
  private static let candidates = ["libx264", "libopenh264", "mpeg4", "libvpx-vp9", "libvpx"]

  /// Opens an encoder for frames of `size`.
  ///
  /// Odd sides are made even by repeating the last column or row. The clock is the source's where
  /// container and codec allow it: see `context.pointee.time_base`.
  init(
    container: UnsafePointer<AVOutputFormat>, size: FrameSize, timing: VideoTiming, threads: Int,
    path: String
  ) throws(MediaError) {
    LibAV.prepare
    guard let codec = VideoEncoder.codec(for: container) else {
      throw MediaError(
        path: path,
        problem: "no encoder here makes video for this kind of file; try a name ending in .mp4")
    }
    let context = LibAV.allocated(avcodec_alloc_context3(codec))
    let picture = LibAV.allocated(av_frame_alloc())
    let (width, height) = (Int32(size.width + size.width % 2), Int32(size.height + size.height % 2))
    let isHD = size.width >= 1280 || size.height >= 720
    let rate = av_d2q(max(0.01, min(1000, timing.framesPerSecond)), 60_000)
    var base = AVRational(
      num: Int32(clamping: timing.tickNumerator), den: Int32(clamping: timing.tickDenominator))
    // AVI counts frames instead of time.
    if String(cString: container.pointee.name) == "avi" {
      base = AVRational(num: rate.den, den: rate.num)
    }
    // MPEG-4 allows no finer clocks.
    if codec.pointee.id == AV_CODEC_ID_MPEG4, base.den > 65_535 {
      base = AVRational(num: 1, den: 60_000)
    }
    context.pointee.opaque = UnsafeMutableRawPointer(log.storage)
    context.pointee.width = width
    context.pointee.height = height
    context.pointee.pix_fmt = AV_PIX_FMT_YUV420P
    context.pointee.time_base = base
    context.pointee.framerate = rate
    context.pointee.color_range = AVCOL_RANGE_MPEG
    context.pointee.colorspace = isHD ? AVCOL_SPC_BT709 : AVCOL_SPC_SMPTE170M
    context.pointee.color_primaries = isHD ? AVCOL_PRI_BT709 : AVCOL_PRI_SMPTE170M
    context.pointee.color_trc = isHD ? AVCOL_TRC_BT709 : AVCOL_TRC_SMPTE170M
    context.pointee.chroma_sample_location = AVCHROMA_LOC_LEFT
    context.pointee.sample_aspect_ratio = av_d2q(timing.pixelAspect, 10_000)
    context.pointee.thread_count = Int32(clamping: max(1, threads))
    context.pointee.gop_size = Int32(max(1, min(250, (timing.framesPerSecond * 2).rounded())))
    if container.pointee.flags & AVFMT_GLOBALHEADER != 0 {
      context.pointee.flags |= AV_CODEC_FLAG_GLOBAL_HEADER
    }
    var options: OpaquePointer?
    defer { av_dict_free(&options) }
    switch String(cString: codec.pointee.name) {
    case "libx264":
      av_dict_set(&options, "preset", "veryfast", 0)
      av_dict_set(&options, "crf", "20", 0)
    case "mpeg4":
      context.pointee.flags |= AV_CODEC_FLAG_QSCALE
      context.pointee.global_quality = 3 * FF_QP2LAMBDA
    case "libopenh264":
      context.pointee.bit_rate = Int64(Double(size.area) * timing.framesPerSecond / 8)
    default:
      av_dict_set(&options, "crf", "24", 0)
      av_dict_set(&options, "deadline", "realtime", 0)
      av_dict_set(&options, "cpu-used", "6", 0)
      context.pointee.bit_rate = Int64(Double(size.area) * timing.framesPerSecond / 8)
    }
    picture.pointee.width = width
    picture.pointee.height = height
    picture.pointee.format = AV_PIX_FMT_YUV420P.rawValue
    let code = avcodec_open2(context, codec, &options)
    guard code >= 0, av_frame_get_buffer(picture, 0) >= 0,
      let scaler = vos_sws_create_encoder(
        width, height, isHD ? SWS_CS_ITU709 : SWS_CS_ITU601)
    else {
      let reason = log.reason(code)
      var closing: UnsafeMutablePointer<AVCodecContext>? = context
      avcodec_free_context(&closing)
      var freed: UnsafeMutablePointer<AVFrame>? = picture
      av_frame_free(&freed)
      throw MediaError(path: path, problem: "no video of \(size) can be encoded (\(reason))")
    }
    self.context = context
    self.picture = picture
    self.scaler = scaler
    self.size = size
  }

  deinit {
    sws_freeContext(scaler)
    var closing: UnsafeMutablePointer<AVCodecContext>? = context
    avcodec_free_context(&closing)
    var freed: UnsafeMutablePointer<AVFrame>? = picture
    av_frame_free(&freed)
  }

  private static func codec(
    for container: UnsafePointer<AVOutputFormat>
  ) -> UnsafePointer<AVCodec>? {
    for name in candidates {
      guard let codec = avcodec_find_encoder_by_name(name),
        avformat_query_codec(container, codec.pointee.id, FF_COMPLIANCE_NORMAL) == 1
      else { continue }
      return codec
    }
    return nil
  }

  /// Encodes one frame at a time stamp, or the end of the stream, and returns libav's code.
  func send(_ frame: Frame?, timestamp: Int64 = 0) -> Int32 {
    guard let frame else { return avcodec_send_frame(context, nil) }
    let code = av_frame_make_writable(picture)
    guard code >= 0 else { return code }
    let pixels = VideoEncoder.evened(frame)
    let width = size.width + size.width % 2
    let height = size.height + size.height % 2
    pixels.withUnsafeBufferPointer { source in
      _ = vos_sws_unpack(scaler, source.baseAddress, Int32(3 * width), Int32(height), picture)
    }
    picture.pointee.pts = timestamp
    return avcodec_send_frame(context, picture)
  }

  /// Fetches the next packet, in the encoder's clock, and returns libav's code.
  func receive(_ packet: UnsafeMutablePointer<AVPacket>) -> Int32 {
    avcodec_receive_packet(context, packet)
  }

  /// libav's words for a failure.
  func reason(_ code: Int32) -> String { log.reason(code) }

  /// The pixels with odd sides made even.
  private static func evened(_ frame: Frame) -> [UInt8] {
    let (width, height) = (frame.size.width, frame.size.height)
    guard width % 2 == 1 || height % 2 == 1 else { return frame.pixels }
    var pixels: [UInt8] = []
    pixels.reserveCapacity((width + 1) * (height + 1) * 3)
    for y in 0..<height + height % 2 {
      let start = min(y, height - 1) * width * 3
      pixels += frame.pixels[start..<start + width * 3]
      if width % 2 == 1 { pixels += frame.pixels[start + width * 3 - 3..<start + width * 3] }
    }
    return pixels
  }
}
