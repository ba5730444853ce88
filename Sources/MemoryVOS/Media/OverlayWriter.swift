// Frames to a video file that plays like the one they came from. vos-cli's --overlay writes it.

import CLibAV
import Foundation

/// A video file: H.264 where an encoder exists, else MPEG-4 (WebM: VP9), YUV 4:2:0, tagged colours.
///
/// Frames keep their time stamps, also where the rate varies. Odd sides grow by one pixel, which
/// repeats the last column or row. Sound is copied, not encoded again, where the container can hold
/// it. The file appears under its name when `finish()` is called, which may be after any frame.
public final class OverlayWriter {
  /// What was left out and why, on one line; `nil` when nothing was.
  public private(set) var note: String?
  /// Frames written.
  public private(set) var frameCount = 0

  private let path: String
  private let temporary: String
  private let size: FrameSize
  private let timing: VideoTiming
  private var context: UnsafeMutablePointer<AVFormatContext>
  private let encoder: VideoEncoder
  private let video: UnsafeMutablePointer<AVStream>
  private var audio: (source: AudioCopier, stream: UnsafeMutablePointer<AVStream>)?
  private let packet = LibAV.allocated(av_packet_alloc())
  private let log: LibAVLog
  private var hasStarted = false
  private var isFinished = false
  private var origin = 0.0
  private var lastTimestamp = Int64.min

  /// Begins a video.
  ///
  /// - Parameters:
  ///   - path: The file; its ending says the container (.mp4, .mkv, .mov, .avi, .webm …).
  ///   - size: Size of every frame.
  ///   - timing: The source's clock; `nil` for images.
  ///   - input: The file whose sound is copied, as given to `Media.openFrames`; `nil` for none.
  ///   - framesPerSecond: Frame rate where `timing` is `nil`; DAVIS has 24.
  ///   - threads: Threads of the encoder.
  /// - Throws: `MediaError` when the container is unknown or the file cannot be made.
  public init(
    _ path: String, size: FrameSize, timing: VideoTiming?, audioFrom input: String? = nil,
    framesPerSecond: Double = 24, threads: Int = 2
  ) throws(MediaError) {
    LibAV.prepare
    precondition(framesPerSecond > 0, "\(framesPerSecond) frames a second")
    let rate = av_d2q(framesPerSecond, 60_000)
    let timing =
      timing
      ?? VideoTiming(
        tickNumerator: Int(rate.den), tickDenominator: Int(rate.num),
        framesPerSecond: framesPerSecond)
    guard let container = av_guess_format(nil, path, nil),
      container.pointee.flags & AVFMT_NOFILE == 0, container.pointee.video_codec != AV_CODEC_ID_NONE
    else {
      throw MediaError(
        path: path, problem: "the name of a video ends in .mp4, .mkv, .mov, .avi or .webm")
    }
    let temporary = StreamedFile.temporaryName(for: path)
    var opened: UnsafeMutablePointer<AVFormatContext>?
    avformat_alloc_output_context2(&opened, container, nil, "file:" + temporary)
    let context = LibAV.allocated(opened)
    var finished = false
    defer {
      if !finished {
        context.pointee.opaque = nil
        avio_closep(&context.pointee.pb)
        avformat_free_context(context)
        unlink(temporary)
      }
    }
    let log = LibAVLog()
    context.pointee.opaque = UnsafeMutableRawPointer(log.storage)
    encoder = try VideoEncoder(
      container: container, size: size, timing: timing, threads: threads, path: path)
    let video = LibAV.allocated(avformat_new_stream(context, nil))
    avcodec_parameters_from_context(video.pointee.codecpar, encoder.context)
    video.pointee.time_base = encoder.context.pointee.time_base
    video.pointee.avg_frame_rate = encoder.context.pointee.framerate
    video.pointee.sample_aspect_ratio = encoder.context.pointee.sample_aspect_ratio
    var note: String?
    audio = OverlayWriter.addAudio(input, to: context, container, &note)
    let code = avio_open(&context.pointee.pb, "file:" + temporary, AVIO_FLAG_WRITE)
    guard code >= 0 else { throw OverlayWriter.failure(path, code, log) }
    var options: OpaquePointer?
    defer { av_dict_free(&options) }
    av_dict_set(&options, "movflags", "+faststart", 0)
    let header = avformat_write_header(context, &options)
    guard header >= 0 else { throw OverlayWriter.failure(path, header, log) }
    finished = true
    self.note = note
    self.path = path
    self.temporary = temporary
    self.size = size
    self.timing = timing
    self.context = context
    self.video = video
    self.log = log
  }

  deinit {
    if !isFinished { close() }
    var freed: UnsafeMutablePointer<AVPacket>? = packet
    av_packet_free(&freed)
  }

