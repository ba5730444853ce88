// The masks of a clip as planes, given and predicted, and their gradients: soft aggregation, the sum
// of the other objects, the damaged prior. UnrolledClip calls.

import CKernels
import MemoryVOS

/// Planes `[clip][K + 1][H][W]` per frame, background first.
final class ClipPlanes {
  private let shape: UnrolledClip.Shape
  /// Objects of the current batch, at most as many as there is room for.
  private(set) var objects: Int
  private let capacity: Int
  /// Probabilities per frame; those of frame 0 are the given masks.
  private let probabilities: [AlignedBuffer]
  /// Probabilities per frame as they are fed back, of clips whose masks decayed.
  private let decayed: [AlignedBuffer]
  private var decays: [[MaskDecay?]]
  private let logOdds: [AlignedBuffer]
  /// For each frame and object, `[clip][H][W]`.
  private let others: [[AlignedBuffer]]
  private let priors: [[AlignedBuffer]]
  // Of the frame that backward is at; planes like the above, and `[object][clip][H][W]`.
  let probabilityGradient: AlignedBuffer
  let logOddsGradient: AlignedBuffer
  private let logitGradient: AlignedBuffer
  private let othersGradient: AlignedBuffer

  var pixels: Int { shape.size.width * shape.size.height }
  /// Floats from one clip to the next.
  var clipStride: Int { (objects + 1) * pixels }
  var batch: Int { shape.batch }

  init(_ shape: UnrolledClip.Shape, objects: Int) {
    self.shape = shape
    self.objects = objects
    capacity = objects
    let pixels = shape.size.width * shape.size.height
    let all = shape.batch * (objects + 1) * pixels
    probabilities = (0..<shape.frames).map { _ in AlignedBuffer(count: all) }
    decayed = (0..<shape.frames).map { _ in AlignedBuffer(count: all) }
    decays = Array(repeating: Array(repeating: nil, count: shape.batch), count: shape.frames)
    logOdds = (0..<shape.frames).map { _ in AlignedBuffer(count: all) }
    func perObject() -> [[AlignedBuffer]] {
      (0..<shape.frames).map { _ in
        (0..<objects).map { _ in AlignedBuffer(count: shape.batch * pixels) }
      }
    }
    others = perObject()
    priors = perObject()
    probabilityGradient = AlignedBuffer(count: all)
    logOddsGradient = AlignedBuffer(count: all)
    logitGradient = AlignedBuffer(count: objects * shape.batch * pixels)
    othersGradient = AlignedBuffer(count: shape.batch * pixels)
  }

  /// These planes for another number of objects; new ones when there is no room.
  func reserving(objects wanted: Int) -> ClipPlanes {
    guard wanted <= capacity else { return ClipPlanes(shape, objects: wanted) }
    objects = wanted
    return self
  }

  private func maps(_ buffer: AlignedBuffer, first: Int, stride: Int) -> UnrolledClip.Maps {
    (0..<batch).map { buffer.base + first + $0 * stride }
  }

  /// The plane of `class` (0 is background) of one clip.
  func probability(_ frame: Int, _ sample: Int, _ index: Int) -> UnsafeMutablePointer<Float> {
    probabilities[frame].base + sample * clipStride + index * pixels
  }

  /// The same as memory and priors take it: what was predicted may have decayed.
  private func fed(_ frame: Int, _ sample: Int, _ index: Int) -> UnsafeMutablePointer<Float> {
    guard decays[frame][sample] != nil else { return probability(frame, sample, index) }
    return decayed[frame].base + sample * clipStride + index * pixels
  }

  /// `[K + 1][H][W]` of one clip.
  func logOdds(_ frame: Int, _ sample: Int) -> UnsafeMutablePointer<Float> {
    logOdds[frame].base + sample * clipStride
  }

  /// What the value encoder takes.
  func masks(_ frame: Int, _ object: Int) -> UnrolledClip.Maps {
    (0..<batch).map { fed(frame, $0, object + 1) }
  }

  func others(_ frame: Int, _ object: Int) -> UnrolledClip.Maps {
    maps(others[frame][object], first: 0, stride: pixels)
  }

  func previous(_ frame: Int, _ object: Int) -> UnrolledClip.Maps {
    maps(priors[frame][object], first: 0, stride: pixels)
  }

  func maskGradients(_ object: Int) -> UnrolledClip.Maps {
    maps(probabilityGradient, first: (object + 1) * pixels, stride: clipStride)
  }

  func othersGradients() -> UnrolledClip.Maps {
    maps(othersGradient, first: 0, stride: pixels)
  }

  func logitGradients(_ object: Int) -> UnrolledClip.Maps {
    maps(logitGradient, first: object * batch * pixels, stride: pixels)
  }

  func clearGradients() {
    probabilityGradient.base.update(repeating: 0, count: probabilityGradient.count)
    logOddsGradient.base.update(repeating: 0, count: logOddsGradient.count)
  }

  func clearOthersGradient() {
    othersGradient.base.update(repeating: 0, count: othersGradient.count)
  }

  // MARK: Forward

  /// The given masks of frame 0.
  func takeMasks(_ batch: TrainingBatch) {
    batch.masks.withUnsafeBufferPointer { masks in
      guard let base = masks.baseAddress else { return }
      for sample in 0..<self.batch {
        let count = objects * pixels
        probability(0, sample, 1).update(
          from: base + sample * shape.frames * count, count: count)
      }
    }
  }

