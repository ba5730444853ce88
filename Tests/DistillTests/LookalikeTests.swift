// Samples with a second look of their own object.

import MemoryVOS
import TestSupport
import Testing

@testable import Distill

@Suite struct LookalikeTests {
  private let folder = TemporaryFolder()

  private func maker(_ samples: SampleRecipe) throws -> SampleMaker {
    let datasets = [try Dataset.open(SyntheticData.davis(folder))]
    return try SampleMaker(datasets, recipe: samples, seed: 1, cacheBytes: 1 << 24) { _, _ in }
  }

  private static func samples(several: Double, lookalikes: Double) -> SampleRecipe {
    var samples = SyntheticData.samples
    samples.colorJitter = 0
    samples.frameColorJitter = 0
    samples.severalShare = several
    samples.ownObjectsShare = 0
    samples.lookalikeShare = lookalikes
    return samples
  }

  /// Pixels of each batch that have the object's colour and are of none.
  private func unclaimed(_ samples: SampleRecipe) throws -> [Int] {
    let maker = try maker(samples)
    return try (0..<12).map { step in
      let batch = try maker.batch(step, progress: 1)
      #expect(batch.objects == 1)
      return batch.masks.indices.count { index in
        let blue = batch.images[index * 3 + 2] * 127.5 + 127.5
        let green = batch.images[index * 3 + 1] * 127.5 + 127.5
        return batch.masks[index] == 0 && green > 160 && blue < 60
      }
    }
  }

  @Test func inSamplesWithOneObjectTheyAreBackground() throws {
    // Void and blended edges leave a few pixels in any sample.
    let without = try unclaimed(Self.samples(several: 0, lookalikes: 0)).reduce(0, +)
    let with = try unclaimed(Self.samples(several: 0, lookalikes: 1))
    #expect(with.count { $0 > 100 } >= 6, "\(with)")
    #expect(without < with.reduce(0, +) / 4)
  }

  @Test func inSamplesWithSeveralTheyAreTheSecondObject() throws {
    let maker = try maker(Self.samples(several: 1, lookalikes: 1))
    var (seen, alike) = (0, 0)
    for step in 0..<8 {
      let batch = try maker.batch(step, progress: 1)
      let area = batch.size.area
      #expect(batch.objects == 2)
      for place in 0..<batch.batch * batch.frames {
        for pixel in 0..<area where batch.masks[(place * 2 + 1) * area + pixel] == 1 {
          seen += 1
          if batch.images[(place * area + pixel) * 3] * 127.5 + 127.5 > 150 { alike += 1 }
        }
      }
    }
    #expect(seen > 2000 && alike > seen * 8 / 10, "\(alike) of \(seen)")
  }

  @Test func theyFollowFromSeedAndStep() throws {
    let samples = Self.samples(several: 0.5, lookalikes: 0.7)
    let (first, second) = (try maker(samples), try maker(samples))
    _ = try second.batch(0, progress: 1)
    #expect(try first.batch(4, progress: 1).images == second.batch(4, progress: 1).images)
  }

  /// Clips whose object is missing in some frames, and hardly fits: no sample may fail.
  @Test func objectsThatAreNotThereGiveNone() throws {
    let recipe = try SyntheticData.davis(folder, name: "gaps")
    for index in 0..<8 where index % 2 == 1 {
      try MaskFile.write(
        LabelMap(size: SyntheticData.size),
        to: folder.path("gaps/Annotations/tiny/a/0000\(index).png"))
    }
    let datasets = [try Dataset.open(recipe)]
    let maker = try SampleMaker(
      datasets, recipe: Self.samples(several: 0.5, lookalikes: 1), seed: 2, cacheBytes: 1 << 24
    ) { _, _ in }
    for step in 0..<20 { _ = try maker.batch(step, progress: 1) }
  }
}
