// TIFF files page by page, through libtiff. ImageDecoder and TIFFStackReader use it.

import CTIFF

/// One open TIFF file.
///
/// Reduced copies of pages (previews) are passed over.
final class TIFFFile {
  let path: String
  private let file: OpaquePointer
  private let log: UnsafeMutablePointer<vos_tiff_log>
  private var offsets: [UInt64] = []
  /// Pages that the file's description promises and that are not there (ImageJ writes a count).
  private(set) var missingPages = 0

  /// Opens a file and lists its pages.
  init(_ path: String) throws(MediaError) {
    self.path = path
    let log = UnsafeMutablePointer<vos_tiff_log>.allocate(capacity: 1)
    log.initialize(to: vos_tiff_log())
    guard let file = vos_tiff_open(path, log) else {
      let reason = TIFFFile.message(log)
      log.deallocate()
      throw MediaError(path: path, problem: "this TIFF file cannot be opened\(reason)")
    }
    self.log = log
    self.file = file
    var text = [CChar](repeating: 0, count: 4096)
    vos_tiff_description(file, &text, text.count)
    let description = LibAV.text(text)
    let errors = log.pointee.count
    repeat {
      // Bit 0: a reduced copy; bit 2: a transparency mask.
      if vos_tiff_describe(file).subfile & 5 == 0 { offsets.append(TIFFCurrentDirOffset(file)) }
    } while TIFFReadDirectory(file) != 0
    if log.pointee.count > errors { missingPages = 1 }
    if description.hasPrefix("ImageJ="),
      let line = description.split(whereSeparator: \.isNewline).first(where: {
        $0.hasPrefix("images=")
      }), let promised = Int(line.dropFirst(7)), promised > offsets.count
    {
      missingPages = promised - offsets.count
    }
    guard !offsets.isEmpty else {
      throw MediaError(path: path, problem: "this TIFF file holds no full picture")
    }
  }

  deinit {
    TIFFClose(file)
    log.deallocate()
  }

  /// Number of full pictures.
  var pageCount: Int { offsets.count }

  /// Decodes one page; deep when it has more than 8 bits a sample.
  func read(page: Int) throws(MediaError) -> DecodedImage {
    guard TIFFSetSubDirectory(file, offsets[page]) != 0 else { throw failure(page, "damaged") }
    let info = vos_tiff_describe(file)
    let (width, height) = (Int(info.width), Int(info.height))
    if let refusal = LibAV.refusal(width: width, height: height) {
      throw MediaError(path: path, problem: refusal)
    }
    let size = FrameSize(width: width, height: height)
    let photometric = Int32(info.photometric)
    let isGrey = photometric == PHOTOMETRIC_MINISBLACK || photometric == PHOTOMETRIC_MINISWHITE
    let isRGB = photometric == PHOTOMETRIC_RGB && info.samples >= 3
    guard [16, 32, 64].contains(info.bits), info.samples >= 1, isGrey || isRGB else {
      return .frame(try readColor(page, size: size))
    }
    return .deep(
      try readDeep(
        page, info: info, size: size, channels: isRGB ? 3 : 1,
        isInverted: photometric == PHOTOMETRIC_MINISWHITE))
  }

  // MARK: - Pixels

  /// Anything of up to 8 bits a sample: palettes, bilevel, JPEG, CMYK.
  private func readColor(_ page: Int, size: FrameSize) throws(MediaError) -> Frame {
    var reason = [CChar](repeating: 0, count: 1024)
    guard TIFFRGBAImageOK(file, &reason) != 0 else { throw failure(page, LibAV.text(reason)) }
    var raster = [UInt32](repeating: 0, count: size.area)
    guard
      TIFFReadRGBAImageOriented(
        file, UInt32(size.width), UInt32(size.height), &raster, ORIENTATION_TOPLEFT, 1) != 0
    else { throw failure(page, "damaged or cut off") }
    let pixels = [UInt8](unsafeUninitializedCapacity: size.area * 3) { target, count in
      for (index, value) in raster.enumerated() {
        target[3 * index] = UInt8(truncatingIfNeeded: value)
        target[3 * index + 1] = UInt8(truncatingIfNeeded: value >> 8)
        target[3 * index + 2] = UInt8(truncatingIfNeeded: value >> 16)
      }
      count = size.area * 3
    }
    return Frame(size: size, pixels: pixels)
  }

