// Which network a checkpoint holds. Stored as JSON in the checkpoint's metadata; docs/CONFIGURATIONS.md
// shows what the parts cost.

/// Sizes and options of a network.
///
/// One immutable value; the defaults are the prototype of `vos-mobile`, as are those of checkpoints that
/// leave values out.
public struct NetworkConfiguration: Sendable, Hashable, Codable {
  /// What computes the image's features.
  public enum Encoder: String, Sendable, Codable, CaseIterable {
    /// MobileNetV2's first 14 blocks (Sandler et al., CVPR 2018), and `contextBlocks` more.
    case mobileNetV2 = "mobilenet_v2"
    /// ResNet-18 up to stride 16 (He et al., CVPR 2016), normalising the image as ImageNet's weights
    /// expect: for teachers.
    case resNet18 = "resnet18"
  }

  /// What computes the image's features.
  public var encoder = Encoder.mobileNetV2
  /// Multiplies the channels of MobileNetV2, rounded as its authors do; pretrained weights are of 1.
  public var encoderWidth = 1.0
  /// Channels of a key, 64 as in STCN.
  public var keyChannels = 64
  /// Channels of a memory value, a quarter of STCN's.
  public var valueChannels = 128
  /// Channels of the decoder at stride 16, 8 and 4.
  public var decoderChannels = [128, 64, 32]
  /// Channels of the value encoder: mask stem, stride 4, stride 8.
  public var valueEncoderChannels = [16, 48, 96]
  /// Multiplies `decoderChannels` and `valueEncoderChannels`, rounded as `encoderWidth` does.
  public var decoderWidth = 1.0
  /// Dilations of an atrous pyramid in front of the decoder, such as 1, 3, 6; empty: it has none.
  public var asppRates: [Int] = []
  /// Blocks of MobileNetV2 after those at stride 16, up to 3, whose features at stride 32 are added to
  /// those at stride 16; 0: none.
  public var contextBlocks = 0
  /// Channels of the refinement head at half resolution; 0: the network has none.
  public var refinementChannels = 0
  /// Entries per query that the memory read keeps; 0 keeps all.
  public var topK = 30
  /// Deviation, in positions of 16 pixels, of the Gaussian around each query that weighs what the
  /// memory read takes from the newest frame; 0: none.
  public var locality = 0.0
  /// What the memory read adds to the scores of objects in predicted frames.
  public var objectBias = ObjectBias()
  /// Frames that a tracker keeps in memory unless it is told otherwise, the first included.
  public var memoryFrames = 2

  /// The configuration of the prototype of `vos-mobile`.
  public init() {}

