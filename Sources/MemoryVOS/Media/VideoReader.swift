// Frames of a video file or pipe. Media.openFrames makes it.

import CLibAV

/// Any video that FFmpeg's libraries open, frame by frame, each with its own time stamp.
///
/// Rotation and mirroring of the container (or of EXIF) are applied; `FrameConverter` says how
/// colours are converted. Packets that cannot be decoded are skipped and counted in `lostFrames`.
public final class VideoReader: FrameSource {
  /// Size of every frame, after rotation.
  public let size: FrameSize
  /// The container's count or estimate; `nil` for pipes and live streams.
  public let frameCount: Int?
  /// Whether the input can be read again: a file, not a pipe.
  public let isSeekable: Bool
  /// The video's clock and frame rate.
  public let timing: VideoTiming?

  private let input: String
  private let threads: Int
  private var demuxer: Demuxer
  private var decoder: PictureDecoder
  private let converter: FrameConverter
  private let packet = LibAV.allocated(av_packet_alloc())
  private let orientation: Orientation
  private let promised: (count: Int?, missing: Int)

  /// The frame that `next()` returns.
  private var position = 0
  /// The frame that the decoder gives next; the first one is decoded when the video is opened.
  private var decoderPosition = 0
  private var holdsPicture = false
  private var isAtEnd = false
  private var firstTimestamp: Int64 = 0
  /// Time stamps of the frames that were decoded one after the other from the start.
  private var knownTimestamps: [Int64] = []
  private var index: PacketIndex?
  private var isIndexed = false
  /// Frames before `position`, kept for reading backward: the first one's number and all of them.
  private var kept: (first: Int, frames: [SourceFrame]) = (0, [])
  private var undecoded = 0
  private var endLosses = 0

  /// Bytes of frames that are kept when reading backward.
  static let keptBytes = 64 << 20

  /// Frames lost so far; see `FrameSource`.
  public var lostFrames: Int { max(undecoded, endLosses) }

  /// Opens a video and decodes its first frame.
  ///
  /// - Parameters:
  ///   - input: A path, a URL with `://`, or `-` for standard input.
  ///   - threads: Pictures decoded at the same time; each holds some frames of memory.
  /// - Throws: `MediaError` when nothing can be decoded.
  public init(_ input: String, threads: Int = 2) throws(MediaError) {
    self.input = input
    self.threads = threads
    let demuxer = try Demuxer(input)
    let decoder = try PictureDecoder(stream: demuxer.stream, threads: threads, input: input)
    self.demuxer = demuxer
    self.decoder = decoder
    converter = FrameConverter(input: input)
    isSeekable = demuxer.isSeekable
    promised = demuxer.promisedFrames
    var lost = 0
    let code = VideoReader.decode(demuxer, decoder, packet, lost: &lost)
    guard code else {
      var freed: UnsafeMutablePointer<AVPacket>? = packet
      av_packet_free(&freed)
      let reason = decoder.log.message
      throw MediaError(
        path: input,
        problem: "no frame could be decoded: the video is damaged, cut off or empty"
          + (reason.isEmpty ? "" : " (\(reason))"))
    }
    undecoded = lost
    orientation = VideoReader.orientation(decoder.picture, demuxer.stream)
    size = orientation.upright(try converter.storedSize(decoder.picture))
    firstTimestamp = decoder.picture.pointee.best_effort_timestamp
    holdsPicture = true
    frameCount = isSeekable ? promised.count : nil
    let stream = demuxer.stream.pointee
    var aspect = decoder.picture.pointee.sample_aspect_ratio
    if aspect.num <= 0 || aspect.den <= 0 { aspect = stream.sample_aspect_ratio }
    let ratio = aspect.num > 0 && aspect.den > 0 ? av_q2d(aspect) : 1
    timing = VideoTiming(
      tickNumerator: Int(stream.time_base.num), tickDenominator: Int(stream.time_base.den),
      framesPerSecond: demuxer.framesPerSecond,
      pixelAspect: orientation.transposes ? 1 / ratio : ratio,
      startSeconds: firstTimestamp == vos_av_nopts_value()
        ? 0 : Double(firstTimestamp) * av_q2d(stream.time_base))
  }

  deinit {
    var freed: UnsafeMutablePointer<AVPacket>? = packet
    av_packet_free(&freed)
  }

  /// The next frame, or `nil` at the end.
  ///
  /// - Throws: `MediaError` when a frame has another size than the first one.
  public func next() throws(MediaError) -> SourceFrame? {
    if position != decoderPosition || !kept.frames.isEmpty {
      let offset = position - kept.first
      if kept.frames.indices.contains(offset) {
        position += 1
        return kept.frames[offset]
      }
      kept = (0, [])
      if position != decoderPosition, let frame = try reposition() { return frame }
    }
    guard try advance() else { return nil }
    defer { release() }
    let frame = try convert()
    position += 1
    return frame
  }

  /// Makes `next()` return frame `index`, exactly; traps when `index` is negative.
  ///
  /// - Throws: `MediaError` when the input is a pipe.
  public func seek(to index: Int) throws(MediaError) {
    precondition(index >= 0, "frame \(index)")
    guard isSeekable || index == position else {
      throw MediaError(path: input, problem: "a pipe can only be read once, from start to end")
    }
    position = index
  }

  // MARK: - Decoding

  /// Makes sure that the decoder's picture is frame `decoderPosition`; false at the end.
  private func advance() throws(MediaError) -> Bool {
    if holdsPicture { return true }
    if isAtEnd { return false }
    guard VideoReader.decode(demuxer, decoder, packet, lost: &undecoded) else {
      isAtEnd = true
      noteEnd()
      return false
    }
    holdsPicture = true
    return true
  }

