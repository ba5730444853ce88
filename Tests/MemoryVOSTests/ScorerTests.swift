import Foundation
import TestSupport
import Testing

@testable import MemoryVOS

/// Whole result sets: protocols, messages, reference numbers.
@Suite struct ScorerTests {
  let folder = TemporaryFolder()
  let size = FrameSize(width: 40, height: 30)

  /// A map with a rectangle of each label; `shift` moves all to the right.
  private func map(_ labels: [UInt8], shift: Int = 0) -> LabelMap {
    var map = LabelMap(size: size)
    for (index, label) in labels.enumerated() {
      for y in 4..<14 {
        for x in 2 + 12 * index + shift..<10 + 12 * index + shift { map.labels[y * 40 + x] = label }
      }
    }
    return map
  }

  private func write(_ name: String, _ frames: [LabelMap]) throws {
    for (index, frame) in frames.enumerated() {
      try MaskFile.write(frame, to: folder.path("\(name)/0000\(index).png"))
    }
  }

  private func score(
    _ scoringProtocol: ScoringProtocol = .davis2017,
    change: (inout ScoringOptions) -> Void = { _ in }
  ) throws -> ResultScore {
    var options = ScoringOptions(scoringProtocol)
    change(&options)
    let truth = try TruthSet(folder: folder.path + "/truth", allowsFlat: scoringProtocol == .folder)
    return try Scorer.score(results: folder.path + "/results", truth: truth, options: options)
  }

  private func message(_ scoringProtocol: ScoringProtocol = .davis2017) -> String {
    do {
      return "no error: \(try score(scoringProtocol).global)"
    } catch { return "\(error)" }
  }

  @Test func davisLeavesOutTheEnds() throws {
    try write("truth/a", [map([1, 2]), map([1, 2]), map([1, 2]), map([1, 2])])
    // Wrong on both ends, object 2 gone on the third frame.
    try write("results/a", [map([]), map([1, 2]), map([1]), map([2, 1])])
    let score = try score()
    #expect(score.objects.map(\.name) == ["a_1", "a_2"])
    #expect(score.objects[0].frames.map(\.frame) == ["00001", "00002"])
    #expect(score.objects[0].mean == 1)
    #expect(score.objects[1].frames.map(\.region) == [1, 0])
    #expect(score.objects[1].region.recall == 0.5)
    #expect(score.global.mean == 0.75)
  }

  @Test func davisScoresTheObjectsOfTheFirstFrame() throws {
    try write("truth/a", [map([2]), map([2]), map([2, 3]), map([2, 3])])
    try write("results/a", [map([2]), map([2]), map([2]), map([2])])
    // Object 1 is in no mask, so it is right; object 3 comes too late to count.
    #expect(try score().objects.map(\.name) == ["a_1", "a_2"])
    #expect(try score().global.mean == 1)
    try write("results/a", [map([2]), map([2]), map([2, 3]), map([2, 3])])
    #expect(message().contains("/results/a/00002.png: id 3 does not exist"))
    #expect(message().contains("youtube-vos"))
  }

  @Test func davis2016MergesObjects() throws {
    try write("truth/a", [map([1, 2]), map([1, 2]), map([1, 2])])
    try write("results/a", [map([1, 2]), map([2, 7]), map([1, 2])])
    let score = try score(.davis2016)
    #expect(score.objects.map(\.name) == ["a_1"])
    #expect(score.global.mean == 1)
  }

  @Test func youTubeObjectsCountAfterTheyAppear() throws {
    try write("truth/a", [map([1]), map([1]), map([1, 5]), map([1, 5]), map([1])])
    try write("results/a", [map([]), map([1]), map([1]), map([1]), map([1])])
    let score = try score(.youTubeVOS)
    #expect(score.objects.map(\.name) == ["a_1", "a_5"])
    #expect(score.objects[0].frames.map(\.frame) == ["00001", "00002", "00003", "00004"])
    #expect(score.objects[1].frames.map(\.region) == [0, 1])
    let all = try self.score(.youTubeVOS) { $0.includesFirstAppearance = true }
    #expect(all.objects[0].frames.map(\.region) == [0, 1, 1, 1, 1])
    #expect(all.objects[1].frames.map(\.region) == [0, 0, 1])
  }

