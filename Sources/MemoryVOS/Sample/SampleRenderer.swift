// Draws the synthetic clips: a landscape, then sprites from back to front, each a union of rounded
// parts with a distance function. The label of a pixel is the front-most shape that contains its
// centre; its colour is blended over one pixel at the shape's edge. SampleScene describes the frames.

import Foundation

/// A rounded stroke from `a` to `b`, its radius going from `startRadius` to `endRadius`.
///
/// In world units: the picture is one unit high.
struct SamplePart: Sendable {
  var a: SIMD2<Float>
  var b: SIMD2<Float>
  var startRadius: Float
  var endRadius: Float
  /// Brightness of this part: the far legs of an animal are darker.
  var shade: Float = 1
  /// A ball turned by this angle instead of a stroke.
  var roll: Float?
}

/// One shape: its parts, its texture, and the label of its pixels (0 for scenery).
struct SampleSprite: Sendable {
  var parts: [SamplePart]
  var texture: Int
  var label: UInt8
  /// World units that one tile of the texture covers.
  var tile: Float = 0.5
  /// How much it follows the camera: 1 at the objects' distance, more when nearer.
  var parallax: Float = 1
}

/// A soft dark ellipse on the ground.
struct SampleShadow: Sendable {
  var center: SIMD2<Float>
  var radius: SIMD2<Float>
}

/// Everything that is drawn in one instant.
struct SamplePicture: Sendable {
  /// Where the camera looks, in world units; the middle of the picture.
  var camera: SIMD2<Float>
  var zoom: Float
  /// Camera roll in radians.
  var roll: Float
  /// Brightness of the light, and its colour.
  var light: SIMD4<Float>
  /// Offset of the landscape, so that a cut shows another place.
  var place: Float
  var sprites: [SampleSprite]
  var shadows: [SampleShadow]
}

/// Draws pictures of one size with one set of textures.
struct SampleRenderer: Sendable {
  let size: FrameSize
  /// Sky, hills, ground, then the sprites' textures.
  let textures: [NoiseTexture]
  /// The world's height of the horizon.
  static let horizon: Float = 0.42

  /// Colours `[height, width]` in 0…255, and the labels.
  func draw(_ picture: SamplePicture) -> (colors: [SIMD4<Float>], labels: [UInt8]) {
    var colors = [SIMD4<Float>](repeating: .zero, count: size.area)
    var labels = [UInt8](repeating: 0, count: size.area)
    colors.withUnsafeMutableBufferPointer { colors in
      labels.withUnsafeMutableBufferPointer { labels in
        landscape(picture, colors)
        for shadow in picture.shadows { draw(shadow, picture, colors) }
        for sprite in picture.sprites { draw(sprite, picture, colors, labels) }
      }
    }
    return (colors, labels)
  }

  // MARK: - World and picture

  /// Pixels per world unit.
  private func scale(_ picture: SamplePicture) -> Float { Float(size.height) * picture.zoom }

  /// World coordinates, at the objects' distance, to pixels.
  private func pixel(
    _ world: SIMD2<Float>, _ picture: SamplePicture, parallax: Float = 1
  ) -> SIMD2<Float> {
    let camera = SIMD2(picture.camera.x * parallax, picture.camera.y)
    let p = (world - camera) * scale(picture)
    let (s, c) = (sin(picture.roll), cos(picture.roll))
    return SIMD2(
      c * p.x - s * p.y + Float(size.width) / 2, s * p.x + c * p.y + Float(size.height) / 2)
  }

  // MARK: - Landscape

  private func landscape(
    _ picture: SamplePicture, _ colors: UnsafeMutableBufferPointer<SIMD4<Float>>
  ) {
    let scale = scale(picture)
    let (s, c) = (sin(-picture.roll), cos(-picture.roll))
    let horizon = Self.horizon
    let haze = SIMD4<Float>(188, 200, 208, 0)
    for y in 0..<size.height {
      for x in 0..<size.width {
        let px = (Float(x) + 0.5 - Float(size.width) / 2) / scale
        let py = (Float(y) + 0.5 - Float(size.height) / 2) / scale
        let dx = c * px - s * py
        let wy = s * px + c * py + picture.camera.y
        var color: SIMD4<Float>
        if wy > horizon {
          // A plane seen in perspective: nearer rows move more and show finer grain.
          let depth = wy - horizon + 0.02
          let distance = 0.55 / depth
          let u = (dx * distance + picture.camera.x * 1.05) * 0.55 + picture.place
          let footprint = 0.6 * max(distance, 0.3 * distance / depth) / scale
          color = textures[2].sample(u, 0.3 * distance, footprint: footprint)
          let fog = min(1, 0.005 / (depth * depth))
          color = color * (1 - 0.75 * fog) + haze * (0.75 * fog)
        } else {
          let u = dx + picture.camera.x * 0.45 + picture.place
          let crest =
            horizon - 0.10 - 0.045 * sin(u * 4.1) - 0.03 * sin(u * 9.7 + 1)
            - 0.008 * sin(u * 31)
          let hill = textures[1].sample(u * 0.9, wy * 1.4, footprint: 1 / scale) * 0.8 + haze * 0.2
          let cover = min(max((wy - crest) * scale + 0.5, 0), 1)
          color = hill
          if cover < 1 {
            let sky = textures[0].sample(
              (dx + picture.camera.x * 0.1) * 0.35 + picture.place, wy * 0.5, footprint: 0.4 / scale
            )
            color = sky * (1 - cover) + hill * cover
          }
        }
        colors[y * size.width + x] = color
      }
    }
  }

