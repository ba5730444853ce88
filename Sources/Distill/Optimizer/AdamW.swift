// From gradients to new parameters. The trainer calls after TrainingStep and the clipping of gradients.

import CKernels
import MemoryVOS

/// AdamW with a learning rate per group of parameters.
///
/// Loshchilov and Hutter, Decoupled Weight Decay Regularization, ICLR 2019, algorithm 2:
///
///     p ← p (1 - rate · decay)
///     m ← β₁ m + (1 - β₁) g,  v ← β₂ v + (1 - β₂) g²
///     p ← p - rate · m / (1 - β₁ⁿ) / (√(v / (1 - β₂ⁿ)) + ε)
public struct AdamW: Sendable {
  /// Choices of the optimizer; the defaults are the prototype's.
  public struct Configuration: Sendable, Hashable, Codable {
    /// β₁.
    public var beta1: Float = 0.9
    /// β₂.
    public var beta2: Float = 0.999
    /// ε.
    public var epsilon: Float = 1e-8
    /// Decay per step, times the learning rate.
    public var weightDecay: Float = 1e-4
    /// Factors on the learning rate of parameters by the prefix of their names.
    ///
    /// The first that fits counts, others have 1. The pretrained image encoder learns more slowly.
    public var groups: [Group] = [.init(prefix: "k.", rate: 0.3)]

    /// Parameters whose names begin alike.
    public struct Group: Sendable, Hashable, Codable {
      /// What the names begin with.
      public var prefix: String
      /// The factor on the learning rate.
      public var rate: Float

      /// A group.
      public init(prefix: String, rate: Float) {
        self.prefix = prefix
        self.rate = rate
      }
    }

    /// The prototype's optimizer.
    public init() {}

    /// Reads the keys that are there and takes the defaults for the others.
    public init(from decoder: any Decoder) throws {
      let values = try decoder.container(keyedBy: CodingKeys.self)
      let defaults = Self()
      beta1 = try values.decodeIfPresent(Float.self, forKey: .beta1) ?? defaults.beta1
      beta2 = try values.decodeIfPresent(Float.self, forKey: .beta2) ?? defaults.beta2
      epsilon = try values.decodeIfPresent(Float.self, forKey: .epsilon) ?? defaults.epsilon
      weightDecay =
        try values.decodeIfPresent(Float.self, forKey: .weightDecay) ?? defaults.weightDecay
      groups = try values.decodeIfPresent([Group].self, forKey: .groups) ?? defaults.groups
    }

    enum CodingKeys: String, CodingKey, CaseIterable {
      case beta1
      case beta2
      case epsilon
      case weightDecay = "weight_decay"
      case groups
    }

    /// What makes this impossible, or `nil`.
    public var problem: String? {
      guard (0..<1).contains(beta1), (0..<1).contains(beta2) else {
        return "beta1 \(beta1), beta2 \(beta2), not in 0..<1"
      }
      guard epsilon > 0, epsilon.isFinite else { return "epsilon \(epsilon)" }
      guard weightDecay >= 0, weightDecay.isFinite else { return "weight_decay \(weightDecay)" }
      guard groups.allSatisfy({ $0.rate >= 0 && $0.rate.isFinite }) else {
        return "a negative rate of a group"
      }
      return nil
    }
  }

  /// The choices.
  public let configuration: Configuration
  /// Steps taken, n in the bias corrections.
  public var steps = 0
  /// First moments m.
  public var moments: ParameterSet
  /// Second moments v.
  public var squares: ParameterSet

  /// An optimizer at its first step, for parameters like `parameters`.
  public init(_ parameters: ParameterSet, configuration: Configuration = .init()) {
    precondition(configuration.problem == nil, configuration.problem ?? "")
    self.configuration = configuration
    moments = parameters
    for index in moments.scalars.indices { moments.scalars[index] = 0 }
    squares = moments
  }

  /// Takes one step; `learningRate` is that of groups with factor 1.
  public mutating func update(
    _ parameters: inout ParameterSet, gradients: ParameterSet, learningRate: Float
  ) {
    precondition(
      parameters.entries == moments.entries && gradients.entries == moments.entries,
      "parameters of another network")
    steps += 1
    let choice = configuration
    let c1 = Float(1 - TrainingMath.power(Double(choice.beta1), Double(steps)))
    let c2 = Float(1 - TrainingMath.power(Double(choice.beta2), Double(steps)))
    let isa = (try? InstructionSet.preferred()) ?? .scalar
    guard let kernels = vos_training_kernels_for(Kernels(isa).table.isa)?.pointee else { return }
    for entry in moments.entries {
      let group = choice.groups.first { entry.name.hasPrefix($0.prefix) }
      let range = entry.range
      gradients.scalars.withUnsafeBufferPointer { g in
        parameters.scalars.withUnsafeMutableBufferPointer { p in
          moments.scalars.withUnsafeMutableBufferPointer { m in
            squares.scalars.withUnsafeMutableBufferPointer { v in
              guard let g = g.baseAddress, let p = p.baseAddress, let m = m.baseAddress,
                let v = v.baseAddress
              else { return }
              let first = range.lowerBound
              kernels.adamw(
                range.count, g + first, learningRate * (group?.rate ?? 1), choice.weightDecay,
                choice.beta1, choice.beta2, choice.epsilon, c1, c2, p + first, m + first,
                v + first)
            }
          }
        }
      }
    }
  }
}
