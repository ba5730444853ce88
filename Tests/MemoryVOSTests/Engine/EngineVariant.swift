import Testing

@testable import MemoryVOS

/// A way to run the network: every variant must agree with the reference.
struct EngineVariant: CustomTestStringConvertible, Sendable {
  let instructionSet: InstructionSet
  let fusesChains: Bool
  let threads: Int

  var testDescription: String {
    "\(instructionSet.rawValue), \(fusesChains ? "fused" : "plain"), \(threads) threads"
  }

  static let all =
    InstructionSet.supported.map { Self(instructionSet: $0, fusesChains: true, threads: 2) }
    + [
      .init(instructionSet: .scalar, fusesChains: false, threads: 1),
      .init(
        instructionSet: InstructionSet.supported.last ?? .scalar, fusesChains: true, threads: 3),
    ]
}
