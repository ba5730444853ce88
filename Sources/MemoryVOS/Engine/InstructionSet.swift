// Which SIMD variant of the kernels runs. Asked once; everybody else gets a `Kernels`.

package import CKernels

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// A family of vector instructions that the kernels are written for.
public enum InstructionSet: String, Sendable, CaseIterable {
  /// Plain C: the specification of the others.
  case scalar
  /// AVX2 and FMA (Intel since Haswell, AMD since Zen).
  case avx2
  /// AVX2 with integer dot products (AVX-VNNI: Intel since Alder Lake, AMD since Zen 5).
  case avxvnni
  /// AVX-512 F, BW, VL, DQ.
  case avx512
  /// AVX-512 with integer dot products (AVX-512 VNNI).
  case avx512vnni
  /// Advanced SIMD of arm64.
  case neon
  /// Advanced SIMD with integer dot products (FEAT_DotProd).
  case neondot

  /// Whether this build, this CPU and its operating system can run it.
  public var isSupported: Bool {
    vos_kernels_for(identifier) != nil && vos_int8_kernels_for(integerIdentifier) != nil
  }

  /// What this machine supports, the fastest last.
  public static var supported: [InstructionSet] { allCases.filter(\.isSupported) }

  /// The fastest supported one, or what the environment variable `VOS_ISA` asks for.
  ///
  /// - Throws: `EngineError` when `VOS_ISA` names something unknown or unsupported here.
  public static func preferred() throws(EngineError) -> InstructionSet {
    let best = supported.last ?? .scalar
    guard let override = getenv("VOS_ISA").map({ String(cString: $0) }), !override.isEmpty else {
      return best
    }
    guard let chosen = InstructionSet(rawValue: override), chosen.isSupported else {
      let names = supported.map(\.rawValue).joined(separator: ", ")
      throw EngineError("VOS_ISA=\(override): this CPU and build support \(names)")
    }
    return chosen
  }

  var identifier: vos_isa {
    switch self {
    case .scalar: VOS_ISA_SCALAR
    case .avx2, .avxvnni: VOS_ISA_AVX2
    case .avx512, .avx512vnni: VOS_ISA_AVX512
    case .neon, .neondot: VOS_ISA_NEON
    }
  }

  private var integerIdentifier: vos_int8_isa {
    switch self {
    case .scalar: VOS_INT8_SCALAR
    case .avx2, .avx512: VOS_INT8_AVX2
    case .avxvnni: VOS_INT8_AVXVNNI
    case .avx512vnni: VOS_INT8_AVX512VNNI
    case .neon: VOS_INT8_NEON
    case .neondot: VOS_INT8_NEONDOT
    }
  }

  /// The integer kernels; `nil` when not supported.
  var integerKernels: vos_int8_kernels? { vos_int8_kernels_for(integerIdentifier)?.pointee }
}

/// The engine cannot run as asked: an unusable instruction set, size or thread count.
public struct EngineError: Error, Sendable, CustomStringConvertible {
  /// What was asked, what is possible.
  public let description: String

  init(_ description: String) { self.description = description }
}

/// The kernel tables of one instruction set.
package struct Kernels: @unchecked Sendable {  // safe: points at a constant of the C library
  package let table: vos_kernels
  package let integers: vos_int8_kernels
  package let instructionSet: InstructionSet

  /// The kernels of a supported instruction set; traps when it is not supported.
  package init(_ instructionSet: InstructionSet) {
    guard let table = vos_kernels_for(instructionSet.identifier),
      let integers = instructionSet.integerKernels
    else { preconditionFailure("\(instructionSet) is not supported here") }
    self.table = table.pointee
    self.integers = integers
    self.instructionSet = instructionSet
  }
}
