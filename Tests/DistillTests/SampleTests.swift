// Samples: reproducible, aligned, of the recipe's shape; priors, warps, loader.

import CKernels
import Foundation
import MemoryVOS
import Synchronization
import TestSupport
import Testing

@testable import Distill

@Suite struct SampleTests {
  private let folder = TemporaryFolder()

  private func maker(
    _ recipes: [DatasetRecipe], _ samples: SampleRecipe = SyntheticData.samples, seed: UInt64 = 1,
    cacheBytes: Int = 1 << 24, withTeacher: Bool = false
  ) throws -> SampleMaker {
    try SampleMaker(
      try recipes.map { try Dataset.open($0) }, recipe: samples, seed: seed,
      cacheBytes: cacheBytes, withTeacher: withTeacher
    ) { _, _ in }
  }

  @Test func batchesFollowFromSeedAndStep() throws {
    let recipes = [try SyntheticData.davis(folder), try SyntheticData.stills(folder)]
    let first = try maker(recipes)
    // Another order, and a cache that holds nothing.
    let second = try maker(recipes, cacheBytes: 0)
    let later = try second.batch(5, progress: 0.5)
    let batch = try first.batch(3, progress: 0.5)
    let again = try second.batch(3, progress: 0.5)
    #expect(batch.images == again.images && batch.masks == again.masks)
    #expect(try first.batch(5, progress: 0.5).images == later.images)
    #expect(batch.images != later.images)
    #expect(try maker(recipes, seed: 2).batch(3, progress: 0.5).images != batch.images)
    let part = try first.batch(3, progress: 0.5, part: 1, parts: 2)
    #expect(part.images != batch.images && part.objects == batch.objects)
  }

  @Test func masksLieOnTheirObjects() throws {
    let recipes = [try SyntheticData.davis(folder, objects: 2), try SyntheticData.stills(folder)]
    var samples = SyntheticData.samples
    samples.colorJitter = 0
    samples.frameColorJitter = 0
    samples.severalShare = 1
    let maker = try maker(recipes, samples)
    var (seen, wrong) = (0, 0)
    for step in 0..<6 {
      let batch = try maker.batch(step, progress: 1)
      #expect(batch.objects == 2 && batch.batch == 2 && batch.frames == 3)
      #expect(batch.images.allSatisfy { (-1...1).contains($0) })
      let area = batch.size.area
      for place in 0..<6 {
        for pixel in 0..<area {
          let masks = (0..<2).map { batch.masks[(place * 2 + $0) * area + pixel] }
          #expect(masks[0] + masks[1] <= 1)
          let blue = batch.images[(place * area + pixel) * 3 + 2] * 127.5 + 127.5
          let green = batch.images[(place * area + pixel) * 3 + 1] * 127.5 + 127.5
          let looksLikeObject = green > 140
          if masks[0] + masks[1] > 0 {
            seen += 1
            if !looksLikeObject { wrong += 1 }
          } else if looksLikeObject, blue < 60 || blue > 95 {
            // An object that was not chosen is background, so this is no mistake by itself.
            continue
          }
        }
      }
    }
    #expect(seen > 5_000)
    // Edges are blended, so their pixels may look like either side.
    #expect(wrong < seen / 10, "\(wrong) of \(seen)")
  }

  @Test func corruptPicturesAreSkippedAndCounted() throws {
    let recipe = try SyntheticData.davis(folder)
    let problems = Mutex<[String]>([])
    let datasets = [try Dataset.open(recipe)]
    for index in 0..<4 {
      try Data("no picture".utf8).write(
        to: URL(filePath: folder.path("davis/JPEGImages/tiny/a/0000\(index).png")))
    }
    let maker = try SampleMaker(
      datasets, recipe: SyntheticData.samples, seed: 1, cacheBytes: 1 << 24
    ) { problem, _ in problems.withLock { $0.append(problem.description) } }
    for step in 0..<8 { _ = try maker.batch(step, progress: 1) }
    let messages = problems.withLock { $0 }
    #expect(!messages.isEmpty && Set(messages).count == messages.count)
    #expect(messages.count == maker.skippedCount)
    #expect(messages.allSatisfy { $0.contains("/a/0000") })
    for clip in ["a", "b"] {
      for index in 0..<8 {
        try Data("no picture".utf8).write(
          to: URL(filePath: folder.path("davis/JPEGImages/tiny/\(clip)/0000\(index).png")))
      }
    }
    let fresh = try SampleMaker(
      datasets, recipe: SyntheticData.samples, seed: 1, cacheBytes: 1 << 24
    ) { _, _ in }
    #expect(throws: TrainingError.self) { try fresh.batch(0, progress: 0) }
  }

