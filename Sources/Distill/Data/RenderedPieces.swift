// The rendered share of SampleMaker's pieces: bodies of RenderedScene over a picture, which
// BodyRenderer draws.

import CKernels
import Foundation
import MemoryVOS

/// Objects that turn and so show sides that were not to be seen on the first frame.
///
/// Up to five bodies, or as many as objects are wanted; those that are no objects are background.
/// Some have the form and the pictures of the first one. Pictures of the training's data sets are
/// background and textures. The idea is that of BL30K, whose bodies are ShapeNet's (Cheng et al.,
/// "Modular Interactive Video Object Segmentation", CVPR 2021).
struct RenderedPieces {
  let recipe: SampleRecipe

  /// A piece of `separate` objects, or `nil` when one of them is hardly to be seen.
  ///
  /// `picture` returns any picture of the data sets.
  func piece(
    separate: Int, progress: Double, _ random: inout SampleGenerator,
    picture: (inout SampleGenerator) throws(TrainingError) -> PictureStore.Entry
  ) throws(TrainingError) -> SamplePiece? {
    let side = Double(recipe.size)
    let times = times(progress: progress, &random)
    let number = max(separate, 1 + random.weighted([20, 50, 75, 90, 100]))
    var pictures = [try picture(&random).frame]
    var bodies: [Body] = []
    for _ in 0..<number {
      var own: [Int] = []
      for _ in 0...random.index(3) {
        if random.chance(0.15) {
          own.append(0)
        } else {
          own.append(pictures.count)
          pictures.append(try picture(&random).frame)
        }
      }
      let other = random.chance(0.25) ? bodies.first : nil
      bodies.append(Body(side: side, pictures: own, like: other, &random))
    }
    let order = random.choice(Array(bodies.indices), count: bodies.count)
    let camera = Camera(background: pictures[0].size, side: side, &random)
    let light = Light(&random)
    var piece = SamplePiece(
      images: [], labels: [], objects: separate, teacher: nil, features: [], origin: nil)
    for time in times {
      var canvas = Canvas(
        side: recipe.size, image: camera.image(of: pictures[0], at: time, side: recipe.size))
      for index in order {
        canvas.draw(
          bodies[index].placed(at: time, side: side), pictures: pictures, light: light,
          brightness: bodies[index].brightness, label: index < separate ? UInt8(index + 1) : 0)
      }
      piece.images.append(canvas.image)
      piece.labels.append(canvas.labels)
      if piece.labels.count == 1, !PieceMaker.isUsable(piece) { return nil }
    }
    return piece
  }

  /// Times of the frames, from gaps like those of clips.
  private func times(progress: Double, _ random: inout SampleGenerator) -> [Double] {
    let gap = recipe.gap(at: progress, &random)
    var times = [0.0]
    while times.count < recipe.frames {
      times.append(times[times.count - 1] + Double(random.integer(1...gap)))
    }
    return random.chance(recipe.reversedShare) ? times.map { -$0 } : times
  }
}

/// How the background moves.
private struct Camera {
  private let scale: Double
  private let sway: RandomCurve
  private let turn: RandomCurve
  private let pan: SIMD2<Double>
  private let middle: SIMD2<Double>

  init(background: FrameSize, side: Double, _ random: inout SampleGenerator) {
    let short = Double(min(background.width, background.height))
    scale = side / short * random.real(1.05...1.8)
    let strength = random.real(0...1)
    let speed = random.real(0.03...0.15)
    sway = RandomCurve(amplitude: 0.1 * side * strength, speed: speed, &random)
    turn = RandomCurve(amplitude: 0.07 * strength, speed: speed, &random)
    let step = [0, 0.01, 0.03][random.weighted([40, 80, 100])] * side
    pan = step * SIMD2(random.normal(), random.normal())
    middle = SIMD2(Double(background.width) / 2, Double(background.height) / 2)
  }

  func image(of background: Frame, at time: Double, side: Int) -> [UInt8] {
    let (shift, lean) = (sway(time), turn(time))
    let zoom = scale * exp(lean.y)
    let (a, d) = (cos(lean.x) * zoom, sin(lean.x) * zoom)
    let x = Double(side) / 2 + shift.x + pan.x * time
    let y = Double(side) / 2 + shift.y + pan.y * time
    let map = AffineMap(
      a: a, b: -d, c: x - a * middle.x + d * middle.y, d: d, e: a,
      f: y - d * middle.x - a * middle.y)
    let count = side * side * 3
    return [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      Warp(size: side, map: map.inverse, spline: nil).withDescription {
        vos_warp_rgb(
          background.pixels, Int32(background.size.width), Int32(background.size.height), $0,
          Int32(side), Int32(side), buffer.baseAddress)
      }
      initialized = count
    }
  }
}