  @Test func youTubeGroupsAverageSeenAndUnseen() throws {
    try write("truth/a", [map([1, 2, 3]), map([1, 2, 3])])
    try write("results/a", [map([1, 2, 3]), map([1, 3])])
    let meta = """
      {"videos": {"a": {"objects": {"1": {"category": "dog", "frames": ["00000"]},
      "2": {"category": "dog"}, "3": {"category": "yak"}}}}}
      """
    try meta.write(toFile: folder.path("meta.json"), atomically: true, encoding: .utf8)
    try "cat\ndog\n".write(toFile: folder.path("seen.txt"), atomically: true, encoding: .utf8)
    let groups = try CategoryGroups(
      meta: folder.path + "/meta.json", seen: folder.path + "/seen.txt")
    // Object 2's place is taken by 3, which is also where object 3 is not.
    let score = try score(.youTubeVOS) { $0.categories = groups }
    #expect(score.seen?.objects == 2)
    #expect(score.unseen?.objects == 1)
    #expect(score.seen?.region.mean == 0.5)
    let parts = [score.seen, score.unseen].compactMap(\.self)
    #expect(score.overall == parts.reduce(0) { $0 + ($1.region.mean + $1.boundary.mean) / 4 })
  }

  @Test func aFolderCountsEverything() throws {
    try write("truth", [map([4]), map([]), map([4])])
    try write("results", [map([]), map([]), map([4])])
    let score = try score(.folder)
    #expect(score.objects.map(\.name) == ["truth_4"])
    #expect(score.objects[0].frames.map(\.region) == [0, 1, 1])
    #expect(throws: MediaError.self) { try self.score(.davis2017) }
  }

  @Test func voidDoesNotCount() throws {
    var truth = map([1])
    for index in 0..<40 * 30 where index % 40 > 11 { truth.labels[index] = 255 }
    var result = map([1])
    for index in 0..<40 * 30 where index % 40 > 11 { result.labels[index] = 1 }
    try write("truth/a", [truth, truth, truth])
    try write("results/a", [result, result, result])
    #expect(try score().global.mean == 1)
    #expect(try score().notes.contains { $0.contains("--compatible") })
    let official = try score { $0.isCompatible = true }
    #expect(official.global.region.mean == 80.0 / (80 + 28 * 30))
  }

  @Test func grey255IsObjectOneInTruth() throws {
    let white = PNGImage(
      size: size, kind: .grey, samples: .bytes(map([1]).labels.map { $0 == 0 ? 0 : 255 }))
    for index in 0..<3 { try white.write(to: folder.path("truth/a/0000\(index).png")) }
    try write("results/a", [map([1]), map([1]), map([1])])
    #expect(try score().global.mean == 1)
  }

  @Test func everyMistakeNamesItsFile() throws {
    let good = [map([1]), map([1]), map([1])]
    try write("truth/a", good)
    try write("truth/b", good)
    #expect(message().contains("/results: no such folder"))
    try write("results/a", good)
    #expect(message().contains("/results/b: the results of sequence 'b' are missing"))
    try write("results/b", [map([1]), map([1])])
    #expect(message().contains("/results/b/00002.png: the result of this frame is missing (1 of 3"))
    try write("results/b", good)
    #expect(message().hasPrefix("no error"))
    let path = folder.path + "/results/b/00001.png"

    try MaskFile.write(LabelMap(size: FrameSize(width: 20, height: 15)), to: path)
    #expect(message().contains("/results/b/00001.png: the result is 20×15 pixels"))
    #expect(message().contains("40×30"))

    try MaskFile.write(map([1, 2]), to: path)
    #expect(message().contains("/results/b/00001.png: id 2 does not exist in the truth of 'b'"))
    var void = map([1])
    void.labels[0] = 255
    try MaskFile.write(void, to: path)
    #expect(message().contains("id 255 does not exist"))

    try PNGImage(size: size, kind: .rgb, samples: .bytes(.init(repeating: 0, count: 3600)))
      .write(to: path)
    #expect(message().contains("/results/b/00001.png: a result holds object ids in one channel"))

    var smooth = map([1]).labels.map { UInt8($0 == 0 ? 0 : 255) }
    for index in 0..<9 { smooth[index] = UInt8(index * 20) }
    try PNGImage(size: size, kind: .grey, samples: .bytes(smooth)).write(to: path)
    #expect(message().contains("anti-aliased"))

    let file = try good[0].encoded()
    try Data(file.prefix(file.count - 20)).write(to: URL(fileURLWithPath: path))
    #expect(message().contains("/results/b/00001.png: not a readable PNG"))
    try write("results/b", good)
    try Data(file.prefix(60)).write(to: URL(fileURLWithPath: folder.path + "/truth/a/00002.png"))
    #expect(message().contains("/truth/a/00002.png: not a readable PNG"))
  }

