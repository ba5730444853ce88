// Rendered samples: rotations, hidden surfaces against an independent formula, batches.

import Foundation
import MemoryVOS
import Synchronization
import TestSupport
import Testing

@testable import Distill

@Suite struct RenderedTests {
  private func generator(_ number: Int) -> SampleGenerator {
    SampleGenerator(seed: 7, purpose: .sample, number)
  }

  private func length(_ vector: SIMD3<Double>) -> Double { (vector * vector).sum().squareRoot() }

  private func part(
    _ rotation: Rotation, at center: SIMD3<Double>, radii: SIMD3<Double>, picture: Int = 0,
    repeats: Double = 0.5
  ) -> BodyPart.Placed {
    .init(
      rotation: rotation, center: center, radii: radii,
      texture: (picture, SIMD2(0, 0), SIMD2(repeats, 1)))
  }

  @Test(arguments: 0..<20) func rotationsKeepLengthsAndAxes(_ number: Int) {
    var random = generator(number)
    let axis = random.direction()
    let (angle, vector) = (random.real(-4...4), random.vector())
    let rotation = Rotation(axis: axis, angle: angle)
    let other = Rotation.random(&random)
    #expect(abs(length(axis) - 1) < 1e-12)
    #expect(length(rotation * axis - axis) < 1e-12)
    #expect(abs(length(rotation * vector) - length(vector)) < 1e-12)
    #expect(length(rotation.transposed * (rotation * vector) - vector) < 1e-12)
    #expect(length((rotation * other) * vector - rotation * (other * vector)) < 1e-12)
  }

  @Test func aQuarterTurnAboutZTakesXToY() {
    let turned = Rotation(axis: SIMD3(0, 0, 1), angle: .pi / 2) * SIMD3(1, 0, 0)
    #expect(length(turned - SIMD3(0, 1, 0)) < 1e-15)
  }

  /// In the ellipsoid's own frame it is the unit sphere, and each pixel a line.
  @Test(arguments: 0..<30) func ellipsoidsAreWhatLinesHit(_ number: Int) {
    var random = generator(number)
    let side = 48
    let place = part(
      .random(&random),
      at: SIMD3(random.real(-10...58), random.real(-10...58), random.real(-50...50)),
      radii: SIMD3(indices: { _ in random.real(0.5...30) }))
    var depths = [Double](repeating: .nan, count: side * side)
    Ellipsoid(place).forEachPixel(side: side) { pixel, depth, normal, local in
      #expect(depths[pixel].isNaN, "pixel \(pixel) twice")
      depths[pixel] = depth
      #expect(abs(length(normal) - 1) < 1e-9 && normal.z <= 1e-6)
      #expect(abs(length(local) - 1) < 1e-6)
    }
    let inverse = place.rotation.transposed
    let direction = inverse * SIMD3(0, 0, 1) / place.radii
    for pixel in depths.indices {
      let point = SIMD3(Double(pixel % side), Double(pixel / side), 0) - place.center
      let start = inverse * point / place.radii
      let (a, b) = ((direction * direction).sum(), (direction * start).sum())
      let square = b * b - a * ((start * start).sum() - 1)
      if abs(square) < 1e-9 { continue }
      #expect(depths[pixel].isNaN == (square < 0), "pixel \(pixel)")
      if square > 0 {
        #expect(abs(depths[pixel] - (-b - square.squareRoot()) / a) < 1e-6 * (1 + abs(b / a)))
      }
    }
  }

  @Test func turnedBodiesShowTheirOtherSideAndNearerPartsHideOthers() {
    // Red in the first quarter of its columns, blue in the others; and green.
    let size = FrameSize(width: 80, height: 8)
    let halves = (0..<size.area).flatMap { $0 % 80 < 20 ? [200, 0, 0] : [0, 0, 200] as [UInt8] }
    let green = (0..<size.area).flatMap { _ in [0, 200, 0] as [UInt8] }
    let pictures = [Frame(size: size, pixels: halves), Frame(size: size, pixels: green)]
    var random = generator(0)
    let light = Light(&random)
    let middle = (16 * 32 + 16) * 3
    func drawn(_ parts: [BodyPart.Placed]) -> Canvas {
      var canvas = Canvas(side: 32, image: [UInt8](repeating: 9, count: 32 * 32 * 3))
      canvas.draw(parts, pictures: pictures, light: light, brightness: 1, label: 3)
      return canvas
    }
    let center = SIMD3<Double>(16, 16, 0)
    let still = part(
      Rotation(axis: SIMD3(1, 0, 0), angle: 0), at: center, radii: SIMD3(repeating: 10))
    let turned = part(
      Rotation(axis: SIMD3(1, 0, 0), angle: .pi), at: center, radii: SIMD3(repeating: 10))
    let behind = part(
      .random(&random), at: SIMD3(16, 16, 30), radii: SIMD3(repeating: 14), picture: 1)
    let before = part(
      .random(&random), at: SIMD3(16, 16, -30), radii: SIMD3(repeating: 5), picture: 1)
    let (first, second) = (drawn([still]), drawn([turned]))
    #expect(first.image[middle] == 0 && first.image[middle + 2] > 90)
    #expect(second.image[middle] > 90 && second.image[middle + 2] == 0)
    #expect(drawn([behind, still]).image[middle + 1] == 0)
    #expect(drawn([before, still]).image[middle + 1] > 90)
    let pixels = first.labels.count { $0 == 3 }
    #expect(abs(Double(pixels) - .pi * 100) < 12 && pixels == second.labels.count { $0 == 3 })
    #expect(first.labels.count { $0 == 0 } + pixels == 32 * 32)
    for pixel in 0..<32 * 32 {
      let (dx, dy) = (Double(pixel % 32) - 16, Double(pixel / 32) - 16)
      guard dx * dx + dy * dy > 144 else { continue }
      #expect(first.image[3 * pixel..<3 * pixel + 3].allSatisfy { $0 == 9 }, "pixel \(pixel)")
    }
  }

