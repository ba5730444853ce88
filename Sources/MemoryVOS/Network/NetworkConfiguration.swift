// Which network a checkpoint holds. Stored as JSON in the checkpoint's metadata.

/// Sizes and options of a network. One immutable value; the defaults are `vos-mobile`.
public struct NetworkConfiguration: Sendable, Hashable, Codable {
  /// Channels of a key, 64 as in STCN.
  public var keyChannels = 64
  /// Channels of a memory value, a quarter of STCN's.
  public var valueChannels = 128
  /// Channels of the decoder at stride 16, 8 and 4.
  public var decoderChannels = [128, 64, 32]
  /// Channels of the value encoder: mask stem, stride 4, stride 8.
  public var valueEncoderChannels = [16, 48, 96]
  /// Entries per query that the memory read keeps; 0 keeps all.
  public var topK = 30

  /// The configuration of `vos-mobile`.
  public init() {}

  enum CodingKeys: String, CodingKey {
    case keyChannels = "key_channels"
    case valueChannels = "value_channels"
    case decoderChannels = "decoder_channels"
    case valueEncoderChannels = "value_encoder_channels"
    case topK = "top_k"
  }
}