  @Test func emptyTruthIsAnError() throws {
    let results = folder.path("results/a/x")
    _ = results
    _ = folder.path("truth/none")
    #expect(message().contains("/truth: holds no sequence"))
    _ = folder.path("truth/a/none")
    #expect(message().contains("/truth/a: the sequence holds no truth"))
    try write("truth/a", [map([1]), map([1])])
    try write("results/a", [map([1]), map([1])])
    #expect(message().contains("at least 3"))
    try write("truth/a", [map([]), map([1]), map([1])])
    try write("results/a", [map([]), map([1]), map([1])])
    #expect(message().contains("the truth of the first frame holds no object"))
  }

  @Test func setListsGiveTheOrder() throws {
    for name in ["a", "b", "c"] {
      try write("Annotations/480p/\(name)", [map([1]), map([1]), map([1])])
    }
    let list = folder.path("ImageSets/2016/some.txt")
    func line(_ name: String, _ index: Int) -> String {
      "/JPEGImages/480p/\(name)/0000\(index).jpg /Annotations/480p/\(name)/0000\(index).png\n"
    }
    try (line("c", 0) + line("c", 1) + line("a", 0)).write(
      toFile: list, atomically: true, encoding: .utf8)
    let set = try TruthSet(davis: folder.path, year: "2016", set: "some", resolution: "480p")
    #expect(set.sequences.map(\.name) == ["c", "a"])
    try "b\n\n../x\n".write(
      toFile: folder.path("ImageSets/2017/s.txt"), atomically: true, encoding: .utf8)
    #expect(throws: MediaError.self) {
      try TruthSet(davis: folder.path, year: "2017", set: "s", resolution: "480p")
    }
    #expect(throws: MediaError.self) {
      try TruthSet(davis: folder.path, year: "2017", set: "other", resolution: "480p")
    }
    let wrong = #expect(throws: MediaError.self) {
      try TruthSet(davis: folder.path, year: "2016", set: "some", resolution: "1080p")
    }
    #expect(wrong?.description.contains("there is 480p") == true)
  }

  @Test func tablesAreTheOfficialOnes() throws {
    try write("truth/a", [map([1]), map([1]), map([1]), map([1])])
    try write("results/a", [map([1]), map([1]), map([]), map([1])])
    let tables = ScoreTables(try score(), set: "x")
    #expect(tables.files[0].name == "global_results-x.csv")
    #expect(
      tables.files[0].content
        == """
        J&F-Mean,J-Mean,J-Recall,J-Decay,F-Mean,F-Recall,F-Decay
        0.500,0.500,0.500,1.000,0.500,0.500,1.000

        """)
    #expect(tables.files[1].content == "Sequence,J-Mean,F-Mean\na_1,0.500,0.500\n")
    #expect(ScoreTables.rounded(.nan) == "")
    #expect(ScoreTables.rounded(-0.0001) == "-0.000")
    try tables.write(to: folder.path + "/out/deep")
    #expect(folder.names(in: "out/deep").count == 4)
  }

  @Test func comparisonCountsAndResamples() throws {
    for name in ["a", "b", "c"] {
      try write("truth/\(name)", [map([1, 2]), map([1, 2]), map([1, 2])])
      try write("results/\(name)", [map([1, 2]), map([1, 2]), map([1, 2])])
      try write("other/\(name)", [map([1, 2]), map(name == "c" ? [1, 2] : [1]), map([1, 2])])
    }
    let one = try score()
    let truth = try TruthSet(folder: folder.path + "/truth")
    let two = try Scorer.score(
      results: folder.path + "/other", truth: truth, options: .init(.davis2017))
    let comparison = try ScoreComparison(one, against: two)
    #expect(comparison.wins == 2)
    #expect(comparison.losses == 0)
    #expect(comparison.ties == 4)
    #expect(abs(comparison.mean - 1.0 / 3) < 1e-12)
    // Three sequences: 0 of 2 differing ones has chance 1/27 > 2.5 %, all has 8/27.
    #expect(comparison.low == 0)
    #expect(comparison.high == 0.5)
    let again = try ScoreComparison(one, against: two)
    #expect(again.low == comparison.low && again.high == comparison.high)
  }
}

extension LabelMap {
  fileprivate func encoded() throws -> [UInt8] { try MaskFile.image(of: self).encoded() }
}
