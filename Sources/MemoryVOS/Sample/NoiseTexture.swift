// Textures of the synthetic clips: tileable value noise, coloured by a ramp, with smaller copies for
// sampling without aliasing. SampleScene and SampleRenderer use them.

/// A square RGB tile that wraps around, with a pyramid of halved copies.
struct NoiseTexture: Sendable {
  /// Level l: `[side >> l, side >> l]` colours in 0…255 (the fourth lane is unused).
  private let levels: [[SIMD4<Float>]]
  /// Pixels on a side of level 0, a power of two.
  let side: Int

  /// A tile of fractal value noise.
  ///
  /// - Parameters:
  ///   - seed: chooses the noise.
  ///   - side: pixels on a side, a power of two.
  ///   - cells: lattice cells of the coarsest octave along a side, a power of two.
  ///   - ramp: colours for noise values from 0 to 1, interpolated; steep ramps give patches.
  ///   - stripes: number of stripes across the tile that the noise bends; 0 for none.
  ///   - stretch: how much longer than wide the grain is, a power of two.
  init(
    seed: UInt32, side: Int, cells: Int, ramp: [SIMD3<Float>], stripes: Int = 0, stretch: Int = 1
  ) {
    precondition(side > 0 && side.nonzeroBitCount == 1, "side \(side) is no power of two")
    self.side = side
    var base = [SIMD4<Float>](repeating: .zero, count: side * side)
    for y in 0..<side {
      for x in 0..<side {
        var value: Float = 0
        var weight: Float = 0.5
        var count = cells
        var octave: UInt32 = 0
        while count <= side / 2, octave < 7 {
          let rows = max(count / stretch, 1)
          let noise = Self.lattice(
            Float(x * count) / Float(side), Float(y * rows) / Float(side), count, rows,
            seed &+ octave &* 7919)
          value += weight * noise
          weight *= 0.6
          count *= 2
          octave += 1
        }
        // The octaves' weights sum to about 1.2; their sum keeps near the middle.
        value = (value - 0.6) * 1.7 + 0.5
        if stripes > 0 {
          let phase = Float(stripes) * Float(y) / Float(side) + value
          value = 0.5 + 2 * (abs(phase - phase.rounded(.down) - 0.5) - 0.25)
        }
        let color = Self.color(value, ramp)
        base[y * side + x] = SIMD4(color.x, color.y, color.z, 0)
      }
    }
    var levels = [base]
    var size = side
    while size > 1 {
      let above = levels[levels.count - 1]
      let half = size / 2
      var next = [SIMD4<Float>](repeating: .zero, count: half * half)
      for y in 0..<half {
        for x in 0..<half {
          let i = 2 * y * size + 2 * x
          next[y * half + x] = (above[i] + above[i + 1] + above[i + size] + above[i + size + 1]) / 4
        }
      }
      levels.append(next)
      size = half
    }
    self.levels = levels
  }

  /// The colour at `(u, v)`, measured in tiles, from the level whose pixels are `footprint` tiles
  /// wide or smaller.
  func sample(_ u: Float, _ v: Float, footprint: Float) -> SIMD4<Float> {
    var level = 0
    var width = 1 / Float(side)
    while width * 1.5 < footprint, level + 1 < levels.count {
      width *= 2
      level += 1
    }
    let size = side >> level
    let x = (u - u.rounded(.down)) * Float(size)
    let y = (v - v.rounded(.down)) * Float(size)
    let (x0, y0) = (Int(x), Int(y))
    let (fx, fy) = (x - Float(x0), y - Float(y0))
    let mask = size - 1
    let (left, right) = (x0 & mask, (x0 + 1) & mask)
    let (top, bottom) = ((y0 & mask) * size, ((y0 + 1) & mask) * size)
    return levels[level].withUnsafeBufferPointer { pixels in
      let above = pixels[top + left] * (1 - fx) + pixels[top + right] * fx
      let below = pixels[bottom + left] * (1 - fx) + pixels[bottom + right] * fx
      return above * (1 - fy) + below * fy
    }
  }

  /// Smoothly interpolated random values on a lattice of `columns` × `rows` that wraps around.
  private static func lattice(
    _ x: Float, _ y: Float, _ columns: Int, _ rows: Int, _ seed: UInt32
  ) -> Float {
    let (x0, y0) = (Int(x), Int(y))
    let (fx, fy) = (x - Float(x0), y - Float(y0))
    let (sx, sy) = (fx * fx * (3 - 2 * fx), fy * fy * (3 - 2 * fy))
    let (x1, y1) = ((x0 + 1) % columns, (y0 + 1) % rows)
    let above = hash(x0, y0, seed) * (1 - sx) + hash(x1, y0, seed) * sx
    let below = hash(x0, y1, seed) * (1 - sx) + hash(x1, y1, seed) * sx
    return above * (1 - sy) + below * sy
  }

  /// A number in 0..<1 that looks random and follows from its arguments.
  static func hash(_ x: Int, _ y: Int, _ seed: UInt32) -> Float {
    var h =
      UInt32(truncatingIfNeeded: x) &* 0x9e37_79b1 ^ UInt32(truncatingIfNeeded: y) &* 0x85eb_ca77
    h = (h ^ seed &* 0xc2b2_ae3d) &* 0x27d4_eb2f
    h = (h ^ h >> 15) &* 0x2c1b_3c6d
    h = (h ^ h >> 12) &* 0x297a_2d39
    return Float((h ^ h >> 15) >> 8) * 0x1p-24
  }

  private static func color(_ value: Float, _ ramp: [SIMD3<Float>]) -> SIMD3<Float> {
    let position = min(max(value, 0), 1) * Float(ramp.count - 1)
    let index = min(Int(position), ramp.count - 2)
    let fraction = position - Float(index)
    return ramp[index] * (1 - fraction) + ramp[index + 1] * fraction
  }
}
