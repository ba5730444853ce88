import MemoryVOS
import TestSupport
import Testing

/// Keeps everything that it is told.
private final class Recorder: PropagationOutput {
  var order: [Int] = []
  var ordered: [Int] = []
  var labels: [Int: LabelMap] = [:]
  var statuses: [Int: [ObjectStatus]] = [:]
  var states: [PropagationState] = []
  var wantsOrder = true
  var savesState = false
  /// Number of computed frames after which to stop.
  var limit = Int.max
  /// An error that the output throws instead of taking the frame with this index.
  var failsAt: Int?

  struct Full: Error {}

  var shouldStop: Bool { order.count >= limit }

  func computed(_ step: PropagationStep, tracker: borrowing Tracker) throws {
    let index = step.source.index
    if index == failsAt { throw Full() }
    #expect(tracker.objects.map(\.rawValue) == step.result.objects.map(\.id))
    #expect(labels[index] == nil, "frame \(index) was computed twice")
    order.append(index)
    labels[index] = step.result.labels
    statuses[index] = step.result.objects
  }

  func inOrder(_ step: PropagationStep) throws {
    ordered.append(step.source.index)
    #expect(step.result.labels == labels[step.source.index])
    #expect(step.result.objects == statuses[step.source.index])
  }

  func labels(of frame: SourceFrame) throws -> LabelMap { try #require(labels[frame.index]) }

  func save(_ state: PropagationState) throws { states.append(state) }
}

@Suite struct PropagationTests {
  static let scene = SampleScene(
    named: .standard, size: FrameSize(width: 70, height: 50), frameCount: 9)

  static func configuration(memory: Int = 2) -> Tracker.Configuration {
    var configuration = Tracker.Configuration()
    configuration.inputSize = .exact(FrameSize(width: 48, height: 32))
    configuration.memoryFrames = memory
    configuration.memoryInterval = 2
    configuration.threads = 1
    return configuration
  }

  static func annotation(_ frame: Int, only object: UInt8? = nil) -> ClipAnnotation {
    var mask = scene.frame(at: frame).labels
    if let object { mask.labels = mask.labels.map { $0 == object ? object : 0 } }
    return ClipAnnotation(frame: frame, mask: mask)
  }

  private func run(
    _ annotations: [ClipAnnotation], _ selection: FrameSelection = .init(), memory: Int = 2,
    source: SampleSource? = nil, into recorder: Recorder = Recorder(),
    resuming state: PropagationState? = nil
  ) throws -> Recorder {
    var propagation = try Propagation(
      source: source ?? SampleSource(Self.scene), annotations: annotations, selection: selection,
      network: ShippedCheckpoint.network.get(), configuration: Self.configuration(memory: memory))
    let finished = try propagation.run(into: recorder, resuming: state)
    #expect(finished == (recorder.limit == .max))
    return recorder
  }

  @Test func forwardIsALoopOfSteps() throws {
    let recorder = try run([Self.annotation(0)])
    #expect(recorder.order == Array(0..<9) && recorder.ordered == recorder.order)
    var tracker = try Tracker(
      network: ShippedCheckpoint.network.get(), frameSize: Self.scene.size,
      configuration: Self.configuration())
    for index in 0..<9 {
      let (frame, labels) = Self.scene.frame(at: index)
      let result = try tracker.step(frame, mask: index == 0 ? labels : nil)
      #expect(recorder.labels[index] == result.labels, "frame \(index)")
    }
  }

  @Test func annotationInTheMiddleGoesBothWays() throws {
    let source = SampleSource(Self.scene)
    let recorder = try run([Self.annotation(4)], source: source)
    #expect(recorder.order == [3, 2, 1, 0, 4, 5, 6, 7, 8])
    #expect(recorder.ordered == Array(0..<9))
    #expect(recorder.labels[4] == Self.annotation(4).mask)
    // The backward half is a forward run over the reversed clip.
    var tracker = try Tracker(
      network: ShippedCheckpoint.network.get(), frameSize: Self.scene.size,
      configuration: Self.configuration())
    for index in stride(from: 4, through: 0, by: -1) {
      let (frame, labels) = Self.scene.frame(at: index)
      let result = try tracker.step(frame, mask: index == 4 ? labels : nil)
      #expect(recorder.labels[index] == result.labels, "frame \(index)")
    }
  }

