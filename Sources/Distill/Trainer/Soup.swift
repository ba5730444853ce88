// Averages of checkpoints. `vos-cli average` calls it.

public import MemoryVOS

extension Network {
  /// The plain mean of checkpoints with the same tensors; metadata, and with them the network's
  /// settings without weights (locality, frames in memory), are the first one's.
  ///
  /// - Throws: `CheckpointError` when one is no checkpoint of the first one's network.
  public static func average(_ checkpoints: [Checkpoint]) throws(CheckpointError) -> Checkpoint {
    precondition(!checkpoints.isEmpty, "the average of no checkpoints")
    let configuration = try Network(checkpoints[0]).configuration
    var sets: [ParameterSet] = []
    for checkpoint in checkpoints {
      var set = ParameterSet(configuration)
      try set.load(checkpoint)
      sets.append(set)
    }
    return Checkpoint(
      metadata: checkpoints[0].metadata, tensors: ParameterSet.mean(sets).tensors)
  }
}
