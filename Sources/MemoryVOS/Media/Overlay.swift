// Masks drawn over frames, for people. OverlayWriter makes videos of the result.

/// Frames with their objects in colour.
public enum Overlay {
  /// The frame with each object tinted in its palette colour and outlined.
  ///
  /// The outline is a light line inside the object and a black line outside, so that one of them
  /// shows on any scene, also where the palette's colour is the scene's own. Void (255) is not drawn.
  ///
  /// - Parameters:
  ///   - frame: The picture.
  ///   - labels: One label per pixel, of the frame's size; traps otherwise.
  ///   - opacity: How much of the colour covers an object: 0 (outlines only) … 1.
  /// - Returns: The drawn-over picture.
  public static func render(_ frame: Frame, labels: LabelMap, opacity: Double = 0.5) -> Frame {
    precondition(
      labels.size == frame.size, "labels of \(labels.size) over a frame of \(frame.size)")
    precondition((0...1).contains(opacity), "opacity \(opacity)")
    var result = frame
    let (width, height) = (frame.size.width, frame.size.height)
    let weight = Int((opacity * 256).rounded())
    // Lines of 1 pixel up to 540 rows, 2 up to 1080, …
    let thickness = max(1, (min(width, height) + 539) / 540)
    result.pixels.withUnsafeMutableBufferPointer { pixels in
      labels.labels.withUnsafeBufferPointer { labels in
        for index in 0..<width * height where labels[index] != 0 && labels[index] != 255 {
          tint(&pixels, index, Palette.color(of: labels[index]), weight)
        }
        for y in 0..<height {
          for x in 0..<width {
            let index = y * width + x
            if x + 1 < width, labels[index] != labels[index + 1] {
              for step in 0..<thickness {
                if x >= step { line(&pixels, labels, index - step, of: labels[index]) }
                if x + 1 + step < width {
                  line(&pixels, labels, index + 1 + step, of: labels[index + 1])
                }
              }
            }
            if y + 1 < height, labels[index] != labels[index + width] {
              for step in 0..<thickness {
                if y >= step { line(&pixels, labels, index - step * width, of: labels[index]) }
                if y + 1 + step < height {
                  line(&pixels, labels, index + (1 + step) * width, of: labels[index + width])
                }
              }
            }
          }
        }
      }
    }
    return result
  }

  private static func tint(
    _ pixels: inout UnsafeMutableBufferPointer<UInt8>, _ index: Int,
    _ color: (red: UInt8, green: UInt8, blue: UInt8), _ weight: Int
  ) {
    func mix(_ old: UInt8, _ new: UInt8) -> UInt8 {
      UInt8(truncatingIfNeeded: (Int(old) * (256 - weight) + Int(new) * weight + 128) >> 8)
    }
    pixels[3 * index] = mix(pixels[3 * index], color.red)
    pixels[3 * index + 1] = mix(pixels[3 * index + 1], color.green)
    pixels[3 * index + 2] = mix(pixels[3 * index + 2], color.blue)
  }

  /// One pixel of an outline: the object's colour halfway to white, or black beside objects.
  private static func line(
    _ pixels: inout UnsafeMutableBufferPointer<UInt8>, _ labels: UnsafeBufferPointer<UInt8>,
    _ index: Int, of label: UInt8
  ) {
    // A thin part of another object keeps its own line.
    guard labels[index] == label else { return }
    let isObject = label != 0 && label != 255
    let color = Palette.color(of: label)
    pixels[3 * index] = isObject ? 128 + color.red / 2 : 0
    pixels[3 * index + 1] = isObject ? 128 + color.green / 2 : 0
    pixels[3 * index + 2] = isObject ? 128 + color.blue / 2 : 0
  }
}
