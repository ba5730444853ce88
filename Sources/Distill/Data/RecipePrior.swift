// Damage to the previous mask as a recipe describes it. TrainingStep calls it from its threads.

import CKernels
public import MemoryVOS

/// The corruption of one training step: what happens to a mask follows from seed, step, sample and
/// frame.
public struct RecipePrior: PriorCorruption {
  /// What can happen to the masks of one frame.
  enum Damage: Int, CaseIterable {
    case empty, shifted, eroded, dilated, distorted, misplaced, none
  }

  private let recipe: PriorRecipe
  private let seed: UInt64
  private let step: Int
  private let firstSample: Int

  /// The damage of `step`; `firstSample` is the number of the batch's first sample among those of
  /// all machines.
  public init(_ recipe: PriorRecipe, seed: UInt64, step: Int, firstSample: Int = 0) {
    self.recipe = recipe
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
