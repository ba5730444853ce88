// Networks that show what their last layer reads: teachers for losses on features. Distill/Teacher asks
// for them; TrackerSession keeps the maps.

extension Network {
  /// The name of the decoder's further output.
  package static let featuresName = "features"

  /// The same network, whose decoder also returns the features before its last layer `p`.
  package convenience init(exposingFeaturesOf network: Network) {
    self.init(
      configuration: network.configuration, graphs: network.graphs.exposingFeatures,
      weights: network.weights, quantized: network.quantized, simulation: network.simulation)
  }
}

extension NetworkGraphs {
  /// The graphs with the operand of the decoder's convolution `p` as one more output.
  var exposingFeatures: NetworkGraphs {
    var graphs = self
    for node in decoder.nodes {
      if case .convolution(let convolution) = node.operation, convolution.name == "p" {
        graphs.decoder.outputs.append((Network.featuresName, node.inputs[0]))
      }
    }
    return graphs
  }
}

extension Network {
  /// Channels of the features before the last layer.
  package var featureChannels: Int {
    for node in graphs.decoder.nodes {
      if case .convolution(let convolution) = node.operation, convolution.name == "p" {
        return graphs.decoder[node.inputs[0]].channels
      }
    }
    preconditionFailure("a decoder without its last layer")
  }
}

/// Features of one object in one frame.
package struct ObjectFeatures: Sendable {
  /// Width and height of the map.
  package let size: FrameSize
  package let channels: Int
  /// `[height][width][channels]`.
  package let values: [Float]
}