  /// Reads the keys that are there and takes the defaults for the others.
  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    let defaults = Self()
    func read<T: Decodable>(_ key: CodingKeys, _ value: T) throws -> T {
      try values.decodeIfPresent(T.self, forKey: key) ?? value
    }
    encoder = try read(.encoder, defaults.encoder)
    encoderWidth = try read(.encoderWidth, defaults.encoderWidth)
    keyChannels = try read(.keyChannels, defaults.keyChannels)
    valueChannels = try read(.valueChannels, defaults.valueChannels)
    decoderChannels = try read(.decoderChannels, defaults.decoderChannels)
    valueEncoderChannels = try read(.valueEncoderChannels, defaults.valueEncoderChannels)
    decoderWidth = try read(.decoderWidth, defaults.decoderWidth)
    asppRates = try read(.asppRates, defaults.asppRates)
    contextBlocks = try read(.contextBlocks, defaults.contextBlocks)
    refinementChannels = try read(.refinementChannels, defaults.refinementChannels)
    topK = try read(.topK, defaults.topK)
    locality = try read(.locality, defaults.locality)
    objectBias = try read(.objectBias, defaults.objectBias)
    memoryFrames = try read(.memoryFrames, defaults.memoryFrames)
  }

  /// Pixels of the network's input between the coarsest positions: both sides of the input are
  /// multiples of it.
  public var stride: Int { encoder == .mobileNetV2 && contextBlocks > 0 ? 32 : 16 }

  /// Channels of the features before the last layer, at stride 4.
  public var featureChannels: Int { scaledDecoderChannels.last ?? 0 }

  var scaledDecoderChannels: [Int] {
    decoderChannels.map { MobileNetV2.scaled($0, by: decoderWidth) }
  }

  var scaledValueEncoderChannels: [Int] {
    valueEncoderChannels.map { MobileNetV2.scaled($0, by: decoderWidth) }
  }

  /// What makes a network of this configuration impossible, or `nil`.
  public var problem: String? {
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
    for (key, width) in [("encoder_width", encoderWidth), ("decoder_width", decoderWidth)] {
      guard (0.1...4).contains(width) else { return "\(key) \(width), not in 0.1…4" }
    }
    guard encoder == .mobileNetV2 || encoderWidth == 1 else {
      return "encoder_width \(encoderWidth): only mobilenet_v2 has widths"
    }
    guard (0...3).contains(contextBlocks) else {
      return "context_blocks \(contextBlocks), not in 0…3"
    }
    guard encoder == .mobileNetV2 || contextBlocks == 0 else {
      return "context_blocks \(contextBlocks): only mobilenet_v2 has them"
    }
    guard asppRates.count <= 8, Set(asppRates).count == asppRates.count,
      asppRates.allSatisfy({ (1...64).contains($0) })
    else { return "aspp_rates \(asppRates), not up to 8 different ones in 1…64" }
    guard (0...4096).contains(refinementChannels) else {
      return "refinement_channels \(refinementChannels), not in 0…4096"
    }
    guard (0...65536).contains(topK) else { return "top_k \(topK), not in 0…65536" }
    guard (1...1024).contains(memoryFrames) else {
      return "memory_frames \(memoryFrames), not in 1…1024"
    }
    guard locality == 0 || (0.1...1000).contains(locality) else {
      return "locality \(locality), neither 0 nor in 0.1…1000"
    }
    guard objectBias.isPossible else { return "object_bias \(objectBias), not all in -20…20" }
    return nil
  }

  enum CodingKeys: String, CodingKey {
    case encoder
    case encoderWidth = "encoder_width"
    case keyChannels = "key_channels"
    case valueChannels = "value_channels"
    case decoderChannels = "decoder_channels"
    case valueEncoderChannels = "value_encoder_channels"
    case decoderWidth = "decoder_width"
    case asppRates = "aspp_rates"
    case contextBlocks = "context_blocks"
    case refinementChannels = "refinement_channels"
    case topK = "top_k"
    case locality
    case objectBias = "object_bias"
    case memoryFrames = "memory_frames"
  }
}

extension NetworkConfiguration {
  /// The names that `init(preset:)` knows.
  public static let presets = [
    "vos-mobile", "vos-mobile-lite", "vos-mobile-base", "vos-mobile-plus", "vos-teacher",
  ]

  /// A configuration by its name; `nil` for others than `presets`.
  ///
  /// All read the newest frame nearby, correct for errors of predicted masks (`objectBias`) and keep
  /// three frames in memory; all but `vos-mobile-base` and
  /// `vos-teacher` have features at stride 32. `vos-mobile-lite` has a decoder of half the channels,
  /// `vos-mobile-plus` an atrous pyramid and a refinement head; `vos-teacher` has a ResNet-18, wide
  /// values and decoder, and both.
  public init?(preset: String) {
    locality = 6
    (objectBias.newest, objectBias.older) = (0.4, -0.5)
    (objectBias.newestOfSeveral, objectBias.olderOfSeveral) = (0.25, -1)
    memoryFrames = 3
    contextBlocks = 3
    switch preset {
    case "vos-mobile": break
    case "vos-mobile-lite": decoderChannels = [64, 32, 16]
    case "vos-mobile-base": contextBlocks = 0
    case "vos-mobile-plus":
      asppRates = [1, 3, 6]
      refinementChannels = 16
    case "vos-teacher":
      encoder = .resNet18
      contextBlocks = 0
      valueChannels = 256
      decoderChannels = [256, 128, 64]
      valueEncoderChannels = [32, 96, 192]
      asppRates = [1, 3, 6]
      refinementChannels = 16
    default: return nil
    }
  }
}