  /// Appends a frame; traps when it has another size or the video is finished.
  ///
  /// - Parameters:
  ///   - frame: The picture.
  ///   - seconds: Its time in the source; the first frame's becomes 0. `nil`: one frame's duration
  ///     after the frame before.
  /// - Throws: `MediaError` when the file cannot be written.
  public func write(_ frame: Frame, seconds: Double?) throws(MediaError) {
    precondition(frame.size == size, "a frame of \(frame.size) in a video of \(size)")
    precondition(!isFinished, "written after finish()")
    if !hasStarted {
      hasStarted = true
      origin = seconds ?? 0
      audio?.source.start(at: timing.startSeconds + origin)
    }
    let time = seconds.map { $0 - origin } ?? Double(frameCount) / timing.framesPerSecond
    let tick = av_q2d(encoder.context.pointee.time_base)
    let wanted = (time / tick).rounded()
    // Time stamps rise, whatever the source says.
    let next = lastTimestamp == .min ? 0 : lastTimestamp + 1
    let timestamp = abs(wanted) < 1e15 ? max(next, Int64(wanted)) : next
    lastTimestamp = timestamp
    let code = encoder.send(frame, timestamp: timestamp)
    guard code >= 0 else {
      throw MediaError(path: path, problem: "frame \(frameCount): \(encoder.reason(code))")
    }
    frameCount += 1
    try drain()
    try copyAudio(before: Double(timestamp) * tick)
  }

  /// Completes the file and gives it its name; traps when called twice.
  ///
  /// Without a frame, no file is made.
  ///
  /// - Throws: `MediaError` when the file cannot be written.
  public func finish() throws(MediaError) {
    precondition(!isFinished, "finished twice")
    defer { close() }
    guard frameCount > 0 else { return }
    _ = encoder.send(nil)
    try drain()
    let tick = av_q2d(encoder.context.pointee.time_base)
    try copyAudio(before: Double(lastTimestamp) * tick + 1 / timing.framesPerSecond)
    try check(av_write_trailer(context))
    try check(avio_closep(&context.pointee.pb))
    guard rename(temporary, path) == 0 else { throw StreamedFile.failure(path, errno) }
  }

  // MARK: - Packets

  /// Writes what the encoder has ready.
  private func drain() throws(MediaError) {
    while encoder.receive(packet) >= 0 {
      let base = encoder.context.pointee.time_base
      if packet.pointee.duration == 0 {
        packet.pointee.duration = max(
          1, Int64((1 / timing.framesPerSecond / av_q2d(base)).rounded()))
      }
      av_packet_rescale_ts(packet, base, video.pointee.time_base)
      packet.pointee.stream_index = video.pointee.index
      try check(av_interleaved_write_frame(context, packet))
    }
  }

  /// Sound that cannot be written is given up; the video goes on.
  private func copyAudio(before seconds: Double) throws(MediaError) {
    guard let audio else { return }
    while let sound = audio.source.next(before: seconds) {
      av_packet_rescale_ts(
        sound, audio.source.stream.pointee.time_base, audio.stream.pointee.time_base)
      sound.pointee.stream_index = audio.stream.pointee.index
      sound.pointee.pos = -1
      let code = av_interleaved_write_frame(context, sound)
      if let error = context.pointee.pb?.pointee.error, error < 0 { try check(error) }
      guard code >= 0 else {
        note = "the sound ends early: \(log.reason(code))"
        self.audio = nil
        return
      }
    }
  }

  private static func addAudio(
    _ input: String?, to context: UnsafeMutablePointer<AVFormatContext>,
    _ container: UnsafePointer<AVOutputFormat>, _ note: inout String?
  ) -> (source: AudioCopier, stream: UnsafeMutablePointer<AVStream>)? {
    guard let input, let source = AudioCopier(input) else { return nil }
    let parameters = LibAV.allocated(source.stream.pointee.codecpar)
    let codec = parameters.pointee.codec_id
    guard avformat_query_codec(container, codec, FF_COMPLIANCE_NORMAL) == 1 else {
      note =
        "the sound (\(String(cString: avcodec_get_name(codec)))) is left out: "
        + "\(String(cString: container.pointee.name)) files cannot hold it; .mkv can"
      return nil
    }
    let stream = LibAV.allocated(avformat_new_stream(context, nil))
    avcodec_parameters_copy(stream.pointee.codecpar, parameters)
    stream.pointee.codecpar.pointee.codec_tag = 0
    stream.pointee.time_base = source.stream.pointee.time_base
    return (source, stream)
  }

  // MARK: - Ends and errors

  private func check(_ code: Int32) throws(MediaError) {
    // The file's own error says more than the muxer's.
    let file = context.pointee.pb?.pointee.error ?? 0
    guard code >= 0, file >= 0 else {
      throw OverlayWriter.failure(path, file < 0 ? file : code, log)
    }
  }

  private func close() {
    isFinished = true
    avio_closep(&context.pointee.pb)
    avformat_free_context(context)
    unlink(temporary)
  }

  private static func failure(_ path: String, _ code: Int32, _ log: LibAVLog) -> MediaError {
    // libav's codes of system errors are negated error numbers.
    if code > -200 { return StreamedFile.failure(path, -code) }
    return MediaError(path: path, problem: "this video cannot be written: \(log.reason(code))")
  }
}