  @Test func impossibleRecipesAreRefused() throws {
    let dataset = try SyntheticData.davis(folder)
    let changes: [(inout SampleRecipe) -> Void] = [
      { $0.size = 100 }, { $0.frames = 1 }, { $0.gaps = [] }, { $0.severalShare = 2 },
      { $0.gapLimits = [[0.5, 3]] }, { $0.videoScale = [2, 1] }, { $0.stillMotion = [1] },
      { $0.prior.empty = 0.9 }, { $0.colorJitter = -1 }, { $0.pictureSide = 1 },
    ]
    for change in changes {
      var samples = SyntheticData.samples
      change(&samples)
      #expect(throws: TrainingError.self) { try maker([dataset], samples) }
    }
  }

  @Test func teachersAreMovedLikePictures() throws {
    _ = try SyntheticData.davis(folder)
    try FileManager.default.moveItem(
      atPath: folder.path("davis/JPEGImages/tiny"), toPath: folder.path("wild"))
    for clip in ["a", "b"] {
      var values: [Float] = []
      for index in 0..<8 {
        let labels = SyntheticData.picture(index).labels.labels
        values += [Float](repeating: 0, count: labels.count)
        values += labels.map { $0 == 1 ? 4 : -4 }
      }
      try StoredOutputs.write(
        logOdds: values, frameCount: 8, objects: [1].compactMap { ObjectID($0) },
        size: SyntheticData.size, to: folder.path("outputs/\(clip).safetensors"))
    }
    var recipe = DatasetRecipe(.taught, path: folder.path + "/wild")
    recipe.outputs = folder.path + "/outputs"
    var samples = SyntheticData.samples
    samples.severalShare = 0.5
    let maker = try maker([recipe], samples, withTeacher: true)
    for step in 0..<4 {
      let batch = try maker.batch(step, progress: 1)
      let logOdds = try #require(batch.teacher).logOdds
      let area = batch.size.area
      #expect(logOdds.count == 6 * (batch.objects + 1) * area)
      var different = 0
      for place in 0..<6 {
        for pixel in 0..<area {
          let values = (0...batch.objects).map {
            logOdds[(place * (batch.objects + 1) + $0) * area + pixel]
          }
          let best = values.indices.max { values[$0] < values[$1] } ?? 0
          var truth = 0
          for object in 0..<batch.objects {
            let mask = batch.masks[(place * batch.objects + object) * area + pixel]
            if mask == 1 { truth = object + 1 }
          }
          if best != truth { different += 1 }
        }
      }
      // Nearest labels and bilinear log-odds disagree on edges only.
      #expect(different < 6 * area / 50, "\(different)")
    }
  }

  // MARK: - Parts

  @Test func gapsFollowTheCurriculum() {
    var recipe = SampleRecipe()
    recipe.gapLimits = [[0, 2], [0.5, 12], [0.9, 5]]
    #expect(recipe.problem == nil)
    #expect([0, 0.49, 0.5, 0.89, 0.95].map { recipe.gapLimit(at: $0) } == [2, 2, 12, 12, 5])
  }

