// Pictures of more than 8 bits and their way to 8: the image readers use it for 16-bit and float.

/// Grey or RGB samples of any range, `[height, width, channels]`.
struct DeepImage {
  let size: FrameSize
  /// 1 or 3.
  let channels: Int
  let samples: [Float]
}

/// What an image file holds.
enum DecodedImage {
  case frame(Frame)
  case deep(DeepImage)

  var size: FrameSize {
    switch self {
    case .frame(let frame): frame.size
    case .deep(let image): image.size
    }
  }
}

/// One linear map from sample values to 0…255 for a whole clip, so that brightness does not jump
/// from frame to frame.
///
/// The 0.1st percentile becomes 0 and the 99.99th 255, over evenly spread frames (all of them in
/// clips of up to 64) and evenly spread pixels; a few hot or dead pixels do not squeeze the rest.
/// Channels share the map. NaN and infinities do not count, and become 0 (−∞, NaN) and 255 (+∞).
struct ContrastScale: Equatable {
  let low: Float
  let high: Float

  /// Frames that are looked at.
  static let sampledFrames = 64
  /// Values that are looked at in all.
  static let sampledValues = 1 << 21

  /// The frames to look at in a clip of `count`.
  static func frames(of count: Int) -> [Int] {
    let sampled = min(count, sampledFrames)
    return (0..<sampled).map { sampled < 2 ? 0 : $0 * (count - 1) / (sampled - 1) }
  }

  /// Some values of one of `frameCount` frames that are looked at.
  static func values(of image: DeepImage, frameCount: Int) -> [Float] {
    let wanted = max(1, sampledValues / max(1, frameCount))
    let step = max(1, (image.samples.count + wanted - 1) / wanted)
    return stride(from: 0, to: image.samples.count, by: step).map { image.samples[$0] }
      .filter(\.isFinite)
  }

  /// The map for the values of all frames that were looked at.
  init(values: [Float]) {
    guard !values.isEmpty else {
      (low, high) = (0, 1)
      return
    }
    let sorted = values.sorted()
    low = sorted[Int(Double(sorted.count - 1) * 0.001)]
    let top = sorted[Int((Double(sorted.count - 1) * 0.9999).rounded(.up))]
    high = top
  }

  /// The picture in 8 bits; one value throughout the clip becomes 0.
  func frame(_ image: DeepImage) -> Frame {
    let area = image.size.area
    let range = high - low
    let factor = range > 0 && range.isFinite ? 255 / range : 0
    let pixels = [UInt8](unsafeUninitializedCapacity: area * 3) { target, count in
      image.samples.withUnsafeBufferPointer { samples in
        for index in 0..<area {
          for channel in 0..<3 {
            let value = samples[image.channels == 1 ? index : 3 * index + channel]
            let scaled = (value - low) * factor + 0.5
            // NaN fails both comparisons.
            target[3 * index + channel] = scaled >= 255.5 ? 255 : scaled >= 0 ? UInt8(scaled) : 0
          }
        }
      }
      count = area * 3
    }
    return Frame(size: image.size, pixels: pixels)
  }
}
