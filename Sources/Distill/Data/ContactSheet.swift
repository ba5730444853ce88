// Samples as a picture for people: `vos-cli train --preview` and the report show it.

public import MemoryVOS

/// Draws batches: a row for each sample, a column for each frame, objects tinted and outlined.
public struct ContactSheet {
  /// Pixels between pictures.
  private static let gap = 4

  private var rows: [[[UInt8]]] = []
  private let size: FrameSize

  /// An empty sheet for samples of `size`.
  public init(size: FrameSize) { self.size = size }

  /// Adds the samples of a batch; below each sample's row its previous masks as `prior` damages
  /// them, when one is given.
  public mutating func append(_ batch: TrainingBatch, prior: (any PriorCorruption)? = nil) {
    precondition(batch.size == size, "samples of \(batch.size) on a sheet for \(size)")
    let area = size.area
    for sample in 0..<batch.batch {
      var pictures: [[UInt8]] = []
      var priors = [[UInt8](repeating: 0, count: area * 3)]
      for frame in 0..<batch.frames {
        let place = sample * batch.frames + frame
        let image = batch.images[place * area * 3..<(place + 1) * area * 3]
        let count = batch.objects * area
        let masks = Array(batch.masks[place * count..<(place + 1) * count])
        let labels = Self.labels(masks, area: area)
        pictures.append(
          tinted(image.map { UInt8(max(0, min(255, $0 * 127.5 + 127.5))) }, labels))
        if let prior, frame + 1 < batch.frames {
          var damaged = masks
          let decay =
            frame == 0
            ? nil
            : masks.withUnsafeBufferPointer {
              prior.decay(
                of: $0, objects: batch.objects, size: size, sample: sample, frame: frame)
            }
          if let decay {
            for pixel in 0..<area where decay.isReplaced[pixel] {
              damaged[decay.object * area + pixel] = decay.value
            }
          }
          prior.corrupt(
            &damaged, objects: batch.objects, size: size, sample: sample, frame: frame + 1)
          priors.append(
            Self.labels(damaged, area: area).flatMap { label -> [UInt8] in
              let color = Palette.color(of: label)
              return [color.red, color.green, color.blue]
            })
        }
      }
      rows.append(pictures)
      if prior != nil { rows.append(priors) }
    }
  }

  /// The sheet as an image; traps when nothing was added.
  public var image: PNGImage {
    let columns = rows.map(\.count).max() ?? 0
    precondition(columns > 0, "an empty contact sheet")
    let width = columns * (size.width + Self.gap) - Self.gap
    let height = rows.count * (size.height + Self.gap) - Self.gap
    var pixels = [UInt8](repeating: 255, count: width * height * 3)
    for (row, pictures) in rows.enumerated() {
      for (column, picture) in pictures.enumerated() {
        for y in 0..<size.height {
          let start =
            ((row * (size.height + Self.gap) + y) * width
              + column * (size.width + Self.gap)) * 3
          let source = y * size.width * 3
          pixels.replaceSubrange(
            start..<start + size.width * 3, with: picture[source..<source + size.width * 3])
        }
      }
    }
    return PNGImage(
      size: FrameSize(width: width, height: height), kind: .rgb, samples: .bytes(pixels))
  }

  /// The object with a probability above one half, by its number from 1.
  private static func labels(_ masks: [Float], area: Int) -> [UInt8] {
    var labels = [UInt8](repeating: 0, count: area)
    for (index, value) in masks.enumerated() where value > 0.5 {
      labels[index % area] = UInt8(index / area + 1)
    }
    return labels
  }

  private func tinted(_ image: [UInt8], _ labels: [UInt8]) -> [UInt8] {
    var result = image
    for (pixel, label) in labels.enumerated() where label != 0 {
      let color = Palette.color(of: label)
      let x = pixel % size.width
      let isEdge =
        x == 0 || labels[pixel - 1] != label || x + 1 == size.width || labels[pixel + 1] != label
        || pixel < size.width || labels[pixel - size.width] != label
        || pixel + size.width >= size.area || labels[pixel + size.width] != label
      for (channel, value) in [color.red, color.green, color.blue].enumerated() {
        let old = result[pixel * 3 + channel]
        result[pixel * 3 + channel] = isEdge ? value : UInt8((Int(old) * 2 + Int(value)) / 3)
      }
    }
    return result
  }
}