  @Test func priorsAreDamagedInTheGivenShares() {
    let size = FrameSize(width: 32, height: 32)
    let mask = (0..<1024).map { pixel -> Float in
      let (x, y) = (pixel % 32 - 16, pixel / 32 - 16)
      return x * x + y * y < 80 ? 1 : 0
    }
    let count = mask.count { $0 == 1 }
    var (same, empty, smaller, larger) = (0, 0, 0, 0)
    for step in 0..<2000 {
      var damaged = mask
      RecipePrior(.init(), seed: 3, step: step).corrupt(
        &damaged, objects: 1, size: size, sample: 1, frame: 2)
      #expect(damaged.allSatisfy { (0...1).contains($0) })
      let left = damaged.count { $0 > 0.5 }
      if damaged == mask {
        same += 1
      } else if left == 0 {
        empty += 1
      } else if left < count {
        smaller += 1
      } else if left > count {
        larger += 1
      }
    }
    #expect((720...920).contains(same))
    #expect((180...360).contains(empty))
    #expect(smaller > 200 && larger > 150)
    var again = mask
    var twice = mask
    RecipePrior(.init(), seed: 3, step: 7).corrupt(
      &again, objects: 1, size: size, sample: 0, frame: 1)
    RecipePrior(.init(), seed: 3, step: 7).corrupt(
      &twice, objects: 1, size: size, sample: 0, frame: 1)
    #expect(again == twice)
  }

  @Test func masksDecayInTheGivenShares() {
    let size = FrameSize(width: 48, height: 32)
    let object = (0..<size.area).map { pixel -> Float in
      let (x, y) = (pixel % 48 - 20, pixel / 48 - 16)
      return x * x + y * y < 80 ? 0.9 : 0.1
    }
    let nothing = [Float](repeating: 0.2, count: size.area)
    let count = object.count { $0 > 0.5 }
    var samples = SampleRecipe()
    func decay(_ masks: [Float], objects: Int, step: Int) -> MaskDecay? {
      masks.withUnsafeBufferPointer {
        RecipePrior(samples, seed: 3, step: step).decay(
          of: $0, objects: objects, size: size, sample: 1, frame: 2)
      }
    }
    #expect((0..<50).allSatisfy { decay(object, objects: 1, step: $0) == nil })
    samples.decay.lost = 0.3
    samples.decay.gained = 0.2
    var (lost, gained, seconds) = (0, 0, 0)
    for step in 0..<1000 {
      guard let decay = decay(object + object, objects: 2, step: step) else { continue }
      seconds += decay.object
      let replaced = decay.isReplaced.indices.filter { decay.isReplaced[$0] }
      if decay.value == 0 {
        lost += 1
        let share = Double(replaced.count { object[$0] > 0.5 }) / Double(count)
        #expect((0.02...0.8).contains(share))
      } else {
        gained += 1
        #expect(decay.value == 1 && replaced.count < count)
      }
    }
    #expect((250...350).contains(lost) && (155...245).contains(gained))
    #expect((190...310).contains(seconds))
    #expect(decay(object, objects: 1, step: 7) == decay(object, objects: 1, step: 7))
    samples.decay.lost = 0
    samples.decay.gained = 0
    samples.decay.swapped = 0.5
    var swaps = 0
    for step in 0..<200 {
      guard let decay = decay(object + object, objects: 2, step: step) else { continue }
      swaps += 1
      #expect(decay.heir == 1 - decay.object && decay.value == 0)
      let replaced = decay.isReplaced.indices.filter { decay.isReplaced[$0] }
      #expect(!replaced.isEmpty && replaced.allSatisfy { object[$0] > 0.5 })
    }
    #expect((75...125).contains(swaps))
    #expect((0..<50).allSatisfy { decay(object, objects: 1, step: $0) == nil })
    samples.decay.swapped = 0
    samples.decay.lost = 1
    #expect(decay(nothing, objects: 1, step: 0) == nil)
    samples.decay.gained = 0.1
    #expect(samples.problem?.contains("decay") == true)
  }

  @Test func mapsInvertAndCompose() {
    var random = SampleGenerator(seed: 4, purpose: .sample, 0)
    let limits = MotionLimits(degrees: 40, scale: 0.4, shift: 0.3, shear: 0.2)
    for _ in 0..<20 {
      let map = AffineMap.motion(limits, size: 64, &random)
      let point = map.inverse.after(map)(12, 50)
      #expect(abs(point.x - 12) < 1e-9 && abs(point.y - 50) < 1e-9)
      let other = AffineMap.motion(limits, size: 64, &random)
      let (a, b) = (other.after(map)(3, 4), other(map(3, 4).x, map(3, 4).y))
      #expect(abs(a.x - b.x) < 1e-9 && abs(a.y - b.y) < 1e-9)
    }
  }

