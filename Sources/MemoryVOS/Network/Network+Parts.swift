// What each part of a network holds and costs: `vos-cli inspect` prints it.

/// A part of a network.
public struct NetworkPart: Sendable, Hashable, Encodable {
  /// What people call it.
  public let name: String
  /// Number of trainable scalars.
  public internal(set) var parameters = 0
  /// Number of weights that are int8.
  public internal(set) var int8Weights = 0
  /// Multiply-adds that all objects of a frame share.
  public internal(set) var perFrame = 0
  /// Multiply-adds for each object.
  public internal(set) var perObject = 0
}

extension Network {
  /// The parts in the order in which a step runs them; arguments are those of `multiplyAdds`.
  public func parts(at size: FrameSize, memoryFrames: Int, topK: Int) -> [NetworkPart] {
    var parts: [NetworkPart] = []
    func change(_ name: String, _ body: (inout NetworkPart) -> Void) {
      let index = parts.firstIndex { $0.name == name } ?? parts.count
      if index == parts.count { parts.append(NetworkPart(name: name)) }
      body(&parts[index])
    }
    func add(_ graph: Graph, isShared: Bool, named name: String) {
      for node in graph.nodes {
        guard let layer = node.operation.convolution?.name else { continue }
        let cost = graph.multiplyAdds(of: node, at: size)
        change(Self.optionalPart(layer) ?? name) {
          $0.parameters += graph.parameters.reduce(0) {
            [layer + ".weight", layer + ".bias"].contains($1.name) ? $0 + $1.count : $0
          }
          $0.int8Weights += quantized?.convolutions[layer]?.weights.count ?? 0
          if isShared { $0.perFrame += cost } else { $0.perObject += cost }
        }
      }
    }
    add(graphs.keyEncoder, isShared: true, named: "image encoder")
    let positions = size.area / 256
    let total = positions * memoryFrames
    let kept = topK == 0 ? total : min(topK, total)
    change("memory read") {
      $0.parameters = 1
      $0.perFrame = positions * total * configuration.keyChannels
      $0.perObject = positions * kept * configuration.valueChannels
    }
    add(graphs.decoder, isShared: false, named: "decoder")
    add(graphs.valueEncoder, isShared: false, named: "value encoder")
    return parts
  }

  private static let contextLayers = (0..<3).map {
    MobileNetV2.contextLayer("k", $0) + "."
  }

  private static func optionalPart(_ layer: String) -> String? {
    if layer.hasPrefix("c16.") || contextLayers.contains(where: layer.hasPrefix) {
      return "context"
    }
    if layer.hasPrefix("a16.") { return "atrous pyramid" }
    if layer.hasPrefix("h2.") { return "refinement head" }
    return nil
  }
}

extension Operation {
  /// The convolution, dense or depthwise, that this is.
  fileprivate var convolution: Convolution? {
    switch self {
    case .convolution(let convolution), .depthwise(let convolution): convolution
    default: nil
    }
  }
}
