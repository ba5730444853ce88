// Adaptation to annotated frames: what it learns, what it keeps, what it refuses.

import Foundation
import MemoryVOS
import Synchronization
import TestSupport
import Testing

@testable import Distill

@Suite struct AdaptationTests {
  private let picture = SyntheticData.picture(0, objects: 2)
  private var annotated: AnnotatedFrame { AnnotatedFrame(picture.frame, labels: picture.labels) }

  private static let checkpoint = Result { try Checkpoint(path: ShippedCheckpoint.path) }

  private func scalars(_ checkpoint: Checkpoint) throws -> [Float] {
    var set = ParameterSet(try Network(checkpoint).configuration)
    try set.load(checkpoint)
    return set.scalars
  }

  @Test func theSameFramesAndSeedGiveTheSameWeights() throws {
    let given = try Self.checkpoint.get()
    var adaptation = Adaptation(steps: 2, threads: 2)
    let first = try #require(try adaptation.adapted(given, to: [annotated]))
    let again = try #require(try adaptation.adapted(given, to: [annotated]))
    #expect(first.metadata == given.metadata, "settings such as locality stay")
    let weights = try scalars(first)
    #expect(try scalars(again) == weights)
    #expect(try scalars(given) != weights)
    adaptation.seed = 2
    let other = try #require(try adaptation.adapted(given, to: [annotated]))
    #expect(try scalars(other) != weights)
  }

  @Test func everyFrameIsLearnedFrom() throws {
    let given = try Self.checkpoint.get()
    let adaptation = Adaptation(steps: 2, threads: 2)
    let sets = [[annotated], [fence], [annotated, fence]]
    let weights = try sets.map {
      try scalars(try #require(try adaptation.adapted(given, to: $0)))
    }
    #expect(weights[2] != weights[0] && weights[2] != weights[1])
  }

  /// A fence of thin bars before a background of nearly the same colours.
  private var fence: AnnotatedFrame {
    let size = FrameSize(width: 160, height: 120)
    var labels = LabelMap(size: size)
    var pixels: [UInt8] = []
    for pixel in 0..<size.area {
      let (x, y) = (pixel % size.width, pixel / size.width)
      let isBar = (40..<120).contains(x) && (30..<90).contains(y) && (x % 8 < 2 || y % 20 < 2)
      labels.labels[pixel] = isBar ? 1 : 0
      let shade = UInt8(truncatingIfNeeded: 90 + (x * 7 + y * 13) % 40)
      pixels += isBar ? [shade, shade + 30, shade] : [shade, shade, shade + 10]
    }
    return AnnotatedFrame(Frame(size: size, pixels: pixels), labels: labels)
  }

  /// On other samples of the same frame the losses are smaller than before.
  @Test func theFrameIsLearned() throws {
    let given = try Self.checkpoint.get()
    let adaptation = Adaptation(steps: 12, threads: 2)
    let adapted = try #require(try adaptation.adapted(given, to: [fence]))
    var recipe = adaptation.recipe(try Network(given).configuration)
    recipe.samples.renderedShare = 0
    let maker = try SampleMaker(
      [Dataset([fence])], recipe: recipe.samples, seed: 77, cacheBytes: 1 << 20
    ) { _, _ in }
    func loss(_ checkpoint: Checkpoint) throws -> Double {
      let step = try TrainingStep(recipe.network, loss: recipe.loss, threads: 2)
      var parameters = step.gradients
      try parameters.load(checkpoint)
      return try (0..<3).reduce(0) {
        $0 + step.run(try maker.batch($1, progress: 1), parameters: parameters, progress: 1).total
      }
    }
    let (before, after) = (try loss(given), try loss(adapted))
    #expect(after < 0.9 * before, "\(before) before, \(after) after")
  }

  /// Pictures in memory and in files make the same samples, also where they are shrunk.
  @Test(arguments: [48, 480]) func framesAreStills(side: Int) throws {
    let folder = TemporaryFolder()
    try SyntheticData.write(picture.frame, to: folder.path("set/images/1.png"))
    try MaskFile.write(picture.labels, to: folder.path("set/masks/1.png"))
    let files = try Dataset.open(DatasetRecipe(.stills, path: folder.path + "/set"))
    var recipe = Adaptation().recipe(SyntheticData.network)
    recipe.samples.pictureSide = side
    let batches = try [files, Dataset([annotated])].map { set in
      let maker = try SampleMaker([set], recipe: recipe.samples, seed: 3, cacheBytes: 1 << 20) {
        Issue.record("\($0), \($1)")
      }
      return try (0..<4).map { try maker.batch($0, progress: 0.5) }
    }
    for (one, other) in zip(batches[0], batches[1]) {
      #expect(one.images == other.images && one.masks == other.masks)
    }
  }

  @Test func stopsWhenAsked() throws {
    let seen = Mutex<[Int]>([])
    let adapted = try Adaptation(steps: 5).adapted(try Self.checkpoint.get(), to: [annotated]) {
      step in
      seen.withLock { $0.append(step) }
      return step < 2
    }
    #expect(adapted == nil)
    #expect(seen.withLock { $0 } == [1, 2])
  }

  /// What an adaptation of one step says is wrong.
  private func problem(_ checkpoint: Checkpoint, _ frame: AnnotatedFrame) -> String? {
    do {
      _ = try Adaptation(steps: 1).adapted(checkpoint, to: [frame])
      return nil
    } catch { return "\(error)" }
  }

  @Test func integersAreRefused() throws {
    let path = ShippedCheckpoint.folder + "/vos-mobile-int8.safetensors"
    let problem = try problem(Checkpoint(path: path), annotated)
    #expect(problem?.contains("int8.safetensors: its weights are integers") == true)
  }

  @Test func anObjectOfFewPixelsIsAnError() throws {
    var labels = LabelMap(size: SyntheticData.size)
    labels.labels[100] = 1
    let small = AnnotatedFrame(picture.frame, labels: labels)
    let problem = try problem(Self.checkpoint.get(), small)
    #expect(problem?.contains("no sample in 100 attempts") == true, "\(problem as Any)")
  }

  /// One object that can be learned is enough, whichever samples a seed begins with.
  @Test(arguments: 1...4 as ClosedRange<UInt64>) func aSmallObjectBesideALargeOneIsNoError(
    seed: UInt64
  ) throws {
    var labels = SyntheticData.picture(0).labels
    for pixel in 0..<20 { labels.labels[pixel] = 2 }
    var adaptation = Adaptation(steps: 1)
    adaptation.seed = seed
    let frame = AnnotatedFrame(picture.frame, labels: labels)
    let adapted = try adaptation.adapted(try Self.checkpoint.get(), to: [frame])
    #expect(adapted?.tensors.isEmpty == false)
  }

  @Test func aCheckpointThatIsNoneIsAnError() {
    #expect(problem(Checkpoint(), annotated) != nil)
  }
}
