// Memory read, soft aggregation and the whole step with every loss, against finite differences.

import CKernels
import MemoryVOS
import TestSupport
import Testing

@testable import Distill

private func random(
  _ count: Int, _ range: ClosedRange<Double>, _ generator: inout SeededGenerator
) -> [Double] {
  (0..<count).map { _ in
    Double(Float.random(in: Float(range.lowerBound)...Float(range.upperBound), using: &generator))
  }
}

@Suite("Gradients of memory and masks")
struct MemoryAndMaskGradientTests {
  /// Two samples, two objects, two memory frames of 2 · 4 positions.
  private struct Read {
    let positions = 8
    let keyChannels = 5
    let valueChannels = 16
    var query: [[Double]]
    var keys: [[[Double]]]
    var values: [[[[Double]]]]
    var seeds: [[[Double]]]
    var t = 0.6
    /// Deviation of the Gaussian in the second frame.
    let locality: Double

    init(locality: Double, _ generator: inout SeededGenerator) {
      self.locality = locality
      func maps(_ channels: Int) -> [[Double]] {
        (0..<2).map { _ in random(8 * channels, -1...1, &generator) }
      }
      query = maps(5)
      keys = [maps(5), maps(5)]
      values = [[maps(16), maps(16)], [maps(16), maps(16)]]
      seeds = [maps(16), maps(16)]
    }

    private func lowered(_ i: Int, _ m: Int) -> Double {
      guard locality > 0, m >= positions else { return 0 }
      let (y, x) = ((m - positions) / 4 - i / 4, (m - positions) % 4 - i % 4)
      return Double(y * y + x * x) / (2 * locality * locality)
    }

    /// Σ seeds · read-outs, by definition.
    var objective: Double {
      var total = 0.0
      for sample in 0..<2 {
        let keys = keys.flatMap { $0[sample] }
        for i in 0..<positions {
          let scores = (0..<2 * positions).map { m in
            Double.exponential(
              Double.exponential(t)
                * (0..<keyChannels).reduce(0) {
                  $0 + query[sample][i * keyChannels + $1] * keys[m * keyChannels + $1]
                } - lowered(i, m))
          }
          let sum = scores.reduce(0, +)
          for object in 0..<2 {
            let memory = values[object].flatMap { $0[sample] }
            for c in 0..<valueChannels {
              var value = 0.0
              for (m, score) in scores.enumerated() {
                value += score / sum * memory[m * valueChannels + c]
              }
              total += value * seeds[object][sample][i * valueChannels + c]
            }
          }
        }
      }
      return total
    }
  }

