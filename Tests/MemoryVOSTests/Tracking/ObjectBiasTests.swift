// The bias for objects of predicted frames: the read against its definition, coverage against plain
// means, settings as text.

import Foundation
import TestSupport
import Testing

@testable import MemoryVOS

@Suite struct ObjectBiasTests {
  private static let bias: ObjectBias = {
    var bias = ObjectBias()
    (bias.newest, bias.older) = (0.7, -1.2)
    (bias.newestOfSeveral, bias.olderOfSeveral) = (-0.4, 1.5)
    return bias
  }()

  private static let (height, width, keyChannels, valueChannels) = (5, 7, 12, 16)
  private static var positions: Int { height * width }
  private static let temperature = 6.0

  private static func map(_ channels: Int, seed: UInt64, isUnit: Bool = false) -> [Float] {
    var random = SeededGenerator(seed: seed)
    var values = (0..<positions * channels).map { _ in Float.random(in: -1...1, using: &random) }
    guard isUnit else { return values }
    for first in stride(from: 0, to: values.count, by: channels) {
      let norm = values[first..<first + channels].reduce(0) { $0 + $1 * $1 }.squareRoot()
      for index in first..<first + channels { values[index] /= norm }
    }
    return values
  }

  /// An annotated frame, an older and the newest predicted one, and a query.
  private static let keys = (0..<4).map { map(keyChannels, seed: 40 + $0, isUnit: true) }
  private static let values = (0..<3).map { map(valueChannels, seed: 50 + $0) }
  private static let coverages = (0..<3).map { map(1, seed: 60 + $0).map { max(0, $0) } }

  private static func featureMap(_ scalars: [Float], channels: Int) -> FeatureMap {
    let map = FeatureMap(FeatureShape(height: height, width: width, channels: channels))
    map.assign(scalars)
    return map
  }

