// A network with its weights: loaded once, shared by any number of trackers.

/// A network's configuration and parameters.
///
/// Immutable; use it from any thread.
public final class Network: Sendable {
  /// Sizes and options.
  public let configuration: NetworkConfiguration
  package let graphs: NetworkGraphs
  package let weights: Weights
  /// The convolutions that compute in int8, which `weights` does not hold; `nil` for a float network.
  package let quantized: QuantizedParameters?
  /// What values are rounded to, by name, in a network that simulates integers; else `nil`.
  let simulation: [String: RoundingRange]?

  /// A network from parameters in PyTorch's order; traps unless names and counts are the graphs'.
  package convenience init(
    configuration: NetworkConfiguration, weights: Weights, quantized: QuantizedParameters? = nil
  ) {
    self.init(
      configuration: configuration, graphs: NetworkGraphs(configuration), weights: weights,
      quantized: quantized, simulation: nil)
  }

  /// The same with graphs that may have further outputs.
  init(
    configuration: NetworkConfiguration, graphs: NetworkGraphs, weights: Weights,
    quantized: QuantizedParameters?, simulation: [String: RoundingRange]?
  ) {
    self.configuration = configuration
    self.simulation = simulation
    self.graphs = graphs
    for parameter in graphs.parameters
    where quantized?.holds(parameter: parameter.name) != true {
      precondition(weights[parameter.name].count == parameter.count, "\(parameter.name)")
    }
    self.weights = weights
    self.quantized = quantized
  }

  /// Whether convolutions compute in int8.
  public var isQuantized: Bool { quantized != nil }

  /// Number of trainable scalars.
  public var parameterCount: Int { graphs.parameters.reduce(0) { $0 + $1.count } }

  /// Multiply-adds of one step at `size` (network input, multiples of its stride): once per frame, and once
  /// per object, with `memoryFrames` frames in memory (affinity dense; read-out of `topK` entries,
  /// all of them for 0).
  public func multiplyAdds(
    at size: FrameSize, memoryFrames: Int, topK: Int
  ) -> (perFrame: Int, perObject: Int) {
    parts(at: size, memoryFrames: memoryFrames, topK: topK).reduce((0, 0)) {
      ($0.0 + $1.perFrame, $0.1 + $1.perObject)
    }
  }
}

/// A network's three graphs compiled for one input size, bound to each other.
package final class NetworkPlans {
  /// image → key and the features that the other two read.
  package let keyEncoder: Plan
  /// mask, others (rebound per object) → value.
  package let valueEncoder: Plan
  /// readout, previous (rebound per object) → logit.
  package let decoder: Plan

  package init(
    _ network: Network, size: FrameSize, kernels: Kernels, pool: ThreadPool,
    options: PlanOptions = .init(), imageMayBeBytes: Bool = false
  ) {
    let keyEncoder = Plan(
      network.graphs.keyEncoder, size: size, weights: network.weights, kernels: kernels,
      pool: pool, options: options, quantized: network.quantized,
      byteOutputs: NetworkGraphs.features, inputsMayBeBytes: imageMayBeBytes)
    let features = keyEncoder.outputs.filter { $0.key != "key" }
    let byteFeatures = keyEncoder.byteOutputs
    valueEncoder = Plan(
      network.graphs.valueEncoder, size: size, weights: network.weights, kernels: kernels,
      pool: pool, bindings: features, options: options, quantized: network.quantized,
      byteBindings: byteFeatures)
    decoder = Plan(
      network.graphs.decoder, size: size, weights: network.weights, kernels: kernels,
      pool: pool, bindings: features, options: options, quantized: network.quantized,
      byteBindings: byteFeatures)
    self.keyEncoder = keyEncoder
  }
}
