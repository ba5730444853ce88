import ArgumentParser
import Foundation
import MemoryVOS
import TestSupport
import Testing

@testable import vos_cli

@Suite struct ScoreCommandTests {
  let folder = TemporaryFolder()

  private func map(_ shift: Int) -> LabelMap {
    var map = LabelMap(size: FrameSize(width: 32, height: 24))
    for y in 5..<15 { for x in 6 + shift..<16 + shift { map.labels[y * 32 + x] = 1 } }
    return map
  }

  private func write(_ name: String, shift: Int = 0, frames: Int = 4) throws {
    for index in 0..<frames {
      try MaskFile.write(map(shift), to: folder.path("\(name)/0000\(index).png"))
    }
  }

  private func run(_ arguments: String...) throws {
    var command = try VOSCommand.parseAsRoot(
      ["score"] + arguments.map { $0.replacingOccurrences(of: "@", with: folder.path) })
    try command.run()
  }

  @Test func writesTablesAndReport() throws {
    try write("truth/a<!--<script>b")
    try write("ours/a<!--<script>b", shift: 1)
    try write("theirs/a<!--<script>b", shift: 3)
    try run(
      "--truth", "@/truth", "--results", "@/ours", "--against", "@/theirs", "--output", "@/out",
      "--set", "dev", "--report", "@/report.html")
    #expect(
      folder.names(in: "out") == [
        "global_results-dev.csv", "per-frame_results-dev.csv", "per-object_results-dev.csv",
        "per-sequence_results-dev.csv",
      ])
    let page = try String(contentsOfFile: folder.path + "/report.html", encoding: .utf8)
    #expect(page.components(separatedBy: "<script").count == 3, "a name opens a script")
    #expect(page.contains("data:image/png;base64,"))
    // The one address is the name of SVG; nothing is loaded.
    #expect(page.components(separatedBy: "://").count == 2)
  }

  @Test func severalSetsGetFoldersOfTheirOwn() throws {
    for name in ["truth", "one/masks", "two/masks"] { try write("\(name)/a") }
    try run(
      "--truth", "@/truth", "--results", "@/one/masks", "--results", "@/two/masks", "--output",
      "@/out", "--json")
    #expect(folder.names(in: "out") == ["one-masks", "two-masks"])
  }

  @Test func nothingIsWrittenWhenAnythingIsWrong() throws {
    try write("truth/a")
    try write("truth/b")
    try write("results/a")
    try write("results/b", frames: 3)
    #expect(throws: MediaError.self) {
      try run(
        "--truth", "@/truth", "--results", "@/results", "--output", "@/out", "--report", "@/r.html")
    }
    #expect(folder.names().sorted() == ["results", "truth"])
  }

  @Test func badUsageIsRefused() {
    for arguments in [
      ["score", "--results", "x"], ["score", "--truth", "x"],
      ["score", "--truth", "x", "--davis", "y", "--results", "z"],
      ["score", "--truth", "x", "--results", "z", "--protocol", "none"],
      ["score", "--truth", "x", "--results", "z", "--set", "a/b"],
      ["score", "--truth", "x", "--results", "z", "--meta", "m"],
    ] {
      #expect(throws: (any Error).self, "\(arguments)") { try VOSCommand.parseAsRoot(arguments) }
    }
  }

  @Test func namesAreTheShortestUniqueEnds() {
    #expect(ResultName.unique(["a/x", "b/x"]).map(\.name) == ["a-x", "b-x"])
    #expect(ResultName.unique(["new=a/x", "b/x"]).map(\.name) == ["new", "x"])
    #expect(ResultName.unique(["new=a/x"]).map(\.path) == ["a/x"])
    #expect(ResultName.unique(["a", "a"]).map(\.name) == ["1-a", "2-a"])
  }
}
