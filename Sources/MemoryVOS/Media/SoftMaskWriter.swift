// Probabilities as images. vos-cli's --soft writes through this.

import Foundation

/// One 16-bit grey PNG per object and frame: `FOLDER/<object>/<frame>.png`, 65535 being certain.
public final class SoftMaskWriter {
  private let folder: String
  private var known: Set<ObjectID> = []

  /// Masks will go to `folder`, which is made when needed.
  ///
  /// - Throws: `MediaError` when it cannot be made.
  public init(_ folder: String) throws(MediaError) {
    self.folder = folder
    try SoftMaskWriter.makeFolder(folder)
  }

  /// Writes one mask, complete or not at all.
  ///
  /// - Parameters:
  ///   - probabilities: `size.area` values, row by row; clamped to 0…1, NaN becomes 0.
  ///   - object: Whose mask it is.
  ///   - stem: The frame's name.
  ///   - size: The frame's size.
  /// - Throws: `MediaError` when the file cannot be written.
  public func write(
    _ probabilities: [Float], of object: ObjectID, stem: String, size: FrameSize
  ) throws(MediaError) {
    precondition(probabilities.count == size.area, "\(probabilities.count) values for \(size)")
    let path = "\(folder)/\(object)"
    if known.insert(object).inserted { try SoftMaskWriter.makeFolder(path) }
    let words = [UInt16](unsafeUninitializedCapacity: size.area) { target, count in
      for (index, value) in probabilities.enumerated() {
        // NaN fails both comparisons.
        let scaled = value * 65535 + 0.5
        target[index] = scaled >= 65535 ? 65535 : scaled > 0 ? UInt16(scaled) : 0
      }
      count = size.area
    }
    let image = PNGImage(size: size, kind: .grey, bitDepth: 16, samples: .words(words))
    try image.write(to: "\(path)/\(stem).png", compression: 1)
  }

  private static func makeFolder(_ path: String) throws(MediaError) {
    do {
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    } catch {
      let cause = (error as NSError).userInfo[NSUnderlyingErrorKey] as? NSError
      let reason = cause.map { MediaError.reason(Int32($0.code)) }
      throw MediaError(
        path: path, problem: "this folder cannot be made: \(reason ?? "a file has its name")")
    }
  }
}
