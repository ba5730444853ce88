import ArgumentParser
import Foundation
import FoundationXML
import TestSupport
import Testing

@testable import vos_cli

@Suite struct TradeoffTests {
  private let folder = TemporaryFolder()

  private func plot(_ points: [(String, Double, Double)]) -> TradeoffPlot {
    TradeoffPlot(
      points: points.map { .init(name: $0.0, accuracy: $0.1, rate: $0.2) }, title: "a < b",
      speedLabel: "frames/s")
  }

  @Test func frontierIsWhatNothingBeats() {
    let plot = plot([("slow", 90, 5), ("worse", 80, 6), ("fast", 85, 12), ("equal", 85, 12)])
    #expect(plot.frontier.map(\.name) == ["slow", "fast", "equal"])
  }

  @Test func pointsLieWithinThePicture() throws {
    let sets: [[(String, Double, Double)]] = [
      [("only", 80, 10)], [("a", 0, 0.01), ("b", 100, 1e5)], [("a", 80, 10), ("b", 80, 10)],
    ]
    for points in sets {
      let svg = plot(points).svg
      let document = try XMLDocumentCheck(svg)
      #expect(document.circles.count == points.count)
      for circle in document.circles {
        #expect((60...740).contains(circle.x) && (44...408).contains(circle.y), "\(points)")
      }
      #expect(svg.contains("a &lt; b") && !svg.contains("nan"))
    }
  }

  @Test func higherIsFurtherUpAndFasterFurtherRight() throws {
    let circles = try XMLDocumentCheck(plot([("a", 90, 5), ("b", 80, 9)]).svg).circles
    #expect(circles[0].y < circles[1].y && circles[0].x < circles[1].x)
  }

  /// Labels of four close points are all at different places, and none on a mark.
  @Test func labelsKeepApart() throws {
    let svg = plot([("a", 85.6, 10), ("b", 85.5, 190), ("c", 85.5, 192), ("d", 85.45, 194)]).svg
    let labels = svg.matches(
      of: /<text x="([0-9.]+)" y="([0-9.]+)" text-anchor="(start|end)" class="p">/
    )
    .map { (x: Double($0.1) ?? 0, y: Double($0.2) ?? 0, isLeft: $0.3 == "end") }
    #expect(labels.count == 4)
    let width = 7.0 * 7  // "a  85.6"
    let boxes = labels.map { (left: $0.isLeft ? $0.x - width : $0.x, top: $0.y - 11) }
    for (index, box) in boxes.enumerated() {
      for other in boxes[..<index] {
        #expect(abs(box.left - other.left) >= width || abs(box.top - other.top) >= 14)
      }
      for circle in try XMLDocumentCheck(svg).circles {
        let isBeside = circle.x <= box.left - 6 || circle.x >= box.left + width + 6
        #expect(isBeside || circle.y <= box.top - 6 || circle.y >= box.top + 14 + 6)
      }
    }
  }

  /// Of two close marks, the left one has its label on its left, not between them and above the other.
  @Test func labelsAreNearTheirOwnMark() {
    let svg = plot([("a", 85.2, 189), ("b", 85.1, 206), ("far", 80, 10)]).svg
    #expect(svg.contains(/text-anchor="end" class="p">a  85.2/))
    #expect(svg.contains(/text-anchor="start" class="p">b  85.1/))
  }

  @Test func ticksAreRound() {
    #expect([0.9, 4, 7.9, 10, 23, 170, 1e4].map(TradeoffPlot.tick) == [0.2, 1, 1, 2, 5, 20, 2000])
  }

  private func evaluation(_ name: String, _ text: String) throws -> String {
    try Data(text.utf8).write(to: URL(filePath: folder.path(name)))
    return folder.path(name)
  }

  private func run(_ arguments: String...) throws {
    var command = try VOSCommand.parseAsRoot(
      ["tradeoff", "--output", folder.path("out.svg")] + arguments)
    try command.run()
  }

  private static func text(_ overall: Double, threads: Int) -> String {
    """
    {"results": [{"name": "n.safetensors", "overall": \(overall)}],
     "speed": {"framesPerSecond": 11.5, "sequencesAtATime": 2, "threadsEach": \(threads)}}
    """
  }

  @Test func drawsWhatEvaluatePrints() throws {
    let first = try evaluation("a.json", Self.text(0.853, threads: 1))
    try run(first, "small=" + (try evaluation("b.json", Self.text(0.801, threads: 1))))
    let svg = try String(contentsOfFile: folder.path("out.svg"), encoding: .utf8)
    #expect(svg.contains(">n  85.3<") && svg.contains(">small  80.1<") && svg.contains("2 threads"))
  }

  @Test func saysWhatIsWrongWithAFile() throws {
    let good = try evaluation("a.json", Self.text(0.853, threads: 1))
    let other = try evaluation("b.json", Self.text(0.853, threads: 2))
    let broken = try evaluation("c.json", "{\"results\": []}")
    for (arguments, part) in [
      ([good, other], "4 threads"), ([broken], "evaluate --json"),
      ([folder.path("no.json")], "cannot be read"),
    ] {
      var command = try VOSCommand.parseAsRoot(
        ["tradeoff", "--output", folder.path("no.svg")] + arguments)
      let error = #expect(throws: CommandFailure.self) { try command.run() }
      #expect(error?.description.contains(part) == true)
    }
    #expect(!FileManager.default.fileExists(atPath: folder.path("no.svg")))
  }
}

/// The circles of an SVG, which must be well-formed XML.
private final class XMLDocumentCheck: NSObject, XMLParserDelegate {
  private(set) var circles: [(x: Double, y: Double)] = []

  init(_ svg: String) throws {
    super.init()
    let parser = XMLParser(data: Data(svg.utf8))
    parser.delegate = self
    try #require(parser.parse(), "not XML: \(svg)")
  }

  func parser(
    _ parser: XMLParser, didStartElement name: String, namespaceURI: String?,
    qualifiedName: String?, attributes: [String: String]
  ) {
    guard name == "circle", let x = attributes["cx"].flatMap(Double.init),
      let y = attributes["cy"].flatMap(Double.init)
    else { return }
    circles.append((x, y))
  }
}
