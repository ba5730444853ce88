// Masks in files: PNG to labels and back. Tracking reads the user's masks here, scoring reads truth
// and results.

/// Label maps as PNG files.
public enum MaskFile {
  /// What a mask is for, which decides what it may hold.
  public enum Role: Sendable {
    /// The user's annotation: at least one object, no void, exact colours.
    case given
    /// The truth of a data set: 255 is void; frames without objects are normal.
    case truth
    /// A tracker's output: labels only, no colours.
    case result
  }

  /// The labels of a mask file.
  ///
  /// Indexed and grey images hold the labels themselves. A grey image with no other values than 0
  /// and 255 holds object 1. RGB images are mapped when every colour is exactly one of the palette
  /// (not for results). Anything else is refused with an explanation: 16-bit samples, opacity below
  /// 255, colours outside the palette, and in given masks the label 255 or no object at all.
  public static func read(_ path: String, role: Role) throws(MediaError) -> LabelMap {
    try labels(of: PNGImage(contentsOf: path), path: path, role: role)
  }

  /// Writes an indexed PNG with the DAVIS palette, complete or not at all.
  public static func write(_ map: LabelMap, to path: String) throws(MediaError) {
    try image(of: map).write(to: path)
  }

  /// The indexed image of a label map, with all 256 colours of the DAVIS palette.
  public static func image(of map: LabelMap) -> PNGImage {
    PNGImage(size: map.size, kind: .indexed, palette: davisPalette, samples: .bytes(map.labels))
  }

  private static let davisPalette: [UInt8] = (UInt8.min...UInt8.max).flatMap { label in
    let color = Palette.color(of: label)
    return [color.red, color.green, color.blue]
  }

  /// The labels of a decoded image, under the rules of `read(_:role:)`; `path` is for errors.
  static func labels(of image: PNGImage, path: String, role: Role) throws(MediaError) -> LabelMap {
    guard case .bytes(let samples) = image.samples else {
      throw MediaError(
        path: path,
        problem: "a mask has 8 bits a pixel, this PNG has 16; save labels 0…254 as an indexed or "
          + "grey 8-bit PNG")
    }
    let opaque = try withoutAlpha(samples, of: image, path: path)
    var map: LabelMap
    switch image.kind {
    case .indexed: map = LabelMap(size: image.size, labels: opaque)
    case .grey, .greyAlpha: map = LabelMap(size: image.size, labels: singleObject(opaque))
    case .rgb, .rgba:
      guard role != .result else {
        throw MediaError(
          path: path,
          problem: "a result holds object ids in one channel, this is an RGB image; save indexed "
            + "or grey PNGs")
      }
      map = try paletteLabels(opaque, size: image.size, path: path)
    }
    if role == .given { try checkGiven(map, of: image, path: path) }
    return map
  }

  // MARK: - Rules