  /// Samples of 16, 32 or 64 bits, from strips or tiles, planes together or apart.
  private func readDeep(
    _ page: Int, info: vos_tiff_page, size: FrameSize, channels: Int, isInverted: Bool
  ) throws(MediaError) -> DeepImage {
    let isTiled = info.is_tiled != 0
    let blockWidth = isTiled ? Int(info.tile_width) : size.width
    let blockHeight =
      isTiled ? Int(info.tile_height) : min(size.height, max(1, Int(info.rows_per_strip)))
    let planes = info.planar == UInt16(PLANARCONFIG_SEPARATE) ? channels : 1
    let perPixel = info.planar == UInt16(PLANARCONFIG_SEPARATE) ? 1 : Int(info.samples)
    let blockBytes = Int(isTiled ? TIFFTileSize(file) : TIFFStripSize(file))
    let bytesPerSample = Int(info.bits) / 8
    guard blockWidth > 0, blockHeight > 0,
      blockBytes >= 1, blockBytes <= 1 << 30,
      blockBytes >= min(blockHeight, size.height) * min(blockWidth, size.width) * perPixel
        * bytesPerSample
    else { throw failure(page, "its strips or tiles have an impossible size") }
    let across = (size.width + blockWidth - 1) / blockWidth
    let down = (size.height + blockHeight - 1) / blockHeight
    let rowBytes = (isTiled ? blockWidth : size.width) * perPixel * bytesPerSample
    guard let value = TIFFFile.reader(bits: Int(info.bits), format: Int32(info.format)) else {
      throw failure(page, "samples of an unusual kind (\(info.bits) bits, format \(info.format))")
    }
    var samples = [Float](repeating: 0, count: size.area * channels)
    let block = UnsafeMutableRawPointer.allocate(byteCount: blockBytes + 8, alignment: 16)
    defer { block.deallocate() }
    for plane in 0..<planes {
      for index in 0..<across * down {
        let number = UInt32(plane * across * down + index)
        let (left, top) = (index % across * blockWidth, index / across * blockHeight)
        let right = min(left + blockWidth, size.width)
        let bottom = min(top + blockHeight, size.height)
        // Strips beyond their data stay zero.
        block.initializeMemory(as: UInt8.self, repeating: 0, count: blockBytes + 8)
        let wanted = isTiled ? blockBytes : (bottom - top) * rowBytes
        let got =
          isTiled
          ? TIFFReadEncodedTile(file, number, block, tmsize_t(wanted))
          : TIFFReadEncodedStrip(file, number, block, tmsize_t(wanted))
        let needed =
          (bottom - top - 1) * rowBytes + (right - left) * perPixel * bytesPerSample
        guard got >= needed else {
          throw failure(page, "damaged or cut off")
        }
        for y in top..<bottom {
          for x in left..<right {
            let pixel = block + (y - top) * rowBytes + (x - left) * perPixel * bytesPerSample
            let target = (y * size.width + x) * channels + plane
            for channel in 0..<(planes > 1 ? 1 : channels) {
              let sample = value(pixel + channel * bytesPerSample)
              samples[target + channel] = isInverted ? -sample : sample
            }
          }
        }
      }
    }
    return DeepImage(size: size, channels: channels, samples: samples)
  }

  /// How one sample is read; `nil` for kinds that nobody writes.
  private static func reader(bits: Int, format: Int32) -> ((UnsafeRawPointer) -> Float)? {
    switch (bits, format) {
    case (16, SAMPLEFORMAT_UINT), (16, SAMPLEFORMAT_VOID): { Float($0.load(as: UInt16.self)) }
    case (16, SAMPLEFORMAT_INT): { Float($0.load(as: Int16.self)) }
    case (32, SAMPLEFORMAT_UINT): { Float($0.load(as: UInt32.self)) }
    case (32, SAMPLEFORMAT_INT): { Float($0.load(as: Int32.self)) }
    case (32, SAMPLEFORMAT_IEEEFP): { $0.load(as: Float.self) }
    case (64, SAMPLEFORMAT_IEEEFP): { Float($0.load(as: Double.self)) }
    default: nil
    }
  }

  private func failure(_ page: Int, _ problem: String) -> MediaError {
    MediaError(path: path, problem: "page \(page): \(problem)\(TIFFFile.message(log))")
  }

  private static func message(_ log: UnsafeMutablePointer<vos_tiff_log>) -> String {
    guard log.pointee.count > 0 else { return "" }
    let bytes = withUnsafeBytes(of: log.pointee.message) { Array($0.prefix { $0 != 0 }) }
    return " (\(String(decoding: bytes, as: UTF8.self)))"
  }
}
