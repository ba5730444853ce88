// What a run of `track` says about itself with `--json`.

import Foundation
import MemoryVOS

/// Collects times and statuses while frames are computed.
struct TrackStatistics {
  private var readSeconds = 0.0
  private var writeSeconds = 0.0
  private var stages: [(name: String, seconds: Double)] = []
  private(set) var computed = 0
  private var objects: [UInt8: ObjectSummary] = [:]

  /// Takes the statuses of a frame.
  mutating func add(_ statuses: [ObjectStatus], frame: Int) {
    for status in statuses {
      objects[status.id, default: ObjectSummary(id: status.id)].add(status, frame: frame)
    }
  }

  /// Takes the times of a frame.
  mutating func add(_ step: PropagationStep, writeSeconds: Double) {
    computed += 1
    readSeconds += step.readSeconds
    self.writeSeconds += writeSeconds
    let new = step.timings.stages
    if stages.isEmpty { stages = new.map { ($0.name, 0) } }
    for index in new.indices { stages[index].seconds += new[index].seconds }
  }

  /// Takes the time that a frame's ordered outputs took.
  mutating func add(writeSeconds: Double) { self.writeSeconds += writeSeconds }

  func summary(_ run: TrackSummary.Run) -> TrackSummary {
    var times: [String: TrackSummary.Stage] = [:]
    for (name, seconds) in stages + [("read_input", readSeconds), ("write_output", writeSeconds)] {
      times[name] = TrackSummary.Stage(
        totalS: JSONOutput.rounded(seconds),
        meanMs: JSONOutput.rounded(computed > 0 ? seconds / Double(computed) * 1000 : 0))
    }
    return TrackSummary(
      run: run, framesComputed: computed,
      framesPerSecond: JSONOutput.rounded(
        run.seconds > 0 ? Double(computed) / run.seconds : 0, digits: 2),
      peakMemoryMb: JSONOutput.rounded(Double(Machine.peakMemory) / 1e6, digits: 1),
      stages: times, objects: objects.values.sorted { $0.id < $1.id }, machine: Machine())
  }
}

/// One object over the clip.
struct ObjectSummary: Encodable {
  let id: UInt8
  private(set) var framesPresent = 0
  private(set) var firstFrame: Int?
  private(set) var lastFrame: Int?
  private var areaSum = 0
  private var confidenceSum = 0.0

  init(id: UInt8) { self.id = id }

  mutating func add(_ status: ObjectStatus, frame: Int) {
    guard status.isPresent else { return }
    framesPresent += 1
    firstFrame = min(firstFrame ?? frame, frame)
    lastFrame = max(lastFrame ?? frame, frame)
    areaSum += status.area
    confidenceSum += Double(status.confidence)
  }

  private enum CodingKeys: String, CodingKey {
    case id, framesPresent, firstFrame, lastFrame, meanArea, meanConfidence
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    let count = Double(max(framesPresent, 1))
    try container.encode(id, forKey: .id)
    try container.encode(framesPresent, forKey: .framesPresent)
    try container.encode(firstFrame, forKey: .firstFrame)
    try container.encode(lastFrame, forKey: .lastFrame)
    try container.encode(JSONOutput.rounded(Double(areaSum) / count, digits: 1), forKey: .meanArea)
    try container.encode(JSONOutput.rounded(confidenceSum / count), forKey: .meanConfidence)
  }
}

/// The object that `--json` prints.
struct TrackSummary: Encodable {
  /// What the run knows about itself.
  struct Run: Encodable {
    let input: String
    let output: String
    let checkpoint: String
    let frameSize: String
    let networkInput: String
    let frames: Int
    let framesResumed: Int
    let framesLost: Int
    let interrupted: Bool
    let seconds: Double
    /// What `--adapt` took before the first frame, not in `seconds`.
    let adaptationSeconds: Double?
  }

  /// Time of one stage, over all frames that were computed.
  struct Stage: Encodable {
    let totalS: Double
    let meanMs: Double
  }

  let run: Run
  let framesComputed: Int
  let framesPerSecond: Double
  let peakMemoryMb: Double
  let stages: [String: Stage]
  let objects: [ObjectSummary]
  let machine: Machine
}
