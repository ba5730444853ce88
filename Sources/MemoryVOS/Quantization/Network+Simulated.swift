// Networks that compute in floats what whole numbers of any number of bits would: for precisions that no
// kernel has. `vos-cli quantize --simulate` writes them; trackers run them like any other, slowly.
//
// A simulated checkpoint is a float one whose weights are rounded already. Its metadata has
// precision = "simulated" and simulation = what its activations are rounded to.

extension Checkpoint {
  /// Whether its numbers are rounded to simulate integers.
  public var isSimulated: Bool { metadata["precision"] == "simulated" }
}

extension Network {
  static let simulationKey = "simulation"

  /// What a simulated checkpoint's activations are rounded to; `nil` for other checkpoints.
  static func simulation(
    of checkpoint: Checkpoint
  ) throws(CheckpointError) -> [String: RoundingRange]? {
    guard checkpoint.isSimulated else { return nil }
    guard let rounding = try NetworkRounding.read(checkpoint, key: simulationKey) else {
      throw CheckpointError(
        path: checkpoint.path,
        expected: "'\(simulationKey)' in the metadata of a simulated network", found: "none",
        suggestion: "the file is damaged; make it again")
    }
    return rounding.ranges
  }
}

extension [String: RoundingRange] {
  /// Rounds the map of a value in place, if it is one that is rounded.
  func round(_ name: String, _ map: FeatureMap) {
    guard let range = self[name] else { return }
    map.forEachRow { _, row, count in range.round(row, count: count) }
  }
}
