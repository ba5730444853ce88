// A teacher's stored outputs moved exactly like the pictures, its objects grouped like the labels.
// Called by PieceMaker.

import CKernels
import Foundation
import MemoryVOS

/// Log-probability of what a label rules out: about 5 · 10⁻⁵.
let ruledOut: Float = -10

/// Warps the outputs of one clip.
struct TeacherWarper {
  let outputs: StoredOutputs
  let choice: ObjectChoice
  /// Size of the decoded pictures, from which warps are counted.
  let pictureSize: FrameSize

  /// `[choice.count + 1][S · S]`: logarithms of the probabilities of background and chosen objects.
  ///
  /// Objects that were not chosen are background, those of one group are added up.
  func logProbabilities(frame: Int, warp: Warp) throws(TrainingError) -> [Float] {
    let area = warp.size * warp.size
    let planes = warped(
      try outputs.logOdds(frame: frame), planes: outputs.objects.count + 1, size: outputs.size,
      warp: warp, side: warp.size)
    // The channel of the result to which each of the teacher's goes.
    let targets = [0] + outputs.objects.map { Int(choice.table[Int($0.rawValue)]) }
    var result = [Float](repeating: 0, count: (choice.count + 1) * area)
    for pixel in 0..<area {
      var largest = -Float.infinity
      for plane in targets.indices { largest = max(largest, planes[plane * area + pixel]) }
      var sum: Float = 0
      for (plane, target) in targets.enumerated() {
        let value = exp(planes[plane * area + pixel] - largest)
        result[target * area + pixel] += value
        sum += value
      }
      for channel in 0...choice.count {
        let probability = result[channel * area + pixel] / sum
        result[channel * area + pixel] = max(log(probability), ruledOut)
      }
    }
    return result
  }

  /// `[choice.count][S / 4 · S / 4][C]`; a group takes the features of its first object.
  func features(frame: Int, warp: Warp) throws(TrainingError) -> [Float] {
    guard let (size, channels) = outputs.features else {
      preconditionFailure("\(outputs.path) has no features")
    }
    let side = warp.size / 4
    // From the small picture's pixels to the sample's, then on as the picture goes. Only stills are
    // bent, and they have no stored outputs.
    let reduced = Warp(
      size: warp.size,
      map: warp.map.after(
        .scaling(from: (side, side), to: (warp.size, warp.size))),
      spline: nil)
    let planes = warped(
      try outputs.featurePlanes(frame: frame), planes: outputs.objects.count * channels,
      size: size, warp: reduced, side: side)
    var result = [Float](repeating: 0, count: choice.count * side * side * channels)
    for object in 0..<choice.count {
      let source = outputs.objects.firstIndex { Int(choice.table[Int($0.rawValue)]) == object + 1 }
      guard let source else { continue }
      for pixel in 0..<side * side {
        for channel in 0..<channels {
          result[(object * side * side + pixel) * channels + channel] =
            planes[(source * channels + channel) * side * side + pixel]
        }
      }
    }
    return result
  }

  private func warped(
    _ values: [Float], planes: Int, size: FrameSize, warp: Warp, side: Int
  ) -> [Float] {
    let scaling = AffineMap.scaling(
      from: (pictureSize.width, pictureSize.height), to: (size.width, size.height))
    let count = planes * side * side
    return [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
      warp.withDescription(scaling: scaling) {
        vos_warp_planes(
          values, Int32(planes), Int32(size.width), Int32(size.height), $0, Int32(side),
          Int32(side), buffer.baseAddress)
      }
      initialized = count
    }
  }
}