  @Test func splinesGoThroughTheirPoints() {
    // A spline displaced by an affine field is that field.
    var random = SampleGenerator(seed: 5, purpose: .sample, 0)
    let spline = ThinPlateSpline(size: 64, points: 8, deviation: 0, &random)
    #expect(spline.displacement.count == 2 * 25)
    #expect(spline.displacement.allSatisfy { $0 == 0 })
    let bent = ThinPlateSpline(size: 64, points: 8, deviation: 0.02, &random)
    let largest = bent.displacement.map { abs($0) }.max() ?? 0
    #expect(largest > 0.2 && largest < 40)
  }

  /// Every sampling position of random warps against a plain computation in doubles.
  @Test(arguments: [false, true]) func warpsMatchThePlainComputation(bent: Bool) {
    var random = SampleGenerator(seed: 6, purpose: .sample, bent ? 1 : 0)
    let (width, height, side) = (23, 17, 80)
    let plane = (0..<width * height).map { _ in Float(random.real(0...1)) }
    let limits = MotionLimits(degrees: 40, scale: 0.4, shift: 0.3, shear: 0.2)
    let spline =
      bent ? ThinPlateSpline(size: side, points: 5, deviation: 0.05, &random) : nil
    let warp = Warp(size: side, map: .motion(limits, size: 20, &random), spline: spline)
    var actual = [Float](repeating: 0, count: side * side)
    warp.withDescription {
      vos_warp_planes(
        plane, 1, Int32(width), Int32(height), $0, Int32(side), Int32(side), &actual)
    }
    func mirrored(_ i: Int, _ n: Int) -> Int {
      let period = 2 * (n - 1)
      let m = ((i % period) + period) % period
      return m < n ? m : period - m
    }
    func value(_ x: Int, _ y: Int) -> Double {
      Double(plane[mirrored(y, height) * width + mirrored(x, width)])
    }
    var expected: [Float] = []
    for y in 0..<side {
      for x in 0..<side {
        var (px, py) = (Double(x), Double(y))
        if let spline {
          let (cx, cy) = (x / 16, y / 16)
          let (fx, fy) = (Double(x % 16) / 16, Double(y % 16) / 16)
          func at(_ i: Int, _ j: Int, _ k: Int) -> Double {
            Double(spline.displacement[2 * ((cy + j) * (spline.cells + 1) + cx + i) + k])
          }
          func mixed(_ k: Int) -> Double {
            (at(0, 0, k) * (1 - fx) + at(1, 0, k) * fx) * (1 - fy)
              + (at(0, 1, k) * (1 - fx) + at(1, 1, k) * fx) * fy
          }
          px += mixed(0)
          py += mixed(1)
        }
        let place = warp.map(px, py)
        let (left, top) = (place.x.rounded(.down), place.y.rounded(.down))
        let (fx, fy) = (place.x - left, place.y - top)
        let (ix, iy) = (Int(left), Int(top))
        expected.append(
          Float(
            (value(ix, iy) * (1 - fx) + value(ix + 1, iy) * fx) * (1 - fy)
              + (value(ix, iy + 1) * (1 - fx) + value(ix + 1, iy + 1) * fx) * fy))
      }
    }
    let difference = Difference(actual, expected)
    #expect(difference.maximum < 1e-3, "\(difference)")

    // The byte versions see the same positions.
    let bytes = plane.flatMap { v -> [UInt8] in [UInt8(v * 255), 0, UInt8(v * 100)] }
    var colors = [UInt8](repeating: 0, count: side * side * 3)
    warp.withDescription {
      vos_warp_rgb(
        bytes, Int32(width), Int32(height), $0, Int32(side), Int32(side), &colors)
    }
    let red = (0..<side * side).map { Float(colors[$0 * 3]) / 255 }
    #expect(Difference(red, expected).maximum < 0.01)
  }

