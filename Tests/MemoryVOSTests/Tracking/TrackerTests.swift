// Properties of the tracker that hold for any weights, on small frames and a random network.

import TestSupport
import Testing

@testable import MemoryVOS

/// A clip of noise with squares as masks.
private struct Clip {
  let size: FrameSize
  private var random: SeededGenerator

  init(_ size: FrameSize = FrameSize(width: 70, height: 50), seed: UInt64 = 3) {
    self.size = size
    random = SeededGenerator(seed: seed)
  }

  mutating func frame() -> Frame {
    Frame(
      size: size, pixels: (0..<size.area * 3).map { _ in UInt8.random(in: 0...255, using: &random) }
    )
  }

  /// A square per label, side by side.
  func mask(_ labels: UInt8...) -> LabelMap {
    var map = LabelMap(size: size)
    for (index, label) in labels.enumerated() {
      for y in 10..<30 {
        for x in 0..<12 { map.labels[y * size.width + 2 + 14 * index + x] = label }
      }
    }
    return map
  }
}

private func makeTracker(
  _ size: FrameSize, memoryFrames: Int = 2, threads: Int = 2, shortSide: Int = 48
) throws -> Tracker {
  var configuration = Tracker.Configuration()
  configuration.inputSize = .shortSide(shortSide)
  configuration.memoryFrames = memoryFrames
  configuration.threads = threads
  return try Tracker(
    network: .random(seed: 11), frameSize: size, configuration: configuration)
}

