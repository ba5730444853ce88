// PNG files, exactly: palette indices, bit depths and 16-bit samples survive. MaskFile reads labels
// through this; pictures for people go through libav.

import CPNG
import Glibc

/// A decoded PNG: size, kind, palette and samples as the file holds them.
public struct PNGImage: Sendable, Equatable {
  /// What a pixel consists of.
  public enum Kind: Sendable, Equatable {
    /// One brightness.
    case grey
    /// One index into `palette`.
    case indexed
    /// Red, green, blue.
    case rgb
    /// Brightness and opacity.
    case greyAlpha
    /// Red, green, blue and opacity.
    case rgba

    /// Samples for each pixel.
    public var channels: Int {
      switch self {
      case .grey, .indexed: 1
      case .greyAlpha: 2
      case .rgb: 3
      case .rgba: 4
      }
    }
  }

  /// The samples, `[height, width, channels]`, not scaled: 1-, 2- and 4-bit samples hold 0…1, 0…3
  /// and 0…15.
  public enum Samples: Sendable, Equatable {
    /// Of files with 1, 2, 4 or 8 bits a sample.
    case bytes([UInt8])
    /// Of files with 16 bits a sample.
    case words([UInt16])
  }

  /// Width and height.
  public let size: FrameSize
  /// What a pixel consists of.
  public let kind: Kind
  /// Bits of a sample in the file: 1, 2, 4, 8 or 16.
  public let bitDepth: Int
  /// R, G, B of each palette entry, 1…256 entries for indexed images; empty for all others.
  public let palette: [UInt8]
  /// Grey and RGB images may declare one colour transparent: its samples, one or three.
  public let transparentColor: [UInt16]?
  /// The samples.
  public let samples: Samples

  /// An image from its parts; traps when counts do not fit together.
  public init(
    size: FrameSize, kind: Kind, bitDepth: Int = 8, palette: [UInt8] = [], samples: Samples
  ) {
    let count: Int
    switch samples {
    case .bytes(let bytes):
      precondition([1, 2, 4, 8].contains(bitDepth), "\(bitDepth)-bit samples in bytes")
      count = bytes.count
    case .words(let words):
      precondition(bitDepth == 16, "\(bitDepth)-bit samples in 16-bit words")
      count = words.count
    }
    precondition(
      count == size.area * kind.channels, "\(count) samples for a \(size) image of kind \(kind)")
    precondition(
      kind == .indexed
        ? palette.count % 3 == 0 && (3...768).contains(palette.count) : palette.isEmpty,
      "a palette of \(palette.count) bytes for kind \(kind)")
    precondition(
      bitDepth >= 8 || kind == .grey || kind == .indexed, "\(bitDepth)-bit samples of kind \(kind)")
    precondition(
      bitDepth <= 8 || kind != .indexed, "\(bitDepth)-bit samples of kind \(kind)")
    self.size = size
    self.kind = kind
    self.bitDepth = bitDepth
    self.palette = palette
    self.transparentColor = nil
    self.samples = samples
  }

  /// Decodes the bytes of a whole PNG file; `path` is its name, for errors.
  ///
  /// Damaged, truncated and absurdly large files (over 32768 pixels a side or 2²⁸ in all) are errors
  /// that carry libpng's own words.
  public init(decoding bytes: [UInt8], path: String) throws(MediaError) {
    var header = vos_png_header()
    var message = [CChar](repeating: 0, count: Int(VOS_PNG_MESSAGE_BYTES))
    var result: Samples?
    bytes.withUnsafeBufferPointer { input in
      guard let reader = vos_png_open(input.baseAddress, input.count, &header, &message) else {
        return
      }
      defer { vos_png_close(reader) }
      let count = Int(header.width) * Int(header.height) * Int(header.channels)
      var status: Int32 = -1
      if header.bytes_per_sample == 1 {
        let samples = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
          status = vos_png_read(reader, buffer.baseAddress, count, &message)
          filled = status == 0 ? count : 0
        }
        if status == 0 { result = .bytes(samples) }
      } else {
        let samples = [UInt16](unsafeUninitializedCapacity: count) { buffer, filled in
          buffer.withMemoryRebound(to: UInt8.self) { raw in
            status = vos_png_read(reader, raw.baseAddress, count * 2, &message)
          }
          filled = status == 0 ? count : 0
        }
        if status == 0 { result = .words(samples) }
      }
    }
    guard let result else {
      let reason = String(decoding: message.prefix { $0 != 0 }.map(UInt8.init), as: UTF8.self)
      throw MediaError(path: path, problem: "not a readable PNG: \(reason)")
    }
    size = FrameSize(width: Int(header.width), height: Int(header.height))
    bitDepth = Int(header.bit_depth)
    switch header.color_type {
    case 0: kind = .grey
    case 3: kind = .indexed
    case 4: kind = .greyAlpha
    case 6: kind = .rgba
    default: kind = .rgb
    }
    palette = withUnsafeBytes(of: &header.palette) {
      [UInt8]($0.prefix(3 * Int(header.palette_count)))
    }
    if header.has_transparent_color != 0 {
      let color = header.transparent_color
      transparentColor = kind == .grey ? [color.0] : [color.0, color.1, color.2]
    } else {
      transparentColor = nil
    }
    samples = result
  }

  /// Reads and decodes a PNG file.
  public init(contentsOf path: String) throws(MediaError) {
    try self.init(decoding: AtomicFile.read(path), path: path)
  }

  /// The image as a PNG file, compressed at zlib's level 1 (fast) … 9 (small).
  public func encoded(compression: Int = 4) throws(MediaError) -> [UInt8] {
    precondition((1...9).contains(compression), "zlib has levels 1 to 9, not \(compression)")
    var header = vos_png_header()
    header.width = UInt32(size.width)
    header.height = UInt32(size.height)
    header.bit_depth = UInt8(bitDepth)
    header.channels = UInt8(kind.channels)
    header.bytes_per_sample = bitDepth == 16 ? 2 : 1
    header.palette_count = UInt16(palette.count / 3)
    withUnsafeMutableBytes(of: &header.palette) { $0.copyBytes(from: palette) }
    switch kind {
    case .grey: header.color_type = 0
    case .rgb: header.color_type = 2
    case .indexed: header.color_type = 3
    case .greyAlpha: header.color_type = 4
    case .rgba: header.color_type = 6
    }
    var message = [CChar](repeating: 0, count: Int(VOS_PNG_MESSAGE_BYTES))
    var output: UnsafeMutablePointer<UInt8>?
    var count = 0
    let write = { (samples: UnsafePointer<UInt8>?) in
      vos_png_write(&header, samples, Int32(compression), &output, &count, &message)
    }
    let status =
      switch samples {
      case .bytes(let bytes): bytes.withUnsafeBufferPointer { write($0.baseAddress) }
      case .words(let words):
        words.withUnsafeBytes { write($0.bindMemory(to: UInt8.self).baseAddress) }
      }
    guard status == 0, let output else {
      let reason = String(decoding: message.prefix { $0 != 0 }.map(UInt8.init), as: UTF8.self)
      throw MediaError(path: "PNG", problem: "the image cannot be encoded: \(reason)")
    }
    defer { free(output) }
    return [UInt8](UnsafeBufferPointer(start: output, count: count))
  }

  /// Writes the image as a PNG file, complete or not at all.
  public func write(to path: String, compression: Int = 4) throws(MediaError) {
    try AtomicFile.write(encoded(compression: compression), to: path)
  }
}
