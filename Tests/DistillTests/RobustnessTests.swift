// What training does with void pixels, numbers that are not finite, damaged files and data that does not
// fit together.

import Foundation
import MemoryVOS
import TestSupport
import Testing

@testable import Distill

@Suite struct VoidTests {
  private let folder = TemporaryFolder()

  /// Values of five pixels, two of them void, against those of the other three alone.
  @Test func voidPixelsChangeNoLoss() {
    let target: [UInt8] = [0, 255, 1, 255, 1]
    let kept = target.indices.filter { target[$0] != 255 }
    let object: [Double] = [0.3, 0.9, 0.6, 0.2, 0.1]
    let probabilities = object.map { 1 - $0 } + object
    func chosen(_ values: [Double]) -> [Double] {
      kept.map { values[$0] } + kept.map { values[5 + $0] }
    }
    for share in [1.0, 0.7, 0.4, 0.01] {
      let loss = BootstrappedCrossEntropy<Double>(share: share, poly1: 0.5)
      var (all, few) = ([Double](repeating: 0, count: 10), [Double](repeating: 0, count: 6))
      var scratch = [Double](repeating: 0, count: 10)
      let value = loss.evaluate(
        probabilities: probabilities, target: target, classes: 2, count: 5, weight: 2,
        scratch: &scratch, gradient: &all)
      let expected = loss.evaluate(
        probabilities: chosen(probabilities), target: kept.map { target[$0] }, classes: 2, count: 3,
        weight: 2, scratch: &scratch, gradient: &few)
      #expect(value == expected && chosen(all) == few, "share \(share)")
      #expect([1, 3, 6, 8].allSatisfy { all[$0] == 0 })
    }
    var gradient = [Double](repeating: 0, count: 10)
    var scratch = gradient
    let nothing = [UInt8](repeating: 255, count: 5)
    #expect(
      BootstrappedCrossEntropy<Double>(share: 0.5, poly1: 0).evaluate(
        probabilities: probabilities, target: nothing, classes: 2, count: 5, weight: 1,
        scratch: &scratch, gradient: &gradient) == 0)
    #expect(gradient.allSatisfy { $0 == 0 })

    let mask: [Float] = [0, 1, 1, 0, 1]
    var (all, few) = ([Double](repeating: 0, count: 5), [Double](repeating: 0, count: 3))
    let dice = DiceLoss<Double>()
    let value = dice.evaluate(
      probabilities: object, mask: mask, count: 5, weight: 3, target: target, gradient: &all)
    let expected = dice.evaluate(
      probabilities: kept.map { object[$0] }, mask: kept.map { mask[$0] }, count: 3, weight: 3,
      gradient: &few)
    #expect(value == expected && kept.map { all[$0] } == few && all[1] == 0 && all[3] == 0)
  }

  @Test func voidPixelsAreNotSampled() {
    var generator = SplitMix64(seed: 1)
    let boundary = (0..<40).map { $0 % 2 == 0 }
    let excluded = (0..<40).map { $0 % 4 < 2 }
    let chosen = PixelSampling.choose(
      boundary: boundary, excluded: excluded, count: 40, using: &generator)
    #expect(chosen == (0..<40).filter { !excluded[$0] })
  }

  @Test func voidInMasksReachesTheBatch() throws {
    let recipe = try SyntheticData.davis(folder)
    // A frame of void around the object, as labellers leave it.
    for clip in ["a", "b"] {
      for index in 0..<8 {
        var labels = SyntheticData.picture(index).labels
        for y in 12..<44 {
          for x in 16 + index..<48 + index where labels.labels[y * 96 + x] == 0 {
            labels.labels[y * 96 + x] = 255
          }
        }
        try MaskFile.write(
          labels, to: folder.path("davis/Annotations/tiny/\(clip)/0000\(index).png"))
      }
    }
    var samples = SyntheticData.samples
    samples.severalShare = 0.5
    let maker = try SampleMaker(
      [try Dataset.open(recipe)], recipe: samples, seed: 1, cacheBytes: 1 << 20, withTeacher: true
    ) { problem, _ in Issue.record("\(problem)") }
    let step = try TrainingStep(SyntheticData.network, loss: .init(), threads: 1)
    var parameters = step.gradients
    parameters.initialize(seed: 1)
    for number in 0..<4 {
      var batch = try maker.batch(number, progress: 1)
      let area = batch.size.area
      #expect(batch.void.count == batch.batch * batch.frames * area)
      #expect(batch.void.contains(1))
      for place in 0..<batch.batch * batch.frames {
        for object in 0..<batch.objects {
          for pixel in 0..<area where batch.void[place * area + pixel] == 1 {
            #expect(batch.masks[(place * batch.objects + object) * area + pixel] == 0)
          }
        }
      }
      // What a mask says under void does not matter, unless it is given.
      let before = step.run(batch, parameters: parameters)
      let gradients = step.gradients.scalars
      for sample in 0..<batch.batch {
        for frame in 1..<batch.frames {
          let place = sample * batch.frames + frame
          for pixel in 0..<area where batch.void[place * area + pixel] == 1 {
            batch.masks[place * batch.objects * area + pixel] = 1
          }
        }
      }
      #expect(step.run(batch, parameters: parameters) == before)
      #expect(step.gradients.scalars == gradients)
      batch.void = []
      #expect(step.run(batch, parameters: parameters) != before)
    }
  }
}

