// Which packet shows which frame, found by reading a file's packets without decoding them.
// VideoReader uses it to jump.

import CLibAV

/// Presentation times of all packets of a video, in order, and which of them are key frames.
///
/// Exists only for videos in which each packet is one frame with its own time stamp; for others,
/// and for damaged ones, the reader decodes from the start.
struct PacketIndex {
  /// Time stamp of each frame in the stream's clock, ascending.
  let timestamps: [Int64]
  /// Time stamps of the frames that decode without others, ascending.
  let keyTimestamps: [Int64]

  /// Scans the file; `nil` when its packets do not tell frame numbers.
  init?(_ input: String) throws(MediaError) {
    let demuxer = try Demuxer(input)
    var timestamps: [Int64] = []
    var keys: [Int64] = []
    let packet = LibAV.allocated(av_packet_alloc())
    defer {
      var freed: UnsafeMutablePointer<AVPacket>? = packet
      av_packet_free(&freed)
    }
    reading: while true {
      switch demuxer.read(packet) {
      case .packet:
        defer { av_packet_unref(packet) }
        if packet.pointee.flags & AV_PKT_FLAG_DISCARD != 0 { continue }
        guard packet.pointee.pts != vos_av_nopts_value() else { return nil }
        timestamps.append(packet.pointee.pts)
        if packet.pointee.flags & AV_PKT_FLAG_KEY != 0 { keys.append(packet.pointee.pts) }
      case .damagedPacket: av_packet_unref(packet)
      case .end: break reading
      }
    }
    timestamps.sort()
    keys.sort()
    for (a, b) in zip(timestamps, timestamps.dropFirst()) where a == b { return nil }
    guard !timestamps.isEmpty, !keys.isEmpty else { return nil }
    self.timestamps = timestamps
    keyTimestamps = keys
  }

  /// The frame that is shown at a time stamp.
  func frame(at timestamp: Int64) -> Int? {
    let position = PacketIndex.lowerBound(timestamps, timestamp)
    guard position < timestamps.count, timestamps[position] == timestamp else { return nil }
    return position
  }

  /// The key frames from which a frame may be decoded, the nearest first.
  func keys(before timestamp: Int64) -> some Sequence<Int64> {
    keyTimestamps[..<PacketIndex.lowerBound(keyTimestamps, timestamp + 1)].reversed()
  }

  private static func lowerBound(_ values: [Int64], _ value: Int64) -> Int {
    var (low, high) = (0, values.count)
    while low < high {
      let middle = (low + high) / 2
      if values[middle] < value { low = middle + 1 } else { high = middle }
    }
    return low
  }
}
