// Which part of the frames the network sees, and that what it sees there ends up where it belongs.

import TestSupport
import Testing

@testable import MemoryVOS

@Suite struct ViewportTests {
  private static let size = FrameSize(width: 854, height: 480)

  private static func box(_ left: Int, _ top: Int, _ width: Int, _ height: Int) -> Viewport {
    Viewport(left: left, top: top, width: width, height: height)
  }

  @Test func anyBoxIsSeen() {
    var random = SeededGenerator(seed: 5)
    let frame = Viewport(Self.size)
    var viewport = frame
    var zoomed = 0
    for _ in 0..<2000 {
      let width = Int.random(in: 1...854, using: &random)
      let height = Int.random(in: 1...480, using: &random)
      let box = Self.box(
        Int.random(in: 0...854 - width, using: &random),
        Int.random(in: 0...480 - height, using: &random), width, height)
      let largest = Double.random(in: 1...4, using: &random)
      let before = viewport
      viewport = viewport.following(box, largest: largest, in: Self.size)
      #expect(frame.contains(viewport) && viewport.contains(box))
      #expect(viewport == before || 854 <= largest * (Double(viewport.width) + 0.5))
      let proportion = Double(viewport.width) * 480 / 854
      #expect(abs(proportion - Double(viewport.height)) < 1)
      #expect(viewport.following(box, largest: largest, in: Self.size) == viewport)
      zoomed += viewport == frame ? 0 : 1
    }
    #expect(zoomed > 200)
  }

  @Test func itStaysUntilTheObjectNearsItsEdge() {
    let start = Viewport(Self.size).following(
      Self.box(400, 200, 40, 60), largest: 2, in: Self.size)
    #expect(start == Self.box(206, 110, 427, 240))
    // Room is 30 pixels on each side; half of it may be used up.
    #expect(start.following(Self.box(221, 200, 40, 60), largest: 2, in: Self.size) == start)
    let moved = start.following(Self.box(220, 200, 40, 60), largest: 2, in: Self.size)
    #expect(moved == Self.box(26, 110, 427, 240))
    // A larger object: less zoom. A smaller one again: more.
    let far = start.following(Self.box(300, 150, 200, 160), largest: 2, in: Self.size)
    #expect(far.width == 683)
    #expect(far.following(Self.box(400, 200, 40, 60), largest: 2, in: Self.size).width == 427)
    // At the edge of the frame there is no room to leave.
    #expect(
      start.following(Self.box(0, 0, 40, 60), largest: 2, in: Self.size)
        == Self.box(0, 0, 427, 240))
  }

  @Test func withoutABoxOrZoomItIsTheWholeFrame() {
    let some = Self.box(100, 100, 427, 240)
    let small = Self.box(200, 200, 10, 10)
    #expect(some.following(nil, largest: 2, in: Self.size) == Viewport(Self.size))
    #expect(some.following(small, largest: 1, in: Self.size) == Viewport(Self.size))
  }

  @Test func impossibleOnesAreNotContained() {
    let frame = Viewport(Self.size)
    #expect(frame.contains(frame))
    for other in [
      Self.box(-1, 0, 10, 10), Self.box(0, 0, 855, 480), Self.box(854, 0, 1, 1),
      Self.box(0, 0, 0, 5), Self.box(.max, 0, 1, 1), Self.box(.min, .min, .max, .max),
      Self.box(5, 5, .max, 3), Self.box(5, 5, 3, -1),
    ] {
      #expect(!frame.contains(other), "\(other)")
    }
  }

  @Test func gridsAreCompared() {
    let frame = Viewport(Self.size)
    #expect(frame.grid(in: frame, width: 54, height: 30) == GridPlacement())
    let part = Self.box(427, 240, 427, 240)
    // 54 positions on the right half are 27 of the frame's: the first covers half of number 27.
    #expect(
      part.grid(in: frame, width: 54, height: 30)
        == GridPlacement(x: 26.75, y: 14.75, stepX: 0.5, stepY: 0.5))
    #expect(
      frame.grid(in: part, width: 54, height: 30)
        == GridPlacement(x: -53.5, y: -29.5, stepX: 2, stepY: 2))
  }

  @Test func itGoesCloserStepByStep() {
    let small = Self.box(400, 200, 10, 10)
    var viewport = Viewport(Self.size)
    var widths: [Int] = []
    for _ in 0..<10 {
      viewport = viewport.following(
        small, largest: min(1.6, viewport.nextZoom(in: Self.size)), in: Self.size)
      widths.append(viewport.width)
    }
    #expect(widths.prefix(4) == [759, 683, 621, 569] && widths.suffix(6).allSatisfy { $0 == 569 })
  }

  @Test func enlargementCountsFromTheSource() {
    var configuration = Tracker.Configuration()
    func largest(_ width: Int, _ height: Int) -> Double {
      let size = FrameSize(width: width, height: height)
      let input = configuration.networkSize(for: size, network: .init())
      return configuration.largestZoom(for: size, input: input)
    }
    #expect(abs(largest(1920, 1080) - 2.78) < 0.01)
    #expect(abs(largest(854, 480) - 1.24) < 0.01)
    #expect(largest(640, 360) == 1)
    configuration.zoomLimit = 0
    #expect(largest(1920, 1080) == 1)
  }
}

