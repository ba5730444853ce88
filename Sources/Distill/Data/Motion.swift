// Where the pixels of a training picture come from: crop, affine motion, thin-plate spline.
// SampleMaker composes them, CAugment carries them out.

import CKernels
import Foundation

/// An affine map of positions in pixels: (x, y) → (a·x + b·y + c, d·x + e·y + f).
struct AffineMap: Equatable {
  var a = 1.0, b = 0.0, c = 0.0
  var d = 0.0, e = 1.0, f = 0.0

  /// First `other`, then this one.
  func after(_ other: AffineMap) -> AffineMap {
    AffineMap(
      a: a * other.a + b * other.d, b: a * other.b + b * other.e,
      c: a * other.c + b * other.f + c,
      d: d * other.a + e * other.d, e: d * other.b + e * other.e,
      f: d * other.c + e * other.f + f)
  }

  /// The inverse map; the linear part must not be singular.
  var inverse: AffineMap {
    let determinant = a * e - b * d
    precondition(determinant != 0, "a singular map")
    let (p, q, r, s) = (e / determinant, -b / determinant, -d / determinant, a / determinant)
    return AffineMap(a: p, b: q, c: -p * c - q * f, d: r, e: s, f: -r * c - s * f)
  }

  /// Where a position goes.
  func callAsFunction(_ x: Double, _ y: Double) -> (x: Double, y: Double) {
    (a * x + b * y + c, d * x + e * y + f)
  }

  /// From positions in a picture to the same places in another one of the same view.
  static func scaling(from: (width: Int, height: Int), to: (width: Int, height: Int)) -> AffineMap {
    let (x, y) = (
      Double(to.width) / Double(from.width), Double(to.height) / Double(from.height)
    )
    return AffineMap(a: x, b: 0, c: (x - 1) / 2, d: 0, e: y, f: (y - 1) / 2)
  }
}

/// Limits of a random motion about the picture's centre.
struct MotionLimits {
  /// Rotation in degrees, both ways.
  var degrees: Double
  /// Natural logarithm of the scale, both ways.
  var scale: Double
  /// Shift as a share of the picture's side, both ways.
  var shift: Double
  /// Horizontal shear, both ways.
  var shear: Double
}

extension AffineMap {
  /// A random motion of a picture of `size` × `size` pixels.
  static func motion(
    _ limits: MotionLimits, size: Int, _ random: inout SampleGenerator
  ) -> AffineMap {
    let angle = random.symmetric(limits.degrees) * .pi / 180
    let scale = exp(random.symmetric(limits.scale))
    let shear = random.symmetric(limits.shear)
    let center = Double(size) / 2
    let a = cos(angle) * scale
    let d = sin(angle) * scale
    let b = a * shear - sin(angle) * scale
    let e = d * shear + cos(angle) * scale
    let x = center + random.symmetric(limits.shift) * Double(size)
    let y = center + random.symmetric(limits.shift) * Double(size)
    return AffineMap(
      a: a, b: b, c: x - a * center - b * center, d: d, e: e, f: y - d * center - e * center)
  }
}

/// A smooth random deformation: displacements on a grid, bilinear in between.
struct ThinPlateSpline {
  /// Pixels between grid points.
  static let step = 16
  /// Grid cells per side.
  let cells: Int
  /// (cells + 1)² pairs (dx, dy) in pixels.
  let displacement: [Float]

  /// The spline through `points` random places of a `size` × `size` picture that are displaced by
  /// `deviation` · size (Bookstein, "Principal Warps", 1989).
  init(size: Int, points: Int, deviation: Double, _ random: inout SampleGenerator) {
    // Positions are measured in picture sides, which keeps the system well conditioned.
    let places = (0..<points).map { _ in (x: random.real(0...1), y: random.real(0...1)) }
    let targets = places.map { _ in
      [random.normal() * deviation, random.normal() * deviation]
    }
    let order = points + 3
    var rows = [[Double]](repeating: [Double](repeating: 0, count: order + 2), count: order)
    for (i, place) in places.enumerated() {
      for (j, other) in places.enumerated() {
        rows[i][j] = Self.kernel(place.x - other.x, place.y - other.y)
      }
      // Bends rather than folds where two points lie close together.
      rows[i][i] += 1e-3
      for (k, value) in [1, place.x, place.y].enumerated() {
        rows[i][points + k] = value
        rows[points + k][i] = value
      }
      rows[i][order] = targets[i][0]
      rows[i][order + 1] = targets[i][1]
    }
    let weights = Self.solution(&rows)
    cells = (size + Self.step - 1) / Self.step
    var displacement: [Float] = []
    displacement.reserveCapacity(2 * (cells + 1) * (cells + 1))
    for row in 0...cells {
      for column in 0...cells {
        let x = Double(column * Self.step) / Double(size)
        let y = Double(row * Self.step) / Double(size)
        for side in 0..<2 {
          var value =
            weights[points][side] + weights[points + 1][side] * x + weights[points + 2][side] * y
          for (j, place) in places.enumerated() {
            value += weights[j][side] * Self.kernel(x - place.x, y - place.y)
          }
          displacement.append(Float(value * Double(size)))
        }
      }
    }
    self.displacement = displacement
  }

  /// r² log r, the spline's kernel up to a factor.
  private static func kernel(_ x: Double, _ y: Double) -> Double {
    let square = x * x + y * y
    return square == 0 ? 0 : square * log(square)
  }

  /// Solves a system with two right-hand sides, appended to its rows, by Gaussian elimination.
  private static func solution(_ rows: inout [[Double]]) -> [[Double]] {
    let order = rows.count
    for column in 0..<order {
      let pivot = (column..<order).max { abs(rows[$0][column]) < abs(rows[$1][column]) } ?? column
      rows.swapAt(column, pivot)
      let divisor = rows[column][column]
      guard abs(divisor) > 1e-12 else { continue }
      for k in column..<order + 2 { rows[column][k] /= divisor }
      for row in 0..<order where row != column {
        let factor = rows[row][column]
        if factor == 0 { continue }
        for k in column..<order + 2 { rows[row][k] -= factor * rows[column][k] }
      }
    }
    return rows.map { [$0[order], $0[order + 1]] }
  }
}

/// From each pixel of a sample to its place in the source picture.
struct Warp {
  /// Side of the sample in pixels.
  let size: Int
  /// From the (deformed) sample to the source.
  let map: AffineMap
  /// Deformation of the sample, if any.
  let spline: ThinPlateSpline?

  /// Calls `body` with the C description of this warp, its source scaled by `scaling`.
  func withDescription<R>(
    scaling: AffineMap = AffineMap(), _ body: (UnsafePointer<vos_warp>) -> R
  ) -> R {
    let full = scaling.after(map)
    var warp = vos_warp()
    warp.m = (full.a, full.b, full.c, full.d, full.e, full.f)
    guard let spline else { return body(&warp) }
    warp.cells = Int32(spline.cells)
    warp.step = Int32(ThinPlateSpline.step)
    return spline.displacement.withUnsafeBufferPointer {
      warp.displacement = $0.baseAddress
      return body(&warp)
    }
  }
}