  @Test func withoutOrderNothingIsReadTwice() throws {
    let recorder = Recorder()
    recorder.wantsOrder = false
    let source = SampleSource(Self.scene)
    _ = try run([Self.annotation(2)], source: source, into: recorder)
    #expect(source.reads == [2, 1, 0, 2, 3, 4, 5, 6, 7, 8])
    #expect(recorder.ordered == Array(2..<9))
  }

  @Test func everyAnnotatedFrameIsMemoryOfBothPasses() throws {
    let one = try run([Self.annotation(3)])
    let two = try run([Self.annotation(3), Self.annotation(8)])
    #expect(two.order == [2, 1, 0, 3, 4, 5, 6, 7, 8])
    #expect(two.labels[8] == Self.annotation(8).mask && two.labels[3] == Self.annotation(3).mask)
    #expect(one.labels[1] != two.labels[1], "the later mask has no part in the backward pass")
    #expect(one.labels[5] != two.labels[5], "the later mask has no part in the forward pass")
  }

  @Test func objectsOfLaterAnnotationsAppearThere() throws {
    let recorder = try run([Self.annotation(2, only: 1), Self.annotation(5, only: 2)])
    for index in 0..<9 {
      let ids = recorder.statuses[index]?.map(\.id)
      #expect(ids == (index < 5 ? [1] : [1, 2]), "frame \(index)")
    }
  }

  @Test(arguments: [
    (FrameSelection(every: 3), [4], [3, 0, 6]), (FrameSelection(every: 3), [0], [0, 3, 6]),
    (FrameSelection(start: 2, end: 5), [0], [2, 3, 4]),
    (FrameSelection(start: 2, end: 5), [3], [2, 3, 4]),
    (FrameSelection(start: 2, end: 5), [8], [4, 3, 2]),
    (FrameSelection(start: 1, end: 8, every: 2), [0, 4], [1, 3, 5, 7]),
    (FrameSelection(start: 7, end: 100), [1], [7, 8]), (FrameSelection(start: 8), [8], [8]),
  ])
  func selections(_ selection: FrameSelection, annotated: [Int], expected: [Int]) throws {
    let recorder = try run(annotated.map { Self.annotation($0) }, selection)
    #expect(recorder.order == expected)
    #expect(recorder.ordered == expected.sorted())
    let propagation = try Propagation(
      source: SampleSource(Self.scene), annotations: [Self.annotation(0)], selection: selection,
      network: ShippedCheckpoint.network.get(), configuration: Self.configuration())
    #expect(propagation.expectedFrameCount == expected.count)
  }

  @Test func aPipeGoesForwardOnly() throws {
    let source = SampleSource(Self.scene, isSeekable: false, hidesCount: true)
    let recorder = Recorder()
    recorder.savesState = true
    _ = try run(
      [Self.annotation(2), Self.annotation(5)], source: source, into: recorder)
    #expect(recorder.order == Array(0..<9) && source.reads == Array(0..<9))
    #expect(recorder.labels[1] == LabelMap(size: Self.scene.size))
    #expect(recorder.labels[5] == Self.annotation(5).mask)
    #expect(recorder.states.isEmpty, "a pipe cannot be resumed")
  }

  // MARK: - Resuming

  /// Stopped after any number of frames and resumed, a run gives exactly what it gives in one go.
  @Test(arguments: [([0], 2), ([0], 1), ([0], 4), ([4], 2), ([2, 6], 3)], [nil, 2] as [UInt8?])
  func resumedRunsGiveTheSame(_ clip: (annotated: [Int], memory: Int), only object: UInt8?) throws {
    let (annotated, memory) = clip
    // The ball alone is looked at more closely.
    let annotations = annotated.map { Self.annotation($0, only: object) }
    let whole = try run(annotations, memory: memory)
    for limit in [1, 2, 4, 7] {
      let recorder = Recorder()
      recorder.savesState = true
      recorder.limit = limit
      _ = try run(annotations, memory: memory, into: recorder)
      let state = try #require(recorder.states.last)
      #expect(state.frameCount == limit && state.frame == recorder.order.last)
      let file = try state.checkpoint(settings: "these")
      #expect(throws: CheckpointError.self) { try PropagationState(file, settings: "others") }
      recorder.limit = .max
      recorder.ordered = []
      let resumed = try run(
        annotations, memory: memory, into: recorder,
        resuming: PropagationState(file, settings: "these"))
      #expect(resumed.order == whole.order, "stopped after \(limit)")
      #expect(resumed.ordered == Array(0..<9), "stopped after \(limit)")
      #expect(resumed.labels == whole.labels, "stopped after \(limit)")
      #expect(resumed.statuses == whole.statuses, "stopped after \(limit)")
    }
  }

