// Decoded pictures of any pixel format to 8-bit RGB. Used by the video and image readers.

import CLibAV

/// Converts libav's pictures: matrix and range as tagged, alpha over black, upright.
///
/// - Matrix: as tagged (BT.601, BT.709, BT.2020, FCC, SMPTE 240M); untagged video is BT.709 from
///   720 rows or 1280 columns on, else BT.601; JPEG is BT.601. Transfer curves are left alone: HDR
///   video is not tone-mapped.
/// - Range: as tagged; untagged YUV is limited, JPEG and grey are full.
/// - Chroma is upsampled bilinearly from where its samples lie (left for untagged video, centre for
///   JPEG).
/// - Interlaced video is not deinterlaced; non-square pixels stay as stored.
final class FrameConverter {
  private struct Key: Equatable {
    let size: FrameSize
    let format: Int32
    let matrix: Int32
    let isFull: Bool
    let chroma: AVChromaLocation
  }

  let input: String
  private var key: Key?
  private var scaler: OpaquePointer?
  private var hasAlpha = false

  /// A converter whose errors name `input`.
  init(input: String) { self.input = input }

  deinit { sws_freeContext(scaler) }

  /// The size of a decoded picture before it is turned upright.
  func storedSize(_ picture: UnsafeMutablePointer<AVFrame>) throws(MediaError) -> FrameSize {
    let (width, height) = (Int(picture.pointee.width), Int(picture.pointee.height))
    if let refusal = LibAV.refusal(width: width, height: height) {
      throw MediaError(path: input, problem: refusal)
    }
    return FrameSize(width: width, height: height)
  }

  /// The picture as 8-bit RGB, not yet turned upright.
  func convert(
    _ picture: UnsafeMutablePointer<AVFrame>, isJPEG: Bool
  ) throws(MediaError) -> Frame {
    let size = try storedSize(picture)
    let key = try describe(picture, size: size, isJPEG: isJPEG)
    if let frame = convertPlanar(picture, key) { return frame }
    if key != self.key { try prepare(key) }
    let channels = hasAlpha ? 4 : 3
    let byteCount = size.area * channels
    var code: Int32 = 0
    // libswscale's vector code may write past a row: 64 bytes of slack behind the last one.
    var pixels = [UInt8](unsafeUninitializedCapacity: byteCount + 64) { target, count in
      if let base = target.baseAddress {
        code = vos_sws_pack(scaler, picture, base, Int32(size.width * channels))
      }
      count = byteCount
    }
    guard code >= 0 else {
      throw MediaError(path: input, problem: "a picture cannot be converted to RGB")
    }
    if hasAlpha { pixels = FrameConverter.blendOnBlack(pixels) }
    return Frame(size: size, pixels: pixels)
  }

  // MARK: - Conversion

  private func describe(
    _ picture: UnsafeMutablePointer<AVFrame>, size: FrameSize, isJPEG: Bool
  ) throws(MediaError) -> Key {
    let format = AVPixelFormat(rawValue: picture.pointee.format)
    guard let description = av_pix_fmt_desc_get(format)?.pointee else {
      throw MediaError(path: input, problem: "its pixel format is unknown")
    }
    let isRGB = description.flags & UInt64(AV_PIX_FMT_FLAG_RGB) != 0
    let isGrey = description.nb_components < 3 && !isRGB
    let isFullByName = String(cString: description.name).hasPrefix("yuvj") || isGrey || isJPEG
    let range = picture.pointee.color_range
    let isFull = range == AVCOL_RANGE_JPEG || (range != AVCOL_RANGE_MPEG && isFullByName)
    let matrix = try FrameConverter.matrix(
      picture.pointee.colorspace, size: size, isRGB: isRGB || isGrey, isJPEG: isJPEG, input: input)
    var chroma = picture.pointee.chroma_location
    if chroma == AVCHROMA_LOC_UNSPECIFIED {
      chroma = isJPEG ? AVCHROMA_LOC_CENTER : AVCHROMA_LOC_LEFT
    }
    return Key(
      size: size, format: picture.pointee.format, matrix: matrix, isFull: isFull, chroma: chroma)
  }

