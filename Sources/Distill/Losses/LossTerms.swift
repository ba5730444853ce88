// The losses of one step: what each sees of a frame, with which weight. UnrolledClip calls on its way
// back in time; TrainingStep reads the result.

import MemoryVOS

/// Adds up losses and hands out their gradients.
struct LossTerms {
  /// The measured losses so far; complete after the last frame.
  private(set) var result = StepLosses()
  /// The matrix of feature regression, empty when it has none.
  let projection: [Float]
  private(set) var projectionGradient: [Float]

  private let configuration: LossConfiguration
  private let batch: TrainingBatch
  private let hardShare: Double
  private let seed: UInt64
  private let firstSample: Int

  private var pixels: Int { batch.size.width * batch.size.height }
  /// Every loss is a mean over clips, a sum over frames, and scaled so that two frames count 2.
  private var scale: Double { 2 / Double(batch.frames - 1) }
  /// One over the number of means that are added into a reported part.
  private var share: Double { 1 / Double((batch.frames - 1) * batch.batch) }

  init(
    _ configuration: LossConfiguration, batch: TrainingBatch, hardShare: Double, seed: UInt64,
    firstSample: Int,
    projection: [Float]
  ) {
    self.configuration = configuration
    self.batch = batch
    self.hardShare = hardShare
    self.seed = seed
    self.firstSample = firstSample
    self.projection = projection
    projectionGradient = [Float](repeating: 0, count: projection.count)
  }

  /// One clip's share of the mask losses.
  private struct MaskTerms {
    var crossEntropy = 0.0
    var dice = 0.0
    var distillation = 0.0
    var overlap = 0.0
  }

  // MARK: Losses on masks

  /// Adds the losses on frame `frame`'s log-odds and probabilities to their gradients.
  mutating func addMaskTerms(_ frame: Int, _ planes: ClipPlanes, _ pool: ThreadPool) {
    var terms = [MaskTerms](repeating: .init(), count: batch.batch)
    let this = self
    terms.withUnsafeMutableBufferPointer { terms in
      guard let base = terms.baseAddress else { return }
      pool.parallelFor(batch.batch) { sample, _ in
        base[sample] = this.maskTerms(frame, sample, planes)
      }
    }
    for term in terms {
      result.crossEntropy += term.crossEntropy * share
      result.dice += term.dice * share
      result.distillation += term.distillation * share
      if frame == batch.frames - 1 { result.overlap += term.overlap / Double(batch.batch) }
      result.total +=
        (Double(configuration.crossEntropy) * term.crossEntropy
          + Double(configuration.dice) * term.dice
          + Double(configuration.distillation) * term.distillation) * scale / Double(batch.batch)
    }
  }

  private func maskTerms(_ frame: Int, _ sample: Int, _ planes: ClipPlanes) -> MaskTerms {
    var terms = MaskTerms()
    let classes = batch.objects + 1
    let weight = Float(scale / Double(batch.batch))
    let labels = labels(frame, sample)
    let probabilities = planes.probability(frame, sample, 0)
    let oddsGradient = planes.logOddsGradient.base + sample * planes.clipStride
    let probabilityGradient = planes.probabilityGradient.base + sample * planes.clipStride
    if configuration.crossEntropy > 0 {
      let loss = BootstrappedCrossEntropy(share: hardShare, poly1: configuration.poly1)
      withUnsafeTemporaryAllocation(of: Float.self, capacity: 2 * pixels) { scratch in
        guard let base = scratch.baseAddress else { return }
        let weights = thinWeights(labels)
        terms.crossEntropy = loss.evaluate(
          probabilities: probabilities, target: labels, weights: weights, classes: classes,
          count: pixels, weight: weight * configuration.crossEntropy, scratch: base,
          gradient: oddsGradient)
      }
    }
    if configuration.dice > 0 {
      withMasks(frame, sample) { masks in
        labels.withUnsafeBufferPointer { labels in
          for object in 0..<batch.objects {
            let share = 1 / Float(batch.objects)
            terms.dice +=
              DiceLoss<Float>().evaluate(
                probabilities: probabilities + (object + 1) * pixels,
                mask: masks + object * pixels, count: pixels,
                weight: weight * configuration.dice * share,
                target: batch.void.isEmpty ? nil : labels.baseAddress,
                gradient: probabilityGradient + (object + 1) * pixels) / Double(batch.objects)
          }
        }
      }
    }
    if configuration.distillation > 0, let teacher = batch.teacher {
      let loss = LogitDistillation(temperature: configuration.temperature)
      var included =
        configuration.distillsBoundaryOnly
        ? PixelSampling.boundary(
          labels, width: batch.size.width, height: batch.size.height, radius: 4) : nil
      if !batch.void.isEmpty {
        included = labels.indices.map { labels[$0] != voidLabel && (included?[$0] ?? true) }
      }
      teacher.logOdds.withUnsafeBufferPointer { logOdds in
        guard let base = logOdds.baseAddress else { return }
        let from = base + (sample * batch.frames + frame) * classes * pixels
        func evaluate(_ included: UnsafePointer<Bool>?) -> Double {
          loss.evaluate(
            student: planes.logOdds(frame, sample), teacher: from, classes: classes,
            count: pixels, included: included, weight: weight * configuration.distillation,
            gradient: oddsGradient)
        }
        terms.distillation =
          included?.withUnsafeBufferPointer { evaluate($0.baseAddress) } ?? evaluate(nil)
      }
    }
    if frame == batch.frames - 1 { terms.overlap = overlap(labels, probabilities) }
    return terms
  }