  @Test func anErrorLeavesAStateToGoOnFrom() throws {
    let whole = try run([Self.annotation(0)])
    let recorder = Recorder()
    recorder.savesState = true
    recorder.failsAt = 5
    #expect(throws: Recorder.Full.self) { try run([Self.annotation(0)], into: recorder) }
    recorder.failsAt = nil
    recorder.ordered = []
    let resumed = try run(
      [Self.annotation(0)], into: recorder, resuming: recorder.states.last)
    #expect(resumed.labels == whole.labels && resumed.ordered == whole.ordered)
  }

  @Test func damagedStatesAreRefused() throws {
    let recorder = Recorder()
    recorder.savesState = true
    recorder.limit = 2
    let file = try #require(run([Self.annotation(0)], into: recorder).states.last)
      .checkpoint(settings: "s")
    for key in ["phase", "snapshots", "statuses", "settings", "architecture"] {
      var damaged = file
      damaged.metadata[key] = "{"
      #expect(throws: CheckpointError.self, "\(key)") {
        try PropagationState(damaged, settings: "s")
      }
    }
    var damaged = file
    damaged.tensors["0.1"] = nil
    #expect(throws: CheckpointError.self) { try PropagationState(damaged, settings: "s") }
    damaged.tensors["0.1"] = CheckpointTensor(shape: [2], floats: [0, 1])
    var elsewhere = file
    elsewhere.metadata["snapshots"] = file.metadata["snapshots"]?
      .replacing(#""left":0"#, with: #""left":9223372036854775807"#)
    for state in [damaged, elsewhere] {
      let broken = try PropagationState(state, settings: "s")
      #expect(throws: TrackerError.self) {
        try run([Self.annotation(0)], into: Recorder(), resuming: broken)
      }
    }
  }

  // MARK: - Errors

  @Test func annotationsThatDoNotFit() throws {
    func failure(_ annotations: [ClipAnnotation], source: SampleSource? = nil) -> String {
      let error = #expect(throws: PropagationError.self) {
        try run(annotations, source: source)
      }
      return error?.description ?? ""
    }
    let other = LabelMap(size: FrameSize(width: 3, height: 2), labels: [0, 1, 1, 0, 0, 0])
    #expect(failure([]).contains("no mask"))
    let sizes = failure([ClipAnnotation(frame: 0, mask: other)])
    #expect(sizes.contains("3×2") && sizes.contains("70×50"))
    let empty = ClipAnnotation(frame: 0, mask: LabelMap(size: Self.scene.size))
    #expect(failure([empty]).contains("no object"))
    #expect(failure([Self.annotation(1), Self.annotation(1)]).contains("two masks for frame 1"))
    let late = ClipAnnotation(frame: 9, mask: Self.annotation(0).mask)
    #expect(failure([late]).contains("ended before frame 9"))
    #expect(failure([Self.annotation(0), late]).contains("frame 9, which is annotated"))
    #expect(
      failure([Self.annotation(0), late], source: SampleSource(Self.scene, isSeekable: false))
        .contains("frame 9"))
  }

  @Test func masksOfAnotherSizeAreFittedOnRequest() {
    let map = LabelMap(size: FrameSize(width: 3, height: 2), labels: [1, 2, 3, 4, 5, 6])
    #expect(map.resized(to: map.size) == map)
    let twice = map.resized(to: FrameSize(width: 6, height: 4))
    #expect(twice.labels[..<12].elementsEqual([1, 1, 2, 2, 3, 3, 1, 1, 2, 2, 3, 3]))
    #expect(map.resized(to: FrameSize(width: 1, height: 1)).labels == [5])
    #expect(Set(map.resized(to: FrameSize(width: 5, height: 7)).labels).isSubset(of: 1...6))
  }
}
