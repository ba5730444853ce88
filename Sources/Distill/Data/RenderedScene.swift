// What happens in a rendered sample: bodies of ellipsoids with limbs, how they turn and move, and the
// camera. RenderedPieces draws it.

import Foundation

/// A smooth random curve: three sines, each weaker than the one before.
struct RandomCurve {
  private let amplitudes: [SIMD3<Double>]
  private let frequencies: [SIMD3<Double>]
  private let phases: [SIMD3<Double>]

  /// A curve of about `amplitude` about zero; the slowest sine turns by about `speed` in a frame.
  init(amplitude: Double, speed: Double, _ random: inout SampleGenerator) {
    let orders = [1.0, 2, 3]
    amplitudes = orders.map { random.vector() * amplitude / $0 }
    frequencies = orders.map { order in
      SIMD3(indices: { _ in speed * order * random.real(0.5...1.2) })
    }
    phases = orders.map { _ in SIMD3(indices: { _ in random.real(0...2 * .pi) }) }
  }

  /// The position at a time in frames.
  func callAsFunction(_ time: Double) -> SIMD3<Double> {
    var position = SIMD3<Double>()
    for order in amplitudes.indices {
      let angles = frequencies[order] * time + phases[order]
      position += amplitudes[order] * SIMD3(indices: { sin(angles[$0]) })
    }
    return position
  }
}

/// An ellipsoid of a body.
struct BodyPart {
  /// Half axes in pixels.
  var radii: SIMD3<Double>
  /// The part it is joined to, `nil` for the trunk.
  var parent: Int?
  /// Where on the parent: a direction from its centre.
  var joint: SIMD3<Double>
  /// Attitude against the parent.
  var attitude: Rotation
  /// It swings about this axis, by this angle, this far in a frame, from this phase on.
  var swing: (axis: SIMD3<Double>, angle: Double, speed: Double, phase: Double)
  /// The picture on it: its number, where it begins and how many fit along each half.
  var texture: (picture: Int, offset: SIMD2<Double>, repeats: SIMD2<Double>)

  /// A part where it is at some time; z grows away from the camera.
  struct Placed {
    var rotation: Rotation
    var center: SIMD3<Double>
    var radii: SIMD3<Double>
    var texture: (picture: Int, offset: SIMD2<Double>, repeats: SIMD2<Double>)
  }
}

/// A trunk with limbs that swing, turning and moving as a whole.
struct Body {
  var parts: [BodyPart]
  private let attitude: Rotation
  private let axis: SIMD3<Double>
  private let spin: Double
  private let tilt: RandomCurve
  private let start: SIMD2<Double>
  private let velocity: SIMD2<Double>
  private let path: RandomCurve
  private let zoom: RandomCurve
  /// Factor on its brightness.
  let brightness: Double

  /// A body in a picture of `side` pixels, with these pictures on it, of the form of `other` if any.
  init(side: Double, pictures: [Int], like other: Body?, _ random: inout SampleGenerator) {
    let size = side * exp(random.real(log(0.06)...log(0.32)))
    let number = 1 + random.weighted([10, 25, 45, 65, 80, 90, 95, 100])
    parts =
      other?.parts
      ?? (0..<number).map { Self.part($0, size: size, pictures: pictures, &random) }
    attitude = .random(&random)
    axis = random.direction()
    spin = Double(random.weighted([20, 60, 85, 100])) * random.real(0.02...0.12)
    tilt = RandomCurve(amplitude: 0.3, speed: 0.15, &random)
    start = side * SIMD2(random.real(0.2...0.8), random.real(0.2...0.8))
    let speed = [0, 0.007, 0.02, 0.04][random.weighted([30, 65, 90, 100])] * side
    velocity = speed * SIMD2(random.normal(), random.normal())
    path = RandomCurve(
      amplitude: random.real(0...0.09) * side, speed: random.real(0.05...0.3), &random)
    zoom = RandomCurve(amplitude: 0.15, speed: 0.12, &random)
    brightness = random.real(0.85...1.15)
  }

