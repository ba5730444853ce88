// Networks from checkpoints: configuration out of the metadata, every tensor checked.

import Foundation

extension Network {
  /// The architecture that this version builds.
  public static let architecture = "vos-mobile"

  /// Loads a network.
  ///
  /// - Throws: `CheckpointError` when the file is not a checkpoint of this architecture, when its
  ///   configuration is impossible, or when a tensor is unknown, missing, mis-shaped or not finite.
  public convenience init(checkpoint path: String) throws(CheckpointError) {
    try self.init(Checkpoint(path: path))
  }

  /// A network from a checkpoint in memory; same errors.
  public convenience init(_ checkpoint: Checkpoint) throws(CheckpointError) {
    try checkpoint.check(architecture: Self.architecture)
    let configuration = try Self.configuration(of: checkpoint)
    let parameters = NetworkGraphs(configuration).parameters
    let quantized = Self.quantizedLayers(of: checkpoint)
    try checkpoint.check(
      expected: parameters.map { ($0.name, $0.shape) }
        + parameters.compactMap { parameter in
          Self.layer(ofWeight: parameter.name).flatMap {
            quantized.contains($0) ? ("\($0).scale", [parameter.shape[0]]) : nil
          }
        })
    var tensors: [String: [Float]] = [:]
    for name in checkpoint.tensors.keys
    where Self.layer(ofWeight: name).map(quantized.contains) != true {
      tensors[name] = try checkpoint.floats(name)
    }
    let integers = try Self.quantizedParameters(
      of: checkpoint, layers: quantized, floats: tensors,
      graphs: NetworkGraphs(configuration))
    self.init(
      configuration: configuration, graphs: NetworkGraphs(configuration),
      weights: Weights(tensors), quantized: integers,
      simulation: try Self.simulation(of: checkpoint))
  }

  /// The configuration in a checkpoint's metadata, or the default one.
  ///
  /// - Throws: `CheckpointError` when it cannot be read, or is impossible.
  package static func configuration(
    of checkpoint: Checkpoint
  ) throws(CheckpointError) -> NetworkConfiguration {
    guard let json = checkpoint.metadata["configuration"] else { return NetworkConfiguration() }
    func failure(_ found: String) -> CheckpointError {
      CheckpointError(
        path: checkpoint.path, expected: "a network configuration as JSON in the metadata",
        found: found, suggestion: "`vos-cli inspect` shows it")
    }
    let configuration: NetworkConfiguration
    do {
      configuration = try JSONDecoder().decode(NetworkConfiguration.self, from: Data(json.utf8))
    } catch { throw failure(json) }
    if let problem = configuration.problem { throw failure(problem) }
    return configuration
  }
}
