// What computes: recorded with every benchmark, since a time without its machine says nothing.

import COpenBLAS
import Foundation

/// The computer and the choices made for it.
public struct Machine: Sendable, Codable {
  /// The processor's name, as the system gives it.
  public var processor = Machine.processorName()
  /// Cores that the system offers.
  public var cores = ThreadPool.coreCount
  /// SIMD variants that work here, slowest first.
  public var instructionSets = InstructionSet.supported.map(\.rawValue)
  /// The variant that a tracker takes by itself (`VOS_ISA` included).
  public var instructionSet = (try? InstructionSet.preferred().rawValue) ?? "none"
  /// The kernels that OpenBLAS chose.
  public var openBLASCore = openblas_get_corename().map { String(cString: $0) } ?? "unknown"

  /// This machine.
  public init() {}

  /// The most memory that this process ever had, in bytes.
  public static var peakMemory: Int {
    var usage = rusage()
    #if canImport(Darwin)
    getrusage(RUSAGE_SELF, &usage)
    return usage.ru_maxrss
    #else
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return usage.ru_maxrss * 1024  // Linux counts kibibytes.
    #endif
  }

  private static func processorName() -> String {
    guard let text = try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8) else {
      return "unknown"
    }
    let lines = text.split(separator: "\n")
    let line = lines.first { $0.hasPrefix("model name") || $0.hasPrefix("Model") }
    return line?.split(separator: ":", maxSplits: 1).last
      .map { $0.trimmingCharacters(in: .whitespaces) } ?? "unknown"
  }
}