  private func maker(
    _ share: Double, _ data: DatasetRecipe, objects: Int = 2,
    report: @escaping SampleMaker.Report = { _, _ in }
  ) throws -> SampleMaker {
    var samples = SyntheticData.samples
    samples.size = 96
    samples.severalShare = 1
    samples.ownObjectsShare = 1
    samples.objects = objects
    samples.renderedShare = share
    return try SampleMaker(
      [try Dataset.open(data)], recipe: samples, seed: 3, cacheBytes: 1 << 22, report: report)
  }

  @Test(arguments: [1, 2, 3]) func batchesHoldBodiesThatMove(_ objects: Int) throws {
    let folder = TemporaryFolder()
    let data = try SyntheticData.davis(folder)
    let (first, second) = (
      try maker(1, data, objects: objects), try maker(1, data, objects: objects)
    )
    var (moved, count) = (0, 0)
    for step in 0..<6 {
      let batch = try first.batch(step, progress: 1)
      let again = try second.batch(step, progress: 1)
      #expect(batch.images == again.images && batch.masks == again.masks)
      #expect(batch.objects == objects && batch.images.allSatisfy { abs($0) < 1.000_001 })
      let area = batch.size.area
      for index in 0..<batch.batch {
        func mask(_ frame: Int, _ object: Int) -> ArraySlice<Float> {
          let start = ((index * batch.frames + frame) * objects + object) * area
          return batch.masks[start..<start + area]
        }
        for object in 0..<objects {
          let (start, end) = (mask(0, object), mask(batch.frames - 1, object))
          #expect(start.reduce(0, +) > Float(0.002 * Double(area)))
          count += 1
          if Array(start) != Array(end) { moved += 1 }
        }
        for frame in 0..<batch.frames {
          let planes = (0..<objects).map { Array(mask(frame, $0)) }
          let sums = (0..<area).map { pixel in planes.reduce(Float(0)) { $0 + $1[pixel] } }
          #expect(sums.allSatisfy { $0 == 0 || $0 == 1 })
        }
      }
    }
    #expect(moved * 10 > count * 8, "\(moved) of \(count)")
  }

  @Test func unreadablePicturesAreReported() throws {
    let folder = TemporaryFolder()
    let data = try SyntheticData.davis(folder)
    for clip in ["a", "b"] {
      for index in 0..<8 {
        try Data("no picture".utf8).write(
          to: URL(filePath: folder.path("davis/JPEGImages/tiny/\(clip)/0000\(index).png")))
      }
    }
    let reported = Mutex(0)
    let datasets = try maker(1, data) { _, _ in reported.withLock { $0 += 1 } }
    #expect(throws: TrainingError.self) { try datasets.batch(0, progress: 0) }
    #expect(datasets.skippedCount > 0 && reported.withLock { $0 } == datasets.skippedCount)
  }

  @Test func renderedAndOtherSamplesMix() throws {
    let folder = TemporaryFolder()
    let data = try SyntheticData.davis(folder)
    let makers = try [0, 0.5, 1].map { try maker($0, data) }
    let batches = try (0..<8).map { step in try makers.map { try $0.batch(step, progress: 1) } }
    #expect(batches.allSatisfy { $0.allSatisfy { $0.objects == 2 } })
    #expect(batches.allSatisfy { $0[0].images != $0[2].images })
    #expect(batches.contains { $0[1].images != $0[2].images })
  }

  @Test func storedFeaturesCannotBeRendered() throws {
    let folder = TemporaryFolder()
    var samples = SyntheticData.samples
    samples.renderedShare = 0.1
    let sets = [try Dataset.open(try SyntheticData.davis(folder))]
    let error = #expect(throws: TrainingError.self) {
      _ = try SampleMaker(
        sets, recipe: samples, seed: 1, cacheBytes: 1 << 20, featureChannels: 8
      ) { _, _ in }
    }
    #expect(error?.description.contains("rendered_share") == true)
  }

  @Test func sharesAreChecked() {
    var samples = SampleRecipe()
    samples.renderedShare = 1.5
    #expect(samples.problem?.contains("rendered_share") == true)
  }
}