  @Test func morphologyMatchesThePlainComputation() {
    var random = SampleGenerator(seed: 7, purpose: .sample, 0)
    let (width, height) = (19, 13)
    let plane = (0..<width * height).map { _ in Float(random.real(0...1)) }
    for (radius, dilate) in [(1, true), (2, false), (7, true), (40, false), (0, true)] {
      var actual = plane
      var scratch = [Float](repeating: 0, count: max(width, height))
      vos_morphology(&actual, Int32(width), Int32(height), Int32(radius), dilate ? 1 : 0, &scratch)
      for y in 0..<height {
        for x in 0..<width {
          var values: [Float] = []
          for v in max(0, y - radius)...min(height - 1, y + radius) {
            for u in max(0, x - radius)...min(width - 1, x + radius) {
              values.append(plane[v * width + u])
            }
          }
          #expect(actual[y * width + x] == (dilate ? values.max() : values.min()))
        }
      }
    }
  }

  @Test func shrinkingAveragesAreas() {
    let source: [UInt8] = (0..<4 * 6 * 3).map { UInt8($0 * 3) }
    var halved = [UInt8](repeating: 0, count: 2 * 3 * 3)
    vos_shrink_rgb(source, 6, 4, 3, 2, &halved)
    for y in 0..<2 {
      for x in 0..<3 {
        for c in 0..<3 {
          var sum = 0
          for (v, u) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            sum += Int(source[((2 * y + v) * 6 + 2 * x + u) * 3 + c])
          }
          #expect(Int(halved[(y * 3 + x) * 3 + c]) == (sum + 2) / 4)
        }
      }
    }
    var constant = [UInt8](repeating: 0, count: 5 * 3 * 3)
    vos_shrink_rgb([UInt8](repeating: 77, count: 7 * 4 * 3), 7, 4, 5, 3, &constant)
    #expect(constant.allSatisfy { $0 == 77 })
  }

  @Test func generatorsAreIndependentAndEven() {
    var seen = Set<UInt64>()
    for counter in 0..<1000 {
      for purpose in [SampleGenerator.Purpose.batch, .sample, .prior] {
        var random = SampleGenerator(seed: 1, purpose: purpose, counter)
        seen.insert(random.next())
      }
    }
    #expect(seen.count == 3000)
    var random = SampleGenerator(seed: 9, purpose: .sample, 1)
    var counts = [Int](repeating: 0, count: 7)
    for _ in 0..<7000 { counts[random.index(7)] += 1 }
    #expect(counts.allSatisfy { (850...1150).contains($0) })
    var chosen = [Int](repeating: 0, count: 3)
    for _ in 0..<4000 { chosen[random.weighted([1, 1, 4])] += 1 }
    #expect(chosen[1] == 0 && (850...1150).contains(chosen[0]))
  }

  // MARK: - Loader

  @Test(arguments: [1, 3]) func loaderKeepsOrderAndBounds(threads: Int) throws {
    let recipe = try SyntheticData.davis(folder)
    let maker = try maker([recipe])
    let running = Mutex<(made: Int, taken: Int, worst: Int)>((0, 0, 0))
    let loader = BatchLoader(steps: 4..<16, threads: threads, capacity: 3) {
      step throws(TrainingError) in
      running.withLock {
        $0.made += 1
        $0.worst = max($0.worst, $0.made - $0.taken)
      }
      return try maker.batch(step, progress: 0.5)
    }
    for step in 4..<16 {
      let batch = try #require(try loader.next())
      running.withLock { $0.taken += 1 }
      #expect(batch.images == (try maker.batch(step, progress: 0.5)).images, "\(step)")
    }
    #expect(try loader.next() == nil)
    // One more may have been started between `next` and the count.
    #expect(running.withLock { $0.worst } <= 4)
    loader.stop()
  }

  @Test func loaderPassesErrorsAndStops() throws {
    let loader = BatchLoader(steps: 0..<100) { _ throws(TrainingError) in
      throw TrainingError("broken")
    }
    #expect(throws: TrainingError("broken")) { try loader.next() }
    loader.stop()
    #expect(try loader.next() == nil)
  }

  @Test func sheetsShowEverySample() throws {
    let batch = try maker([try SyntheticData.davis(folder)]).batch(0, progress: 0)
    var sheet = ContactSheet(size: batch.size)
    sheet.append(batch, prior: RecipePrior(.init(), seed: 1, step: 0))
    #expect(sheet.image.size == FrameSize(width: 3 * 68 - 4, height: 4 * 68 - 4))
  }
}
