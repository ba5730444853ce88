// Where an interrupted propagation stopped, as a small safetensors file.

import Foundation

/// What a run needs to go on where an interrupted one stopped, with the same results.
///
/// The probabilities of the newest frames, not their masks: a mask is rounded, and a run that went on
/// from masks would give others than one that was never interrupted.
public struct PropagationState: Sendable {
  enum Phase: String, Codable { case backward, forward }

  var phase = Phase.forward
  /// Newest last: at most the ring's frames and the newest frame.
  var snapshots: [TrackerSnapshot] = []
  /// Statuses of every frame computed so far, by its position in the source.
  public internal(set) var statuses: [Int: [ObjectStatus]] = [:]

  init() {}

  /// The newest frame that was computed.
  public var frame: Int { snapshots.last?.frame ?? 0 }
  /// Number of frames computed so far.
  public var frameCount: Int { statuses.count }

  private struct Snapshot: Codable {
    var frame: Int
    var objects: [UInt8]
    var viewport: Viewport
    var remembered: [UInt8]
    var ordinal: Int?
  }

  /// The state as a checkpoint.
  ///
  /// `settings` says what the run was asked for; `init` compares it.
  public func checkpoint(settings: String) throws -> Checkpoint {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    func json(_ value: some Encodable) throws -> String {
      String(decoding: try encoder.encode(value), as: UTF8.self)
    }
    let heads = snapshots.map {
      Snapshot(
        frame: $0.frame, objects: $0.probabilities.map(\.object.rawValue), viewport: $0.viewport,
        remembered: $0.remembered.map(\.rawValue), ordinal: $0.ordinal)
    }
    var checkpoint = Checkpoint(metadata: [
      "architecture": "propagation-state", "format_version": Checkpoint.formatVersion,
      "settings": settings, "phase": phase.rawValue, "snapshots": try json(heads),
      "statuses": try json(statuses),
    ])
    for (index, snapshot) in snapshots.enumerated() {
      for (object, values) in snapshot.probabilities {
        checkpoint.tensors["\(index).\(object)"] = CheckpointTensor(
          shape: [values.count], floats: values)
      }
    }
    return checkpoint
  }

  /// The state in a checkpoint; throws when it was saved by a run with other settings.
  public init(_ checkpoint: Checkpoint, settings: String) throws(CheckpointError) {
    try checkpoint.check(architecture: "propagation-state")
    func failure(_ expected: String, _ found: String) -> CheckpointError {
      CheckpointError(
        path: checkpoint.path, expected: expected, found: found,
        suggestion: "repeat the interrupted command as it was, or start anew with --overwrite")
    }
    let saved = checkpoint.metadata["settings"] ?? "none"
    guard saved == settings else {
      throw failure("an interrupted run with the same input, masks and options", "another one")
    }
    func value<T: Decodable>(_ key: String, _ type: T.Type) throws(CheckpointError) -> T {
      let json = checkpoint.metadata[key] ?? ""
      guard let value = try? JSONDecoder().decode(type, from: Data(json.utf8)) else {
        throw failure("\(key) as JSON", "something else")
      }
      return value
    }
    guard let phase = Phase(rawValue: checkpoint.metadata["phase"] ?? "") else {
      throw failure("a phase", checkpoint.metadata["phase"] ?? "none")
    }
    self.phase = phase
    statuses = try value("statuses", [Int: [ObjectStatus]].self)
    snapshots = []
    for (index, head) in try value("snapshots", [Snapshot].self).enumerated() {
      var snapshot = TrackerSnapshot(
        frame: head.frame, probabilities: [], viewport: head.viewport,
        remembered: head.remembered.compactMap(ObjectID.init), ordinal: head.ordinal)
      for id in head.objects.compactMap(ObjectID.init) {
        guard let tensor = checkpoint.tensors["\(index).\(id)"] else {
          throw failure("probabilities of object \(id)", "none")
        }
        snapshot.probabilities.append((id, try tensor.floats()))
      }
      snapshots.append(snapshot)
    }
    guard let newest = snapshots.last, statuses[newest.frame] != nil, newest.frame >= 0 else {
      throw failure("a frame to go on from", "none")
    }
  }
}
