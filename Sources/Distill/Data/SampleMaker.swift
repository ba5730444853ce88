// Samples and batches, each a function of seed and number. BatchLoader calls it from its threads.

import CKernels
import Foundation
import MemoryVOS
import Synchronization

/// Makes the batches of a training.
///
/// Batch b of a seed is the same in every run, on every thread, as long as the files are.
public final class SampleMaker: Sendable {
  /// A problem with a file that a sample was to be made of.
  public typealias Report = @Sendable (_ problem: TrainingError, _ count: Int) -> Void

  private let datasets: [Dataset]
  private let recipe: SampleRecipe
  private let pieces: PieceMaker
  private let seed: UInt64
  private let shares: [Double]
  private let withTeacher: Bool
  private let featureChannels: Int
  private let report: Report
  private let problems = Mutex<[String: Int]>([:])

  /// A maker of samples of `datasets`.
  ///
  /// - Parameters:
  ///   - datasets: where samples come from.
  ///   - recipe: how they are made.
  ///   - seed: where random choices start.
  ///   - cacheBytes: decoded pictures that are kept in memory.
  ///   - withTeacher: whether stored outputs are read and batches carry teacher outputs; clips
  ///     without stored outputs are then taught by their labels.
  ///   - featureChannels: channels of the features that every clip's stored outputs must have, 0 when
  ///     no loss needs them. Nothing is pasted over such clips: their features would be wrong.
  ///   - report: called for each picture that cannot be used, once per picture, with the number of
  ///     such pictures so far; from any thread.
  /// - Throws: `TrainingError` for an impossible recipe and for clips without the features asked for.
  public init(
    _ datasets: [Dataset], recipe: SampleRecipe, seed: UInt64, cacheBytes: Int,
    withTeacher: Bool = false, featureChannels: Int = 0, report: @escaping Report
  ) throws(TrainingError) {
    if let problem = recipe.problem { throw TrainingError(problem) }
    if featureChannels > 0 {
      guard recipe.renderedShare == 0 else {
        throw TrainingError(
          "samples.rendered_share \(recipe.renderedShare): rendered bodies have no stored features; "
            + "set it or the weight of the loss on features to 0")
      }
      try Self.check(datasets, featureChannels: featureChannels)
    }
    var sum = 0.0
    let shares = datasets.map {
      sum += $0.share
      return sum
    }
    guard sum > 0 else { throw TrainingError("no data set has a share above 0") }
    self.datasets = datasets
    self.recipe = recipe
    self.seed = seed
    self.shares = shares
    self.withTeacher = withTeacher || featureChannels > 0
    self.featureChannels = featureChannels
    self.report = report
    pieces = PieceMaker(
      recipe: recipe,
      store: PictureStore(shortSide: recipe.pictureSide, byteLimit: cacheBytes),
      withTeacher: withTeacher || featureChannels > 0, withFeatures: featureChannels > 0)
  }

  /// Throws unless all clips that can be chosen have features with this number of channels.
  private static func check(
    _ datasets: [Dataset], featureChannels: Int
  ) throws(TrainingError) {
    for dataset in datasets where dataset.share > 0 {
      for clip in dataset.clips {
        guard let features = clip.outputs?.features else {
          throw TrainingError(
            clip.name,
            "a loss on features needs stored outputs with features for every clip; "
              + "give this set 'share' 0 or set the loss' weight to 0")
        }
        guard features.channels == featureChannels else {
          throw TrainingError(
            clip.outputs?.path ?? clip.name,
            "features of \(features.channels) channels, others have \(featureChannels)")
        }
      }
    }
  }

  /// Pictures that could not be used so far.
  public var skippedCount: Int { problems.withLock { $0.count } }

