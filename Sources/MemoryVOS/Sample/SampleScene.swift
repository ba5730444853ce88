// Synthetic clips with exact ground truth: what `vos-cli render-sample` and `make demo` show, and
// what tests track when there is no data. An animal walks and a ball bounces through a landscape;
// trees stand behind and pass in front, the camera pans and a cloud dims the light.

import Foundation

/// A short clip that is computed, with the label of every pixel.
///
/// Object 1 is the animal, object 2 the ball. Frames are a function of name, size, number of frames
/// and seed, in any order: the same arguments give the same pixels.
public struct SampleScene: Sendable {
  /// The scenes there are.
  public enum Name: String, Sendable, CaseIterable {
    /// Camera pan, occlusion of and by the objects, a change of light.
    case standard = "default"
    /// Half-way the camera is elsewhere and closer, looking at the same objects.
    case hardCut = "hard-cut"
    /// Both objects leave the picture and come back.
    case leaveReturn = "leave-return"
    /// A fast, shaking pan with motion blur; labels are of the exposure's middle.
    case fastCamera = "fast-camera"
  }

  /// Which scene.
  public let name: Name
  /// Size of every frame.
  public let size: FrameSize
  /// Number of frames; the same story takes as many frames as there are.
  public let frameCount: Int
  private let seed: UInt32
  private let renderer: SampleRenderer

  /// A scene; traps unless `frameCount` is positive.
  public init(
    named name: Name, size: FrameSize = FrameSize(width: 854, height: 480), frameCount: Int = 72,
    seed: UInt32 = 1
  ) {
    precondition(frameCount > 0, "a scene of \(frameCount) frames")
    self.name = name
    self.size = size
    self.frameCount = frameCount
    self.seed = seed
    var side = 32
    while side < size.height, side < 512 { side *= 2 }
    renderer = SampleRenderer(size: size, textures: Self.textures(side: side, seed: seed))
  }

  /// The picture and its labels; traps unless `0 ≤ index < frameCount`.
  public func frame(at index: Int) -> (frame: Frame, labels: LabelMap) {
    precondition((0..<frameCount).contains(index), "frame \(index) of \(frameCount)")
    let step = 1 / Float(frameCount)
    let time = (Float(index) + 0.5) * step
    let middle = picture(at: time)
    var (colors, labels) = renderer.draw(middle)
    if name == .fastCamera {
      // A quarter of the frame's time, as a 90° shutter exposes it.
      for offset in [-0.12, -0.06, 0.06, 0.12] as [Float] {
        let more = renderer.draw(picture(at: time + offset * step)).colors
        for i in colors.indices { colors[i] += more[i] }
      }
      for i in colors.indices { colors[i] /= 5 }
    }
    return (
      Frame(size: size, pixels: develop(colors, light: middle.light, index: index)),
      LabelMap(size: size, labels: labels)
    )
  }

  /// Light, a darker border and grain; 8-bit RGB.
  private func develop(_ colors: [SIMD4<Float>], light: SIMD4<Float>, index: Int) -> [UInt8] {
    var pixels = [UInt8](repeating: 0, count: size.area * 3)
    let grain = seed &* 31 &+ UInt32(truncatingIfNeeded: index)
    pixels.withUnsafeMutableBufferPointer { pixels in
      for y in 0..<size.height {
        let v = (Float(y) + 0.5) / Float(size.height) - 0.5
        for x in 0..<size.width {
          let u = (Float(x) + 0.5) / Float(size.width) - 0.5
          let i = y * size.width + x
          let noise = (NoiseTexture.hash(x, y, grain) - 0.5) * 7
          let color = colors[i] * light * (1.04 - 0.35 * (u * u + v * v)) + noise
          pixels[3 * i] = UInt8(min(max(color.x + 0.5, 0), 255))
          pixels[3 * i + 1] = UInt8(min(max(color.y + 0.5, 0), 255))
          pixels[3 * i + 2] = UInt8(min(max(color.z + 0.5, 0), 255))
        }
      }
    }
    return pixels
  }

  // MARK: - The story; time runs from 0 to 1

