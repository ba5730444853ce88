// Draws bodies of ellipsoids: hidden surfaces, light, pictures on them. RenderedPieces calls it for each
// frame.

import CKernels
import Foundation
import MemoryVOS

/// Light from one side, and from everywhere.
struct Light {
  private let direction: SIMD3<Double>
  private let ambient: Double

  init(_ random: inout SampleGenerator) {
    var direction = random.vector()
    direction.z = -abs(direction.z) - 0.5
    self.direction = direction / (direction * direction).sum().squareRoot()
    ambient = random.real(0.55...1)
  }

  /// Factor on the colour of a surface with this normal.
  func callAsFunction(_ normal: SIMD3<Double>) -> Double {
    ambient + (1 - ambient) * 1.3 * min(max((normal * direction).sum(), 0), 1)
  }
}

/// A picture and its labels, on which bodies are drawn one over the other.
struct Canvas {
  let side: Int
  var image: [UInt8]
  var labels: [UInt8]

  init(side: Int, image: [UInt8]) {
    self.side = side
    self.image = image
    labels = [UInt8](repeating: 0, count: side * side)
  }

  /// Draws one body: nearer parts hide others, edges are smooth.
  mutating func draw(
    _ parts: [BodyPart.Placed], pictures: [Frame], light: Light, brightness: Double,
    label: UInt8
  ) {
    var front = image
    var mask = [UInt8](repeating: 0, count: side * side)
    var depths = [Double](repeating: .infinity, count: side * side)
    for part in parts {
      let frame = pictures[part.texture.picture]
      Ellipsoid(part).forEachPixel(side: side) { pixel, depth, normal, local in
        guard depth < depths[pixel] else { return }
        depths[pixel] = depth
        mask[pixel] = 1
        let u = atan2(local.y, local.z) / .pi * part.texture.repeats.x + part.texture.offset.x
        let v = local.x / 2 * part.texture.repeats.y + part.texture.offset.y
        let color = frame.color(u, v) * Float(light(normal) * brightness)
        for channel in 0..<3 {
          front[3 * pixel + channel] = UInt8(min(max(color[channel], 0), 255))
        }
      }
    }
    for pixel in mask.indices where mask[pixel] != 0 { labels[pixel] = label }
    image.withUnsafeMutableBufferPointer {
      vos_paste_rgb(front, mask, Int32(side), Int32(side), $0.baseAddress)
    }
  }
}

/// The visible side of an ellipsoid, seen from far away along z.
struct Ellipsoid {
  private let part: BodyPart.Placed
  private let inverse: Rotation
  /// The symmetric matrix Q of xᵀQx = 1, row by row.
  private let rows: (SIMD3<Double>, SIMD3<Double>, SIMD3<Double>)
  /// Half the width and height of what it covers.
  private let reach: SIMD2<Double>

  init(_ part: BodyPart.Placed) {
    self.part = part
    inverse = part.rotation.transposed
    let (x, y, z) = part.rotation.rows
    let weights = 1 / (part.radii * part.radii)
    func product(_ a: SIMD3<Double>, _ b: SIMD3<Double>) -> Double { (a * weights * b).sum() }
    rows = (
      SIMD3(product(x, x), product(x, y), product(x, z)),
      SIMD3(product(y, x), product(y, y), product(y, z)),
      SIMD3(product(z, x), product(z, y), product(z, z))
    )
    let squares = part.radii * part.radii
    reach = SIMD2((x * x * squares).sum().squareRoot(), (y * y * squares).sum().squareRoot())
  }

  /// Calls `body` with each pixel of a `side` × `side` picture that it covers: the surface's depth, its
  /// normal, and its position on the unit sphere that the ellipsoid was.
  func forEachPixel(
    side: Int,
    _ body: (_ pixel: Int, _ depth: Double, _ normal: SIMD3<Double>, _ local: SIMD3<Double>) -> Void
  ) {
    let limit = Double(side - 1)
    let (left, right) = (part.center.x - reach.x, part.center.x + reach.x)
    let (top, bottom) = (part.center.y - reach.y, part.center.y + reach.y)
    guard right >= 0, bottom >= 0, left <= limit, top <= limit else { return }
    let columns = Int(max(left, 0).rounded(.up))...Int(min(right, limit).rounded(.up))
    for row in Int(max(top, 0).rounded(.up))...Int(min(bottom, limit).rounded(.up)) {
      let y = Double(row) - part.center.y
      for column in columns {
        let x = Double(column) - part.center.x
        // a·z² + 2·b·z + c = 0, and the nearer root.
        let b = rows.0.z * x + rows.1.z * y
        let c = rows.0.x * x * x + 2 * rows.0.y * x * y + rows.1.y * y * y - 1
        let square = b * b - rows.2.z * c
        guard square > 0 else { continue }
        let z = (-b - square.squareRoot()) / rows.2.z
        let point = SIMD3(x, y, z)
        let gradient = SIMD3(
          (rows.0 * point).sum(), (rows.1 * point).sum(), (rows.2 * point).sum())
        body(
          row * side + column, z + part.center.z,
          gradient / (gradient * gradient).sum().squareRoot(), inverse * point / part.radii)
      }
    }
  }
}

extension Frame {
  /// The colour at (u, v), 0…1 from border to border and mirrored beyond, bilinear; 0…255.
  func color(_ u: Double, _ v: Double) -> SIMD3<Float> {
    let x = Self.mirrored(u) * Double(size.width - 1)
    let y = Self.mirrored(v) * Double(size.height - 1)
    let (column, row) = (Int(x), Int(y))
    let (right, below) = (min(column + 1, size.width - 1), min(row + 1, size.height - 1))
    let (wx, wy) = (Float(x - Double(column)), Float(y - Double(row)))
    func pixel(_ column: Int, _ row: Int) -> SIMD3<Float> {
      let index = 3 * (row * size.width + column)
      return SIMD3(Float(pixels[index]), Float(pixels[index + 1]), Float(pixels[index + 2]))
    }
    let upper = pixel(column, row) * (1 - wx) + pixel(right, row) * wx
    let lower = pixel(column, below) * (1 - wx) + pixel(right, below) * wx
    return upper * (1 - wy) + lower * wy
  }

  /// A triangle wave from 0 at 0 to 1 at 1 and back.
  private static func mirrored(_ value: Double) -> Double {
    let turn = abs(value.truncatingRemainder(dividingBy: 2))
    return turn <= 1 ? turn : 2 - turn
  }
}
