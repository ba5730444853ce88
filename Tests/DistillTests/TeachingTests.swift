// Teachers: averages of trackers, files of stored outputs, live outputs on training batches.

import Foundation
import MemoryVOS
import TestSupport
import Testing

@testable import Distill

@Suite struct TeachingTests {
  private let folder = TemporaryFolder()

  /// A checkpoint of a small random network.
  private func checkpoint(_ name: String = "teacher", seed: UInt64 = 3) throws -> String {
    let network = Network.random(seed: seed, configuration: SyntheticData.network)
    let tensors = network.graphs.parameters.map { parameter in
      (
        parameter.name,
        CheckpointTensor(shape: parameter.shape, floats: network.weights[parameter.name])
      )
    }
    let path = folder.path("\(name).safetensors")
    let json = String(
      decoding: try JSONEncoder().encode(SyntheticData.network), as: UTF8.self)
    try Checkpoint(
      metadata: [
        "architecture": Network.architecture, "format_version": Checkpoint.formatVersion,
        "configuration": json,
      ], tensors: Dictionary(uniqueKeysWithValues: tensors)
    ).write(to: path)
    return path
  }

  private func options(_ change: (inout Teaching.Options) -> Void = { _ in }) throws
    -> Teaching.Options
  {
    var options = Teaching.Options()
    options.teacher.checkpoint = try checkpoint()
    options.teacher.size = 64
    options.data = try SyntheticData.davis(folder, objects: 2)
    options.output = folder.path + "/outputs"
    options.threads = 1
    change(&options)
    return options
  }

  private func problem(_ options: Teaching.Options) -> String {
    do {
      _ = try Teaching(options).diskBytes()
      return "no error"
    } catch { return "\(error)" }
  }

  /// Probabilities `[K + 1][pixel]` of stored log-odds.
  private func softmax(_ logOdds: [Float], classes: Int) -> [Float] {
    let area = logOdds.count / classes
    var result = logOdds
    for pixel in 0..<area {
      let values = (0..<classes).map { exp(Double(logOdds[$0 * area + pixel])) }
      for index in 0..<classes {
        result[index * area + pixel] = Float(values[index] / values.reduce(0, +))
      }
    }
    return result
  }

  @Test func outputsAreTheTrackersProbabilities() throws {
    let options = try options { $0.isSinglePrecision = true }
    let teaching = try Teaching(options)
    #expect(teaching.clipCount == (2, 0) && teaching.frameCount == 16)
    #expect(try teaching.diskBytes() > 16 * 3 * 24 * 16 * 4)
    var seen: [Int] = []
    #expect(
      try teaching.run {
        seen.append($0.frames)
        return true
      })
    #expect(seen == Array(1...16))
    let outputs = try StoredOutputs(path: options.output + "/a.safetensors")
    #expect(outputs.size == FrameSize(width: 24, height: 16) && outputs.frameCount == 8)
    #expect(outputs.objects.map(\.rawValue) == [1, 2] && outputs.features == nil)