private func id(_ label: UInt8) throws -> ObjectID { try #require(ObjectID(label)) }

@Suite struct TrackerTests {
  @Test func sparseIdsAreKept() throws {
    var clip = Clip()
    var tracker = try makeTracker(clip.size)
    let mask = clip.mask(7, 254, 31)
    let first = try tracker.step(clip.frame(), mask: mask)
    #expect(first.labels == mask)
    #expect(first.objects.map(\.id) == [7, 31, 254])
    #expect(first.objects.allSatisfy { $0.confidence == 1 && $0.area == 240 })
    for _ in 0..<3 {
      let result = try tracker.step(clip.frame())
      #expect(result.labels.size == clip.size)
      #expect(Set(result.labels.labels).isSubset(of: [0, 7, 31, 254]))
      for object in result.objects {
        #expect(object.area == result.labels.labels.count { $0 == object.id })
        #expect(object.isPresent == (object.area > 0))
        #expect((0...1).contains(object.confidence))
      }
    }
  }

  @Test func confidenceIsTheMeanProbabilityOfTheObject() throws {
    var clip = Clip(FrameSize(width: 80, height: 48))
    var tracker = try makeTracker(clip.size)
    _ = try tracker.step(clip.frame(), mask: clip.mask(1, 2))
    let result = try tracker.step(clip.frame())
    for object in result.objects {
      let all = try tracker.probabilities(of: id(object.id))
      let samples = stride(from: 0, to: 48, by: 2).flatMap { y in
        stride(from: 0, to: 80, by: 2).map { x in all[y * 80 + x] }
      }
      let inside = samples.filter { $0 >= 0.5 }
      let mean = inside.isEmpty ? 0 : inside.reduce(0, +) / Float(inside.count)
      #expect(abs(object.confidence - mean) < 1e-5)
    }
  }

  @Test func areasCountEveryPixel() {
    var random = SeededGenerator(seed: 9)
    for width in [1, 7, 8, 31, 96] {
      var map = LabelMap(size: FrameSize(width: width, height: 13))
      // Runs of a few labels, long and short, so that words of eight are equal, mixed and changing.
      var at = 0
      while at < map.labels.count {
        let label = UInt8([0, 1, 254, 255].randomElement(using: &random) ?? 0)
        let end = min(map.labels.count, at + Int.random(in: 1...40, using: &random))
        for index in at..<end { map.labels[index] = label }
        at = end
      }
      #expect(map.areas == (0...255).map { label in map.labels.count { $0 == label } })
    }
  }

  @Test func beforeAnyMaskEverythingIsBackground() throws {
    var clip = Clip()
    var tracker = try makeTracker(clip.size)
    let result = try tracker.step(clip.frame())
    #expect(result.labels == LabelMap(size: clip.size))
    #expect(result.objects.isEmpty)
    let later = try tracker.step(clip.frame(), mask: clip.mask(5))
    #expect(later.labels == clip.mask(5))
  }

  @Test func objectsAreAddedAndRemoved() throws {
    var clip = Clip()
    var tracker = try makeTracker(clip.size)
    _ = try tracker.step(clip.frame(), mask: clip.mask(1))
    _ = try tracker.step(clip.frame())
    let added = try tracker.step(clip.frame(), mask: clip.mask(0, 2))
    #expect(tracker.objects == [try id(1), try id(2)])
    let given = clip.mask(0, 2)
    for (label, wanted) in zip(added.labels.labels, given.labels) where wanted != 0 {
      #expect(label == wanted)
    }
    #expect(added.labels.labels.count { $0 == 2 } == 240, "exactly as given")
    _ = try tracker.step(clip.frame())
    try tracker.remove(id(1))
    #expect(tracker.objects == [try id(2)])
    let result = try tracker.step(clip.frame())
    #expect(Set(result.labels.labels).isSubset(of: [0, 2]))
    #expect(throws: TrackerError.self) { try tracker.remove(id(1)) }
    #expect(throws: TrackerError.self) { try tracker.probabilities(of: id(1)) }
  }

  @Test func correctionReplacesTheMaskAndTheMemory() throws {
    var clip = Clip()
    var tracker = try makeTracker(clip.size)
    #expect(throws: TrackerError.self) { try tracker.correct(clip.mask(1)) }
    _ = try tracker.step(clip.frame(), mask: clip.mask(1, 2))
    _ = try tracker.step(clip.frame())
    let corrected = try tracker.correct(clip.mask(0, 1))
    #expect(corrected.labels == clip.mask(0, 1))
    #expect(corrected.objects.map(\.area) == [240, 0])
    let entries = tracker.session.memoryEntryCount
    _ = try tracker.correct(clip.mask(0, 0, 1))
    #expect(tracker.session.memoryEntryCount == entries, "corrected twice, remembered once")
    #expect(try tracker.probabilities(of: id(1)).max() == 1)
    #expect(try tracker.probabilities(of: id(2)).max() == 0)
    _ = try tracker.step(clip.frame())
  }

  @Test func oneAndManyObjectsAgreeOnIdenticalSteps() throws {
    // Two trackers fed alike answer alike: nothing leaks between runs or threads.
    for labels in [[1], [1, 2, 3]] as [[UInt8]] {
      var results: [[LabelMap]] = []
      for threads in [1, 2, 5] {
        var clip = Clip()
        var tracker = try makeTracker(clip.size, threads: threads)
        var mask = LabelMap(size: clip.size)
        for label in labels {
          for (index, value) in clip.mask(1, 2, 3).labels.enumerated() where value == label {
            mask.labels[index] = label
          }
        }
        _ = try tracker.step(clip.frame(), mask: mask)
        results.append(try (0..<4).map { _ in try tracker.step(clip.frame()).labels })
      }
      #expect(results[0] == results[1] && results[1] == results[2])
    }
  }

  @Test(arguments: [1, 2, 5])
  func memoryStopsGrowing(_ memoryFrames: Int) throws {
    var clip = Clip(FrameSize(width: 32, height: 32))
    var tracker = try makeTracker(
      clip.size, memoryFrames: memoryFrames, threads: 1, shortSide: 16)
    var mask = LabelMap(size: clip.size)
    for index in 200..<400 { mask.labels[index] = 9 }
    _ = try tracker.step(clip.frame(), mask: mask)
    let frames = [clip.frame(), clip.frame(), clip.frame()]
    for index in 0..<10 { _ = try tracker.step(frames[index % 3]) }
    let (entries, floats) = (tracker.session.memoryEntryCount, tracker.session.memoryFloatCount)
    #expect(entries == memoryFrames)
    for index in 0..<2_000 { _ = try tracker.step(frames[index % 3]) }
    #expect(tracker.session.memoryEntryCount == entries)
    #expect(tracker.session.memoryFloatCount == floats)
  }

  @Test("The ring holds the newest frame and every fifth before it.")
  func memoryInterval() throws {
    var clip = Clip(FrameSize(width: 32, height: 32))
    var tracker = try makeTracker(clip.size, memoryFrames: 4, threads: 1, shortSide: 16)
    var mask = LabelMap(size: clip.size)
    for index in 200..<400 { mask.labels[index] = 9 }
    _ = try tracker.step(clip.frame(), mask: mask)
    var held: [[Int]] = []
    for _ in 0..<13 {
      _ = try tracker.step(clip.frame())
      held.append(tracker.session.ringOrdinals)
    }
    #expect(held[0...2] == [[0], [0, 1], [0, 1, 2]])
    #expect(held[3] == [0, 1, 3])
    #expect(held[6...7] == [[0, 5, 6], [0, 5, 7]])
    #expect(held[11...12] == [[5, 10, 11], [5, 10, 12]])
    tracker.restart()
    _ = try tracker.step(clip.frame(), mask: mask)
    _ = try tracker.step(clip.frame())
    #expect(tracker.session.ringOrdinals == [0])
  }

  @Test func annotatedFramesAreMemoryInBothDirections() throws {
    var clip = Clip()
    let frames = (0..<6).map { _ in clip.frame() }
    var tracker = try makeTracker(clip.size)
    try tracker.annotate(frames[2], mask: clip.mask(1))
    try tracker.annotate(frames[4], mask: clip.mask(0, 1, 2))
    #expect(tracker.objects.isEmpty, "remembered, not yet tracked")
    #expect(tracker.session.memoryEntryCount == 2)
    _ = try tracker.step(frames[2], mask: clip.mask(1), remember: false)
    _ = try tracker.step(frames[3])
    _ = try tracker.step(frames[4], mask: clip.mask(0, 1, 2), remember: false)
    #expect(tracker.objects.map(\.rawValue) == [1, 2])
    let forward = try tracker.step(frames[5])
    tracker.restart()
    #expect(tracker.session.memoryEntryCount == 2)
    _ = try tracker.step(frames[2], mask: clip.mask(1), remember: false)
    let backward = try tracker.step(frames[1])
    #expect(tracker.objects.map(\.rawValue) == [1])
    #expect(forward.objects.count == 2 && backward.objects.count == 1)
    tracker.restart()
    _ = try tracker.step(frames[2], mask: clip.mask(1), remember: false)
    #expect(try tracker.step(frames[1]).labels == backward.labels, "passes are repeatable")
  }

  @Test func unusableInputIsRefused() throws {
    var clip = Clip()
    var tracker = try makeTracker(clip.size)
    var other = Clip(FrameSize(width: 50, height: 70))
    #expect { try tracker.step(other.frame()) } throws: {
      "\($0)".contains("50×70") && "\($0)".contains("70×50")
    }
    #expect { try tracker.step(clip.frame(), mask: other.mask(1)) } throws: {
      "\($0)".contains("50×70") && "\($0)".contains("70×50")
    }
    var void = clip.mask(1)
    void.labels[clip.size.width + 3] = 255
    #expect { try tracker.step(clip.frame(), mask: void) } throws: { "\($0)".contains("x 3, y 1") }
    #expect(throws: TrackerError.self) {
      try tracker.annotate(clip.frame(), mask: LabelMap(size: clip.size))
    }
    #expect(throws: TrackerError.self) { _ = try makeTracker(clip.size, memoryFrames: 0) }
    #expect(throws: TrackerError.self) { _ = try makeTracker(FrameSize(width: 30_000, height: 1)) }
    #expect(throws: TrackerError.self) { _ = try makeTracker(clip.size, threads: 0) }
  }

  @Test func networkSizesFollowTheFrame() {
    var configuration = Tracker.Configuration()
    var network = NetworkConfiguration()
    func size(_ width: Int, _ height: Int) -> FrameSize {
      configuration.networkSize(for: FrameSize(width: width, height: height), network: network)
    }
    #expect(size(854, 480) == FrameSize(width: 864, height: 480))
    #expect(size(480, 854) == FrameSize(width: 480, height: 864))
    #expect(size(1920, 1080) == FrameSize(width: 864, height: 480))
    #expect(size(432, 240) == FrameSize(width: 864, height: 480))
    configuration.inputSize = .shortSide(241)
    #expect(size(100, 100) == FrameSize(width: 256, height: 256))
    configuration.inputSize = .exact(FrameSize(width: 17, height: 32))
    #expect(size(854, 480) == FrameSize(width: 32, height: 32))

    // Features at stride 32.
    network.contextBlocks = 1
    configuration.inputSize = .exact(FrameSize(width: 48, height: 33))
    #expect(size(854, 480) == FrameSize(width: 64, height: 64))
    configuration.inputSize = .shortSide(240)
    #expect(size(432, 240) == FrameSize(width: 480, height: 256))
    configuration.inputSize = .shortSide(480)
    #expect(size(480, 854) == FrameSize(width: 480, height: 864))
  }
}
