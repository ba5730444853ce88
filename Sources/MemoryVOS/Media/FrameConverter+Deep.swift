// 16-bit pictures kept deep, for images whose contrast is scaled over the clip.

import CLibAV

extension FrameConverter {
  /// A picture with more than 8 bits a sample as grey or RGB values 0…65535; `nil` for 8 bits.
  func convertDeep(_ picture: UnsafeMutablePointer<AVFrame>) throws(MediaError) -> DeepImage? {
    let format = AVPixelFormat(rawValue: picture.pointee.format)
    guard let description = av_pix_fmt_desc_get(format)?.pointee,
      description.comp.0.depth > 8
    else { return nil }
    let size = try storedSize(picture)
    let isGrey = description.nb_components < 3
    let channels = isGrey ? 1 : 3
    let scaler = vos_sws_create(
      Int32(size.width), Int32(size.height), picture.pointee.format,
      (isGrey ? AV_PIX_FMT_GRAY16LE : AV_PIX_FMT_RGB48LE).rawValue, SWS_CS_ITU601, 1, 1, -513, -513)
    guard let scaler else {
      throw MediaError(
        path: input,
        problem: "its pixel format \(String(cString: description.name)) cannot be read")
    }
    defer { sws_freeContext(scaler) }
    let count = size.area * channels
    var code: Int32 = 0
    let bytes = [UInt8](unsafeUninitializedCapacity: 2 * count + 64) { target, initialized in
      if let base = target.baseAddress {
        code = vos_sws_pack(scaler, picture, base, Int32(2 * size.width * channels))
      }
      initialized = 2 * count
    }
    guard code >= 0 else {
      throw MediaError(path: input, problem: "its pixels cannot be converted")
    }
    let samples = [Float](unsafeUninitializedCapacity: count) { target, initialized in
      for index in 0..<count {
        target[index] = Float(UInt16(bytes[2 * index]) | UInt16(bytes[2 * index + 1]) << 8)
      }
      initialized = count
    }
    return DeepImage(size: size, channels: channels, samples: samples)
  }
}