    // By hand: the public tracker, then means over 4 × 4 pixels.
    var configuration = Tracker.Configuration()
    configuration.inputSize = .shortSide(64)
    var tracker = try Tracker(
      network: try Network(checkpoint: options.teacher.checkpoint),
      frameSize: SyntheticData.size, configuration: configuration)
    for index in 0..<8 {
      let (frame, labels) = SyntheticData.picture(index, objects: 2)
      _ = try tracker.step(frame, mask: index == 0 ? labels : nil)
      let stored = softmax(try outputs.logOdds(frame: index), classes: 3)
      for (object, id) in tracker.objects.enumerated() {
        let plane = try tracker.probabilities(of: id)
        for y in 0..<16 {
          for x in 0..<24 {
            var sum: Float = 0
            for dy in 0..<4 { for dx in 0..<4 { sum += plane[(4 * y + dy) * 96 + 4 * x + dx] } }
            let value = stored[((object + 1) * 16 + y) * 24 + x]
            #expect(abs(value - sum / 16) < 1e-5, "frame \(index) object \(id) at \(x), \(y)")
          }
        }
      }
    }
  }

  @Test func mirroredFramesGiveMirroredOutputs() throws {
    var recipe = TeacherRecipe()
    recipe.checkpoint = try checkpoint()
    recipe.size = 64
    recipe.flip = true
    recipe.scales = [1, 1.5]
    let network = try Network(checkpoint: recipe.checkpoint)
    func run(mirrored: Bool) throws -> [Float] {
      let ensemble = try TeacherEnsemble(
        network, recipe: recipe, frameSize: SyntheticData.size, threads: 1)
      for index in 0..<3 {
        let (frame, labels) = SyntheticData.picture(index)
        let mask = LabelMap(
          size: labels.size, labels: mirrored ? labels.mirroredLabels : labels.labels)
        try ensemble.step(mirrored ? frame.mirrored : frame, mask: index == 0 ? mask : nil)
      }
      return try ensemble.probabilities(of: [1].compactMap { ObjectID($0) })
    }
    let (plain, mirrored) = (try run(mirrored: false), try run(mirrored: true))
    let width = SyntheticData.size.width
    var worst: Float = 0
    for index in plain.indices {
      let other = mirrored[index / width * width + width - 1 - index % width]
      worst = max(worst, abs(plain[index] - other))
    }
    #expect(worst < 1e-4, "\(worst)")
    // And a mirrored member changes something at all.
    recipe.flip = false
    recipe.scales = [1]
    let single = try run(mirrored: false)
    #expect(zip(single, plain).contains { abs($0 - $1) > 1e-4 })
  }

  @Test func clipsThatAreWrittenAreKept() throws {
    let whole = try options { $0.output = folder.path + "/whole" }
    #expect(try Teaching(whole).run())
    let options = try options()
    var count = 0
    let stopped = try Teaching(options).run { _ in
      count += 1
      return count < 11
    }
    #expect(!stopped && folder.names(in: "outputs") == ["a.safetensors"])
    let resumed = try Teaching(options)
    #expect(resumed.clipCount == (2, 1))
    var seen: [Int] = []
    #expect(
      try resumed.run {
        seen.append($0.frames)
        return true
      })
    #expect(seen == Array(9...16))
    for name in ["a", "b"] {
      #expect(
        try Data(contentsOf: URL(filePath: "\(options.output)/\(name).safetensors"))
          == Data(contentsOf: URL(filePath: "\(whole.output)/\(name).safetensors")))
    }
    // Other options do not mix with them.
    var other = options
    other.teacher.flip = true
    #expect(problem(other).contains("a.safetensors: was written with another teacher"))
  }

  @Test func objectsThatAppearLaterAreGivenThen() throws {
    var options = try options()
    let files = FileManager.default
    for part in ["JPEGImages", "Annotations"] {
      for clip in ["a", "b"] {
        try files.moveItem(
          atPath: folder.path + "/davis/\(part)/tiny/\(clip)",
          toPath: folder.path("youtube/\(part)/\(clip)"))
      }
    }
    for index in 0..<8 {
      let path = folder.path("youtube/Annotations/a/0000\(index).png")
      var (_, labels) = SyntheticData.picture(index, objects: 2)
      if index < 4 { labels.labels = labels.labels.map { $0 == 2 ? 0 : $0 } }
      if index % 2 == 1 {
        try files.removeItem(atPath: path)
      } else {
        try MaskFile.write(labels, to: path)
      }
    }
    options.data = DatasetRecipe(.youTubeVOS, path: folder.path + "/youtube")
    #expect(try Teaching(options).run())
    let outputs = try StoredOutputs(path: options.output + "/a.safetensors")
    #expect(outputs.frameCount == 4 && outputs.objects.map(\.rawValue) == [1, 2])
    for frame in 0..<4 {
      let labels = try outputs.labels(frame: frame)
      #expect(labels.objects.contains { $0.rawValue == 2 } || frame < 2)
      if frame < 2 { #expect(!labels.objects.contains { $0.rawValue == 2 }) }
    }
    // The student's data set reads them.
    options.data.outputs = options.output
    #expect(try Dataset.open(options.data).clips.allSatisfy { $0.outputs != nil })
  }

  @Test func unlabelledClipsNeedAFirstMask() throws {
    var options = try options()
    let files = FileManager.default
    try files.moveItem(
      atPath: folder.path + "/davis/JPEGImages/tiny", toPath: folder.path("wild"))
    options.data = DatasetRecipe(.taught, path: folder.path + "/wild")
    #expect(problem(options).contains("needs 'masks'"))
    options.masks = folder.path + "/first"
    #expect(problem(options).contains("expected \(options.masks)/a.png"))
    for clip in ["a", "b"] {
      try MaskFile.write(SyntheticData.picture(0).labels, to: folder.path("first/\(clip).png"))
    }
    #expect(try Teaching(options).run())
    options.data.outputs = options.output
    #expect(try Dataset.open(options.data).frameCount == 16)
    try MaskFile.write(LabelMap(size: SyntheticData.size), to: options.masks + "/b.png")
    #expect(problem(options).contains("b.png: the mask holds no object"))
    try MaskFile.write(
      LabelMap(size: .init(width: 2, height: 2), labels: [1, 1, 1, 1]), to: options.masks + "/b.png"
    )
    #expect(problem(options).contains("a mask of 2×2 for frames of 96×64"))
  }

  @Test func featuresAreStoredForEveryFrame() throws {
    let options = try options { $0.withFeatures = true }
    #expect(try Teaching(options).run())
    let outputs = try StoredOutputs(path: options.output + "/b.safetensors")
    #expect(outputs.features?.channels == 16)
    #expect(outputs.features?.size == FrameSize(width: 24, height: 16))
    for frame in 0..<8 {
      let planes = try outputs.featurePlanes(frame: frame)
      #expect(planes.count == 2 * 16 * 24 * 16)
      for object in 0..<2 {
        #expect(planes[object * 6144..<(object + 1) * 6144].contains { $0 != 0 }, "frame \(frame)")
      }
    }
    // A training reads them.
    var recipe = Recipe()
    recipe.data = [options.data]
    recipe.data[0].outputs = options.output
    recipe.network = SyntheticData.network
    recipe.samples = SyntheticData.samples
    recipe.steps = 1
    recipe.loss.regression = 1
    recipe.loss.representation = 1
    recipe.loss.distillation = 1
    var losses = StepLosses()
    try Trainer(recipe, output: folder.path + "/o").run { losses = $0.losses }
    #expect(losses.regression > 0 && losses.representation.isFinite && losses.distillation > 0)
  }

  @Test func mistakesAreNamed() throws {
    for (change, message): ((inout Teaching.Options) -> Void, String) in [
      ({ $0.teacher.scales = [] }, "scales []"), ({ $0.reduction = 3 }, "a reduction of 3"),
      ({ $0.teacher.checkpoint = "none.safetensors" }, "none.safetensors"),
      ({ $0.data = DatasetRecipe(.stills, path: $0.data.path) }, "teach them live"),
      ({ $0.data.list = "none.txt" }, "none.txt"), ({ $0.teacher.memory = 0 }, "memory 0"),
      ({ $0.teacher.size = 8 }, "size 8"),
    ] {
      let found = problem(try options(change))
      #expect(found.contains(message), "\(found)")
    }
  }

  @Test(arguments: NetworkConfiguration.examples)
  func exposingFeaturesChangesNothingElse(_ configuration: NetworkConfiguration) throws {
    let network = Network.random(seed: 5, configuration: configuration)
    let exposing = Network(exposingFeaturesOf: network)
    var settings = Tracker.Configuration()
    settings.inputSize = .shortSide(64)
    var plain = try Tracker(
      network: network, frameSize: SyntheticData.size, configuration: settings)
    var other = try Tracker(
      network: exposing, frameSize: SyntheticData.size, configuration: settings)
    for index in 0..<3 {
      let (frame, labels) = SyntheticData.picture(index, objects: 2)
      let mask = index == 0 ? labels : nil
      _ = try plain.step(frame, mask: mask)
      _ = try other.step(frame, mask: mask)
      for id in plain.objects {
        let (a, b) = (try plain.probabilities(of: id), try other.probabilities(of: id))
        #expect(zip(a, b).allSatisfy { abs($0 - $1) < 1e-4 })
        #expect(plain.features(of: id) == nil)
        let features = other.features(of: id)
        #expect((features == nil) == (index == 0))
        if let features {
          #expect(features.channels == exposing.featureChannels)
          #expect(features.size == FrameSize(width: 24, height: 16))
          #expect(features.values.contains { $0 != 0 })
        }
      }
    }
  }

  // MARK: - Live

  private func liveRecipe() throws -> Recipe {
    var recipe = Recipe()
    recipe.data = [try SyntheticData.davis(folder, objects: 2), try SyntheticData.stills(folder)]
    recipe.samples = SyntheticData.samples
    recipe.samples.batch = 1
    recipe.samples.severalShare = 1
    recipe.network = SyntheticData.network
    recipe.steps = 3
    recipe.checkpointEvery = 2
    recipe.threads = 1
    recipe.loss.distillation = 1
    recipe.teacher.checkpoint = try checkpoint()
    recipe.teacher.scales = [1.5]
    recipe.teacher.flip = true
    return recipe
  }

  @Test func aLiveTeacherNeedsNoFiles() throws {
    var recipe = try liveRecipe()
    recipe.loss.regression = 1
    recipe.loss.representation = 1
    let (whole, parts) = (folder.path + "/whole", folder.path + "/parts")
    try Trainer(recipe, output: whole).run {
      #expect($0.losses.distillation > 0 && $0.losses.regression > 0)
      #expect($0.losses.total.isFinite)
    }
    try Trainer(recipe, output: parts).run(limit: 2)
    let resumed = try Trainer(recipe, output: parts)
    #expect(resumed.step == 2)
    try resumed.run()
    #expect(
      try Data(contentsOf: URL(filePath: whole + "/state.safetensors"))
        == Data(contentsOf: URL(filePath: parts + "/state.safetensors")))
  }

  @Test func liveOutputsDoNotDependOnWhatCameBefore() throws {
    let recipe = try liveRecipe()
    let maker = try SampleMaker(
      try recipe.data.map { try Dataset.open($0) }, recipe: recipe.samples, seed: 1,
      cacheBytes: 1 << 20
    ) { _, _ in }
    func teacher() throws -> LiveTeacher {
      try LiveTeacher(
        recipe.teacher, folder: ".", sampleSide: 64, withFeatures: true, threads: 1)
    }
    var (first, second) = (try maker.batch(0, progress: 0), try maker.batch(1, progress: 0))
    let used = try teacher()
    try used.teach(&first)
    try used.teach(&second)
    var alone = try maker.batch(1, progress: 0)
    try teacher().teach(&alone)
    let (a, b) = (try #require(second.teacher), try #require(alone.teacher))
    #expect(a.logOdds == b.logOdds && a.features == b.features)
    #expect(a.features.contains { $0 != 0 } && a.logOdds.allSatisfy(\.isFinite))
    // On frame 0 the teacher says what it was given.
    let area = 64 * 64
    let agreeing = (0..<area).count { pixel in
      let values = (0...alone.objects).map { b.logOdds[$0 * area + pixel] }
      let best = values.indices.max { values[$0] < values[$1] } ?? 0
      let truth = (0..<alone.objects).first { alone.masks[$0 * area + pixel] == 1 }
      return best == truth.map { $0 + 1 } ?? 0
    }
    #expect(agreeing > area * 98 / 100, "\(agreeing)")
  }

  @Test func teachersThatCannotWorkAreNamedBeforeTraining() throws {
    func problem(_ change: (inout Recipe) -> Void) throws -> String {
      var recipe = try liveRecipe()
      change(&recipe)
      do {
        _ = try Trainer(recipe, output: folder.path + "/never")
        return "no error"
      } catch { return "\(error)" }
    }
    #expect(try problem { $0.teacher.checkpoint = "none" }.contains("teacher: ./none"))
    #expect(try problem { $0.loss.distillation = 0 }.contains("no loss reads the 'teacher'"))
    #expect(try problem { $0.data[0].outputs = "x" }.contains("exclude each other"))
    #expect(try problem { $0.teacher.scales = [0] }.contains("teacher: scales"))
    #expect(try problem { $0.teacher.checkpoint = "" }.contains("needs a 'teacher'"))
    #expect(!FileManager.default.fileExists(atPath: folder.path + "/never"))
  }

  // MARK: - Parts

  @Test func areasAreAveraged() {
    let resampler = AreaResampler(
      from: FrameSize(width: 3, height: 2), to: FrameSize(width: 2, height: 1))
    let means = resampler.resample([1, 2, 3, 5, 6, 7])
    // Columns 0 … 1.5 and 1.5 … 3 of both rows.
    #expect(abs(means[0] - ((1 + 0.5 * 2) / 1.5 + (5 + 0.5 * 6) / 1.5) / 2) < 1e-6)
    #expect(abs(means[1] - ((3 + 0.5 * 2) / 1.5 + (7 + 0.5 * 6) / 1.5) / 2) < 1e-6)
    let enlarging = AreaResampler(
      from: FrameSize(width: 1, height: 2), to: FrameSize(width: 2, height: 4), channels: 2)
    #expect(
      enlarging.resample([1, 2, 3, 4]) == [1, 2, 1, 2, 1, 2, 1, 2, 3, 4, 3, 4, 3, 4, 3, 4])
  }

  @Test func unfinishedFilesLeaveNothing() throws {
    let path = folder.path + "/x.safetensors"
    do {
      let writer = try StoredOutputsWriter(
        .init(
          frameCount: 2, objects: [7].compactMap { ObjectID($0) },
          size: FrameSize(width: 2, height: 1)), to: path)
      try writer.append(logOdds: [0, 1, 2, 1e9])
      #expect(folder.names() == ["x.safetensors.part"])
      #expect(throws: TrainingError.self) { try StoredOutputsWriter(writer.layout, to: path) }
      #expect(folder.names() == ["x.safetensors.part"])
    }
    #expect(folder.names().isEmpty)
    #expect(throws: TrainingError.self) {
      try StoredOutputsWriter(
        .init(frameCount: 1, objects: [], size: FrameSize(width: 1, height: 1)),
        to: folder.path + "/no/x")
    }
    #expect(HalfPrecision.bits(1e9) == 0x7bff && HalfPrecision.bits(-2) == 0xc000)
  }
}