  /// Replaces parts of the masks predicted for `frame`.
  func decay(_ frame: Int, _ corruption: (any PriorCorruption)?) {
    for sample in 0..<batch {
      let source = probability(frame, sample, 1)
      let decay = corruption?.decay(
        of: UnsafeBufferPointer(start: source, count: objects * pixels), objects: objects,
        size: shape.size, sample: sample, frame: frame)
      decays[frame][sample] = decay
      guard let decay else { continue }
      precondition(decay.isReplaced.count == pixels, "a decay of another size")
      fed(frame, sample, 1).update(from: source, count: objects * pixels)
      func put(_ value: Float, for object: Int) {
        let plane = fed(frame, sample, object + 1)
        for pixel in 0..<pixels where decay.isReplaced[pixel] { plane[pixel] = value }
      }
      put(decay.value, for: decay.object)
      if let heir = decay.heir { put(1, for: heir) }
    }
  }

  /// Damages the masks of the frame before `frame`.
  func corrupt(_ frame: Int, _ prior: (any PriorCorruption)?, _ pool: ThreadPool) {
    let count = objects * pixels
    pool.parallelFor(batch) { sample, _ in
      let source = fed(frame - 1, sample, 1)
      guard let prior else {
        for object in 0..<objects {
          (priors[frame][object].base + sample * pixels).update(
            from: source + object * pixels, count: pixels)
        }
        return
      }
      var masks = Array(UnsafeBufferPointer(start: source, count: count))
      prior.corrupt(&masks, objects: objects, size: shape.size, sample: sample, frame: frame)
      precondition(masks.count == count, "a corrupted prior of another size")
      masks.withUnsafeBufferPointer { masks in
        guard let base = masks.baseAddress else { return }
        for object in 0..<objects {
          (priors[frame][object].base + sample * pixels).update(
            from: base + object * pixels, count: pixels)
        }
      }
    }
  }

  /// Sums the other objects' masks of `frame`, clamped to 0…1.
  func mixOthers(_ frame: Int, _ pool: ThreadPool) {
    guard objects > 1 else {
      others[frame][0].base.update(repeating: 0, count: batch * pixels)
      return
    }
    pool.parallelFor(batch) { sample, _ in
      for pixel in 0..<pixels {
        var sum: Float = 0
        for object in 0..<objects { sum += fed(frame, sample, object + 1)[pixel] }
        for object in 0..<objects {
          let rest = sum - fed(frame, sample, object + 1)[pixel]
          others[frame][object].base[sample * pixels + pixel] = min(max(rest, 0), 1)
        }
      }
    }
  }

  /// Bands of pixels of every clip, so that all threads have work: `body(sample, first, count)`.
  private func forEachBand(_ pool: ThreadPool, _ body: (Int, Int, Int) -> Void) {
    let bands = 8
    pool.parallelFor(batch * bands) { index, _ in
      let (sample, band) = (index / bands, index % bands)
      let first = pixels * band / bands
      body(sample, first, pixels * (band + 1) / bands - first)
    }
  }

  private typealias Plane = UnsafePointer<Float>?
  private typealias MutablePlane = UnsafeMutablePointer<Float>?

  /// Soft aggregation of the decoder's logits into log-odds and probabilities of `frame`.
  func aggregate(
    _ frame: Int, _ kernels: vos_training_kernels, _ pool: ThreadPool,
    logit: (_ object: Int, _ sample: Int) -> UnsafeMutablePointer<Float>
  ) {
    forEachBand(pool) { sample, first, count in
      let logits = (0..<objects).map { Plane(logit($0, sample) + first) }
      let odds = (0...objects).map { MutablePlane(logOdds(frame, sample) + $0 * pixels + first) }
      let results = (0...objects).map { MutablePlane(probability(frame, sample, $0) + first) }
      kernels.aggregate(logits, objects, count, odds, results)
    }
  }

  // MARK: Backward

  /// From the gradients of log-odds and probabilities to those of the logits.
  func aggregateGradient(
    _ frame: Int, _ kernels: vos_training_kernels, _ pool: ThreadPool,
    logit: (_ object: Int, _ sample: Int) -> UnsafeMutablePointer<Float>
  ) {
    forEachBand(pool) { sample, first, count in
      let logits = (0..<objects).map { Plane(logit($0, sample) + first) }
      let results = (0...objects).map { Plane(probability(frame, sample, $0) + first) }
      let offset = sample * clipStride + first
      let odds = (0...objects).map { Plane(logOddsGradient.base + offset + $0 * pixels) }
      let parts = (0...objects).map { Plane(probabilityGradient.base + offset + $0 * pixels) }
      let out = (0..<objects).map {
        MutablePlane(logitGradient.base + ($0 * batch + sample) * pixels + first)
      }
      kernels.aggregate_gradient(logits, results, objects, count, odds, parts, out)
    }
  }

  /// Adds the gradient of object `object`'s "others" to the other objects' probabilities, where the
  /// clamp let it through.
  func spreadOthersGradient(_ frame: Int, _ object: Int, _ pool: ThreadPool) {
    pool.parallelFor(batch) { sample, _ in
      let from = othersGradient.base + sample * pixels
      for pixel in 0..<pixels {
        var rest: Float = 0
        for other in 0..<objects where other != object {
          rest += fed(frame, sample, other + 1)[pixel]
        }
        guard rest <= 1 else { continue }
        for other in 0..<objects where other != object {
          let to = probabilityGradient.base + sample * clipStride + (other + 1) * pixels
          to[pixel] += from[pixel]
        }
      }
    }
  }

  /// From the gradient of the masks as they were fed back to that of the predicted ones: nothing
  /// where they were replaced.
  func decayGradient(_ frame: Int) {
    for (sample, decay) in decays[frame].enumerated() {
      guard let decay else { continue }
      for object in [decay.object, decay.heir].compactMap({ $0 }) {
        let plane = probabilityGradient.base + sample * clipStride + (object + 1) * pixels
        for pixel in 0..<pixels where decay.isReplaced[pixel] { plane[pixel] = 0 }
      }
    }
  }
}
