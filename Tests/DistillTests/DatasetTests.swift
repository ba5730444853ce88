// Layouts of data sets: what is found, and what is refused before training starts.

import Foundation
import MemoryVOS
import TestSupport
import Testing

@testable import Distill

@Suite struct DatasetTests {
  private let folder = TemporaryFolder()

  private func problem(_ recipe: DatasetRecipe) -> String {
    do {
      _ = try Dataset.open(recipe)
      return "no error"
    } catch { return error.description }
  }

  @Test func davisLayout() throws {
    let dataset = try Dataset.open(try SyntheticData.davis(folder))
    #expect(dataset.clips.count == 2)
    #expect(dataset.frameCount == 16)
    #expect(!dataset.clips[0].isStill)
  }

  @Test func davisWithoutAMask() throws {
    let recipe = try SyntheticData.davis(folder)
    try FileManager.default.removeItem(
      atPath: folder.path("davis/Annotations/tiny/b/00003.png"))
    #expect(problem(recipe).contains("8 frames, but 7 masks"))
  }

  @Test func davisWithAMisnamedMask() throws {
    let recipe = try SyntheticData.davis(folder)
    let masks = folder.path("davis/Annotations/tiny/b")
    try FileManager.default.moveItem(atPath: masks + "/00003.png", toPath: masks + "/00099.png")
    #expect(problem(recipe).contains("00003.png: no mask"))
  }

  @Test func davisWithEmptyMasks() throws {
    let recipe = try SyntheticData.davis(folder)
    for index in 0..<8 {
      try MaskFile.write(
        LabelMap(size: SyntheticData.size),
        to: folder.path("davis/Annotations/tiny/b/0000\(index).png"))
    }
    #expect(problem(recipe).contains("no mask holds an object"))
  }

  @Test func davisWithMasksOfAnotherSize() throws {
    let recipe = try SyntheticData.davis(folder)
    let size = FrameSize(width: 10, height: 10)
    try MaskFile.write(
      LabelMap(size: size, labels: [UInt8](repeating: 1, count: 100)),
      to: folder.path("davis/Annotations/tiny/a/00000.png"))
    #expect(problem(recipe).contains("a mask of 10×10 for a frame of 96×64"))
  }

  @Test func missingFoldersAndLists() throws {
    #expect(problem(.init(.stills, path: "/nowhere")).contains("no such folder"))
    #expect(problem(.init()).contains("without 'path'"))
    var recipe = try SyntheticData.davis(folder)
    recipe.resolution = "480p"
    #expect(problem(recipe).contains("480p/a: no such folder"))
    recipe.list = "ImageSets/other.txt"
    #expect(problem(recipe).contains("the list cannot be read"))
    recipe.list = "ImageSets/train.txt"
    try Data("a\n../../etc\n".utf8).write(
      to: URL(filePath: folder.path("davis/ImageSets/train.txt")))
    #expect(problem(recipe).contains("found '../../etc'"))
  }