  /// The weights of pixels when those of thin structures count more, else `nil`.
  private func thinWeights(_ labels: [UInt8]) -> [Float]? {
    if configuration.thinWeight == 1 { return nil }
    return PixelSampling.thin(
      labels, width: batch.size.width, height: batch.size.height, radius: 2
    ).map { $0 ? configuration.thinWeight : 1 }
  }

  /// Intersection over union of object 1, as the most probable class says; 1 when both are empty.
  private func overlap(_ labels: [UInt8], _ probabilities: UnsafePointer<Float>) -> Double {
    var (both, either) = (0, 0)
    for pixel in 0..<pixels where labels[pixel] != voidLabel {
      let p = probabilities[pixels + pixel]
      var isObject = true
      for j in 0...batch.objects where j != 1 {
        let other = probabilities[j * pixels + pixel]
        if other > p || (j == 0 && other == p) { isObject = false }
      }
      let isTrue = labels[pixel] == 1
      if isObject && isTrue { both += 1 }
      if isObject || isTrue { either += 1 }
    }
    return either == 0 ? 1 : Double(both) / Double(either)
  }

  private func withMasks(_ frame: Int, _ sample: Int, _ body: (UnsafePointer<Float>) -> Void) {
    batch.masks.withUnsafeBufferPointer { masks in
      guard let base = masks.baseAddress else { return }
      body(base + (sample * batch.frames + frame) * batch.objects * pixels)
    }
  }

  /// The true class of each pixel: the first object that claims it, else background; 255 for void.
  private func labels(_ frame: Int, _ sample: Int) -> [UInt8] {
    var labels = [UInt8](repeating: 0, count: pixels)
    withMasks(frame, sample) { masks in
      for object in (0..<batch.objects).reversed() {
        for pixel in 0..<pixels where masks[object * pixels + pixel] > 0.5 {
          labels[pixel] = UInt8(object + 1)
        }
      }
    }
    if !batch.void.isEmpty {
      let first = (sample * batch.frames + frame) * pixels
      for pixel in 0..<pixels where batch.void[first + pixel] != 0 { labels[pixel] = voidLabel }
    }
    return labels
  }

  // MARK: Losses on features

  /// Adds the losses on one object's features before the last layer, `[H / 4, W / 4, C]` per clip.
  mutating func addFeatureTerms(
    _ frame: Int, _ object: Int, shape: FeatureShape, features: UnrolledClip.Maps,
    gradients: UnrolledClip.Maps
  ) {
    let weight = scale / Double(batch.batch * batch.objects)
    for sample in 0..<batch.batch {
      if configuration.regression > 0 {
        let value = regression(
          frame, object, sample, shape, features[sample], gradients[sample],
          weight: Float(weight) * configuration.regression)
        result.regression += value * share / Double(batch.objects)
        result.total += Double(configuration.regression) * weight * value
      }
      if configuration.representation > 0 {
        let value = representation(
          frame, object, sample, shape, features[sample], gradients[sample],
          weight: Float(weight) * configuration.representation)
        result.representation += value * share / Double(batch.objects)
        result.total += Double(configuration.representation) * weight * value
      }
    }
  }