@Suite struct PartResizingTests {
  /// A part of a frame is resized as that part alone would be, whatever the factor.
  @Test(arguments: [1, 3], [16, 32, 48, 64, 21])
  func asIfThePartWereAll(channels: Int, width: Int) {
    let (kernels, pool) = (Kernels(.scalar), ThreadPool(threadCount: 2))
    let frame = FrameSize(width: 64, height: 48)
    var random = SeededGenerator(seed: 9)
    let bytes = (0..<frame.area * channels).map { _ in UInt8.random(in: 0...255, using: &random) }
    let part = Viewport(left: 64 - width, top: 7, width: width, height: 24)
    var cut: [UInt8] = []
    for y in part.top..<part.bottom {
      let (first, last) = (y * 64 + part.left, y * 64 + part.right)
      cut += bytes[first * channels..<last * channels]
    }
    let output = FeatureShape(height: 48, width: 64, channels: channels)
    let (expected, actual) = (FeatureMap(output), FeatureMap(output))
    FrameResizer(
      from: FrameSize(width: width, height: 24), to: frame, channels: channels, kernels: kernels,
      pool: pool
    ).resize(cut, scale: 1, shift: 0, into: expected)
    let resizer = FrameResizer(
      from: frame, to: frame, channels: channels, kernels: kernels, pool: pool)
    resizer.aim(at: part)
    resizer.resize(bytes, scale: 1, shift: 0, into: actual)
    #expect(actual.scalars == expected.scalars)
    resizer.aim(at: Viewport(frame))
    resizer.resize(bytes, scale: 1, shift: 0, into: actual)
    #expect(actual.scalars == bytes.map { Float($0) })
  }

  @Test func sampledPositions() {
    let same = ResizeTable.sampled(origin: 0, step: 1, count: 40)
    #expect(same.start == (0..<40).map { Int32($0) } && same.isIdentity)
    for (origin, step) in [(-7.3, 1.0), (12.25, 0.5), (-30, 2.5), (3, 2), (-0.5, 1), (500, 1)] {
      let table = ResizeTable.sampled(origin: origin, step: step, count: 40)
      for i in 0..<40 {
        let position = origin + Double(i) * step
        let weights = (0..<table.taps).map { Double(table.weights[i * table.taps + $0]) }
        let isInside = (-0.5...39.5).contains(position)
        #expect(abs(weights.reduce(0, +) - (isInside ? 1 : 0)) < 1e-6, "\(origin) \(step) \(i)")
        #expect(weights.allSatisfy { $0 >= 0 })
        #expect(table.start[i] >= 0 && Int(table.start[i]) + table.taps <= 40)
        // A straight line stays one where no edge is near.
        guard position > 3, position < 36 else { continue }
        let first = Int(table.start[i])
        let mean = weights.indices.reduce(0.0) { $0 + weights[$1] * Double(first + $1) }
        #expect(abs(mean - position) < (step > 1 ? 0.51 : 1e-5), "\(origin) \(step) \(i)")
      }
    }
  }
}