  /// Grey 0 and 255 only: 255 is object 1.
  private static func singleObject(_ samples: [UInt8]) -> [UInt8] {
    var isMask = true
    var isEmpty = true
    let lows: UInt64 = 0x0101_0101_0101_0101
    samples.withUnsafeBytes { bytes in
      // Eight at a time: 0 and 255 are what a byte's lowest bit, spread over the byte, gives back.
      var index = 0
      while index + 8 <= bytes.count {
        let word = bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self)
        if word != 0 {
          isEmpty = false
          if (word & lows) &* 255 != word {
            isMask = false
            return
          }
        }
        index += 8
      }
      for byte in bytes[index...] where byte != 0 {
        isEmpty = false
        if byte != 255 { isMask = false }
      }
    }
    guard isMask && !isEmpty else { return samples }
    var labels = samples
    labels.withUnsafeMutableBytes { bytes in
      var index = 0
      while index + 8 <= bytes.count {
        let word = bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self)
        if word != 0 { bytes.storeBytes(of: word & lows, toByteOffset: index, as: UInt64.self) }
        index += 8
      }
      while index < bytes.count {
        bytes[index] &= 1
        index += 1
      }
    }
    return labels
  }

  /// The samples without their opacity channel, which must be 255 everywhere.
  private static func withoutAlpha(
    _ samples: [UInt8], of image: PNGImage, path: String
  ) throws(MediaError) -> [UInt8] {
    let channels = image.kind.channels
    let width = image.size.width
    if let key = image.transparentColor {
      for start in stride(from: 0, to: samples.count, by: channels)
      where (0..<channels).allSatisfy({ UInt16(samples[start + $0]) == key[$0] }) {
        throw transparency(at: start / channels, width: width, path: path)
      }
    }
    guard image.kind == .greyAlpha || image.kind == .rgba else { return samples }
    let colors = channels - 1
    var result: [UInt8] = []
    result.reserveCapacity(image.size.area * colors)
    for start in stride(from: 0, to: samples.count, by: channels) {
      guard samples[start + colors] == 255 else {
        throw transparency(at: start / channels, width: width, path: path)
      }
      result.append(contentsOf: samples[start..<start + colors])
    }
    return result
  }

  private static func transparency(at pixel: Int, width: Int, path: String) -> MediaError {
    MediaError(
      path: path,
      problem: "a mask is opaque, but pixel (\(pixel % width), \(pixel / width)) is transparent; "
        + "save it without an alpha channel")
  }

  /// Labels of RGB pixels that are all colours of the palette.
  private static func paletteLabels(
    _ pixels: [UInt8], size: FrameSize, path: String
  ) throws(MediaError) -> LabelMap {
    var labelOfColor: [UInt32: UInt8] = [:]
    for label in UInt8.min...UInt8.max {
      let color = Palette.color(of: label)
      labelOfColor[pack(color.red, color.green, color.blue)] = label
    }
    var labels = [UInt8](repeating: 0, count: size.area)
    var lastColor: UInt32 = 0
    var lastLabel: UInt8 = 0
    for pixel in 0..<size.area {
      let color = pack(pixels[3 * pixel], pixels[3 * pixel + 1], pixels[3 * pixel + 2])
      if color != lastColor {
        guard let label = labelOfColor[color] else {
          throw foreignColor(at: pixel, pixels: pixels, size: size, path: path)
        }
        (lastColor, lastLabel) = (color, label)
      }
      labels[pixel] = lastLabel
    }
    return LabelMap(size: size, labels: labels)
  }

  private static func foreignColor(
    at pixel: Int, pixels: [UInt8], size: FrameSize, path: String
  ) -> MediaError {
    var colors = Set<UInt32>()
    for start in stride(from: 0, to: pixels.count, by: 3) {
      colors.insert(pack(pixels[start], pixels[start + 1], pixels[start + 2]))
      if colors.count > 1000 { break }
    }
    let count = colors.count > 1000 ? "more than 1000" : "\(colors.count)"
    let color = (pixels[3 * pixel], pixels[3 * pixel + 1], pixels[3 * pixel + 2])
    return MediaError(
      path: path,
      problem: "an RGB mask uses the colours of the DAVIS palette exactly, this one has \(count) "
        + "colours, for example (\(color.0), \(color.1), \(color.2)) at pixel "
        + "(\(pixel % size.width), \(pixel / size.width)), which is none of them (anti-aliased or "
        + "lossily saved?); save an indexed or grey PNG with one id per object")
  }

  private static func checkGiven(
    _ map: LabelMap, of image: PNGImage, path: String
  ) throws(MediaError) {
    if let pixel = map.labels.firstIndex(of: 255) {
      let objects = map.objects.count
      let hint =
        image.kind == .indexed || objects < 8
        ? "255 means void in data sets and is no object; use ids 1…254, or 0 and 255 only"
        : "the other \(objects) grey levels suggest anti-aliased edges; save it without smoothing"
      throw MediaError(
        path: path,
        problem: "label 255 at pixel (\(pixel % map.size.width), \(pixel / map.size.width)): "
          + hint)
    }
    guard !map.objects.isEmpty else {
      throw MediaError(
        path: path,
        problem: "the mask holds no object, every pixel is 0; mark each object with an id 1…254")
    }
  }

  private static func pack(_ red: UInt8, _ green: UInt8, _ blue: UInt8) -> UInt32 {
    UInt32(red) << 16 | UInt32(green) << 8 | UInt32(blue)
  }
}