  /// Gives up the decoder's picture and counts it.
  private func release() {
    if isSeekable, decoderPosition == knownTimestamps.count {
      knownTimestamps.append(decoder.picture.pointee.best_effort_timestamp)
    }
    holdsPicture = false
    decoderPosition += 1
  }

  /// Decodes one picture; false at the end.
  private static func decode(
    _ demuxer: Demuxer, _ decoder: PictureDecoder, _ packet: UnsafeMutablePointer<AVPacket>,
    lost: inout Int
  ) -> Bool {
    var errors = 0
    while true {
      let code = decoder.receive()
      if code >= 0 { return true }
      if code == vos_averror_eof() { return false }
      if code != vos_averror_eagain() {
        lost += 1
        errors += 1
        // A decoder that fails for ever without asking for a packet.
        if errors > 1000 { return false }
        continue
      }
      errors = 0
      switch demuxer.read(packet) {
      case .packet:
        if decoder.send(packet) < 0 { lost += 1 }
        av_packet_unref(packet)
      case .damagedPacket:
        lost += 1
        av_packet_unref(packet)
      case .end:
        if decoder.send(nil) < 0 { return false }
      }
    }
  }

  private static func orientation(
    _ picture: UnsafeMutablePointer<AVFrame>, _ stream: UnsafeMutablePointer<AVStream>
  ) -> Orientation {
    guard let matrix = vos_av_frame_matrix(picture) ?? vos_av_stream_matrix(stream) else {
      return .upright
    }
    return Orientation(matrix: matrix)
  }

  /// The decoder's picture as frame `decoderPosition`.
  private func convert() throws(MediaError) -> SourceFrame {
    let picture = decoder.picture
    let orientation = VideoReader.orientation(picture, demuxer.stream)
    let found = orientation.upright(try converter.storedSize(picture))
    guard found == size else {
      throw MediaError(
        path: input,
        problem: "frame \(decoderPosition) is \(found), the frames before it are \(size); "
          + "split the video there or scale it to one size")
    }
    let stored = try converter.convert(picture, isJPEG: decoder.isJPEG)
    return SourceFrame(
      index: decoderPosition, frame: orientation.apply(to: stored),
      stem: Media.stem(ofFrame: decoderPosition), seconds: seconds(picture))
  }

  private func seconds(_ picture: UnsafeMutablePointer<AVFrame>) -> Double {
    let timestamp = picture.pointee.best_effort_timestamp
    guard timestamp != vos_av_nopts_value(), firstTimestamp != vos_av_nopts_value() else {
      return Double(decoderPosition) / (timing?.framesPerSecond ?? 25)
    }
    return (Double(timestamp) - Double(firstTimestamp)) * av_q2d(demuxer.stream.pointee.time_base)
  }

  /// Compares what decoded with what the container promised, at the end.
  private func noteEnd() {
    guard promised.missing > 0 || demuxer.isDamaged else { return }
    endLosses = max(endLosses, promised.missing, (promised.count ?? 0) - decoderPosition)
  }

  // MARK: - Seeking

  /// Moves the decoder so that its next picture is frame `position`.
  ///
  /// Going backward, returns that frame and keeps those before it.
  private func reposition() throws(MediaError) -> SourceFrame? {
    let isBackward = position < decoderPosition
    // A short way forward is quicker decoded than sought.
    let isFar = position > decoderPosition + 48
    var firstExact: Int? = 0
    if isBackward || isFar { firstExact = try jump() }
    if firstExact == nil, isBackward { try rewind() }
    let windowCount = isBackward ? max(1, VideoReader.keptBytes / (size.area * 3)) : 0
    var window: [SourceFrame] = []
    while decoderPosition < position {
      guard try advance() else { return nil }
      if position - decoderPosition < windowCount, decoderPosition >= firstExact ?? 0 {
        window.append(try convert())
      }
      release()
    }
    guard isBackward, try advance() else { return nil }
    let frame = try convert()
    kept = (position - window.count, window)
    release()
    position += 1
    return frame
  }

  /// Seeks to a key frame at or before `position`, or starts again from the first frame.
  ///
  /// Returns the first frame from which on pictures are exact; `nil`, without having
  /// moved, where packets do not tell frame numbers.
  private func jump() throws(MediaError) -> Int? {
    try buildIndex()
    guard let index, position < index.timestamps.count else { return nil }
    for key in index.keys(before: index.timestamps[position]).prefix(4) {
      guard let start = index.frame(at: key), demuxer.seek(to: key) else { break }
      decoder.flush()
      (holdsPicture, isAtEnd) = (false, false)
      // Pictures before the key frame may lack what they refer to: passed over.
      var ignored = 0
      while VideoReader.decode(demuxer, decoder, packet, lost: &ignored) {
        let timestamp = decoder.picture.pointee.best_effort_timestamp
        guard let found = index.frame(at: timestamp), found <= position else { break }
        guard found >= start else { continue }
        decoderPosition = found
        holdsPicture = true
        return found
      }
    }
    try rewind()
    return 0
  }

  /// Reads the packets' times once.
  ///
  /// The index is used only while it agrees with what was decoded.
  private func buildIndex() throws(MediaError) {
    if !isIndexed {
      isIndexed = true
      index = try PacketIndex(input)
    }
    guard let found = index else { return }
    let isPrefix =
      knownTimestamps.count <= found.timestamps.count
      && knownTimestamps.elementsEqual(found.timestamps[..<knownTimestamps.count])
    if !isPrefix { index = nil }
  }

  /// Starts again from the first frame, with everything fresh.
  private func rewind() throws(MediaError) {
    demuxer = try Demuxer(input)
    decoder = try PictureDecoder(stream: demuxer.stream, threads: threads, input: input)
    (holdsPicture, isAtEnd, decoderPosition) = (false, false, 0)
  }
}