  private static func part(
    _ index: Int, size: Double, pictures: [Int], _ random: inout SampleGenerator
  ) -> BodyPart {
    var radii: SIMD3<Double>
    if index == 0 {
      radii = SIMD3(indices: { _ in random.real(0.5...1) })
      radii.x *= random.real(0.6...1.6)
    } else {
      let across = random.chance(0.5) ? 0.06...0.3 : 0.25...0.8
      radii = SIMD3(random.real(0.5...1.6), random.real(across), random.real(across))
      radii *= random.real(0.5...0.9)
      if random.chance(0.25) {
        // A string, one to four pixels wide.
        let half = random.real(0.6...2) / size
        radii = SIMD3(random.real(1...3), half, half)
      }
    }
    return BodyPart(
      radii: radii * size, parent: index == 0 ? nil : random.index(index),
      joint: random.direction(), attitude: .random(&random),
      swing: (
        random.direction(), random.chance(0.7) ? random.real(0...0.9) : 0, random.real(0.1...0.6),
        random.real(0...2 * .pi)
      ),
      texture: (
        pictures[random.index(pictures.count)], SIMD2(random.real(0...1), random.real(0...1)),
        SIMD2(random.real(0.3...1.5), random.real(0.3...1.5))
      ))
  }

  /// Its parts at a time in frames, in a picture of `side` pixels from whose borders it bounces.
  func placed(at time: Double, side: Double) -> [BodyPart.Placed] {
    let way = path(time)
    var center = start + velocity * time + SIMD2(way.x, way.y)
    for axis in 0..<2 {
      let turn = abs(center[axis].truncatingRemainder(dividingBy: 2 * side))
      center[axis] = turn < side ? turn : 2 * side - turn
    }
    let scale = exp(zoom(time).x)
    let lean = tilt(time)
    let whole =
      Rotation(axis: SIMD3(1, 0, 0), angle: lean.x) * Rotation(axis: SIMD3(0, 1, 0), angle: lean.y)
      * Rotation(axis: axis, angle: spin * time) * attitude
    var placed: [BodyPart.Placed] = []
    for part in parts {
      let (axis, angle, speed, phase) = part.swing
      let local = Rotation(axis: axis, angle: angle * sin(speed * time + phase)) * part.attitude
      var (rotation, position) = (whole * local, SIMD3<Double>())
      if let parent = part.parent {
        let base = placed[parent]
        rotation = base.rotation * local
        let joint = base.center + base.rotation * (parts[parent].radii * part.joint * 0.9)
        position = joint + rotation * SIMD3(part.radii.x * 0.85, 0, 0)
      }
      placed.append(
        .init(rotation: rotation, center: position, radii: part.radii, texture: part.texture))
    }
    return placed.map {
      .init(
        rotation: $0.rotation, center: SIMD3(center.x, center.y, 0) + $0.center * scale,
        radii: $0.radii * scale, texture: $0.texture)
    }
  }
}

/// A rotation of space.
struct Rotation {
  /// Its rows.
  let rows: (SIMD3<Double>, SIMD3<Double>, SIMD3<Double>)

  private init(_ x: SIMD3<Double>, _ y: SIMD3<Double>, _ z: SIMD3<Double>) { rows = (x, y, z) }

  /// By `angle` radians about an axis of length 1 (Rodrigues' formula).
  init(axis: SIMD3<Double>, angle: Double) {
    let (c, s) = (cos(angle), sin(angle))
    let (x, y, z) = (axis.x, axis.y, axis.z)
    let a = axis * (1 - c)
    self.init(
      SIMD3(c + x * a.x, y * a.x - z * s, z * a.x + y * s),
      SIMD3(x * a.y + z * s, c + y * a.y, z * a.y - x * s),
      SIMD3(x * a.z - y * s, y * a.z + x * s, c + z * a.z))
  }

  static func random(_ random: inout SampleGenerator) -> Rotation {
    Rotation(axis: random.direction(), angle: random.real(0...(.pi)))
  }

  /// The inverse.
  var transposed: Rotation {
    let (x, y, z) = rows
    return Rotation(SIMD3(x.x, y.x, z.x), SIMD3(x.y, y.y, z.y), SIMD3(x.z, y.z, z.z))
  }

  static func * (left: Rotation, right: SIMD3<Double>) -> SIMD3<Double> {
    SIMD3(
      (left.rows.0 * right).sum(), (left.rows.1 * right).sum(), (left.rows.2 * right).sum())
  }

  /// First `right`, then `left`.
  static func * (left: Rotation, right: Rotation) -> Rotation {
    let columns = right.transposed.rows
    return Rotation(left * columns.0, left * columns.1, left * columns.2).transposed
  }
}

extension SIMD3<Double> {
  init(indices value: (Int) -> Double) { self.init(value(0), value(1), value(2)) }
}

extension SampleGenerator {
  /// Three independent normal numbers.
  mutating func vector() -> SIMD3<Double> { SIMD3(normal(), normal(), normal()) }

  /// A uniform direction.
  mutating func direction() -> SIMD3<Double> {
    let vector = vector()
    let length = (vector * vector).sum().squareRoot()
    return length > 1e-6 ? vector / length : SIMD3(1, 0, 0)
  }
}