  /// The batch of a step.
  ///
  /// - Parameters:
  ///   - step: the number of the batch.
  ///   - progress: share of the training that is done at this step, 0…1.
  ///   - part: which of `parts` equal machines this is; each makes other samples.
  ///   - parts: number of machines.
  /// - Returns: the batch, with one object per clip or `recipe.objects`.
  /// - Throws: `TrainingError` when no sample can be made in 100 attempts.
  public func batch(
    _ step: Int, progress: Double, part: Int = 0, parts: Int = 1
  ) throws(TrainingError) -> TrainingBatch {
    var shared = SampleGenerator(seed: seed, purpose: .batch, step)
    let objects = shared.chance(recipe.severalShare) ? recipe.objects : 1
    let area = recipe.size * recipe.size
    let count = recipe.batch * recipe.frames
    var images = [Float](repeating: 0, count: count * area * 3)
    var masks = [Float](repeating: 0, count: count * objects * area)
    var unknown = [UInt8](repeating: 0, count: count * area)
    var hasUnknown = false
    var logOdds: [Float] = []
    var features: [Float] = []
    for index in 0..<recipe.batch {
      let number = (step * parts + part) * recipe.batch + index
      var random = SampleGenerator(seed: seed, purpose: .sample, number)
      let sample = try sample(objects: objects, progress: progress, &random)
      let tint = (0..<3).map { _ in 1 + random.symmetric(recipe.colorJitter) }
      for frame in 0..<recipe.frames {
        let place = index * recipe.frames + frame
        let color = tint.map { Float($0 * (1 + random.symmetric(recipe.frameColorJitter))) }
        images.withUnsafeMutableBufferPointer {
          vos_color(
            sample.images[frame], area, color[0], color[1], color[2],
            $0.baseAddress.map { $0 + place * area * 3 })
        }
        for (pixel, label) in sample.labels[frame].enumerated() where label != 0 {
          if label == voidLabel {
            unknown[place * area + pixel] = 1
            hasUnknown = true
            continue
          }
          masks[(place * objects + Int(label) - 1) * area + pixel] = 1
        }
        if withTeacher {
          logOdds += Self.teacherPlanes(sample, frame: frame, objects: objects, area: area)
        }
        if featureChannels > 0 {
          let missing = (objects - sample.objects) * area / 16 * featureChannels
          features += sample.features[frame] + [Float](repeating: 0, count: missing)
        }
      }
    }
    let size = FrameSize(width: recipe.size, height: recipe.size)
    return TrainingBatch(
      batch: recipe.batch, frames: recipe.frames, objects: objects, size: size, images: images,
      masks: masks, void: hasUnknown ? unknown : [],
      teacher: withTeacher
        ? TeacherOutputs(
          logOdds: logOdds, features: features, featureChannels: featureChannels) : nil)
  }

  // MARK: - Samples

  private func sample(
    objects: Int, progress: Double, _ random: inout SampleGenerator
  ) throws(TrainingError) -> SamplePiece {
    let own = objects > 1 && random.chance(recipe.ownObjectsShare) ? objects : 1
    var last: TrainingError?
    var base: SamplePiece?
    for _ in 0..<100 where base == nil {
      do { base = try piece(separate: own, progress: progress, &random) } catch { last = error }
    }
    guard var sample = base else {
      throw TrainingError(
        "no sample in 100 attempts: "
          + (last?.description
            ?? "the objects are too small or too large for samples of \(recipe.size) pixels"))
    }
    if sample.objects == 1, featureChannels == 0, recipe.lookalikeShare > 0,
      random.chance(recipe.lookalikeShare)
    {
      addLookalike(to: &sample, isObject: objects > 1, progress: progress, &random)
    }
    for _ in 0..<10 where sample.objects < objects && featureChannels == 0 {
      // A picture that cannot be read has been reported; the sample goes on with fewer objects.
      guard let front = try? piece(separate: 1, progress: progress, &random) else { continue }
      if let pasted = Self.paste(front, over: sample, size: recipe.size) { sample = pasted }
    }
    return sample
  }

  /// Pastes the sample's object once more, out of the same clip, in a few attempts.
  private func addLookalike(
    to sample: inout SamplePiece, isObject: Bool, progress: Double,
    _ random: inout SampleGenerator
  ) {
    guard let origin = sample.origin else { return }
    for _ in 0..<5 {
      guard
        let front = try? piece(separate: 1, progress: progress, like: origin, &random),
        let pasted = Self.paste(front, over: sample, size: recipe.size, isObject: isObject)
      else { continue }
      sample = pasted
      return
    }
  }

