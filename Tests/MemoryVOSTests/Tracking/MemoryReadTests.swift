import Foundation
import TestSupport
import Testing

@testable import MemoryVOS

/// Reading two remembered frames with keys in floats and in bytes, against the definition in Double.
@Suite struct MemoryReadTests {
  private static let (height, width, keyChannels, valueChannels) = (6, 11, 22, 32)
  private static var positions: Int { height * width }
  private static let temperature = 8.0

  private static func map(_ channels: Int, seed: UInt64, isUnit: Bool) -> [Float] {
    var random = SeededGenerator(seed: seed)
    var values = (0..<positions * channels).map { _ in Float.random(in: -1...1, using: &random) }
    guard isUnit else { return values }
    for first in stride(from: 0, to: values.count, by: channels) {
      let norm = values[first..<first + channels].reduce(0) { $0 + $1 * $1 }.squareRoot()
      for index in first..<first + channels { values[index] /= norm }
    }
    return values
  }

  private static let keys = (0..<2).map { map(keyChannels, seed: 10 + $0, isUnit: true) }
  private static let values = (0..<2).map { map(valueChannels, seed: 20 + $0, isUnit: false) }
  private static let query = map(keyChannels, seed: 30, isUnit: true)

  private static func featureMap(_ scalars: [Float], channels: Int) -> FeatureMap {
    let map = FeatureMap(FeatureShape(height: height, width: width, channels: channels))
    map.assign(scalars)
    return map
  }

  private static func read(
    _ instructionSet: InstructionSet, threads: Int, topK: Int, keysAreBytes: Bool,
    locality: Double = 0, placement: GridPlacement = .init()
  ) throws -> [Float] {
    let kernels = Kernels(instructionSet)
    let pool = ThreadPool(threadCount: threads)
    let object = try #require(ObjectID(1))
    let bank = MemoryBank(
      positions: positions, keyChannels: keyChannels, valueChannels: valueChannels,
      ringCapacity: 1, keysAreBytes: keysAreBytes, kernels: kernels, pool: pool)
    let reader = MemoryReader(
      topK: topK, logScale: Float(log(temperature)), locality: locality, kernels: kernels,
      pool: pool)
    for frame in 0..<2 {
      let entry = bank.addEntry(
        key: featureMap(keys[frame], channels: keyChannels), isPermanent: frame == 0)
      bank.store(featureMap(values[frame], channels: valueChannels), of: object, in: entry)
      bank.finishEntry()
    }
    let readout = featureMap(
      [Float](repeating: .nan, count: positions * valueChannels), channels: valueChannels)
    reader.read(
      featureMap(query, channels: keyChannels), from: bank, placement: placement,
      into: [(object, readout)])
    return readout.scalars
  }

  /// Softmax over the `topK` largest affinities of each query (0: all), weighted sum of values; those
  /// with the second frame are lowered by the distances, in steps of the query's grid.
  private static func definition(
    topK: Int, locality: Double = 0, placement: GridPlacement = .init()
  ) -> [Float] {
    let keys = keys[0] + keys[1]
    let values = values[0] + values[1]
    return (0..<positions).flatMap { position in
      let scores = (0..<2 * positions).map { entry in
        let cosine = (0..<keyChannels).reduce(0.0) {
          $0 + Double(query[position * keyChannels + $1]) * Double(keys[entry * keyChannels + $1])
        }
        guard locality > 0, entry >= positions else { return cosine }
        let row = placement.y + Double(position / width) * placement.stepY
        let column = placement.x + Double(position % width) * placement.stepX
        let y = (Double(entry / width - height) - row) / placement.stepY
        let x = (Double(entry % width) - column) / placement.stepX
        return cosine - (y * y + x * x) / (2 * locality * locality * temperature)
      }
      let best = scores.indices.sorted { scores[$0] > scores[$1] }.prefix(
        topK == 0 ? scores.count : topK)
      let weights = best.map { exp(temperature * scores[$0]) }
      let sum = weights.reduce(0, +)
      return (0..<valueChannels).map { channel in
        Float(
          zip(best, weights).reduce(0) {
            $0 + $1.1 / sum * Double(values[$1.0 * valueChannels + channel])
          })
      }
    }
  }