  /// The teacher's features of one object on one frame start here.
  private func teacherOffset(_ frame: Int, _ object: Int, _ sample: Int, _ count: Int) -> Int {
    ((sample * batch.frames + frame) * batch.objects + object) * count
      * (batch.teacher?.featureChannels ?? 0)
  }

  private mutating func regression(
    _ frame: Int, _ object: Int, _ sample: Int, _ shape: FeatureShape,
    _ features: UnsafePointer<Float>, _ gradient: UnsafeMutablePointer<Float>, weight: Float
  ) -> Double {
    guard let teacher = batch.teacher else { return 0 }
    let count = shape.height * shape.width
    let offset = teacherOffset(frame, object, sample, count)
    let loss = FeatureRegression<Float>(
      studentChannels: shape.channels, teacherChannels: teacher.featureChannels)
    var scratch = [Float](repeating: 0, count: teacher.featureChannels)
    let projection = projection
    return teacher.features.withUnsafeBufferPointer { teacher in
      projection.withUnsafeBufferPointer { matrix in
        projectionGradient.withUnsafeMutableBufferPointer { matrixGradient in
          guard let from = teacher.baseAddress else { return 0 }
          var pair: (matrix: UnsafePointer<Float>, gradient: UnsafeMutablePointer<Float>)?
          if !projection.isEmpty, let matrix = matrix.baseAddress,
            let gradient = matrixGradient.baseAddress
          {
            pair = (matrix, gradient)
          }
          return loss.evaluate(
            student: features, teacher: from + offset, count: count, projection: pair,
            weight: weight, scratch: &scratch, gradient: gradient)
        }
      }
    }
  }

  private func representation(
    _ frame: Int, _ object: Int, _ sample: Int, _ shape: FeatureShape,
    _ features: UnsafePointer<Float>, _ gradient: UnsafeMutablePointer<Float>, weight: Float
  ) -> Double {
    let labels = smallLabels(frame, object, sample, shape)
    var generator = SplitMix64(
      seed: seed
        &+ UInt64(((firstSample + sample) * batch.frames + frame) * batch.objects + object)
        &* 0x9e37)
    let chosen = PixelSampling.choose(
      boundary: PixelSampling.boundary(
        labels, width: shape.width, height: shape.height, radius: 2),
      excluded: labels.map { $0 == voidLabel }, count: configuration.representationPixels,
      using: &generator)
    func rows(_ base: UnsafePointer<Float>, _ channels: Int) -> [Float] {
      chosen.flatMap { pixel in
        UnsafeBufferPointer(start: base + pixel * channels, count: channels)
      }
    }
    var teacherRows: [Float]?
    if configuration.omega > 0, let teacher = batch.teacher {
      let offset = teacherOffset(frame, object, sample, shape.height * shape.width)
      teacher.features.withUnsafeBufferPointer { buffer in
        guard let base = buffer.baseAddress else { return }
        teacherRows = rows(base + offset, teacher.featureChannels)
      }
    }
    var slope = [Float](repeating: 0, count: chosen.count * shape.channels)
    let value = RepresentationLoss(omega: configuration.omega).evaluate(
      student: rows(features, shape.channels), studentChannels: shape.channels,
      teacher: teacherRows, teacherChannels: batch.teacher?.featureChannels ?? 0,
      labels: chosen.map { labels[$0] }, weight: weight, gradient: &slope)
    for (row, pixel) in chosen.enumerated() {
      for channel in 0..<shape.channels {
        gradient[pixel * shape.channels + channel] += slope[row * shape.channels + channel]
      }
    }
    return value
  }

  /// Whether each pixel of a smaller map belongs to the object, by the mask's value at its centre, 255
  /// for void.
  private func smallLabels(
    _ frame: Int, _ object: Int, _ sample: Int, _ shape: FeatureShape
  ) -> [UInt8] {
    var labels = [UInt8](repeating: 0, count: shape.height * shape.width)
    let factor = batch.size.height / shape.height
    let first = (sample * batch.frames + frame) * pixels
    withMasks(frame, sample) { masks in
      let mask = masks + object * pixels
      for y in 0..<shape.height {
        for x in 0..<shape.width {
          let center = (y * factor + factor / 2) * batch.size.width + x * factor + factor / 2
          labels[y * shape.width + x] = mask[center] > 0.5 ? 1 : 0
          if !batch.void.isEmpty, batch.void[first + center] != 0 {
            labels[y * shape.width + x] = voidLabel
          }
        }
      }
    }
    return labels
  }
}