  @Test(arguments: InstructionSet.supported, [0, 1.5])
  func memoryRead(_ instructionSet: InstructionSet, locality: Double) {
    var generator = SeededGenerator(seed: 11)
    let read = Read(locality: locality, &generator)
    var held: [AlignedBuffer] = []
    func maps(_ values: [[Double]], zero: Bool = false) -> [UnsafeMutablePointer<Float>] {
      values.map { scalars in
        let buffer = AlignedBuffer(count: scalars.count)
        for (index, value) in scalars.enumerated() { buffer.base[index] = zero ? 0 : Float(value) }
        held.append(buffer)
        return buffer.base
      }
    }
    func operands(zero: Bool) -> MemoryReadOperands {
      MemoryReadOperands(
        query: maps(read.query, zero: zero), keys: read.keys.map { maps($0, zero: zero) },
        values: read.values.map { $0.map { maps($0, zero: zero) } }, readouts: [])
    }
    for threads in [1, 3] {
      let layer = MemoryReadGradient(
        height: 2, width: 4, frames: 2, keyChannels: 5, valueChannels: 16, samples: 2, objects: 2,
        locality: locality, kernels: Kernels(instructionSet), pool: ThreadPool(threadCount: threads)
      )
      var inputs = operands(zero: false)
      inputs.readouts = read.seeds.map { maps($0, zero: true) }
      var gradients = operands(zero: true)
      gradients.readouts = read.seeds.map { maps($0) }
      let affinity = AlignedBuffer(count: 2 * 8 * 16)
      layer.forward(inputs, temperature: Float(read.t), affinity: affinity.base)
      var objective = 0.0
      for object in 0..<2 {
        for sample in 0..<2 {
          for index in 0..<8 * 16 {
            objective +=
              Double(inputs.readouts[object][sample][index]) * read.seeds[object][sample][index]
          }
        }
      }
      #expect(abs(objective - read.objective) < 1e-5 * abs(read.objective) + 1e-5)
      let dt = layer.backward(
        inputs, gradients: gradients, temperature: Float(read.t), affinity: affinity.base)

      func check(
        _ name: String, _ path: WritableKeyPath<Read, [Double]>,
        _ gradient: UnsafeMutablePointer<Float>
      ) {
        let count = read[keyPath: path].count
        let expected = (0..<count).map { index in
          Float(
            difference(1e-6) { change in
              var changed = read
              changed[keyPath: path][index] += change
              return changed.objective
            })
        }
        let actual = Array(UnsafeBufferPointer(start: gradient, count: count))
        #expect(relativeError(actual, expected) < 1e-4, "\(name), \(threads) threads")
      }
      check("query", \.query[1], gradients.query[1])
      for frame in 0..<2 {
        check("key", \.keys[frame][0], gradients.keys[frame][0])
        for object in 0..<2 {
          check("value", \.values[object][frame][1], gradients.values[object][frame][1])
        }
      }
      let slope = difference(1e-6) { change in
        var changed = read
        changed.t += change
        return changed.objective
      }
      #expect(abs(dt - slope) < 1e-4 * abs(slope), "\(dt), not \(slope)")
    }
  }

  /// Log-odds and probabilities of one pixel, by definition.
  private func aggregated(_ logits: [Double]) -> (odds: [Double], probabilities: [Double]) {
    let p = logits.map { 1 / (1 + Double.exponential(-$0)) }
    let all = [p.reduce(1) { $0 * (1 - $1) }] + p
    let odds = all.map { value in
      let bounded = min(max(value, 1e-6), 1 - 1e-6)
      return Double.logarithm(bounded / (1 - bounded))
    }
    let powers = odds.map { Double.exponential($0) }
    let sum = powers.reduce(0, +)
    return (odds, powers.map { $0 / sum })
  }

  @Test(arguments: InstructionSet.supported, [1, 2, 5])
  func softAggregation(_ instructionSet: InstructionSet, objects: Int) throws {
    var generator = SeededGenerator(seed: 5)
    let count = 131
    let table = Kernels(instructionSet).table.isa
    let kernels = try #require(vos_training_kernels_for(table)).pointee
    // From certain to undecided; beyond ±13.8 p is clamped and has no gradient.
    let logits = (0..<objects).map { _ in random(count, -9...9, &generator) }
    let (oddsSeeds, seeds) = (
      (0...objects).map { _ in random(count, -1...1, &generator) },
      (0...objects).map { _ in random(count, -1...1, &generator) }
    )
    var held: [AlignedBuffer] = []
    func planes(_ values: [[Double]]) -> [UnsafeMutablePointer<Float>?] {
      values.map { plane in
        let buffer = AlignedBuffer(count: count)
        for (index, value) in plane.enumerated() { buffer.base[index] = Float(value) }
        held.append(buffer)
        return buffer.base
      }
    }
    func constant(_ planes: [UnsafeMutablePointer<Float>?]) -> [UnsafePointer<Float>?] {
      planes.map { UnsafePointer($0) }
    }
    let input = constant(planes(logits))
    let (odds, probabilities) = (planes(seeds), planes(seeds))
    kernels.aggregate(input, objects, count, odds, probabilities)
    let result = planes(logits)
    kernels.aggregate_gradient(
      input, constant(probabilities), objects, count, constant(planes(oddsSeeds)),
      constant(planes(seeds)), result)
    for pixel in 0..<count {
      let own = logits.map { $0[pixel] }
      let expected = aggregated(own)
      for plane in 0...objects {
        let actual = (Double(odds[plane]?[pixel] ?? 0), Double(probabilities[plane]?[pixel] ?? 0))
        #expect(abs(actual.0 - expected.odds[plane]) < 2e-5)
        #expect(abs(actual.1 - expected.probabilities[plane]) < 1e-6)
      }
      for object in 0..<objects {
        let slope = difference(1e-6) { change in
          var changed = own
          changed[object] += change
          let (odds, probabilities) = aggregated(changed)
          return (0...objects).reduce(0) {
            $0 + odds[$1] * oddsSeeds[$1][pixel] + probabilities[$1] * seeds[$1][pixel]
          }
        }
        let actual = Double(result[object]?[pixel] ?? .nan)
        #expect(abs(actual - slope) < 1e-4, "object \(object), pixel \(pixel)")
      }
    }
  }

