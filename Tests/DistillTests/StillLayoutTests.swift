// Archives of stills as they are unpacked: Oxford-IIIT pets, Clothing Co-Parsing, lists, MATLAB files.

import Foundation
import MemoryVOS
import TestSupport
import Testing

@testable import Distill

@Suite struct StillLayoutTests {
  private let folder = TemporaryFolder()

  private func problem(_ recipe: DatasetRecipe) -> String {
    do {
      _ = try Dataset.open(recipe, folder: folder.path)
      return "no error"
    } catch { return error.description }
  }

  private func labels(_ clip: TrainingClip) throws -> [UInt8] {
    guard case .file(let path, let coding) = clip.items[0].mask else { return [] }
    return try coding.read(path).labels
  }

  private func grey(_ samples: [UInt8], width: Int, to name: String) throws {
    let size = FrameSize(width: width, height: samples.count / width)
    try PNGImage(size: size, kind: .grey, samples: .bytes(samples)).write(to: folder.path(name))
  }

  private func picture(_ name: String, width: Int = 4, height: Int = 3) throws {
    let size = FrameSize(width: width, height: height)
    try SyntheticData.write(
      Frame(size: size, pixels: [UInt8](repeating: 9, count: size.area * 3)),
      to: folder.path(name))
  }

  private func list(_ text: String, _ name: String) throws {
    try Data(text.utf8).write(to: URL(filePath: folder.path(name)))
  }

  // MARK: - Oxford-IIIT pets

  private func pets() throws -> DatasetRecipe {
    for name in ["Bengal_1", "Bengal_10", "Bengal_2", "unlabelled"] {
      try picture("pets/images/\(name).png")
    }
    for (name, value) in [("Bengal_1", UInt8(1)), ("Bengal_2", 3), ("Bengal_10", 2)] {
      try grey(
        [2, 3, 1, 2, 3, 1, 1, 3, 2, 3, 3, value], width: 4,
        to: "pets/annotations/trimaps/\(name).png")
    }
    return DatasetRecipe(.oxfordPets, path: folder.path + "/pets")
  }

