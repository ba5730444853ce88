// Networks without training, for tests that need numbers but no meaning.

package import MemoryVOS

extension Network {
  /// Small random weights whose activations neither vanish nor explode, from a seed.
  package static func random(
    seed: UInt64, configuration: NetworkConfiguration = .init()
  ) -> Network {
    var random = SeededGenerator(seed: seed)
    var tensors: [String: [Float]] = [:]
    for parameter in NetworkGraphs(configuration).parameters {
      let fanIn = max(1, parameter.shape.dropFirst().reduce(1, *))
      let bound = (3 / Float(fanIn)).squareRoot()
      tensors[parameter.name] = (0..<parameter.count).map { _ in
        Float.random(in: -bound...bound, using: &random)
      }
    }
    tensors["t"] = [2.7]
    return Network(configuration: configuration, weights: Weights(tensors))
  }
}

extension NetworkConfiguration {
  /// One of each kind, small.
  package static let examples: [NetworkConfiguration] = {
    var small = NetworkConfiguration()
    small.keyChannels = 16
    small.valueChannels = 16
    small.decoderChannels = [24, 16, 8]
    small.valueEncoderChannels = [8, 8, 16]
    var refined = small
    refined.refinementChannels = 8
    var scaled = small
    scaled.encoderWidth = 0.5
    scaled.decoderWidth = 1.5
    scaled.asppRates = [1, 3]
    var residual = refined
    residual.encoder = .resNet18
    residual.asppRates = [2, 6, 7]
    var deep = small
    deep.encoderWidth = 0.5
    deep.contextBlocks = 2
    return [small, refined, scaled, residual, deep]
  }()
}