@Suite struct ZoomTests {
  private static let size = FrameSize(width: 320, height: 192)

  private static func tracker(
    zoomLimit: Double = 1, network path: String = ShippedCheckpoint.path
  ) throws -> Tracker {
    var configuration = Tracker.Configuration()
    configuration.inputSize = .exact(FrameSize(width: 160, height: 96))
    configuration.zoomLimit = zoomLimit
    configuration.threads = 2
    return try Tracker(
      network: Network(checkpoint: path), frameSize: size, configuration: configuration)
  }

  /// A rectangle in front of noise.
  private static func frame(
    _ left: Int, _ top: Int, _ width: Int = 48, _ height: Int = 32
  ) -> (frame: Frame, mask: LabelMap) {
    var pixels = [UInt8](repeating: 0, count: size.area * 3)
    var mask = LabelMap(size: size)
    var random = SeededGenerator(seed: 8)
    for i in pixels.indices { pixels[i] = UInt8.random(in: 90...130, using: &random) }
    for y in top..<top + height {
      for x in left..<left + width {
        mask.labels[y * size.width + x] = 3
        pixels[(y * size.width + x) * 3] = (x - left) / 8 % 2 == 0 ? 255 : 220
        pixels[(y * size.width + x) * 3 + 1] = 20
      }
    }
    return (Frame(size: size, pixels: pixels), mask)
  }

  private static func overlap(_ a: LabelMap, _ b: LabelMap) -> Double {
    let pairs = zip(a.labels, b.labels)
    let both = pairs.count { $0.0 != 0 && $0.1 != 0 }
    return Double(both) / Double(max(1, pairs.count { $0.0 != 0 || $0.1 != 0 }))
  }

