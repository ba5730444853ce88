// The bodies in the synthetic clips, as unions of rounded strokes. SampleScene places them.

import Foundation

/// Shapes in world units (the picture is one unit high), y pointing down.
enum SampleShapes {
  /// A four-legged animal, its body's middle at `place`.
  ///
  /// `stride` is the phase of its gait in radians, the far legs being half a cycle behind; `facing`
  /// is 1 for right, -1 for left.
  static func animal(at place: SIMD2<Float>, stride: Float, facing: Float) -> [SamplePart] {
    let body = place + SIMD2(0, 0.008 * sin(2 * stride))
    func part(
      _ x0: Float, _ y0: Float, _ r0: Float, _ x1: Float, _ y1: Float, _ r1: Float,
      shade: Float = 1
    ) -> SamplePart {
      SamplePart(
        a: body + SIMD2(facing * x0, y0), b: body + SIMD2(facing * x1, y1), startRadius: r0,
        endRadius: r1,
        shade: shade)
    }
    func leg(_ x: Float, _ phase: Float, shade: Float) -> [SamplePart] {
      let swing = 0.5 * sin(phase)
      let bend = 0.35 * max(0, cos(phase))
      let hip = SIMD2<Float>(x, 0.05)
      let knee = hip + 0.09 * SIMD2(sin(swing), cos(swing))
      let foot = knee + 0.10 * SIMD2(sin(swing - bend), cos(swing - bend))
      return [
        part(hip.x, hip.y, 0.034, knee.x, knee.y, 0.022, shade: shade),
        part(knee.x, knee.y, 0.022, foot.x, foot.y, 0.016, shade: shade),
      ]
    }
    let nod = 0.012 * sin(stride + 1)
    let wag = 0.04 * sin(1.5 * stride)
    return leg(-0.155, stride + .pi, shade: 0.6) + leg(0.12, stride + 0.3, shade: 0.6) + [
      part(-0.20, -0.03, 0.020, -0.30, 0.03 + wag, 0.012),
      part(-0.14, -0.005, 0.078, 0.12, -0.012, 0.088),
      part(0.14, -0.04, 0.058, 0.225, -0.145 + nod, 0.042),
      part(0.222, -0.155 + nod, 0.044, 0.305, -0.125 + nod, 0.024),
      part(0.212, -0.185 + nod, 0.016, 0.198, -0.235 + nod, 0.007),
    ] + leg(-0.125, stride, shade: 0.92) + leg(0.15, stride + .pi + 0.3, shade: 0.92)
  }

  /// A trunk from above the picture to below it, near the camera.
  static func trunk(x: Float) -> [SamplePart] {
    [
      SamplePart(a: [x + 0.03, -0.6], b: [x, 0.7], startRadius: 0.055, endRadius: 0.075),
      SamplePart(a: [x, 0.7], b: [x - 0.02, 1.4], startRadius: 0.075, endRadius: 0.13),
    ]
  }

  /// A tree whose foot is at `base`: trunk and crown.
  static func tree(
    at base: SIMD2<Float>, height: Float, random: (Int) -> Float
  ) -> [SampleSprite] {
    let top = base - SIMD2(0, height)
    let crown = (0..<6).map { index in
      let offset = SIMD2(random(10 + index) - 0.5, random(20 + index) - 0.5)
      let center = top + offset * SIMD2(0.16, 0.13)
      let radius = 0.045 + 0.03 * random(30 + index)
      return SamplePart(a: center, b: center, startRadius: radius, endRadius: radius)
    }
    let trunk = SamplePart(a: top, b: base, startRadius: 0.012, endRadius: 0.02, shade: 0.8)
    return [
      SampleSprite(parts: [trunk], texture: 6, label: 0, tile: 0.2),
      SampleSprite(parts: crown, texture: 5, label: 0, tile: 0.35),
    ]
  }
}