  @Test func youTubeVOSTakesFramesWithMasks() throws {
    _ = try SyntheticData.davis(folder)
    try FileManager.default.moveItem(
      atPath: folder.path("davis/JPEGImages/tiny"), toPath: folder.path("yt/JPEGImages"))
    try FileManager.default.moveItem(
      atPath: folder.path("davis/Annotations/tiny"), toPath: folder.path("yt/Annotations"))
    for index in [1, 2, 3, 4, 6, 7] {
      try FileManager.default.removeItem(atPath: folder.path("yt/Annotations/a/0000\(index).png"))
    }
    let dataset = try Dataset.open(.init(.youTubeVOS, path: folder.path + "/yt"))
    #expect(dataset.clips.map(\.frameCount) == [2, 8])
    try FileManager.default.removeItem(atPath: folder.path("yt/JPEGImages/a/00005.png"))
    #expect(
      problem(.init(.youTubeVOS, path: folder.path + "/yt")).contains("no frame of this name"))
  }

  @Test func stillsInAnyFolder() throws {
    var recipe = try SyntheticData.stills(folder)
    let dataset = try Dataset.open(recipe)
    #expect(dataset.clips.count == 3)
    #expect(dataset.clips.count { $0.isStill } == 3)
    try MaskFile.write(
      LabelMap(size: SyntheticData.size), to: folder.path("stills/x/masks/2.png"))
    #expect(problem(recipe).contains("the mask holds no object"))
    recipe.skipsEmpty = true
    #expect(try Dataset.open(recipe).clips.count == 2)
    try FileManager.default.removeItem(atPath: folder.path("stills/x/images/1.png"))
    #expect(problem(recipe).contains("no image of this name"))
  }

  // MARK: - COCO

  /// A 4 × 3 image with the given annotations.
  private func coco(_ annotations: String) throws -> DatasetRecipe {
    let size = FrameSize(width: 4, height: 3)
    try SyntheticData.write(
      Frame(size: size, pixels: [UInt8](repeating: 9, count: 36)), to: folder.path("coco/i.png"))
    let json = """
      {"images": [{"id": 7, "file_name": "i.png", "width": 4, "height": 3},
                  {"id": 8, "file_name": "unlabelled.png", "width": 4, "height": 3}],
       "annotations": [\(annotations)], "categories": []}
      """
    try Data(json.utf8).write(to: URL(filePath: folder.path("coco/instances.json")))
    var recipe = DatasetRecipe(.coco, path: folder.path + "/coco")
    recipe.annotations = "instances.json"
    return recipe
  }

  private func labels(_ dataset: Dataset) throws -> [UInt8] {
    guard case .instances(let masks) = dataset.clips[0].items[0].mask else { return [] }
    return try masks.labels(name: "i").labels
  }

  @Test func cocoPolygonsAndRuns() throws {
    let recipe = try coco(
      """
      {"id": 1, "image_id": 7, "iscrowd": 0, "segmentation": [[0, 0, 4, 0, 4, 3, 0, 3]]},
      {"id": 2, "image_id": 7, "segmentation": {"size": [3, 4], "counts": [3, 2, 7]}},
      {"id": 3, "image_id": 7, "iscrowd": 1, "segmentation": {"size": [3, 4], "counts": [0, 12]}}
      """)
    let dataset = try Dataset.open(recipe)
    #expect(dataset.clips.count == 1)
    // Runs go down the columns: pixels 3 and 4 are rows 0 and 1 of column 1.
    #expect(try labels(dataset) == [1, 2, 1, 1, 1, 2, 1, 1, 1, 1, 1, 1])
  }

  @Test func cocoCompressedRuns() throws {
    // From pycocotools: "52" are the runs 5 and 2, of which the rest follow plainly or as differences.
    #expect(InstanceMasks.runs(compressed: "52") == [5, 2])
    // The fourth run is the difference to the second: 'N' is -2, 'o1' is 63.
    #expect(InstanceMasks.runs(compressed: "345N") == [3, 4, 5, 2])
    #expect(InstanceMasks.runs(compressed: "o1") == [63])
    for bad in ["o", "\u{7f}", "N", "oooooooooooooooooooo1"] {
      #expect(InstanceMasks.runs(compressed: bad) == nil, "\(bad)")
    }
  }

  @Test func cocoMistakes() throws {
    #expect(problem(try coco("")).contains("no image has annotations"))
    #expect(
      problem(try coco("{\"id\": 1, \"image_id\": 9, \"segmentation\": [[0,0,4,0,4,3]]}"))
        .contains("annotations for image 9"))
    #expect(
      problem(try coco("{\"id\": 1, \"image_id\": 8, \"segmentation\": [[0,0,4,0,4,3]]}"))
        .contains("no such image"))
    #expect(
      problem(try coco("{\"id\": 1, \"image_id\": 7, \"segmentation\": [[0,0,4,0,4,3,1]]}"))
        .contains("annotation 1"))
    #expect(
      problem(try coco("{\"id\": 1, \"segmentation\": []}")).contains("'image_id' is missing"))
    let runs = try Dataset.open(
      try coco("{\"id\": 1, \"image_id\": 7, \"segmentation\": {\"counts\": [3, 90]}}"))
    #expect(throws: TrainingError.self) { try labels(runs) }
  }

  // MARK: - Stored outputs

  private func store(_ frames: Int, object: Float, to path: String) throws {
    let size = FrameSize(width: 24, height: 16)
    var values: [Float] = []
    for _ in 0..<frames {
      values += [Float](repeating: 0, count: size.area)
      // The object is the left half.
      values += (0..<size.area).map { $0 % 24 < 12 ? object : -object }
    }
    try StoredOutputs.write(
      logOdds: values, frameCount: frames, objects: [ObjectID(5)].compactMap { $0 }, size: size,
      to: path)
  }

  @Test func storedOutputsComeBack() throws {
    let path = folder.path("o.safetensors")
    try store(3, object: 2.5, to: path)
    let outputs = try StoredOutputs(path: path)
    #expect(outputs.frameCount == 3)
    #expect(outputs.objects.map(\.rawValue) == [5])
    #expect(outputs.size == FrameSize(width: 24, height: 16))
    let values = try outputs.logOdds(frame: 2)
    #expect(values[24 * 16] == 2.5 && values[24 * 16 + 23] == -2.5 && values[0] == 0)
    #expect(try outputs.labels(frame: 0).labels[0..<24].map { $0 == 5 }.count { $0 } == 12)
  }

  @Test func taughtClips() throws {
    _ = try SyntheticData.davis(folder)
    try FileManager.default.moveItem(
      atPath: folder.path("davis/JPEGImages/tiny"), toPath: folder.path("wild"))
    var recipe = DatasetRecipe(.taught, path: folder.path + "/wild")
    recipe.outputs = folder.path + "/outputs"
    #expect(problem(recipe).contains("outputs: no such folder"))
    try store(8, object: 3, to: folder.path("outputs/a.safetensors"))
    #expect(problem(recipe).contains("b.safetensors"))
    try store(7, object: 3, to: folder.path("outputs/b.safetensors"))
    #expect(problem(recipe).contains("outputs for 7 frames, but"))
    try store(8, object: -0.0, to: folder.path("outputs/b.safetensors"))
    #expect(problem(recipe).contains("found no object"))
    try store(8, object: 1, to: folder.path("outputs/b.safetensors"))
    let dataset = try Dataset.open(recipe)
    #expect(dataset.clips.map(\.frameCount) == [8, 8])
  }

  @Test func foreignFilesAreNoOutputs() throws {
    let path = folder.path("o.safetensors")
    try Checkpoint(metadata: [:], tensors: [:]).write(to: path)
    #expect(throws: TrainingError.self) { try StoredOutputs(path: path) }
    try Data("nonsense".utf8).write(to: URL(filePath: path))
    #expect(throws: TrainingError.self) { try StoredOutputs(path: path) }
    try Checkpoint(
      metadata: ["format": StoredOutputs.format, "format_version": "1", "objects": "1,2"],
      tensors: ["log_odds": .init(shape: [1, 2, 1, 1], floats: [0, 0])]
    ).write(to: path)
    #expect(throws: TrainingError.self) { try StoredOutputs(path: path) }
  }
}