  /// Reads three frames; the last object is known from frame `late` on, and frame `forgotten` is forgotten.
  private static func read(
    _ instructionSet: InstructionSet, topK: Int, keysAreBytes: Bool = false, objects: Int,
    late: Int = 0, forgotten: Int? = nil
  ) throws -> [[Float]] {
    let (kernels, pool) = (Kernels(instructionSet), ThreadPool(threadCount: 2))
    let ids = try (1...objects).map { try #require(ObjectID(UInt8($0))) }
    let bank = MemoryBank(
      positions: positions, keyChannels: keyChannels, valueChannels: valueChannels,
      ringCapacity: 2, keysAreBytes: keysAreBytes, kernels: kernels, pool: pool)
    var entries: [MemoryBank.EntryID] = []
    for frame in 0..<3 {
      let entry = bank.addEntry(
        key: featureMap(keys[frame], channels: keyChannels), isPermanent: frame == 0)
      for id in frame < late ? ids.dropLast() : ids {
        bank.store(featureMap(values[frame], channels: valueChannels), of: id, in: entry)
      }
      if frame > 0 {
        bank.cover(entry) { coverage in
          for index in 0..<positions { coverage.base[index] = coverages[frame][index] }
        }
      }
      bank.finishEntry()
      entries.append(entry)
    }
    if let forgotten {
      bank.forget(entries[forgotten])
      bank.finishEntry()
    }
    let readouts = ids.map { ($0, featureMap(values[0], channels: valueChannels)) }
    MemoryReader(
      topK: topK, logScale: Float(log(temperature)), bias: bias, kernels: kernels, pool: pool
    ).read(featureMap(keys[3], channels: keyChannels), from: bank, into: readouts)
    return readouts.map(\.1.scalars)
  }

  /// Softmax of exp(t) · cosine + bias · coverage over the `topK` largest, weighted sum of values.
  private static func definition(
    topK: Int, biases: [Double], frames: [Int] = [0, 1, 2]
  ) -> [Float] {
    (0..<positions).flatMap { query in
      let scores = (0..<frames.count * positions).map { entry in
        let (frame, position) = (frames[entry / positions], entry % positions)
        let cosine = (0..<keyChannels).reduce(0.0) {
          $0 + Double(keys[3][query * keyChannels + $1])
            * Double(keys[frame][position * keyChannels + $1])
        }
        return temperature * cosine + biases[frame] * Double(coverages[frame][position])
      }
      let best = scores.indices.sorted { scores[$0] > scores[$1] }
        .prefix(topK == 0 ? scores.count : topK)
      let sum = best.reduce(0) { $0 + exp(scores[$1]) }
      var readout = [Double](repeating: 0, count: valueChannels)
      for entry in best {
        let (frame, position) = (frames[entry / positions], entry % positions)
        let weight = exp(scores[entry]) / sum
        for channel in 0..<valueChannels {
          readout[channel] += weight * Double(values[frame][position * valueChannels + channel])
        }
      }
      return readout.map(Float.init)
    }
  }

  private static func error(_ a: [Float], _ b: [Float]) -> Float {
    (zip(a, b).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) } / Float(a.count)).squareRoot()
  }

  @Test(arguments: [0, 6], [(1, [0, -1.2, 0.7]), (2, [0, 1.5, -0.4])] as [(Int, [Double])])
  func readsGiveTheDefinition(topK: Int, _ given: (objects: Int, biases: [Double])) throws {
    let expected = Self.definition(topK: topK, biases: given.biases)
    let without = Self.definition(topK: topK, biases: [0, 0, 0])
    #expect(Self.error(without, expected) > 0.03)
    for set in InstructionSet.supported {
      for keysAreBytes in [false, true] {
        let readouts = try Self.read(
          set, topK: topK, keysAreBytes: keysAreBytes, objects: given.objects)
        #expect(readouts.count == given.objects)
        for readout in readouts {
          // As far as bytes for keys are off without a bias: `MemoryReadTests`.
          #expect(
            Self.error(readout, expected) < (keysAreBytes ? 0.03 : 1e-5), "\(set) \(keysAreBytes)")
        }
      }
    }
  }

  /// Biases go by the object's own frames, and none is the newest once that was forgotten (`correct`).
  @Test(arguments: [0, 6]) func framesAreToldApart(topK: Int) throws {
    let late = try Self.read(.preferred(), topK: topK, objects: 2, late: 1)
    let expected = [(0...2).map(\.self), [1, 2]].map {
      Self.definition(topK: topK, biases: [0, 1.5, -0.4], frames: $0)
    }
    for (readout, expected) in zip(late, expected) {
      #expect(Self.error(readout, expected) < 1e-5)
    }
    let corrected = try Self.read(.preferred(), topK: topK, objects: 1, forgotten: 2)
    let older = Self.definition(topK: topK, biases: [0, -1.2, 0], frames: [0, 1])
    #expect(Self.error(corrected[0], older) < 1e-5)
    let withoutOlder = try Self.read(.preferred(), topK: topK, objects: 1, forgotten: 1)
    let newest = Self.definition(topK: topK, biases: [0, 0, 0.7], frames: [0, 2])
    #expect(Self.error(withoutOlder[0], newest) < 1e-5)
  }

  /// Masks of a clip depend on the bias, but not when memory has no older predicted frame.
  @Test func trackersHaveTheBias() throws {
    let size = FrameSize(width: 96, height: 64)
    let id = try #require(ObjectID(1))
    func probabilities(_ bias: Double, memory: Int) throws -> [Float] {
      var settings = NetworkConfiguration()
      (settings.objectBias.newest, settings.objectBias.older) = (bias, -bias)
      var configuration = Tracker.Configuration()
      configuration.inputSize = .exact(size)
      configuration.memoryFrames = memory
      var tracker = try Tracker(
        network: .random(seed: 3, configuration: settings), frameSize: size,
        configuration: configuration)
      var random = SeededGenerator(seed: 5)
      for index in 0..<4 {
        let pixels = (0..<3 * size.area).map { _ in UInt8.random(in: 0...255, using: &random) }
        let mask = LabelMap(
          size: size, labels: (0..<size.area).map { $0 % 96 < 50 && $0 < 96 * 40 ? 1 : 0 })
        _ = try tracker.step(Frame(size: size, pixels: pixels), mask: index == 0 ? mask : nil)
      }
      return try tracker.probabilities(of: id)
    }
    #expect(try probabilities(0, memory: 3) != probabilities(5, memory: 3))
    for memory in 1...2 {
      #expect(try probabilities(0, memory: memory) == probabilities(5, memory: memory))
    }
  }

  /// Also after the ring has given the storage of a frame that left to another one.
  @Test(arguments: [1, 2]) func coverageIsTheMeanOfAllObjects(count: Int) throws {
    let size = FrameSize(width: 96, height: 64)
    var settings = NetworkConfiguration()
    settings.objectBias.older = -1
    var configuration = Tracker.Configuration()
    configuration.inputSize = .exact(size)
    configuration.memoryFrames = 3
    configuration.memoryInterval = 1
    let tracker = try Tracker(
      network: .random(seed: 3, configuration: settings), frameSize: size,
      configuration: configuration)
    let session = tracker.session
    for id in 1...count { session.track(try #require(ObjectID(UInt8(id)))) }
    session.load(Frame(size: size, pixels: [UInt8](repeating: 90, count: 3 * size.area)))
    session.encode()
    var random = SeededGenerator(seed: 8)
    for _ in 0..<5 {
      for object in session.objects {
        object.probability.forEachRow { _, row, width in
          for x in 0..<width { row[x] = .random(in: 0...0.9, using: &random) }
        }
      }
      session.write(session.objects, isPermanent: false)
      let coverage = try #require(session.newestCoverage)
      for y in 0..<size.height / 16 {
        for x in 0..<size.width / 16 {
          var sum = 0.0
          for row in y * 16..<(y + 1) * 16 {
            for column in x * 16..<(x + 1) * 16 {
              sum += Double(
                min(1, session.objects.reduce(0) { $0 + $1.probability.row(row)[column] }))
            }
          }
          #expect(abs(sum / 256 - Double(coverage.base[y * size.width / 16 + x])) < 1e-5)
        }
      }
    }
    #expect(session.memoryEntryCount == 2)
    // What it covered cannot be told from the others then.
    try session.remove(session.objects[0].id)
    #expect(session.newestCoverage == nil)
  }

  @Test func settingsAreText() throws {
    func decoded(_ json: String) throws -> NetworkConfiguration {
      try JSONDecoder().decode(NetworkConfiguration.self, from: Data(json.utf8))
    }
    let configuration = try decoded(#"{"object_bias": {"newest": 0.5, "older_of_several": -1}}"#)
    #expect((configuration.objectBias.newest, configuration.objectBias.older) == (0.5, 0))
    #expect(configuration.objectBias.newestOfSeveral == 0)
    #expect(configuration.objectBias.olderOfSeveral == -1)
    #expect(configuration.problem == nil)
    for value in ["21", "-1e300"] {
      let problem = try decoded("{\"object_bias\": {\"older\": \(value)}}").problem
      #expect(problem?.contains("object_bias") == true)
    }
  }
}