  @Test func saturatedLogitsStayFiniteAndHaveNoGradient() throws {
    let kernels = try #require(vos_training_kernels_for(VOS_ISA_SCALAR)).pointee
    let logits: [Float] = [-1e4, -100, -20, 20, 100, 1e4]
    let count = logits.count
    var held: [AlignedBuffer] = []
    func plane(_ value: Float) -> UnsafeMutablePointer<Float>? {
      let buffer = AlignedBuffer(count: count)
      buffer.base.update(repeating: value, count: count)
      held.append(buffer)
      return buffer.base
    }
    let input = plane(0)
    for (index, value) in logits.enumerated() { input?[index] = value }
    let (odds, probabilities) = ([plane(0), plane(0)], [plane(0), plane(0)])
    let gradient = plane(.nan)
    kernels.aggregate([UnsafePointer(input)], 1, count, odds, probabilities)
    kernels.aggregate_gradient(
      [UnsafePointer(input)], probabilities.map { UnsafePointer($0) }, 1, count,
      [UnsafePointer(plane(1)), UnsafePointer(plane(-1))], nil, [gradient])
    for index in 0..<count {
      #expect(abs(odds[1]?[index] ?? .nan) < 13.9)
      #expect(gradient?[index] == 0)
    }
  }
}

@Suite("Training step")
struct TrainingStepTests {
  private struct Shift: PriorCorruption {
    func corrupt(
      _ masks: inout [Float], objects: Int, size: FrameSize, sample: Int, frame: Int
    ) {
      masks = masks.enumerated().map { $0.offset % (sample + frame + 3) == 0 ? 0 : $0.element }
    }
  }

  private func batch(
    objects: Int, frames: Int, teacherChannels: Int, width: Int = 48
  ) -> TrainingBatch {
    var generator = SeededGenerator(seed: 9)
    let height = 32
    let pixels = width * height
    var masks = [Float](repeating: 0, count: 2 * frames * objects * pixels)
    for map in 0..<2 * frames {
      for object in 0..<objects {
        for y in 6..<20 {
          for x in 4 + object * 20 + map..<20 + object * 20 + map where x < width {
            masks[(map * objects + object) * pixels + y * width + x] = 1
          }
        }
      }
    }
    func floats(_ count: Int) -> [Float] {
      (0..<count).map { _ in Float.random(in: -1...1, using: &generator) }
    }
    return TrainingBatch(
      batch: 2, frames: frames, objects: objects, size: FrameSize(width: width, height: height),
      images: floats(2 * frames * pixels * 3), masks: masks,
      teacher: TeacherOutputs(
        logOdds: floats(2 * frames * (objects + 1) * pixels),
        features: floats(2 * frames * objects * pixels / 16 * teacherChannels),
        featureChannels: teacherChannels))
  }

