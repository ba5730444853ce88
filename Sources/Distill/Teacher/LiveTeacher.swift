// A teacher that runs during training, on the very crops that the student sees. Trainer calls `teach` on
// every batch before its step.

import MemoryVOS

/// Supplies a batch's teacher outputs.
final class LiveTeacher {
  /// Channels of the features, 0 when none are asked for.
  let featureChannels: Int

  private let network: Network
  private let recipe: TeacherRecipe
  private let threads: Int?
  private var ensemble: TeacherEnsemble?

  /// Loads the checkpoint.
  ///
  /// - Throws: `TrainingError` when it cannot be read or cannot see samples of this size.
  init(
    _ recipe: TeacherRecipe, folder: String, sampleSide: Int, withFeatures: Bool, threads: Int?
  ) throws(TrainingError) {
    self.recipe = recipe
    self.threads = threads
    let path =
      recipe.checkpoint.hasPrefix("/") ? recipe.checkpoint : folder + "/" + recipe.checkpoint
    do {
      let network = try Network(checkpoint: path)
      self.network = withFeatures ? Network(exposingFeaturesOf: network) : network
    } catch { throw TrainingError("teacher: \(error)") }
    featureChannels = withFeatures ? network.featureChannels : 0
    // Trying it once shows what cannot work before the first step.
    _ = try ensemble(FrameSize(width: sampleSide, height: sampleSide))
  }

  private func ensemble(_ size: FrameSize) throws(TrainingError) -> TeacherEnsemble {
    if let ensemble, ensemble.frameSize == size { return ensemble }
    do {
      let made = try TeacherEnsemble(network, recipe: recipe, frameSize: size, threads: threads)
      ensemble = made
      return made
    } catch { throw TrainingError("teacher: \(error)") }
  }

  /// Fills `batch.teacher`: the teacher is given the true masks of frame 0 and tracks the others.
  ///
  /// Outputs of frame 0, on which there is no loss, are those masks and features of 0.
  func teach(_ batch: inout TrainingBatch) throws(TrainingError) {
    let ensemble = try ensemble(batch.size)
    let objects = (1...batch.objects).compactMap { ObjectID(UInt8($0)) }
    let small = FrameSize(width: batch.size.width / 4, height: batch.size.height / 4)
    var outputs = TeacherOutputs(featureChannels: featureChannels)
    do {
      for sample in 0..<batch.batch {
        ensemble.reset()
        for frame in 0..<batch.frames {
          let place = sample * batch.frames + frame
          try ensemble.step(batch.picture(place), mask: frame == 0 ? batch.labels(place) : nil)
          outputs.logOdds += TeacherPlanes.logOdds(
            try ensemble.probabilities(of: objects), objects: batch.objects)
          if featureChannels > 0 {
            for features in ensemble.features(of: objects) {
              outputs.features +=
                features.map {
                  AreaResampler(from: $0.size, to: small, channels: $0.channels)
                    .resample($0.values[...])
                } ?? [Float](repeating: 0, count: small.area * featureChannels)
            }
          }
        }
      }
    } catch { throw TrainingError("teacher: \(error)") }
    batch.teacher = outputs
  }
}

extension TrainingBatch {
  /// The picture of sample · frames + frame in 8 bits.
  func picture(_ place: Int) -> Frame {
    let count = size.area * 3
    return Frame(
      size: size,
      pixels: images[place * count..<(place + 1) * count].map {
        UInt8(max(0, min(255, ($0 * 127.5 + 127.5).rounded())))
      })
  }

  /// Its masks as labels 1…K.
  func labels(_ place: Int) -> LabelMap {
    var map = LabelMap(size: size)
    let first = place * objects * size.area
    for index in 0..<objects * size.area where masks[first + index] > 0 {
      map.labels[index % size.area] = UInt8(index / size.area + 1)
    }
    return map
  }
}