  private func draw(
    _ shadow: SampleShadow, _ picture: SamplePicture,
    _ colors: UnsafeMutableBufferPointer<SIMD4<Float>>
  ) {
    let center = pixel(shadow.center, picture)
    let radius = shadow.radius * scale(picture)
    guard let box = box(center - radius, center + radius) else { return }
    for y in box.rows {
      for x in box.columns {
        let d = (SIMD2(Float(x) + 0.5, Float(y) + 0.5) - center) / radius
        let inside = max(0, 1 - (d * d).sum())
        colors[y * size.width + x] *= 1 - 0.55 * min(1, inside * 1.6)
      }
    }
  }

  // MARK: - Sprites

  /// A part in pixels.
  private struct Stroke {
    let a: SIMD2<Float>
    let axis: SIMD2<Float>
    let inverseLength: Float
    let start: Float
    let taper: Float
    let part: SamplePart
  }

  private func draw(
    _ sprite: SampleSprite, _ picture: SamplePicture,
    _ colors: UnsafeMutableBufferPointer<SIMD4<Float>>, _ labels: UnsafeMutableBufferPointer<UInt8>
  ) {
    let scale = scale(picture)
    var low = SIMD2<Float>(repeating: .infinity)
    var high = SIMD2<Float>(repeating: -.infinity)
    let strokes = sprite.parts.map { part in
      let a = pixel(part.a, picture, parallax: sprite.parallax)
      let b = pixel(part.b, picture, parallax: sprite.parallax)
      let reach = SIMD2(repeating: max(part.startRadius, part.endRadius) * scale + 2)
      low = pointwiseMin(low, pointwiseMin(a, b) - reach)
      high = pointwiseMax(high, pointwiseMax(a, b) + reach)
      let axis = b - a
      return Stroke(
        a: a, axis: axis, inverseLength: 1 / max((axis * axis).sum(), 1e-6),
        start: part.startRadius * scale, taper: (part.endRadius - part.startRadius) * scale,
        part: part)
    }
    guard let box = box(low, high) else { return }
    let texture = textures[sprite.texture]
    let perPixel = 1 / (scale * sprite.tile)
    // Parts melt into each other over this many pixels.
    let blend = 0.012 * scale
    for y in box.rows {
      for x in box.columns {
        let p = SIMD2(Float(x) + 0.5, Float(y) + 0.5)
        var distance = Float.infinity
        var nearest = Float.infinity
        var best = 0
        var along: Float = 0
        var offset = SIMD2<Float>.zero
        for (index, stroke) in strokes.enumerated() {
          let q = p - stroke.a
          let h = min(max((q * stroke.axis).sum() * stroke.inverseLength, 0), 1)
          let away = q - stroke.axis * h
          let d = (away * away).sum().squareRoot() - (stroke.start + stroke.taper * h)
          if d < nearest { (nearest, best, along, offset) = (d, index, h, away) }
          let mix = max(blend - abs(distance - d), 0) / blend
          distance = min(distance, d) - mix * mix * blend / 4
        }
        guard distance < 0.5 else { continue }
        let stroke = strokes[best]
        let radius = stroke.start + stroke.taper * along
        let n = offset / max(radius, (offset * offset).sum().squareRoot())
        let depth = max(0, 1 - (n * n).sum()).squareRoot()
        var uv: SIMD2<Float>
        if let roll = stroke.part.roll {
          let (s, c) = (sin(roll), cos(roll))
          uv = SIMD2(
            atan2(c * n.x + s * n.y, depth + 1e-3) / 3.2, 0.5 - 0.5 * (c * n.y - s * n.x))
        } else {
          let length = (stroke.axis * stroke.axis).sum().squareRoot()
          if length > 0 {
            let side = (stroke.axis.x * offset.y - stroke.axis.y * offset.x) / length
            let forward = ((p - stroke.a) * stroke.axis).sum() / length
            uv = SIMD2(forward, side) * perPixel
          } else {
            uv = offset * perPixel
          }
          uv += SIMD2(0.37, 0.21) * Float(best)
        }
        let facing = max(0, -0.35 * n.x - 0.65 * n.y + 0.68 * depth)
        let lit = (0.42 + 0.75 * facing) * stroke.part.shade
        let color = texture.sample(uv.x, uv.y, footprint: perPixel) * lit
        let cover = min(max(0.5 - distance, 0), 1)
        let index = y * size.width + x
        colors[index] = colors[index] * (1 - cover) + color * cover
        if distance < 0 { labels[index] = sprite.label }
      }
    }
  }

  /// The pixels of a rectangle that are in the picture.
  private func box(
    _ low: SIMD2<Float>, _ high: SIMD2<Float>
  ) -> (columns: Range<Int>, rows: Range<Int>)? {
    let x0 = Int(max(low.x, 0))
    let y0 = Int(max(low.y, 0))
    let x1 = Int(min(max(high.x + 1, 0), Float(size.width)))
    let y1 = Int(min(max(high.y + 1, 0), Float(size.height)))
    return x0 < x1 && y0 < y1 ? (x0..<x1, y0..<y1) : nil
  }
}
