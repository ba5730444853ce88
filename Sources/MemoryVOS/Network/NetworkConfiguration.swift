// Which network a checkpoint holds. Stored as JSON in the checkpoint's metadata.

/// Sizes and options of a network.
///
/// One immutable value; the defaults are `vos-mobile`.
public struct NetworkConfiguration: Sendable, Hashable, Codable {
  /// Channels of a key, 64 as in STCN.
  public var keyChannels = 64
  /// Channels of a memory value, a quarter of STCN's.
  public var valueChannels = 128
  /// Channels of the decoder at stride 16, 8 and 4.
  public var decoderChannels = [128, 64, 32]
  /// Channels of the value encoder: mask stem, stride 4, stride 8.
  public var valueEncoderChannels = [16, 48, 96]
  /// Channels of the refinement head at half resolution; 0: the network has none.
  public var refinementChannels = 0
  /// Entries per query that the memory read keeps; 0 keeps all.
  public var topK = 30

  /// The configuration of `vos-mobile`.
  public init() {}

  /// Reads the keys that are there and takes the defaults for the others.
  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    let defaults = Self()
    func read<T: Decodable>(_ key: CodingKeys, _ value: T) throws -> T {
      try values.decodeIfPresent(T.self, forKey: key) ?? value
    }
    keyChannels = try read(.keyChannels, defaults.keyChannels)
    valueChannels = try read(.valueChannels, defaults.valueChannels)
    decoderChannels = try read(.decoderChannels, defaults.decoderChannels)
    valueEncoderChannels = try read(.valueEncoderChannels, defaults.valueEncoderChannels)
    refinementChannels = try read(.refinementChannels, defaults.refinementChannels)
    topK = try read(.topK, defaults.topK)
  }

  /// What makes a network of this configuration impossible, or `nil`.
  var problem: String? {
    let widths = [keyChannels, valueChannels] + decoderChannels + valueEncoderChannels
    guard decoderChannels.count == 3, valueEncoderChannels.count == 3 else {
      return
        "\(decoderChannels.count) decoder and \(valueEncoderChannels.count) value encoder widths"
        + " instead of 3 each"
    }
    guard widths.allSatisfy({ (1...4096).contains($0) }) else {
      return "widths \(widths), not all in 1…4096"
    }
    guard valueChannels % 16 == 0 else {
      return "value_channels \(valueChannels), not a multiple of 16"
    }
    guard (0...4096).contains(refinementChannels) else {
      return "refinement_channels \(refinementChannels), not in 0…4096"
    }
    guard (0...65536).contains(topK) else { return "top_k \(topK), not in 0…65536" }
    return nil
  }

  enum CodingKeys: String, CodingKey {
    case keyChannels = "key_channels"
    case valueChannels = "value_channels"
    case decoderChannels = "decoder_channels"
    case valueEncoderChannels = "value_encoder_channels"
    case refinementChannels = "refinement_channels"
    case topK = "top_k"
  }
}
