// Damage to masks that are fed back, as a recipe describes it. TrainingStep calls it from its threads.

import CKernels
import Foundation
public import MemoryVOS

/// The corruption of one training step: what happens to a mask follows from seed, step, sample and
/// frame.
public struct RecipePrior: PriorCorruption {
  /// What can happen to the masks of one frame.
  enum Damage: Int, CaseIterable {
    case empty, shifted, eroded, dilated, distorted, misplaced, none
  }

  private let recipe: PriorRecipe
  private let decay: DecayRecipe
  private let seed: UInt64
  private let step: Int
  private let firstSample: Int

  /// The damage of `step`; `firstSample` is the number of the batch's first sample among those of
  /// all machines.
  public init(_ samples: SampleRecipe, seed: UInt64, step: Int, firstSample: Int = 0) {
    recipe = samples.prior
    decay = samples.decay
    self.seed = seed
    self.step = step
    self.firstSample = firstSample
  }

  /// Damages all objects' masks in the same way.
  public func corrupt(
    _ masks: inout [Float], objects: Int, size: FrameSize, sample: Int, frame: Int
  ) {
    var random = SampleGenerator(seed: seed, purpose: .prior, step, firstSample + sample, frame)
    var draw = random.real(0...1)
    var damage = Damage.none
    for (index, share) in recipe.shares.enumerated() {
      if draw < share {
        damage = Damage(rawValue: index) ?? .none
        break
      }
      draw -= share
    }
    Self.apply(damage, to: &masks, objects: objects, size: size, &random)
  }

  /// Takes a part of one object's mask away, puts one to it, or gives one to another object.
  public func decay(
    of masks: UnsafeBufferPointer<Float>, objects: Int, size: FrameSize, sample: Int, frame: Int
  ) -> MaskDecay? {
    var random = SampleGenerator(seed: seed, purpose: .decay, step, firstSample + sample, frame)
    let draw = random.real(0...1)
    guard draw < decay.lost + decay.gained + decay.swapped else { return nil }
    let object = random.index(objects)
    let inside = (0..<size.area).filter { masks[object * size.area + $0] >= 0.5 }
    guard !inside.isEmpty else { return nil }
    if draw < decay.lost { return Self.loss(of: object, inside, size, &random) }
    if draw < decay.lost + decay.gained { return Self.gain(of: object, inside, size, &random) }
    guard objects > 1 else { return nil }
    let heir = (object + 1 + random.index(objects - 1)) % objects
    return Self.swap(of: object, heir: heir, inside, size, &random)
  }

  /// A tenth to three fifths of the object, on one side of a line.
  private static func loss(
    of object: Int, _ inside: [Int], _ size: FrameSize, _ random: inout SampleGenerator
  ) -> MaskDecay {
    let isLost = part(of: inside, size, &random)
    return MaskDecay(object: object, isReplaced: (0..<size.area).map(isLost), value: 0)
  }

  /// The same, and another object gets it.
  private static func swap(
    of object: Int, heir: Int, _ inside: [Int], _ size: FrameSize,
    _ random: inout SampleGenerator
  ) -> MaskDecay {
    let isLost = part(of: inside, size, &random)
    var isReplaced = [Bool](repeating: false, count: size.area)
    for pixel in inside where isLost(pixel) { isReplaced[pixel] = true }
    return MaskDecay(object: object, heir: heir, isReplaced: isReplaced, value: 0)
  }

  /// One side of a line, with a tenth to three fifths of the pixels `inside`.
  private static func part(
    of inside: [Int], _ size: FrameSize, _ random: inout SampleGenerator
  ) -> (_ pixel: Int) -> Bool {
    let angle = random.symmetric(.pi)
    let (dx, dy) = (cos(angle), sin(angle))
    func along(_ pixel: Int) -> Double {
      Double(pixel % size.width) * dx + Double(pixel / size.width) * dy
    }
    let samples = (0..<64).map { _ in along(inside[random.index(inside.count)]) }.sorted()
    let limit = samples[random.integer(6...38)]
    return { along($0) < limit }
  }

  /// An ellipse over the object's edge or near it, up to about half as wide as the object.
  private static func gain(
    of object: Int, _ inside: [Int], _ size: FrameSize, _ random: inout SampleGenerator
  ) -> MaskDecay {
    let extent = Double(inside.count).squareRoot()
    let center = inside[random.index(inside.count)]
    let x0 = Double(center % size.width) + random.symmetric(0.7) * extent
    let y0 = Double(center / size.width) + random.symmetric(0.7) * extent
    let (rx, ry) = (random.real(0.08...0.3) * extent, random.real(0.08...0.3) * extent)
    let isReplaced = (0..<size.area).map { pixel in
      let x = (Double(pixel % size.width) - x0) / rx
      let y = (Double(pixel / size.width) - y0) / ry
      return x * x + y * y < 1
    }
    return MaskDecay(object: object, isReplaced: isReplaced, value: 1)
  }

  static func apply(
    _ damage: Damage, to masks: inout [Float], objects: Int, size: FrameSize,
    _ random: inout SampleGenerator
  ) {
    switch damage {
    case .none: return
    case .empty: masks = [Float](repeating: 0, count: masks.count)
    case .shifted:
      let reach = min(size.width, size.height) / 16
      let map = AffineMap(
        c: Double(random.integer(-reach...reach)), f: Double(random.integer(-reach...reach)))
      warp(&masks, objects, size, map)
    case .eroded, .dilated:
      let radius = [2, 4, 7][random.index(3)]
      var scratch = [Float](repeating: 0, count: max(size.width, size.height))
      masks.withUnsafeMutableBufferPointer { masks in
        for object in 0..<objects {
          vos_morphology(
            masks.baseAddress.map { $0 + object * size.area }, Int32(size.width),
            Int32(size.height), Int32(radius), damage == .dilated ? 1 : 0, &scratch)
        }
      }
    case .distorted:
      let limits = MotionLimits(degrees: 8, scale: 0.08, shift: 0.03, shear: 0.05)
      warp(&masks, objects, size, .motion(limits, size: size.width, &random))
    case .misplaced:
      let limits = MotionLimits(degrees: 90, scale: 0.5, shift: 0.35, shear: 0.3)
      warp(&masks, objects, size, .motion(limits, size: size.width, &random))
    }
  }

  /// Moves the masks; what comes from outside is 0.
  private static func warp(
    _ masks: inout [Float], _ objects: Int, _ size: FrameSize, _ map: AffineMap
  ) {
    let warp = Warp(size: size.width, map: map.inverse, spline: nil)
    let source = masks
    let (width, height) = (Int32(size.width), Int32(size.height))
    masks.withUnsafeMutableBufferPointer { masks in
      warp.withDescription {
        vos_warp_planes(
          source, Int32(objects), width, height, $0, width, height, masks.baseAddress)
      }
    }
    let inverse = map.inverse
    for y in 0..<size.height {
      for x in 0..<size.width {
        let place = inverse(Double(x), Double(y))
        let isInside =
          place.x > -1 && place.x < Double(size.width) && place.y > -1
          && place.y < Double(size.height)
        if isInside { continue }
        for object in 0..<objects { masks[object * size.area + y * size.width + x] = 0 }
      }
    }
  }
}
