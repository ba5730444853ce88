// Clips that `vos-cli quantize` tracks: first frames of the sequences of a data set in DAVIS's layout.

import Foundation
import MemoryVOS

/// A clip's first frames.
struct CalibrationClip {
  let sequence: TruthSet.Sequence
  let images: String
  let frameCount: Int

  /// Frames between two that are tracked: objects move, as they do over longer clips.
  private static let step = 3

  /// The clips of a set, with `frames` frames together.
  ///
  /// - Throws: `MediaError` for an unlabelled folder and for sequences without images.
  static func clips(
    root: String, year: String, set: String, resolution: String, frames: Int
  ) throws -> [CalibrationClip] {
    guard FileManager.default.fileExists(atPath: root + "/Annotations") else {
      throw MediaError(
        path: root,
        problem: "an unlabelled folder: there is no Annotations in it; calibration tracks objects "
          + "and needs the mask of each clip's first frame")
    }
    let truth = try TruthSet(davis: root, year: year, set: set, resolution: resolution)
    let each = max(2, (frames + truth.sequences.count - 1) / truth.sequences.count)
    var left = frames
    var clips: [CalibrationClip] = []
    for sequence in truth.sequences where left > 0 {
      guard let images = sequence.images else {
        throw MediaError(
          path: sequence.folder, problem: "there are no images of '\(sequence.name)' in JPEGImages")
      }
      clips.append(.init(sequence: sequence, images: images, frameCount: min(each, left)))
      left -= each
    }
    return clips
  }

  /// Takes every fourth clip out, at most eight, for measurements on clips that calibration has not
  /// seen; of fewer than four clips all serve both.
  static func split(
    _ clips: [CalibrationClip]
  ) -> (calibrated: [CalibrationClip], heldOut: [CalibrationClip]) {
    guard clips.count >= 4 else { return (clips, clips) }
    let places = Set(stride(from: 3, to: clips.count, by: max(4, clips.count / 8)).prefix(8))
    return (
      clips.indices.filter { !places.contains($0) }.map { clips[$0] },
      clips.indices.filter { places.contains($0) }.map { clips[$0] }
    )
  }

  /// The first frame's objects.
  func mask() throws -> LabelMap {
    let path = sequence.mask(sequence.frames[0])
    var mask = try MaskFile.read(path, role: .truth)
    mask.labels = mask.labels.map { $0 == 255 ? 0 : $0 }
    guard !mask.objects.isEmpty else {
      throw MediaError(path: path, problem: "holds no object; calibration tracks objects")
    }
    return mask
  }

  /// The frames, or the first `limit` of them.
  func frames(limit: Int = .max) throws -> [Frame] {
    let source = try Media.openFrames(images)
    var frames: [Frame] = []
    var index = 0
    while frames.count < min(frameCount, limit), let item = try source.next() {
      if index % Self.step == 0 { frames.append(item.frame) }
      index += 1
    }
    return frames
  }
}