  /// Tracks a rectangle that crosses the frame; overlaps of all frames but the first.
  private static func overlaps(
    zoomLimit: Double, network: String = ShippedCheckpoint.path, width: Int = 48, height: Int = 32
  ) throws -> [Double] {
    var tracker = try tracker(zoomLimit: zoomLimit, network: network)
    return try (0..<12).map { step in
      let (frame, mask) = frame(16 + step * 20, 80 - step * 4, width, height)
      let result = try tracker.step(frame, mask: step == 0 ? mask : nil)
      // Predicted boxes are as wide as their cells, so the zoom may be some steps below two.
      let widths = zoomLimit == 0 ? 320...320 : 160...197
      #expect(widths.contains(tracker.session.viewport.width), "frame \(step)")
      let probabilities = try tracker.probabilities(of: try #require(ObjectID(3)))
      #expect(zip(probabilities, result.labels.labels).allSatisfy { ($0 > 0.5) == ($1 == 3) })
      return overlap(result.labels, mask)
    }
  }

  @Test func aMovingObjectIsFollowed() throws {
    let zoomed = try Self.overlaps(zoomLimit: 1)
    #expect(zoomed.allSatisfy { $0 > 0.8 }, "\(zoomed)")
  }

  /// 12×8 pixels of the network's input without zoom, up to 24×16 with it.
  @Test(arguments: [
    ShippedCheckpoint.path, ShippedCheckpoint.basePath, ShippedCheckpoint.liteStartPath,
  ])
  func aSmallObjectGains(network: String) throws {
    let zoomed = try Self.overlaps(zoomLimit: 1, network: network, width: 24, height: 16)
    let whole = try Self.overlaps(zoomLimit: 0, network: network, width: 24, height: 16)
    #expect(zoomed.reduce(0, +) > whole.reduce(0, +), "\(zoomed), \(whole)")
  }

  @Test func masksMoveWithTheView() throws {
    let session = try Self.tracker().session
    let (_, mask) = Self.frame(64, 64)
    session.look(for: mask)
    session.give(mask, keepingOthers: false)
    let zoomed = session.viewport
    #expect(zoomed.width == 160)
    // A pixel of the network is one of the frame there.
    #expect(session.result(given: nil).labels == mask)
    #expect(session.previousCells == nil)
    session.look(for: nil)
    #expect(session.viewport == zoomed && session.previousCells?.count == 1)
    var (_, other) = Self.frame(240, 0)
    for i in other.labels.indices where other.labels[i] == 3 { other.labels[i] = 4 }
    session.look(for: other)
    let otherBox = try #require(other.box)
    #expect(session.viewport != zoomed && session.viewport.contains(otherBox))
    #expect(session.previousCells == nil)
    session.give(LabelMap(size: Self.size), keepingOthers: true)
    #expect(Self.overlap(session.result(given: nil).labels, mask) > 0.95)
  }

  /// What an object's mask was does not matter where it is given anew.
  @Test func givenObjectsAreSeenWhereTheyAreGiven() throws {
    let session = try Self.tracker().session
    let (_, mask) = Self.frame(16, 16)
    session.look(for: mask)
    session.give(mask, keepingOthers: false)
    let (_, elsewhere) = Self.frame(256, 144)
    session.look(for: elsewhere)
    #expect(session.viewport == session.viewport(around: elsewhere))
    #expect(session.viewport.width == 160)
  }

  @Test func aLostObjectIsLookedForEverywhere() throws {
    var tracker = try Self.tracker()
    let (frame, mask) = Self.frame(64, 64)
    _ = try tracker.step(frame, mask: mask)
    #expect(tracker.session.viewport.width == 160)
    let plane = tracker.session.objects[0].probability
    plane.forEachRow { _, row, width in row.update(repeating: 0, count: width) }
    _ = try tracker.step(frame)
    #expect(tracker.session.viewport == Viewport(Self.size))
    // Found again, it is approached step by step.
    for width in [284, 256, 233] {
      tracker.session.give(mask, keepingOthers: false)
      _ = try tracker.step(frame)
      #expect(tracker.session.viewport.width == width)
    }
    tracker.restart()
    #expect(tracker.session.viewport == Viewport(Self.size))
  }

  @Test func correctionsMayBeAnywhere() throws {
    var tracker = try Self.tracker()
    let (frame, mask) = Self.frame(16, 16)
    _ = try tracker.step(frame, mask: mask)
    let seen = tracker.session.viewport
    #expect(try tracker.correct(mask).labels == mask)
    #expect(tracker.session.viewport == seen)
    let (_, elsewhere) = Self.frame(256, 144)
    let box = try #require(elsewhere.box)
    #expect(!seen.contains(box))
    #expect(try tracker.correct(elsewhere).labels == elsewhere)
    let probabilities = try tracker.probabilities(of: try #require(ObjectID(3)))
    #expect(zip(probabilities, elsewhere.labels).allSatisfy { ($0 > 0.5) == ($1 == 3) })
    _ = try tracker.step(Self.frame(256, 144).frame)
    #expect(tracker.session.viewport.contains(box))
  }

  /// A frame that is remembered ahead of time is seen around its own objects, and changes nothing else.
  @Test func annotatedFramesHaveTheirOwnView() throws {
    var tracker = try Self.tracker()
    let (frame, mask) = Self.frame(16, 16)
    _ = try tracker.step(frame, mask: mask)
    let seen = tracker.session.viewport
    let before = tracker.session.objects.map(\.probability.scalars)
    let (other, elsewhere) = Self.frame(256, 144)
    try tracker.annotate(other, mask: elsewhere)
    #expect(tracker.session.viewport == seen)
    #expect(tracker.session.objects.map(\.probability.scalars) == before)
    #expect(tracker.session.memoryEntryCount == 2)
    // What is encoded is no longer the newest tracked frame.
    #expect(throws: TrackerError.self) { _ = try tracker.correct(mask) }
    #expect(Self.overlap(try tracker.step(frame).labels, mask) > 0.9)
  }

  /// The distances to the newest frame are those of its own view, also when a newer one was forgotten.
  @Test func theBankKnowsTheViewOfItsNewestFrame() {
    let bank = MemoryBank(
      positions: 4, keyChannels: 8, valueChannels: 16, ringCapacity: 2, kernels: Kernels(.scalar),
      pool: ThreadPool(threadCount: 1))
    let key = FeatureMap(FeatureShape(height: 2, width: 2, channels: 8))
    #expect(bank.newestViewport == nil)
    let views = (1...3).map { Viewport(left: $0, top: 0, width: 9, height: 9) }
    _ = bank.addEntry(key: key, isPermanent: true, viewport: views[2])
    #expect(bank.newestViewport == nil)
    _ = bank.addEntry(key: key, isPermanent: false, viewport: views[0])
    let newest = bank.addEntry(key: key, isPermanent: false, viewport: views[1])
    #expect(bank.newestViewport == views[1])
    bank.forget(newest)
    #expect(bank.newestViewport == views[0])
  }

  /// Frames, inputs, masks and limits of any size; objects that jump, leave and are given again.
  @Test func nothingTraps() throws {
    var random = SeededGenerator(seed: 21)
    let network = Network.random(seed: 11)
    var zoomed = 0
    for _ in 0..<40 {
      let size = FrameSize(
        width: .random(in: 1...200, using: &random), height: .random(in: 1...200, using: &random))
      var configuration = Tracker.Configuration()
      configuration.inputSize = .exact(
        FrameSize(
          width: .random(in: 1...64, using: &random), height: .random(in: 1...64, using: &random)))
      configuration.zoomLimit = [0, 1, 4, 8, 1000].randomElement(using: &random) ?? 0
      configuration.threads = .random(in: 1...3, using: &random)
      var tracker = try Tracker(network: network, frameSize: size, configuration: configuration)
      func mask() -> LabelMap {
        var mask = LabelMap(size: size)
        let (width, height) = (
          Int.random(in: 1...(size.width + 3) / 4, using: &random),
          Int.random(in: 1...(size.height + 3) / 4, using: &random)
        )
        let left = Int.random(in: 0...size.width - width, using: &random)
        let top = Int.random(in: 0...size.height - height, using: &random)
        let label = UInt8.random(in: 1...2, using: &random)
        for y in top..<top + height {
          for x in left..<left + width { mask.labels[y * size.width + x] = label }
        }
        return mask
      }
      for step in 0..<8 {
        let frame = Frame(
          size: size, pixels: (0..<size.area * 3).map { _ in .random(in: 0...255, using: &random) })
        let given = step == 0 || Bool.random(using: &random) ? mask() : nil
        let result = try tracker.step(frame, mask: given)
        #expect(result.labels.labels.allSatisfy { $0 <= 2 })
        if let given {
          #expect(zip(given.labels, result.labels.labels).allSatisfy { $0 == 0 || $0 == $1 })
        }
        if step == 5 { _ = try tracker.correct(mask()) }
        #expect(Viewport(size).contains(tracker.session.viewport))
        zoomed += tracker.session.viewport == Viewport(size) ? 0 : 1
      }
    }
    #expect(zoomed > 20, "\(zoomed)")
  }

  @Test(arguments: [-1, .nan, .infinity] as [Double])
  func impossibleLimits(zoomLimit: Double) {
    #expect(throws: TrackerError.self) { _ = try Self.tracker(zoomLimit: zoomLimit) }
  }
}
