// Decoded pictures and masks, the most recently used ones kept in memory. SampleMaker's only way to
// files.

import CKernels
import Foundation
import MemoryVOS

/// Decodes pictures, shrinks large ones, and keeps a bounded number of bytes of them.
///
/// Used from several threads.
final class PictureStore: @unchecked Sendable {
  // Safe: `kept`, `bytes` and `clock` are used under `lock`, `readers` under `videoLock`.

  /// A picture with the labels of its pixels.
  struct Entry: Sendable {
    let frame: Frame
    let labels: LabelMap
    /// Pixels of each label.
    let areas: [Int]
  }

  private struct Key: Hashable {
    let dataset: Int
    let clip: Int
    let frame: Int
  }

  private let shortSide: Int
  private let byteLimit: Int
  private let lock = NSLock()
  private var kept: [Key: (entry: Entry, used: Int)] = [:]
  private var bytes = 0
  private var clock = 0
  private let videoLock = NSLock()
  private var readers: [(path: String, source: any FrameSource)] = []

  /// A store of at most `byteLimit` bytes of pictures whose short side is at most `shortSide`.
  init(shortSide: Int, byteLimit: Int) {
    self.shortSide = shortSide
    self.byteLimit = byteLimit
  }

  /// Bytes that are kept now.
  var keptBytes: Int { lock.withLock { bytes } }

  /// A picture of a clip; `dataset` and `clip` are its numbers.
  func entry(
    _ item: TrainingClip.Item, dataset: Int, clip: Int, frame: Int
  ) throws(TrainingError) -> Entry {
    let key = Key(dataset: dataset, clip: clip, frame: frame)
    let found = lock.withLock { () -> Entry? in
      clock += 1
      kept[key]?.used = clock
      return kept[key]?.entry
    }
    if let found { return found }
    let entry = try load(item)
    lock.withLock {
      clock += 1
      if kept.updateValue((entry, clock), forKey: key) == nil {
        bytes += entry.labels.size.area * 4
      }
      while bytes > byteLimit, let oldest = kept.min(by: { $0.value.used < $1.value.used }) {
        kept[oldest.key] = nil
        bytes -= oldest.value.entry.labels.size.area * 4
      }
    }
    return entry
  }

  /// Decodes an image file.
  static func decode(_ picture: PictureReference) throws(MediaError) -> Frame {
    guard let frame = try Media.openFrames(picture.path, threads: 1).next()?.frame else {
      throw MediaError(path: picture.path, problem: "no picture in this file")
    }
    return frame
  }

  /// The size of a picture; that of an image file is in its header when it is `expected`.
  static func size(
    of picture: PictureReference, expected: FrameSize? = nil
  ) throws(MediaError) -> FrameSize {
    switch picture {
    case .file(let path):
      if let expected, PictureHeader.size(path) == expected { return expected }
      return try decode(picture).size
    case .video(let path, _): return try Media.openFrames(path, threads: 1).size
    case .decoded(let frame, _): return frame.size
    }
  }

  private func load(_ item: TrainingClip.Item) throws(TrainingError) -> Entry {
    let full: Frame
    do {
      switch item.picture {
      case .file: full = try Self.decode(item.picture)
      case .video(let path, let frame): full = try videoFrame(path, frame)
      case .decoded(let frame, _): full = frame
      }
    } catch { throw TrainingError("\(error)") }
    let name = item.picture.path
    let mask = try labels(of: item.mask, name: name)
    if case .outputs = item.mask {
    } else {
      guard mask.size == full.size else {
        throw TrainingError(name, "a picture of \(full.size) with a mask of \(mask.size)")
      }
    }
    let size = storedSize(full.size)
    let labels = Self.resized(mask, to: size)
    var areas = [Int](repeating: 0, count: 256)
    for label in labels.labels { areas[Int(label)] += 1 }
    return Entry(frame: Self.shrunk(full, to: size), labels: labels, areas: areas)
  }

  private func labels(of mask: MaskReference, name: String) throws(TrainingError) -> LabelMap {
    switch mask {
    case .file(let path, let coding): return try coding.read(path)
    case .decoded(let labels): return labels
    case .instances(let instances): return try instances.labels(name: name)
    case .outputs(let outputs, let frame): return try outputs.labels(frame: frame)
    }
  }

  /// Frames of videos come from readers that stay open: the next frame is usually near.
  private func videoFrame(_ path: String, _ frame: Int) throws(MediaError) -> Frame {
    videoLock.lock()
    defer { videoLock.unlock() }
    let source: any FrameSource
    if let open = readers.firstIndex(where: { $0.path == path }) {
      let reader = readers.remove(at: open)
      source = reader.source
    } else {
      source = try Media.openFrames(path, threads: 1)
    }
    readers.append((path, source))
    if readers.count > 4 { readers.removeFirst() }
    try source.seek(to: frame)
    guard let next = try source.next() else {
      throw MediaError(path: path, problem: "frame \(frame) is missing")
    }
    return next.frame
  }

  // MARK: - Sizes

  private func storedSize(_ size: FrameSize) -> FrameSize {
    let short = min(size.width, size.height)
    guard short > shortSide else { return size }
    func scaled(_ side: Int) -> Int { max(1, (side * shortSide + short / 2) / short) }
    return FrameSize(width: scaled(size.width), height: scaled(size.height))
  }

  private static func shrunk(_ frame: Frame, to size: FrameSize) -> Frame {
    if size == frame.size { return frame }
    let pixels = [UInt8](unsafeUninitializedCapacity: size.area * 3) { buffer, count in
      vos_shrink_rgb(
        frame.pixels, Int32(frame.size.width), Int32(frame.size.height), Int32(size.width),
        Int32(size.height), buffer.baseAddress)
      count = size.area * 3
    }
    return Frame(size: size, pixels: pixels)
  }

  /// The label at the centre of each pixel.
  private static func resized(_ map: LabelMap, to size: FrameSize) -> LabelMap {
    if size == map.size { return map }
    let columns = (0..<size.width).map { (2 * $0 + 1) * map.size.width / (2 * size.width) }
    var labels: [UInt8] = []
    labels.reserveCapacity(size.area)
    for y in 0..<size.height {
      let row = (2 * y + 1) * map.size.height / (2 * size.height) * map.size.width
      for column in columns { labels.append(map.labels[row + column]) }
    }
    return LabelMap(size: size, labels: labels)
  }
}