@Suite struct FailureTests {
  private let folder = TemporaryFolder()
  /// 96×64 pixels by Pillow.
  private static let jpeg =
    Data(
      base64Encoded: """
        /9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABQODxIPDRQSEBIXFRQYHjIhHhwcHj0sLiQySUBMS0dARkVQWnNiUFVt\
        VkVGZIhlbXd7gYKBTmCNl4x9lnN+gXz/2wBDARUXFx4aHjshITt8U0ZTfHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8\
        fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHz/wAARCABAAGADASIAAhEBAxEB/8QAFgABAQEAAAAAAAAAAAAAAAAA\
        AAUG/8QAGBABAAMBAAAAAAAAAAAAAAAAAAVDgsH/xAAXAQEBAQEAAAAAAAAAAAAAAAAABAMF/8QAHBEBAAIDAAMA\
        AAAAAAAAAAAAAAIRAQMEEjIz/9oADAMBAAIRAxEAPwCIAAAAAAAAAAAAACvA356rpEDfnqu5PT9cqYeokT1GuK6R\
        PUa4c31wT9UgB1kwAAAAACvA356rsiJNnN5yzK2kdlYqmuSJ6jXEgNfN4SxKyWy8VQArZgAAAAAAAAAAAAAAAP/Z
        """) ?? Data()

  private func recipe() throws -> Recipe {
    var recipe = Recipe()
    recipe.data = [try SyntheticData.davis(folder)]
    recipe.samples = SyntheticData.samples
    recipe.samples.batch = 1
    recipe.network = SyntheticData.network
    recipe.steps = 3
    recipe.threads = 1
    return recipe
  }

  @Test func stepsThatAreNotFiniteChangeNothing() throws {
    let recipe = try recipe()
    let output = folder.path + "/o"
    let trainer = try Trainer(recipe, output: output)
    var batch = try SampleMaker(
      try recipe.data.map { try Dataset.open($0) }, recipe: recipe.samples, seed: 1,
      cacheBytes: 1 << 20
    ) { _, _ in }.batch(0, progress: 0)
    let before = trainer.student.tensors
    batch.images[batch.images.count - 7] = .nan
    let (_, norm) = try trainer.take(batch)
    #expect(!norm.isFinite)
    #expect(trainer.skippedSteps == 1 && trainer.step == 1)
    for (name, tensor) in before {
      #expect(trainer.student.tensors[name]?.bytes == tensor.bytes, "\(name)")
    }
    // The next one is as good as ever, and the count is kept with the run.
    var counts: [Int] = []
    try trainer.run {
      counts.append($0.skippedSteps)
      #expect($0.losses.total.isFinite && $0.gradientNorm.isFinite)
    }
    #expect(counts == [1, 1])
    #expect(trainer.student.tensors["p.weight"]?.bytes != before["p.weight"]?.bytes)
    #expect(try Network(trainer.student).parameterCount > 0)
    #expect(try Trainer(recipe, output: output).skippedSteps == 1)
    // A run that never recovers ends with a message.
    let hopeless = try Trainer(recipe, output: folder.path + "/p")
    for _ in 0..<19 { _ = try hopeless.take(batch) }
    #expect(throws: TrainingError.self) { try hopeless.take(batch) }
  }