  private static func error(_ a: [Float], _ b: [Float]) -> Float {
    (zip(a, b).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) } / Float(a.count)).squareRoot()
  }

  @Test(arguments: [0, 1, 7, 500])
  func floatKeysGiveTheDefinition(topK: Int) throws {
    let expected = Self.definition(topK: topK)
    for set in InstructionSet.supported {
      let actual = try Self.read(set, threads: 2, topK: topK, keysAreBytes: false)
      #expect(Self.error(actual, expected) < 1e-5, "\(set)")
    }
  }

  @Test(arguments: [0, 7], [false, true])
  func theNewestFrameIsReadNearby(topK: Int, keysAreBytes: Bool) throws {
    let expected = Self.definition(topK: topK, locality: 1.5)
    #expect(Self.error(Self.definition(topK: topK), expected) > 0.05)
    for set in InstructionSet.supported {
      let actual = try Self.read(
        set, threads: 2, topK: topK, keysAreBytes: keysAreBytes, locality: 1.5)
      #expect(Self.error(actual, expected) < (keysAreBytes ? 0.03 : 1e-5), "\(set)")
    }
  }

  @Test(arguments: [
    GridPlacement(x: 2.25, y: 1, stepX: 0.5, stepY: 0.5),
    GridPlacement(x: -3.5, y: -1.75, stepX: 1.5, stepY: 1.5),
  ])
  func theNewestFrameMayShowAnotherPart(placement: GridPlacement) throws {
    let expected = Self.definition(topK: 7, locality: 1.5, placement: placement)
    #expect(Self.error(Self.definition(topK: 7, locality: 1.5), expected) > 0.05)
    for set in InstructionSet.supported {
      let actual = try Self.read(
        set, threads: 2, topK: 7, keysAreBytes: false, locality: 1.5, placement: placement)
      #expect(Self.error(actual, expected) < 1e-5, "\(set)")
    }
  }

  // A unit of a key or query is some hundredth of its largest component, so that a cosine is off by
  // about 0.005 and a weight by 4 %; where two compete for the last place, the other may get it.
  @Test(arguments: [(0, 0.01), (7, 0.03), (500, 0.01)] as [(Int, Float)])
  func byteKeysComeClose(topK: Int, tolerance: Float) throws {
    let expected = Self.definition(topK: topK)
    let actual = try Self.read(.scalar, threads: 1, topK: topK, keysAreBytes: true)
    #expect(Self.error(actual, expected) < tolerance)
  }

  @Test(arguments: [0, 7])
  func byteKeysChooseTheSameInEveryVariant(topK: Int) throws {
    let expected = try Self.read(.scalar, threads: 1, topK: topK, keysAreBytes: true)
    for set in InstructionSet.supported {
      let actual = try Self.read(set, threads: 3, topK: topK, keysAreBytes: true)
      #expect(Self.error(actual, expected) < 1e-6, "\(set)")
    }
  }

  /// What is read depends on the frames in memory, to the bit, not on those that came and went.
  @Test(arguments: [0, 7], [1, 2, 3, 4])
  func whatWasForgottenDoesNotMatter(topK: Int, ringCapacity: Int) throws {
    let (kernels, pool) = (Kernels(try .preferred()), ThreadPool(threadCount: 2))
    let object = try #require(ObjectID(1))
    func read(_ frames: [(number: Int, ordinal: Int?)]) -> (values: [Float], ordinals: [Int]) {
      let bank = MemoryBank(
        positions: Self.positions, keyChannels: Self.keyChannels,
        valueChannels: Self.valueChannels, ringCapacity: ringCapacity, interval: 3,
        kernels: kernels, pool: pool)
      for (number, ordinal) in frames {
        let seed = UInt64(number)
        let key = Self.map(Self.keyChannels, seed: 100 + seed, isUnit: true)
        let value = Self.map(Self.valueChannels, seed: 200 + seed, isUnit: false)
        let entry = bank.addEntry(
          key: Self.featureMap(key, channels: Self.keyChannels), isPermanent: ordinal == nil,
          ordinal: ordinal)
        bank.store(
          Self.featureMap(value, channels: Self.valueChannels), of: object, in: entry)
        bank.finishEntry()
      }
      let readout = Self.featureMap(
        [Float](repeating: .nan, count: Self.positions * Self.valueChannels),
        channels: Self.valueChannels)
      MemoryReader(topK: topK, logScale: 2, locality: 2, kernels: kernels, pool: pool).read(
        Self.featureMap(Self.query, channels: Self.keyChannels), from: bank,
        into: [(object, readout)])
      return (readout.scalars, bank.ringOrdinals)
    }
    // Frame 8 is annotated like the first.
    let clip = (0..<18).map { (number: $0, ordinal: [0, 8].contains($0) ? nil : $0) }
    for length in 2...clip.count {
      let whole = read(Array(clip.prefix(length)))
      let kept = clip.prefix(length).filter { frame in
        frame.ordinal.map { whole.ordinals.contains($0) } ?? true
      }
      #expect(read(kept).values == whole.values, "\(length) frames")
    }
  }

  @Test func byteKeysTakeAThirdOfTheMemoryOrLess() {
    let kernels = Kernels(.scalar)
    let sizes = [false, true].map { areBytes in
      let bank = MemoryBank(
        positions: 1620, keyChannels: 64, valueChannels: 128, ringCapacity: 1,
        keysAreBytes: areBytes, kernels: kernels, pool: ThreadPool(threadCount: 1))
      _ = bank.addEntry(
        key: FeatureMap(FeatureShape(height: 30, width: 54, channels: 64)), isPermanent: true)
      return bank.floatCount
    }
    #expect(3 * sizes[1] <= sizes[0], "\(sizes)")
  }
}