  private func piece(
    separate: Int, progress: Double, like origin: SamplePiece.Origin? = nil,
    _ random: inout SampleGenerator
  ) throws(TrainingError) -> SamplePiece? {
    do {
      if origin == nil, recipe.renderedShare > 0, random.chance(recipe.renderedShare) {
        return try RenderedPieces(recipe: recipe)
          .piece(separate: separate, progress: progress, &random, picture: picture)
      }
      let set = origin?.dataset ?? random.weighted(shares)
      let number = origin?.number ?? random.weighted(datasets[set].sums)
      return try pieces.piece(
        of: datasets[set].clips[number], dataset: set, number: number, separate: separate,
        progress: progress, chosen: origin?.choice, &random)
    } catch {
      let count = problems.withLock { problems -> Int? in
        problems[error.description, default: 0] += 1
        return problems[error.description] == 1 ? problems.count : nil
      }
      if let count { report(error, count) }
      throw error
    }
  }

  /// Any picture of the data sets.
  private func picture(
    _ random: inout SampleGenerator
  ) throws(TrainingError) -> PictureStore.Entry {
    let set = random.weighted(shares)
    let number = random.weighted(datasets[set].sums)
    let clip = datasets[set].clips[number]
    let frame = random.index(clip.frameCount)
    return try pieces.store.entry(clip.items[frame], dataset: set, clip: number, frame: frame)
  }

  /// Lays `front`'s only object over `sample`, as an object or as background, or `nil` when too little
  /// would be left to see.
  static func paste(
    _ front: SamplePiece, over sample: SamplePiece, size: Int, isObject: Bool = true
  ) -> SamplePiece? {
    guard front.objects == 1, front.share() <= 0.4 else { return nil }
    var front = front
    // What may belong to the object in front and may not stays behind.
    for frame in front.labels.indices {
      for (pixel, label) in front.labels[frame].enumerated() where label == voidLabel {
        front.labels[frame][pixel] = 0
      }
    }
    var result = sample
    if isObject { result.objects += 1 }
    let label = isObject ? UInt8(result.objects) : 0
    for frame in sample.labels.indices {
      for (pixel, isFront) in front.labels[frame].enumerated() where isFront != 0 {
        result.labels[frame][pixel] = label
      }
    }
    guard (1...sample.objects).allSatisfy({ result.share(of: UInt8($0)) > 0.005 }) else {
      return nil
    }
    for frame in sample.images.indices {
      result.images[frame].withUnsafeMutableBufferPointer {
        vos_paste_rgb(
          front.images[frame], front.labels[frame], Int32(size), Int32(size), $0.baseAddress)
      }
    }
    guard let teacher = sample.teacher else { return result }
    let area = size * size
    result.teacher = teacher.indices.map { frame in
      var planes = teacher[frame] + [Float](repeating: ruledOut, count: isObject ? area : 0)
      for (pixel, isFront) in front.labels[frame].enumerated() where isFront != 0 {
        for channel in 0...result.objects { planes[channel * area + pixel] = ruledOut }
        planes[Int(label) * area + pixel] = 0
      }
      return planes
    }
    return result
  }

  // MARK: - Teacher

  /// `[objects + 1][area]`: the teacher's planes, or the labels'.
  private static func teacherPlanes(
    _ sample: SamplePiece, frame: Int, objects: Int, area: Int
  ) -> [Float] {
    var planes = [Float](repeating: ruledOut, count: (objects + 1) * area)
    if let teacher = sample.teacher {
      planes.replaceSubrange(0..<teacher[frame].count, with: teacher[frame])
    } else {
      for (pixel, label) in sample.labels[frame].enumerated() where label != voidLabel {
        planes[Int(label) * area + pixel] = 0
      }
    }
    return planes
  }
}
