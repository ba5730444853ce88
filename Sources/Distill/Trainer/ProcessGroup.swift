// Data-parallel training: processes that each train on their share of every batch and add up their
// gradients. Trainer calls; `vos-cli train` chooses the group.

import Foundation

/// The processes that train one network together.
///
/// Every process calls the same methods in the same order.
public protocol ProcessGroup: Sendable {
  /// This process's number, from 0; process 0 writes the results.
  var rank: Int { get }
  /// Number of processes.
  var size: Int { get }
  /// Replaces values by their sums over all processes, the same bits in each.
  func sum(_ values: inout [Float])
  /// Replaces values by their sums over all processes, the same bits in each.
  func sum(_ values: inout [Double])
  /// Replaces bytes by those of process 0.
  func broadcast(_ bytes: UnsafeMutableRawBufferPointer)
  /// Ends all processes: this one cannot go on, and the others would wait for it for ever.
  func abort() -> Never
  /// Leaves the others at the end of the work; nothing else is called afterwards.
  func leave()
}

extension ProcessGroup {
  /// Whether this process reports and writes results.
  public var isFirst: Bool { rank == 0 }

  /// Replaces values by those of process 0.
  func broadcast<Element: BitwiseCopyable>(_ values: inout [Element]) {
    values.withUnsafeMutableBytes { broadcast($0) }
  }

  /// Replaces values by their means over all processes.
  func average(_ values: inout [Float]) {
    guard size > 1 else { return }
    sum(&values)
    let share = 1 / Float(size)
    for index in values.indices { values[index] *= share }
  }

  /// The losses of the whole batch: means over all processes.
  func average(_ losses: StepLosses) -> StepLosses {
    guard size > 1 else { return losses }
    var values = StepLosses.parts.map { losses[keyPath: $0] }
    sum(&values)
    var result = losses
    for (part, value) in zip(StepLosses.parts, values) {
      result[keyPath: part] = value / Double(size)
    }
    return result
  }

  /// Whether all processes have the same number as process 0; the same answer in each.
  func agrees(on number: UInt64) -> Bool {
    guard size > 1 else { return true }
    var first = [number]
    broadcast(&first)
    var differing = [first[0] == number ? 0.0 : 1.0]
    sum(&differing)
    return differing[0] == 0
  }
}

extension StepLosses {
  fileprivate static var parts: [WritableKeyPath<StepLosses, Double>] {
    [
      \.total, \.crossEntropy, \.dice, \.distillation, \.representation, \.regression, \.overlap,
    ]
  }
}

/// One process on its own.
public struct SingleProcess: ProcessGroup {
  /// 0.
  public var rank: Int { 0 }
  /// 1.
  public var size: Int { 1 }

  /// The only process.
  public init() {}

  /// Nothing to add.
  public func sum(_ values: inout [Float]) {}
  /// Nothing to add.
  public func sum(_ values: inout [Double]) {}
  /// Nothing to replace.
  public func broadcast(_ bytes: UnsafeMutableRawBufferPointer) {}
  /// Ends the process with status 1.
  public func abort() -> Never { exit(1) }
  /// Nobody to leave.
  public func leave() {}
}

/// FNV-1a (Fowler, Noll and Vo) of the bytes of values.
enum Checksum {
  static func of<Element: BitwiseCopyable>(_ values: [Element]) -> UInt64 {
    values.withUnsafeBytes { bytes in
      bytes.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    }
  }
}
