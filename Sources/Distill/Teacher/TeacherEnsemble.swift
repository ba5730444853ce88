// One checkpoint that looks at a clip several times at once: larger, mirrored, at several scales. Teaching
// runs it over data sets, LiveTeacher over training batches.

import MemoryVOS

/// Trackers in step with each other, whose probabilities are averaged.
final class TeacherEnsemble {
  private final class Member {
    var tracker: Tracker
    let isMirrored: Bool

    init(_ tracker: consuming Tracker, isMirrored: Bool) {
      self.tracker = tracker
      self.isMirrored = isMirrored
    }
  }

  /// Size of frames and masks.
  let frameSize: FrameSize
  private let members: [Member]

  /// A teacher for frames of one size; `network` exposes features when they are wanted.
  ///
  /// - Throws: `TrackerError` for options that cannot work at this size.
  init(
    _ network: Network, recipe: TeacherRecipe, frameSize: FrameSize, threads: Int?
  ) throws(TrackerError) {
    self.frameSize = frameSize
    var members: [Member] = []
    for scale in recipe.scales {
      let configuration = recipe.configuration(
        scale: scale, frameSize: frameSize, threads: threads)
      for isMirrored in recipe.flip ? [false, true] : [false] {
        members.append(
          Member(
            try Tracker(network: network, frameSize: frameSize, configuration: configuration),
            isMirrored: isMirrored))
      }
    }
    self.members = members
  }

  /// Forgets everything: the next frame begins another clip.
  func reset() {
    for member in members { member.tracker.forgetEverything() }
  }

  /// Tracks the next frame; objects of `mask` are given on it.
  func step(_ frame: Frame, mask: LabelMap?) throws(TrackerError) {
    for member in members {
      if member.isMirrored {
        _ = try member.tracker.step(
          frame.mirrored, mask: mask.map { LabelMap(size: $0.size, labels: $0.mirroredLabels) })
      } else {
        _ = try member.tracker.step(frame, mask: mask)
      }
    }
  }

  /// Makes the first member predict the clip's first frame from that frame, so that features of the
  /// given objects exist; what follows is as if this had not been.
  func firstFeatures(
    _ frame: Frame, mask: LabelMap, objects: [ObjectID]
  ) throws(TrackerError) -> [ObjectFeatures?] {
    _ = try members[0].tracker.step(frame, mask: mask)
    _ = try members[0].tracker.step(frame)
    let result = features(of: objects)
    members[0].tracker.forgetEverything()
    return result
  }

  /// Mean probabilities `[K][H][W]` of objects in the newest frame; 0 for those not yet known.
  func probabilities(of objects: [ObjectID]) throws(TrackerError) -> [Float] {
    let (area, width) = (frameSize.area, frameSize.width)
    var sums = [Float](repeating: 0, count: objects.count * area)
    for member in members {
      let known = member.tracker.objects
      for (index, object) in objects.enumerated() where known.contains(object) {
        let plane = try member.tracker.probabilities(of: object)
        for y in 0..<frameSize.height {
          let row = index * area + y * width
          for x in 0..<width {
            sums[row + x] += plane[y * width + (member.isMirrored ? width - 1 - x : x)]
          }
        }
      }
    }
    let share = 1 / Float(members.count)
    for index in sums.indices { sums[index] *= share }
    return sums
  }

  /// Features of each object in the newest frame, of the first member alone; `nil` where the object
  /// was not predicted.
  func features(of objects: [ObjectID]) -> [ObjectFeatures?] {
    objects.map { members[0].tracker.features(of: $0) }
  }
}

/// Logarithms of averaged probabilities.
enum TeacherPlanes {
  /// The smallest probability that is told apart from 0.
  static let smallest: Float = 1e-6

  /// Planes `[K][area]` of probabilities to log-odds `[K + 1][area]`, background first.
  ///
  /// They are the logarithms of the probabilities themselves: log-odds count only up to a constant
  /// at each pixel, and the softmax gives these probabilities back.
  static func logOdds(_ probabilities: [Float], objects: Int) -> [Float] {
    let area = probabilities.count / max(objects, 1)
    var result = [Float](repeating: 0, count: (objects + 1) * area)
    for pixel in 0..<area {
      var rest: Float = 1
      for object in 0..<objects {
        let p = probabilities[object * area + pixel]
        rest -= p
        result[(object + 1) * area + pixel] = TrainingMath.log(max(p, smallest))
      }
      result[pixel] = TrainingMath.log(max(rest, smallest))
    }
    return result
  }
}

extension Frame {
  /// Left and right exchanged.
  var mirrored: Frame {
    let width = size.width
    var result = pixels
    for y in 0..<size.height {
      for x in 0..<width {
        let (to, from) = ((y * width + x) * 3, (y * width + width - 1 - x) * 3)
        for channel in 0..<3 { result[to + channel] = pixels[from + channel] }
      }
    }
    return Frame(size: size, pixels: result)
  }
}

extension LabelMap {
  /// The labels with left and right exchanged.
  var mirroredLabels: [UInt8] {
    let width = size.width
    return labels.indices.map { labels[$0 / width * width + width - 1 - $0 % width] }
  }
}