  /// Along its own direction the total must rise by the gradient's length.
  @Test(arguments: [1, 2, 3], [8, 32])
  func everyLossTogether(objects: Int, teacherChannels: Int) throws {
    var loss = LossConfiguration()
    loss.poly1 = 1
    loss.distillation = 0.5
    loss.temperature = 2
    loss.representation = 5
    loss.omega = 0.6
    loss.representationPixels = 40
    loss.regression = 0.3
    // Which pixels are hardest changes abruptly; all count here.
    loss.hardestShare = 1
    let step = try TrainingStep(
      .init(), loss: loss, teacherChannels: teacherChannels, threads: 2)
    var parameters = step.gradients
    parameters.initialize(seed: 4)
    #expect((parameters.entry(TrainingStep.projection) != nil) == (teacherChannels != 32))
    let batch = batch(objects: objects, frames: 3, teacherChannels: teacherChannels)
    func run(_ parameters: ParameterSet) -> StepLosses {
      step.run(batch, parameters: parameters, prior: nil, progress: 1, seed: 3)
    }
    let losses = run(parameters)
    let parts =
      losses.crossEntropy + 0.5 * losses.dice + 0.5 * losses.distillation
      + 5 * losses.representation + 0.3 * losses.regression
    #expect(abs(losses.total - 2 * parts) < 1e-4 * abs(losses.total))
    checkSlope(step, parameters, batch)
  }

  @Test(
    arguments: NetworkConfiguration.examples
      + NetworkConfiguration.presets.compactMap { NetworkConfiguration(preset: $0) })
  func everyConfiguration(_ configuration: NetworkConfiguration) throws {
    var loss = LossConfiguration()
    loss.hardestShare = 1
    let step = try TrainingStep(configuration, loss: loss, threads: 2)
    var parameters = step.gradients
    parameters.initialize(seed: 4)
    // What begins at zero hides everything before it.
    var generator = SeededGenerator(seed: 5)
    for entry in parameters.entries where parameters[entry.name].allSatisfy({ $0 == 0 }) {
      for index in entry.range {
        parameters.scalars[index] = Float.random(in: -0.1...0.1, using: &generator)
      }
    }
    let width = configuration.stride == 32 ? 64 : 48
    checkSlope(step, parameters, batch(objects: 2, frames: 3, teacherChannels: 1, width: width))
    for entry in step.gradients.entries {
      #expect(step.gradients[entry.name].contains { $0 != 0 }, "\(entry.name)")
    }
  }

  /// No prior, and the right half of each last object replaced by `value` in the masks of `samples`,
  /// or given to the first object.
  ///
  /// The prior is a constant to the gradient but follows the parameters: with an empty one the total
  /// is a function of the parameters that the gradient knows whole.
  private struct HalfDecay: PriorCorruption {
    var samples: Set<Int> = []
    var value: Float = 0
    var hasHeir = false

    func corrupt(
      _ masks: inout [Float], objects: Int, size: FrameSize, sample: Int, frame: Int
    ) {
      masks = masks.map { _ in 0 }
    }

    func decay(
      of masks: UnsafeBufferPointer<Float>, objects: Int, size: FrameSize, sample: Int, frame: Int
    ) -> MaskDecay? {
      #expect(masks.count == objects * size.area && frame >= 1)
      guard samples.contains(sample) else { return nil }
      let isReplaced = (0..<size.area).map { $0 % size.width >= size.width / 2 }
      return MaskDecay(
        object: objects - 1, heir: hasHeir ? 0 : nil, isReplaced: isReplaced, value: value)
    }
  }

