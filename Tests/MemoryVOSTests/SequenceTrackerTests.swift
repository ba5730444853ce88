// Sequences of a data set with networks of their own.

import Foundation
import Synchronization
import TestSupport
import Testing

@testable import MemoryVOS

@Suite struct SequenceTrackerTests {
  let folder = TemporaryFolder()
  let scene = SampleScene(
    named: .standard, size: FrameSize(width: 70, height: 50), frameCount: 4)

  /// Sequences `a` and `b` of the same frames, annotated from the frame `first` on.
  private func truth(first: Int = 0) throws -> TruthSet {
    for sequence in ["a", "b"] {
      for index in 0..<scene.frameCount {
        let (frame, labels) = scene.frame(at: index)
        try PNGImage(size: scene.size, kind: .rgb, samples: .bytes(frame.pixels))
          .write(to: folder.path("set/JPEGImages/50p/\(sequence)/\(index).png"))
        guard index >= first else { continue }
        try MaskFile.write(
          labels, to: folder.path("set/Annotations/50p/\(sequence)/\(index).png"))
      }
    }
    try Data("a\nb\n".utf8).write(to: URL(filePath: folder.path("set/ImageSets/2017/s.txt")))
    return try TruthSet(davis: folder.path + "/set", year: "2017", set: "s", resolution: "50p")
  }

  private var configuration: Tracker.Configuration {
    var configuration = Tracker.Configuration()
    configuration.inputSize = .shortSide(32)
    configuration.threads = 1
    return configuration
  }

  private func masks(_ tracker: SequenceTracker, _ sequence: TruthSet.Sequence) throws -> [Data?] {
    let output = folder.path + "/out"
    _ = try tracker.track(sequence, into: output)
    return (0..<scene.frameCount).map {
      FileManager.default.contents(atPath: "\(output)/\($0).png")
    }
  }

  @Test(arguments: [ScoringProtocol.davis2016, .davis2017, .youTubeVOS])
  func eachSequenceIsTrackedByTheNetworkThatItWasGiven(_ rules: ScoringProtocol) throws {
    let first = rules == .youTubeVOS ? 1 : 0
    let truth = try truth(first: first)
    let (common, own) = (Network.random(seed: 1), Network.random(seed: 2))
    let calls = Mutex<[(String, Frame, LabelMap)]>([])
    let adapting = SequenceTracker(
      network: common, configuration: configuration, scoringProtocol: rules
    ) { sequence, frame, mask in
      calls.withLock { $0.append((sequence.name, frame, mask)) }
      return own
    }
    let plain = [common, own].map {
      SequenceTracker(network: $0, configuration: configuration, scoringProtocol: rules)
    }
    for sequence in truth.sequences {
      let masks = try masks(adapting, sequence)
      #expect(try masks == self.masks(plain[1], sequence))
      #expect(try masks != self.masks(plain[0], sequence))
    }
    let seen = calls.withLock { $0 }
    #expect(seen.map(\.0) == ["a", "b"], "once for each sequence")
    let given = scene.frame(at: first)
    for (_, frame, mask) in seen {
      #expect(frame.pixels == given.frame.pixels)
      let merged = given.labels.labels.map { $0 == 0 ? 0 : 1 as UInt8 }
      #expect(mask.labels == (rules == .davis2016 ? merged : given.labels.labels))
    }
  }

  @Test func noNetworkStopsTheTracking() throws {
    let truth = try truth()
    let tracker = SequenceTracker(
      network: .random(seed: 1), configuration: configuration, scoringProtocol: .davis2017
    ) { _, _, _ in nil }
    let speed = try tracker.track(truth.sequences[0], into: folder.path + "/out")
    #expect(speed == nil)
    #expect(!FileManager.default.fileExists(atPath: folder.path + "/out"))
    #expect(!FileManager.default.fileExists(atPath: folder.path + "/out.part"))
  }
}
