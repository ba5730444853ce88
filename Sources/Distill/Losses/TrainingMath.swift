// Elementary functions for losses, which are written once for Float (training) and Double (checks).

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// A number that losses can be computed in.
protocol TrainingScalar: BinaryFloatingPoint {
  static func exponential(_ x: Self) -> Self
  static func logarithm(_ x: Self) -> Self
}

extension Float: TrainingScalar {
  static func exponential(_ x: Float) -> Float { expf(x) }
  static func logarithm(_ x: Float) -> Float { logf(x) }
}

extension Double: TrainingScalar {
  static func exponential(_ x: Double) -> Double { exp(x) }
  static func logarithm(_ x: Double) -> Double { log(x) }
}

enum TrainingMath {
  static func log(_ x: Float) -> Float { logf(x) }
  static func exp(_ x: Float) -> Float { expf(x) }
  static func exp(_ x: Double) -> Double { Double.exponential(x) }
  static func cos(_ x: Double) -> Double { cosine(x) }
  static func power(_ x: Double, _ y: Double) -> Double { pow(x, y) }
}

private func cosine(_ x: Double) -> Double { cos(x) }
