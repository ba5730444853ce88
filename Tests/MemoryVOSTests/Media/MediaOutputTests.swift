// Run lengths against pycocotools, measurements, soft masks.

import Foundation
import Testing

@testable import MemoryVOS

@Suite struct MediaOutputTests {
  private func map(_ width: Int, _ height: Int, _ label: (Int, Int) -> UInt8) -> LabelMap {
    var map = LabelMap(size: FrameSize(width: width, height: height))
    for y in 0..<height { for x in 0..<width { map.labels[y * width + x] = label(x, y) } }
    return map
  }

  /// Strings that pycocotools 2.0 gives for the same masks.
  @Test func runLengthsEqualPycocotools() throws {
    let cases: [(LabelMap, String)] = [
      (
        map(10, 9) { x, y in (2..<5).contains(y) && (3..<7).contains(x) || (x, y) == (9, 8) ? 1 : 0
        },
        "m03600000h0N"
      ),
      (
        map(400, 300) { x, y in (y - 150) * (y - 150) + (x - 200) * (x - 200) < 100 ? 1 : 0 },
        "VSh19R92M4N0O2N2O0000000000000001N2N102L3Ng`g1"
      ),
      (
        map(31, 23) { x, y in (y / 3 + x / 5) % 7 == 0 ? 1 : 0 },
        "03b020000000M0120000000M030000000M030000000M030000000M030000000M00"
      ),
      (map(2, 2) { _, _ in 1 }, "04"),
    ]
    for (map, string) in cases {
      let masks = RunLengthMask.masks(of: map)
      #expect(masks.count == 1 && masks.first?.mask.string == string)
      let decoded = try #require(RunLengthMask(size: map.size, string: string))
      #expect(decoded.pixels == map.labels && decoded.area == map.labels.count { $0 == 1 })
    }
  }

  @Test func runLengthsOfManyObjects() {
    var random = SplitMix(seed: 1)
    for (width, height) in [(1, 1), (1, 7), (7, 1), (13, 11)] {
      for _ in 0..<20 {
        let map = map(width, height) { _, _ in [0, 1, 5, 254, 255][Int(random.next() % 5)] }
        let masks = RunLengthMask.masks(of: map)
        #expect(masks.map(\.object) == map.objects)
        for (object, mask) in masks {
          #expect(mask.pixels == map.labels.map { $0 == object.rawValue ? 1 : 0 })
          #expect(RunLengthMask(size: map.size, string: mask.string) == mask)
        }
      }
    }
    let size = FrameSize(width: 2, height: 2)
    for string in ["", "5", "o", "0", "04 ", "\u{1}", "PPPPPPPPPPPPPPPPPPP1", "03"] {
      #expect(RunLengthMask(size: size, string: string) == nil, "\(string)")
    }
  }

  @Test func cocoFileHoldsEveryFrame() throws {
    let folder = try ScratchFolder()
    let size = FrameSize(width: 10, height: 9)
    let writer = COCOWriter(folder.file("a.json"), name: "clip", size: size)
    writer.append(stem: "a", labels: map(10, 9) { _, _ in 0 })
    let object = try #require(ObjectID(7))
    writer.append(
      stem: "b",
      labels: map(10, 9) { x, y in
        (2..<5).contains(y) && (3..<7).contains(x) || (x, y) == (9, 8) ? 7 : 0
      }, confidences: [object: 0.5])
    writer.append(stem: "c", labels: map(10, 9) { _, _ in 0 })
    try writer.finish()
    let text = String(decoding: try bytes(of: folder.file("a.json")), as: UTF8.self)
    #expect(text.contains(#""segmentations":[null,{"counts":"m03600000h0N","size":[9,10]},null]"#))
    #expect(text.contains(#""areas":[null,13,null]"#) && text.contains(#""object_id":7"#))
    #expect(text.contains(#""bboxes":[null,[3,2,7,7],null]"#))
    #expect(text.contains(#""file_names":["a","b","c"]"#) && text.contains(#""length":3"#))
  }

  @Test func measurementsAreExact() throws {
    let folder = try ScratchFolder()
    let path = folder.file("a.csv")
    let (one, two) = (try #require(ObjectID(1)), try #require(ObjectID(2)))
    let writer = try MeasurementWriter(path)
    let labels = map(6, 4) { x, y in (1...3).contains(x) && y >= 2 || (x, y) == (3, 1) ? 1 : 0 }
    try writer.append(
      index: 3, stem: "a,\"b\"", seconds: 0.12, labels: labels, confidences: [two: 0, one: 0.75])
    try writer.append(
      index: 4, stem: "c", seconds: nil, labels: labels, confidences: [one: 1])
    #expect(!FileManager.default.fileExists(atPath: path))
    try writer.finish()
    let lines = String(decoding: try bytes(of: path), as: UTF8.self).split(separator: "\n")
    #expect(
      lines.dropFirst() == [
        "3,\"a,\"\"b\"\"\",0.120000,1,1,7,2.143,2.286,1,1,3,3,0.7500",
        "3,\"a,\"\"b\"\"\",0.120000,2,0,0,,,,,,,0.0000",
        "4,c,,1,1,7,2.143,2.286,1,1,3,3,1.0000",
      ])
    let columns = lines[0].split(separator: ",").count
    #expect(
      columns == 13 && lines[3].split(separator: ",", omittingEmptySubsequences: false).count == 13)
    #expect(try folder.names == ["a.csv"])
    #expect(throws: MediaError.self) { try MeasurementWriter(folder.file("no/a.csv")) }
  }

  @Test func softMasksKeepSixteenBits() throws {
    let folder = try ScratchFolder()
    let writer = try SoftMaskWriter(folder.file("soft"))
    let object = try #require(ObjectID(9))
    try writer.write(
      [0, 1, 0.5, -1, 2, .nan], of: object, stem: "00001", size: FrameSize(width: 3, height: 2))
    let image = try PNGImage(contentsOf: folder.file("soft/9/00001.png"))
    #expect(image.bitDepth == 16 && image.kind == .grey)
    #expect(image.samples == .words([0, 65535, 32768, 0, 65535, 0]))
    _ = try folder.write([1], "file")
    #expect(throws: MediaError.self) { try SoftMaskWriter(folder.file("file")) }
  }
}