  private func prepare(_ key: Key) throws(MediaError) {
    sws_freeContext(scaler)
    scaler = nil
    self.key = nil
    guard let description = av_pix_fmt_desc_get(AVPixelFormat(rawValue: key.format))?.pointee else {
      return
    }
    let name = String(cString: description.name)
    hasAlpha = description.flags & UInt64(AV_PIX_FMT_FLAG_ALPHA) != 0 || name == "pal8"
    let isLeft = [AVCHROMA_LOC_LEFT, AVCHROMA_LOC_TOPLEFT].contains(key.chroma)
    let isTop = [AVCHROMA_LOC_TOPLEFT, AVCHROMA_LOC_TOP].contains(key.chroma)
    scaler = vos_sws_create(
      Int32(key.size.width), Int32(key.size.height), key.format,
      (hasAlpha ? AV_PIX_FMT_RGBA : AV_PIX_FMT_RGB24).rawValue, key.matrix, key.isFull ? 1 : 0, 1,
      description.log2_chroma_w == 1 ? (isLeft ? 0 : 128) : -513,
      description.log2_chroma_h == 1 ? (isTop ? 0 : 128) : -513)
    guard scaler != nil else {
      throw MediaError(path: input, problem: "its pixel format \(name) cannot be converted to RGB")
    }
    self.key = key
  }

  private static func matrix(
    _ tag: AVColorSpace, size: FrameSize, isRGB: Bool, isJPEG: Bool, input: String
  ) throws(MediaError) -> Int32 {
    if isRGB { return SWS_CS_ITU601 }
    switch tag {
    case AVCOL_SPC_BT709: return SWS_CS_ITU709
    case AVCOL_SPC_BT470BG, AVCOL_SPC_SMPTE170M: return SWS_CS_ITU601
    case AVCOL_SPC_FCC: return SWS_CS_FCC
    case AVCOL_SPC_SMPTE240M: return SWS_CS_SMPTE240M
    case AVCOL_SPC_BT2020_NCL, AVCOL_SPC_BT2020_CL: return SWS_CS_BT2020
    case AVCOL_SPC_YCGCO, AVCOL_SPC_ICTCP, AVCOL_SPC_SMPTE2085:
      throw MediaError(
        path: input,
        problem: "its colours are coded as \(String(cString: av_color_space_name(tag))), which is "
          + "not read; convert it to BT.709")
    default:
      let isHighDefinition = size.width >= 1280 || size.height >= 720
      return isHighDefinition && !isJPEG ? SWS_CS_ITU709 : SWS_CS_ITU601
    }
  }

  /// Straight alpha over black.
  private static func blendOnBlack(_ rgba: [UInt8]) -> [UInt8] {
    let area = rgba.count / 4
    return [UInt8](unsafeUninitializedCapacity: area * 3) { target, count in
      rgba.withUnsafeBufferPointer { source in
        for pixel in 0..<area {
          let alpha = UInt32(source[4 * pixel + 3])
          for channel in 0..<3 {
            let value = UInt32(source[4 * pixel + channel]) &* alpha
            target[3 * pixel + channel] = UInt8(truncatingIfNeeded: (value &+ 127) / 255)
          }
        }
      }
      count = area * 3
    }
  }

  /// 8-bit planar YCbCr with chroma at full or half width and height; `nil` for other formats.
  private func convertPlanar(
    _ picture: UnsafeMutablePointer<AVFrame>, _ key: Key
  ) -> Frame? {
    let halves: (width: Bool, height: Bool)
    switch AVPixelFormat(rawValue: key.format) {
    case AV_PIX_FMT_YUV420P, AV_PIX_FMT_YUVJ420P: halves = (true, true)
    case AV_PIX_FMT_YUV422P, AV_PIX_FMT_YUVJ422P: halves = (true, false)
    case AV_PIX_FMT_YUV444P, AV_PIX_FMT_YUVJ444P: halves = (false, false)
    default: return nil
    }
    guard [AVCHROMA_LOC_LEFT, AVCHROMA_LOC_CENTER].contains(key.chroma),
      let luma = vos_av_plane(picture, 0), let blue = vos_av_plane(picture, 1),
      let red = vos_av_plane(picture, 2)
    else { return nil }
    let size = key.size
    let color = PlanarColor(
      size: size, matrix: ColorMatrix(swscale: key.matrix, isFullRange: key.isFull),
      halvesWidth: halves.width, halvesHeight: halves.height,
      isLeft: key.chroma == AVCHROMA_LOC_LEFT)
    let pixels = [UInt8](unsafeUninitializedCapacity: size.area * 3) { target, count in
      if let base = target.baseAddress {
        color.convert(
          luma: .init(base: luma, stride: Int(vos_av_stride(picture, 0))),
          blue: .init(base: blue, stride: Int(vos_av_stride(picture, 1))),
          red: .init(base: red, stride: Int(vos_av_stride(picture, 2))), into: base)
      }
      count = size.area * 3
    }
    return Frame(size: size, pixels: pixels)
  }
}
