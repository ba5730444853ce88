// Writing stored outputs frame by frame: a clip's outputs are larger than memory. Teaching writes with it.

import Foundation
import MemoryVOS

/// A file of stored outputs that grows frame by frame and appears under its name when it is complete.
final class StoredOutputsWriter {
  /// How numbers are kept.
  enum Precision: String {
    case half = "F16"
    case single = "F32"

    var byteCount: Int { self == .half ? 2 : 4 }
  }

  /// What a file holds.
  struct Layout {
    var frameCount: Int
    var objects: [ObjectID]
    /// Size of the log-odds' planes.
    var size: FrameSize
    /// Size and channels of the features, if there are any.
    var features: (size: FrameSize, channels: Int)?
    var precision = Precision.half
    /// Further metadata.
    var metadata: [String: String] = [:]

    var logOddsPerFrame: Int { (objects.count + 1) * size.area }
    var featuresPerFrame: Int {
      features.map { objects.count * $0.size.area * $0.channels } ?? 0
    }
    /// Bytes of the tensors.
    var dataCount: Int {
      frameCount * (logOddsPerFrame + featuresPerFrame) * precision.byteCount
    }

    /// The file's first bytes, up to the tensors.
    fileprivate func header() -> [UInt8] {
      let kind = precision.rawValue
      let end = frameCount * logOddsPerFrame * precision.byteCount
      var tensors = [
        "log_odds": Tensor(
          dtype: kind, shape: [frameCount, objects.count + 1, size.height, size.width],
          offsets: [0, end])
      ]
      if let features {
        tensors["features"] = Tensor(
          dtype: kind,
          shape: [
            frameCount, objects.count, features.size.height, features.size.width, features.channels,
          ], offsets: [end, dataCount])
      }
      var metadata = metadata
      metadata["format"] = StoredOutputs.format
      metadata["format_version"] = "1"
      metadata["objects"] = objects.map(\.description).joined(separator: ",")
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
      guard let text = try? encoder.encode(metadata), let body = try? encoder.encode(tensors) else {
        preconditionFailure("text and numbers that JSON cannot hold")
      }
      var json = Array("{\"__metadata__\":".utf8) + text + Array(",".utf8) + body.dropFirst()
      json += [UInt8](repeating: 0x20, count: (64 - (json.count + 8) % 64) % 64)
      return withUnsafeBytes(of: UInt64(json.count).littleEndian) { Array($0) } + json
    }

    private struct Tensor: Encodable {
      let dtype: String
      let shape: [Int]
      let offsets: [Int]

      enum CodingKeys: String, CodingKey {
        case dtype, shape
        case offsets = "data_offsets"
      }
    }
  }

  let layout: Layout
  private let path: String
  private let temporary: String
  private var descriptor: Int32
  private let dataStart: Int
  private var frame = 0

  /// Reserves the whole file under a temporary name beside `path`.
  ///
  /// - Throws: `TrainingError` when it cannot be made or the disk has no room for it.
  init(_ layout: Layout, to path: String) throws(TrainingError) {
    self.layout = layout
    self.path = path
    temporary = "\(path).part"
    let header = layout.header()
    dataStart = header.count
    // One name, so that what a killed process left is used up; locked against a second process.
    descriptor = open(temporary, O_WRONLY | O_CREAT | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw Self.failure(path, errno) }
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      close(descriptor)
      descriptor = -1
      throw TrainingError(temporary, "another process is writing this file")
    }
    guard ftruncate(descriptor, 0) == 0 else { throw Self.failure(path, errno) }
    let problem = posix_fallocate(descriptor, 0, off_t(dataStart + layout.dataCount))
    guard problem == 0 else { throw Self.failure(path, problem) }
    try write(header, at: 0)
  }

  deinit {
    guard descriptor >= 0 else { return }
    close(descriptor)
    unlink(temporary)
  }

  /// Adds the next frame: log-odds `[K + 1][h][w]` and features `[K][h'][w'][C]`; traps for other
  /// counts and beyond the last frame.
  func append(logOdds: [Float], features: [Float] = []) throws(TrainingError) {
    precondition(frame < layout.frameCount, "more than \(layout.frameCount) frames")
    precondition(logOdds.count == layout.logOddsPerFrame, "\(logOdds.count) log-odds")
    precondition(features.count == layout.featuresPerFrame, "\(features.count) features")
    let size = layout.precision.byteCount
    try write(encoded(logOdds), at: dataStart + frame * logOdds.count * size)
    let start = dataStart + layout.frameCount * logOdds.count * size
    if !features.isEmpty { try write(encoded(features), at: start + frame * features.count * size) }
    frame += 1
  }

  /// Gives the file its name; traps when frames are missing.
  func finish() throws(TrainingError) {
    precondition(frame == layout.frameCount, "\(frame) of \(layout.frameCount) frames")
    guard fsync(descriptor) == 0 else { throw Self.failure(path, errno) }
    guard rename(temporary, path) == 0 else { throw Self.failure(path, errno) }
    close(descriptor)
    descriptor = -1
  }

  private func encoded(_ values: [Float]) -> [UInt8] {
    let size = layout.precision.byteCount
    return [UInt8](unsafeUninitializedCapacity: size * values.count) { buffer, count in
      let raw = UnsafeMutableRawBufferPointer(buffer)
      for (index, value) in values.enumerated() {
        if size == 2 {
          raw.storeBytes(
            of: HalfPrecision.bits(value).littleEndian, toByteOffset: 2 * index, as: UInt16.self)
        } else {
          raw.storeBytes(
            of: value.bitPattern.littleEndian, toByteOffset: 4 * index, as: UInt32.self)
        }
      }
      count = size * values.count
    }
  }

  private func write(_ bytes: [UInt8], at offset: Int) throws(TrainingError) {
    var done = 0
    while done < bytes.count {
      let step = bytes.withUnsafeBytes {
        pwrite(
          descriptor, $0.baseAddress.map { $0 + done }, bytes.count - done, off_t(offset + done))
      }
      if step < 0, errno == EINTR { continue }
      guard step > 0 else { throw Self.failure(path, errno) }
      done += step
    }
  }

  private static func failure(_ path: String, _ number: Int32) -> TrainingError {
    TrainingError(path, "cannot be written: \(String(cString: strerror(number)))")
  }
}

/// IEEE 754 half precision, limited to its finite range.
enum HalfPrecision {
  static func bits(_ value: Float) -> UInt16 {
    Float16(max(-65504, min(65504, value))).bitPattern
  }
}