  private func picture(at time: Float) -> SamplePicture {
    // An animal of other gait and a ball of other bounce for every seed.
    let phase = Float(seed % 97) * 0.13
    var camera = SIMD2<Float>(0.75 + 0.5 * time, 0.5 + 0.02 * sin(time * 9 + phase))
    var zoom = 1 + 0.12 * time
    var place: Float = 0
    var roll = 0.015 * sin(time * 7 + phase)
    var animal = SIMD2<Float>(0.45 + 0.95 * time, 0.60)
    let hop = abs(sin(time * 14 + phase))
    var ball = SIMD2<Float>(1.24 - 0.55 * time, 0.86 - 0.20 * hop)
    var facing: Float = 1
    switch name {
    case .standard: break
    case .hardCut where time >= 0.5:
      camera += SIMD2(-0.12, 0.10)
      zoom *= 1.35
      roll = -0.05
      place = 0.43
    case .hardCut: break
    case .leaveReturn:
      camera.x = 0.9
      // Out on the right and back; out on the left and back.
      let way = min(max(time * 1.15 - 0.05, 0), 1)
      animal.x = 1.0 + 1.35 * sin(way * .pi)
      facing = way < 0.5 ? 1 : -1
      ball.x = 0.75 - 1.2 * sin(min(max(time * 1.3 - 0.3, 0), 1) * .pi)
    case .fastCamera:
      camera += SIMD2(0.34 * sin(time * 19), 0.09 * sin(time * 31))
      roll += 0.04 * sin(time * 26)
      zoom *= 1 + 0.12 * sin(time * 12)
    }
    let cloud = exp(-pow((time - 0.42) / 0.13, 2))
    let light =
      SIMD4<Float>(1.06, 1.0, 0.92, 0) * (1 - time) + SIMD4<Float>(1.0, 1.0, 1.06, 0) * time
    return SamplePicture(
      camera: camera, zoom: zoom, roll: roll, light: light * (1 - 0.38 * cloud), place: place,
      sprites: trees + [
        SampleSprite(
          parts: SampleShapes.animal(at: animal, stride: time * 30 + phase, facing: facing),
          texture: 3, label: 1,
          tile: 0.42),
        SampleSprite(
          parts: [
            SamplePart(
              a: ball, b: ball, startRadius: 0.085, endRadius: 0.085, roll: ball.x / 0.085)
          ], texture: 4, label: 2),
        SampleSprite(
          parts: SampleShapes.trunk(x: 1.92), texture: 6, label: 0, tile: 0.3, parallax: 1.45),
      ],
      shadows: [
        SampleShadow(
          center: SIMD2(animal.x, animal.y + 0.235), radius: SIMD2(0.27, 0.035)),
        SampleShadow(
          center: SIMD2(ball.x, 0.86 + 0.085), radius: SIMD2(0.11, 0.022)),
      ])
  }

  /// Trees behind the objects, where the camera goes.
  private var trees: [SampleSprite] {
    (0..<7).flatMap { index -> [SampleSprite] in
      let random = { (salt: Int) in NoiseTexture.hash(index, salt, seed &+ 77) }
      let x = -0.4 + 0.42 * Float(index) + 0.2 * random(1)
      let base = SIMD2<Float>(x, 0.50 + 0.05 * random(2))
      return SampleShapes.tree(at: base, height: 0.22 + 0.16 * random(3), random: random)
    }
  }

  private static func textures(side: Int, seed: UInt32) -> [NoiseTexture] {
    func make(
      _ salt: UInt32, _ cells: Int, _ ramp: [SIMD3<Float>], stripes: Int = 0, stretch: Int = 1
    ) -> NoiseTexture {
      NoiseTexture(
        seed: seed &* 101 &+ salt, side: side, cells: cells, ramp: ramp, stripes: stripes,
        stretch: stretch)
    }
    return [
      // Sky, hills, ground.
      make(1, 4, [[120, 158, 205], [150, 180, 214], [214, 220, 226], [236, 238, 240]]),
      make(2, 8, [[58, 78, 52], [84, 104, 66], [112, 126, 84], [136, 144, 100]]),
      make(3, 8, [[70, 84, 40], [104, 116, 56], [142, 138, 78], [176, 164, 110]]),
      // Animal, ball.
      make(
        4, 4, [[60, 38, 26], [78, 46, 28], [178, 106, 52], [206, 134, 74], [240, 214, 178]]),
      make(
        5, 4, [[206, 40, 48], [216, 52, 56], [244, 240, 232], [40, 70, 160], [36, 60, 140]],
        stripes: 2),
      // Leaves, bark.
      make(6, 8, [[28, 52, 28], [44, 76, 36], [72, 104, 48], [110, 136, 66]]),
      make(7, 8, [[46, 36, 30], [74, 60, 48], [112, 94, 76], [146, 126, 104]], stretch: 4),
    ]
  }
}