  @Test func notANumberInATeachersFileIsSkipped() throws {
    var recipe = try recipe()
    recipe.data[0].outputs = folder.path + "/outputs"
    recipe.loss.distillation = 1
    for (clip, bad) in [("a", Float.nan), ("b", 1)] {
      let values = (0..<8).flatMap { frame in
        SyntheticData.picture(frame).labels.labels.map { -Float($0) }
          + SyntheticData.picture(frame).labels.labels.map { Float($0) * bad }
      }
      try Checkpoint(
        metadata: ["format": StoredOutputs.format, "format_version": "1", "objects": "1"],
        tensors: ["log_odds": .init(shape: [8, 2, 64, 96], floats: values)]
      ).write(to: folder.path("outputs/\(clip).safetensors"))
    }
    let messages = Messages()
    let trainer = try Trainer(recipe, output: folder.path + "/o") { problem, _ in
      messages.append("\(problem)")
    }
    try trainer.run { #expect($0.losses.total.isFinite) }
    #expect(trainer.skippedSteps == 0 && trainer.skippedPictures > 0)
    #expect(messages.all.contains { $0.contains("a.safetensors") && $0.contains("finite") })
  }

  @Test(arguments: ["png", "jpg"]) func damagedPicturesAreSkipped(_ kind: String) throws {
    let recipe = try recipe()
    for index in 2..<6 {
      let path = folder.path("davis/JPEGImages/tiny/a/0000\(index).png")
      let whole = kind == "png" ? try Data(contentsOf: URL(filePath: path)) : Self.jpeg
      try FileManager.default.removeItem(atPath: path)
      try whole.prefix(whole.count * 2 / 3).write(
        to: URL(filePath: folder.path("davis/JPEGImages/tiny/a/0000\(index).\(kind)")))
    }
    let messages = Messages()
    let trainer = try Trainer(recipe, output: folder.path + "/o") { problem, _ in
      messages.append("\(problem)")
    }
    try trainer.run { #expect($0.losses.total.isFinite) }
    #expect(trainer.step == 3 && trainer.skippedPictures > 0)
    #expect(messages.all.allSatisfy { $0.contains("/a/0000") }, "\(messages.all)")
  }

  @Test func headersGiveSizes() throws {
    let size = FrameSize(width: 96, height: 64)
    try Self.jpeg.write(to: URL(filePath: folder.path("x.jpg")))
    #expect(PictureHeader.size(folder.path("x.jpg")) == size)
    try SyntheticData.write(SyntheticData.picture(0).frame, to: folder.path("x.png"))
    #expect(PictureHeader.size(folder.path("x.png")) == size)
    for count in 0..<Self.jpeg.count {
      try Self.jpeg.prefix(count).write(to: URL(filePath: folder.path("y.jpg")))
      let found = PictureHeader.size(folder.path("y.jpg"))
      #expect(found == nil || found == size)
    }
    #expect(PictureHeader.size(folder.path + "/none") == nil)
  }
}

/// Messages from any thread.
private final class Messages: @unchecked Sendable {  // safe: used under `lock`
  private let lock = NSLock()
  private var texts: [String] = []

  func append(_ text: String) { lock.withLock { texts.append(text) } }
  var all: [String] { lock.withLock { texts } }
}

@Suite struct DataCheckTests {
  private let folder = TemporaryFolder()

  private func problem(_ recipe: DatasetRecipe) -> String {
    do {
      _ = try Dataset.open(recipe)
      return "no error"
    } catch { return "\(error)" }
  }

  private func store(_ frames: Int, objects: [UInt8], size: FrameSize, to path: String) throws {
    try StoredOutputs.write(
      logOdds: [Float](repeating: 1, count: frames * (objects.count + 1) * size.area),
      frameCount: frames, objects: objects.compactMap { ObjectID($0) }, size: size, to: path)
  }

  @Test func outputsMustFitTheirClip() throws {
    var recipe = try SyntheticData.davis(folder, objects: 2)
    recipe.outputs = folder.path + "/outputs"
    let (a, b) = (folder.path("outputs/a.safetensors"), folder.path("outputs/b.safetensors"))
    let size = FrameSize(width: 24, height: 16)
    #expect(problem(recipe).contains(a))
    try store(8, objects: [1, 2], size: size, to: a)
    #expect(problem(recipe).contains(b))
    try store(7, objects: [1, 2], size: size, to: b)
    #expect(problem(recipe).contains("\(b): outputs for 7 frames"))
    try store(8, objects: [1, 2], size: FrameSize(width: 16, height: 24), to: b)
    #expect(problem(recipe).contains("\(b): planes of 16×24 have other proportions"))
    try store(8, objects: [1], size: size, to: b)
    #expect(problem(recipe).contains("\(b): holds objects 1, but"))
    try store(8, objects: [1, 2], size: FrameSize(width: 32, height: 20), to: b)
    #expect(problem(recipe) == "no error")
  }

  @Test func masksMustFitTheirPictures() throws {
    let recipe = try SyntheticData.davis(folder)
    let small = LabelMap(
      size: FrameSize(width: 48, height: 32), labels: [UInt8](repeating: 1, count: 48 * 32))
    let mask = folder.path("davis/Annotations/tiny/b/00006.png")
    try MaskFile.write(small, to: mask)
    #expect(problem(recipe).contains("\(mask): a mask of 48×32 for"))
    let frame = folder.path("davis/JPEGImages/tiny/b/00006.png")
    try SyntheticData.write(
      Frame(size: small.size, pixels: [UInt8](repeating: 9, count: 48 * 32 * 3)), to: frame)
    #expect(problem(recipe).contains("\(mask): a mask of 48×32, the clip's first has 96×64"))

    let stills = try SyntheticData.stills(folder)
    let still = folder.path("stills/x/masks/2.png")
    try MaskFile.write(small, to: still)
    #expect(problem(stills).contains("\(still): a mask of 48×32 for"))

    try SyntheticData.write(SyntheticData.picture(0).frame, to: folder.path("coco/1.png"))
    try Data(
      """
      {"images": [{"id": 5, "file_name": "1.png", "width": 64, "height": 96}], "annotations":
      [{"id": 1, "image_id": 5, "segmentation": [[1, 1, 30, 1, 30, 30, 1, 30]]}]}
      """.utf8
    ).write(to: URL(filePath: folder.path("coco/i.json")))
    var coco = DatasetRecipe(.coco, path: folder.path + "/coco")
    coco.annotations = "i.json"
    #expect(problem(coco).contains("i.json: a mask of 64×96 for a frame"))
  }
}