  @Test func trimapsHaveVoidBorders() throws {
    let dataset = try Dataset.open(try pets())
    #expect(
      dataset.clips.map { ($0.name as NSString).lastPathComponent } == [
        "Bengal_1.png", "Bengal_2.png", "Bengal_10.png",
      ])
    #expect(try labels(dataset.clips[0]) == [0, 255, 1, 0, 255, 1, 1, 255, 0, 255, 255, 1])
    #expect(dataset.clips.allSatisfy { $0.isStill })
  }

  @Test func listsChooseAndOrderPictures() throws {
    var recipe = try pets()
    try list("# image class\nBengal_10 6 1 1\nBengal_1.jpg 6 1 1\n", "pets/annotations/list.txt")
    recipe.list = "annotations/list.txt"
    #expect(
      try Dataset.open(recipe).clips.map { ($0.name as NSString).lastPathComponent } == [
        "Bengal_10.png", "Bengal_1.png",
      ])
    // A list beside the recipe, which is in `folder`.
    recipe.list = "mine.txt"
    #expect(problem(recipe).contains("the list cannot be read"))
    try list("Bengal_2\n", "mine.txt")
    #expect(try Dataset.open(recipe, folder: folder.path).clips.count == 1)
    for (text, expected) in [
      ("Bengal_3\n", "no such mask, but mine.txt lists it"), ("\n#\n", "is empty"),
      ("Bengal_2\nBengal_2.jpg\n", "names 'Bengal_2' twice"), ("../x\n", "found '../x'"),
    ] {
      try list(text, "mine.txt")
      #expect(problem(recipe).contains(expected), "\(text)")
    }
  }

  @Test func trimapMistakes() throws {
    var recipe = try pets()
    try grey(
      [2, 0, 1, 2, 3, 1, 1, 3, 2, 3, 3, 1], width: 4, to: "pets/annotations/trimaps/Bengal_1.png")
    #expect(problem(recipe).contains("the value 0; a trimap has 1"))
    try grey(
      [UInt8](repeating: 3, count: 12), width: 4, to: "pets/annotations/trimaps/Bengal_1.png")
    #expect(problem(recipe).contains("background or void"))
    recipe.skipsEmpty = true
    #expect(try Dataset.open(recipe).clips.count == 2)
    try grey([1, 1, 1, 1], width: 2, to: "pets/annotations/trimaps/Bengal_10.png")
    #expect(problem(recipe).contains("a mask of 2×2 for a frame of 4×3"))
    try FileManager.default.removeItem(atPath: folder.path("pets/images/Bengal_2.png"))
    #expect(problem(recipe).contains("no image of this name in"))
  }

  // MARK: - Clothing Co-Parsing

  /// Written by SciPy's savemat after the header: `tags` 0, 1, 2 and `groundtruth`
  /// [[0, 1, 2, 3], [4, 5, 6, 58], [0, 0, 254, 9]].
  private static let files = [
    "packed doubles":
      "DwAAAC4AAAB4nONjYGDwAGI2IOaA0iDACuUzAjEzmGZhKElML+YEsiUY0MEHeyjDAQBtNwPADwAAAFAAAAB4nONjYGBYAMR"
      + "sQMwBpUGAFcpnBmIWIGYEYm4gTi/KL81LKSkqLckAq+ME4gQGdCDggMr/YA+hRdDEGaB8CQh9IB/K54DSvlBayQEAm28LIw==",
    "plain bytes":
      "DgAAAEgAAAAGAAAACAAAAAYAAAAAAAAABQAAAAgAAAABAAAAAwAAAAEABAB0YWdzCQAAABgAAAAAAAAAAAAAAAAAAAAAAPA/AAAA"
      + "AAAAAEAOAAAAUAAAAAYAAAAIAAAACQAAAAAAAAAFAAAACAAAAAMAAAAEAAAAAQAAAAsAAABncm91bmR0cnV0aAAAAAAAAgAAAAwA"
      + "AAAABAABBQACBv4DOgkAAAAA",
    "packed shorts":
      "DwAAAC4AAAB4nONjYGDwAGI2IOaA0iDACuUzAjEzmGZhKElML+YEsiUY0MEHeyjDAQBtNwPADwAAAEMAAAB4nONjYGCIAGI2IOYA"
      + "Yi4GCGCF8pmBmAWIGYGYG4jTi/JL81JKikpLMsDqQPISYBZEFUgfE9C0f0AZKwZOBgAO+AbW",
  ]

  private static func matlab(_ name: String) throws -> [UInt8] {
    var header = Array("MATLAB 5.0 MAT-file".utf8)
    header += [UInt8](repeating: 32, count: 124 - header.count) + [0, 1, 73, 77]
    let text = try #require(files[name])
    return header + [UInt8](try #require(Data(base64Encoded: text)))
  }

  private func clothes(_ bytes: [UInt8]) throws -> DatasetRecipe {
    try picture("ccp/photos/0001.png")
    try picture("ccp/photos/2098.png")
    try Data(bytes).write(
      to: URL(filePath: folder.path("ccp/annotations/pixel-level/0001.mat")))
    return DatasetRecipe(.clothingCoParsing, path: folder.path + "/ccp")
  }

  @Test(arguments: files.keys.sorted())
  func matlabLabels(_ name: String) throws {
    let dataset = try Dataset.open(try clothes(try Self.matlab(name)))
    #expect(dataset.clips.count == 1)
    #expect(try labels(dataset.clips[0]) == [0, 1, 2, 3, 4, 5, 6, 58, 0, 0, 254, 9])
  }

  @Test func otherMATLABFiles() throws {
    let bytes = try Self.matlab("plain bytes")
    #expect(problem(try clothes(Array(bytes.prefix(60)))).contains("0001.mat: the file ends early"))
    #expect(
      problem(try clothes(Array(bytes.prefix(208)))).contains(
        "no variable 'groundtruth'; found tags"))
    var modern = bytes
    modern.replaceSubrange(0..<10, with: Array("MATLAB 7.3".utf8))
    #expect(problem(try clothes(modern)).contains("'-v7'"))
    var void = bytes
    void[try #require(void.lastIndex(of: 254))] = 255
    #expect(problem(try clothes(void)).contains("the value 255.0; expected labels"))
    var wide = bytes
    // The matrix' sides, 3 and 4, as 3 and 5.
    let sides = try #require(
      (208..<bytes.count - 8).first { Array(bytes[$0..<$0 + 8]) == [3, 0, 0, 0, 4, 0, 0, 0] })
    wide[sides + 4] = 5
    #expect(problem(try clothes(wide)).contains("12 values for 5×3 pixels"))
    for side in [sides, sides + 4] { wide.replaceSubrange(side..<side + 4, with: [0, 128, 0, 0]) }
    #expect(problem(try clothes(wide)).contains("32768×32768 pixels, over 2^24"))
  }

  @Test func damagedMATLABFilesNeverCrash() throws {
    var random = SeededGenerator(seed: 3)
    let path = folder.path("x.mat")
    for name in Self.files.keys.sorted() {
      let whole = try Self.matlab(name)
      var damaged = (0..<whole.count).map { Array(whole.prefix($0)) }
      for _ in 0..<300 {
        var bytes = whole
        for _ in 0..<Int.random(in: 1...3, using: &random) {
          bytes[Int.random(in: 120..<bytes.count, using: &random)] = .random(
            in: 0...255, using: &random)
        }
        damaged.append(bytes)
      }
      for bytes in damaged {
        try Data(bytes).write(to: URL(filePath: path))
        // Some damage leaves a readable file; a map has the size that it says.
        if let map = try? MATFile.labels(path, variable: "groundtruth") {
          #expect(map.labels.count == map.size.area)
        }
      }
    }
  }

  // MARK: - COCO and DAVIS

  @Test func cocoTakesWhatIsListed() throws {
    for name in ["a", "b"] { try picture("coco/\(name).png") }
    try list(
      """
      {"images": [{"id": 1, "file_name": "a.png", "width": 4, "height": 3},
                  {"id": 2, "file_name": "b.png", "width": 4, "height": 3},
                  {"id": 3, "file_name": "elsewhere.png", "width": 4, "height": 3}],
       "annotations": [\([1, 2, 3].map {
         "{\"id\": \($0), \"image_id\": \($0), \"segmentation\": [[0, 0, 4, 0, 4, 3]]}"
       }.joined(separator: ","))]}
      """, "coco/instances.json")
    var recipe = DatasetRecipe(.coco, path: folder.path + "/coco")
    recipe.annotations = "instances.json"
    #expect(problem(recipe).contains("no such image"))
    try list("b\na.png\n", "coco/list.txt")
    recipe.list = "list.txt"
    #expect(
      try Dataset.open(recipe).clips.map { ($0.name as NSString).lastPathComponent } == [
        "b.png", "a.png",
      ])
    try list("c\n", "coco/list.txt")
    #expect(problem(recipe).contains("no image 'c', but list.txt lists it"))
  }

  @Test func resolutionIsThatOfTheClips() throws {
    var recipe = try SyntheticData.davis(folder)
    recipe.resolution = ""
    #expect(try Dataset.open(recipe).clips.count == 2)
    let images = folder.path("davis/JPEGImages")
    let masks = folder.path("davis/Annotations")
    for (copy, expected) in [("Full", "Full, tiny all have the clip 'a'"), ("480p", "no error")] {
      for root in [images, masks] {
        try FileManager.default.copyItem(atPath: root + "/tiny", toPath: root + "/\(copy)")
      }
      #expect(problem(recipe).contains(expected))
    }
    #expect(try Dataset.open(recipe).clips[0].name.contains("480p/a"))
    for copy in ["480p", "Full", "tiny"] {
      try FileManager.default.removeItem(atPath: "\(images)/\(copy)/a")
    }
    #expect(problem(recipe).contains("no folder in it has the clip 'a'"))
  }

  @Test func foregroundIsOneObject() throws {
    var areas = [Int](repeating: 0, count: 256)
    (areas[1], areas[2], areas[255]) = (400, 300, 200)
    for separate in 1...3 {
      var random = SampleGenerator(seed: 1, purpose: .batch, separate)
      let choice = try #require(
        ObjectChoice(areas: areas, labels: .foreground, separate: separate, &random))
      #expect(choice.count == 1)
      #expect(choice.area(in: areas) == 700)
      #expect(choice.table[0] == 0 && choice.table[255] == 0)
    }
  }
}
