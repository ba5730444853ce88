// Tiny data sets in the layouts that people have, drawn by the library. For the tests of Distill.

import Foundation
import MemoryVOS
import TestSupport

@testable import Distill

/// Writers of data sets into a temporary folder.
enum SyntheticData {
  static let size = FrameSize(width: 96, height: 64)

  /// A picture with a bright square object 1 and, for two objects, a disc 2, moved by `shift`.
  static func picture(_ shift: Int, objects: Int = 1) -> (frame: Frame, labels: LabelMap) {
    var map = LabelMap(size: size)
    var pixels = [UInt8](repeating: 0, count: size.area * 3)
    for y in 0..<size.height {
      for x in 0..<size.width {
        let pixel = y * size.width + x
        if (20 + shift..<44 + shift).contains(x), (16..<40).contains(y) { map.labels[pixel] = 1 }
        let (dx, dy) = (x - 72 + shift, y - 44)
        if objects > 1, dx * dx + dy * dy < 150 { map.labels[pixel] = 2 }
        let color: [UInt8] =
          switch map.labels[pixel] {
          case 0: [UInt8(40 + x % 32), UInt8(60 + y % 16), 90]
          case 1: [220, UInt8(180 + y % 8), 40]
          default: [30, 200, UInt8(100 + x % 8)]
          }
        pixels.replaceSubrange(pixel * 3..<pixel * 3 + 3, with: color)
      }
    }
    return (Frame(size: size, pixels: pixels), map)
  }

  static func write(_ frame: Frame, to path: String) throws {
    try PNGImage(size: frame.size, kind: .rgb, samples: .bytes(frame.pixels)).write(to: path)
  }

  /// DAVIS layout with clips `a` and `b`, eight frames each, `train.txt`, and `held.txt` with `b`.
  static func davis(
    _ folder: TemporaryFolder, objects: Int = 1, name: String = "davis"
  ) throws -> DatasetRecipe {
    for clip in ["a", "b"] {
      for index in 0..<8 {
        let (frame, labels) = picture(index, objects: objects)
        try write(frame, to: folder.path("\(name)/JPEGImages/tiny/\(clip)/0000\(index).png"))
        try MaskFile.write(
          labels, to: folder.path("\(name)/Annotations/tiny/\(clip)/0000\(index).png"))
      }
    }
    try Data("a\nb\n".utf8).write(to: URL(filePath: folder.path("\(name)/ImageSets/train.txt")))
    try Data("b\n".utf8).write(to: URL(filePath: folder.path("\(name)/ImageSets/held.txt")))
    var recipe = DatasetRecipe(.davis, path: folder.path + "/\(name)")
    recipe.list = "ImageSets/train.txt"
    recipe.resolution = "tiny"
    return recipe
  }

  /// Three stills in two folders.
  static func stills(_ folder: TemporaryFolder) throws -> DatasetRecipe {
    for (index, name) in ["x/images/1", "x/images/2", "deep/er/images/3"].enumerated() {
      let (frame, labels) = picture(3 * index, objects: 2)
      try write(frame, to: folder.path("stills/\(name).png"))
      let mask = name.replacingOccurrences(of: "images", with: "masks")
      try MaskFile.write(labels, to: folder.path("stills/\(mask).png"))
    }
    return DatasetRecipe(.stills, path: folder.path + "/stills")
  }

  /// A network small enough for tests in debug builds.
  static var network: NetworkConfiguration {
    var network = NetworkConfiguration()
    network.valueChannels = 16
    network.keyChannels = 16
    network.decoderChannels = [16, 16, 16]
    network.valueEncoderChannels = [8, 8, 16]
    return network
  }

  /// Samples small enough for tests in debug builds.
  static var samples: SampleRecipe {
    var recipe = SampleRecipe()
    recipe.size = 64
    recipe.batch = 2
    recipe.frames = 3
    return recipe
  }
}