  @Test(arguments: [(1, 0, false), (1, 1, false), (2, 0, false), (2, 1, false), (2, 0, true)])
  func decayedMasks(objects: Int, value: Int, hasHeir: Bool) throws {
    var loss = LossConfiguration()
    loss.hardestShare = 1
    let step = try TrainingStep(.init(), loss: loss, threads: 2)
    var parameters = step.gradients
    parameters.initialize(seed: 4)
    let batch = batch(objects: objects, frames: 4, teacherChannels: 1)
    let whole = step.run(batch, parameters: parameters, prior: HalfDecay())
    let decay = HalfDecay(samples: [1], value: Float(value), hasHeir: hasHeir)
    #expect(step.run(batch, parameters: parameters, prior: decay) != whole)
    checkSlope(step, parameters, batch, decay)
    #expect(step.run(batch, parameters: parameters, prior: HalfDecay()) == whole)
  }

  @Test func thinObjectsWeighMore() throws {
    let plain = batch(objects: 1, frames: 3, teacherChannels: 1)
    func crossEntropy(_ thinWeight: Float, width: Int) throws -> Double {
      var loss = LossConfiguration()
      loss.hardestShare = 1
      loss.thinWeight = thinWeight
      let step = try TrainingStep(.init(), loss: loss, threads: 2)
      var parameters = step.gradients
      parameters.initialize(seed: 4)
      let masks = plain.masks.indices.map { index -> Float in
        (8..<8 + width).contains(index % plain.size.width) ? 1 : 0
      }
      let batch = TrainingBatch(
        batch: plain.batch, frames: plain.frames, objects: 1, size: plain.size,
        images: plain.images, masks: masks, void: [], teacher: nil)
      return step.run(batch, parameters: parameters, prior: HalfDecay()).crossEntropy
    }
    #expect(try crossEntropy(4, width: 4) > 1.01 * crossEntropy(1, width: 4))
    #expect(try crossEntropy(4, width: 5) == crossEntropy(1, width: 5))
    var loss = LossConfiguration()
    loss.thinWeight = 0.5
    #expect(loss.problem?.contains("thin_weight") == true)
  }

  private func checkSlope(
    _ step: TrainingStep, _ parameters: ParameterSet, _ batch: TrainingBatch,
    _ prior: HalfDecay = .init()
  ) {
    func total(_ parameters: ParameterSet) -> Double {
      step.run(batch, parameters: parameters, prior: prior, progress: 1, seed: 3).total
    }
    _ = total(parameters)
    let gradient = step.gradients
    #expect(gradient.scalars.allSatisfy { $0.isFinite })
    let length = gradient.norm
    let reach = 1e-3
    func moved(_ distance: Double) -> ParameterSet {
      var result = parameters
      for index in result.scalars.indices {
        result.scalars[index] += Float(distance / length) * gradient.scalars[index]
      }
      return result
    }
    let slope = (total(moved(reach)) - total(moved(-reach))) / (2 * reach)
    #expect(abs(slope - length) < 0.01 * length, "\(slope), not \(length)")
  }

  @Test func changingShapesAndObjectsKeepsResults() throws {
    let step = try TrainingStep(.init(), threads: 2)
    var parameters = step.gradients
    parameters.initialize(seed: 4)
    let one = batch(objects: 1, frames: 3, teacherChannels: 1)
    let two = batch(objects: 2, frames: 3, teacherChannels: 1)
    let long = batch(objects: 1, frames: 4, teacherChannels: 1)
    let short = batch(objects: 2, frames: 2, teacherChannels: 1)
    let expected = step.run(one, parameters: parameters, prior: Shift())
    let gradients = step.gradients.scalars
    let others = step.run(two, parameters: parameters, prior: Shift())
    #expect(others.total.isFinite && others != expected)
    #expect(step.run(one, parameters: parameters, prior: Shift()) == expected)
    #expect(step.gradients.scalars == gradients)
    #expect(step.run(long, parameters: parameters).total.isFinite)
    #expect(step.run(short, parameters: parameters, prior: Shift()).total.isFinite)
    #expect(step.run(one, parameters: parameters, prior: Shift()) == expected)
    #expect(step.gradients.scalars == gradients)
  }
}
