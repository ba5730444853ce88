import Testing

@testable import MemoryVOS

/// J, F and flicker against definitions written out naively, pixel by pixel.
@Suite struct MaskMeasuresTests {
  /// One object's pixels, `[row][column]`.
  typealias Grid = [[Bool]]

  private struct Noise {
    var state: UInt64
    mutating func next(_ limit: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % limit
    }
  }

  /// Rectangles and single pixels of labels, some void.
  private func map(_ size: FrameSize, _ noise: inout Noise, labels: Int, void: Bool) -> LabelMap {
    var map = LabelMap(size: size)
    for _ in 0..<noise.next(6) {
      let label = UInt8(1 + noise.next(labels))
      let (x, y) = (noise.next(size.width), noise.next(size.height))
      let (w, h) = (1 + noise.next(size.width), 1 + noise.next(size.height))
      for row in y..<min(y + h, size.height) {
        for column in x..<min(x + w, size.width) {
          map.labels[row * size.width + column] = void && noise.next(9) == 0 ? 255 : label
        }
      }
    }
    for _ in 0..<noise.next(5) { map.labels[noise.next(size.area)] = UInt8(noise.next(labels + 1)) }
    return map
  }

  private func grid(_ map: LabelMap, _ label: UInt8, without void: LabelMap) -> Grid {
    (0..<map.size.height).map { row in
      (0..<map.size.width).map { column in
        let index = row * map.size.width + column
        return map.labels[index] == label && void.labels[index] != 255
      }
    }
  }

  private func count(_ grid: Grid) -> Int { grid.joined().count { $0 } }

  private func boundary(_ grid: Grid) -> Grid {
    let (h, w) = (grid.count, grid[0].count)
    return (0..<h).map { y in
      (0..<w).map { x in
        let own = grid[y][x]
        if y == h - 1 && x == w - 1 { return false }
        if y == h - 1 { return own != grid[y][x + 1] }
        if x == w - 1 { return own != grid[y + 1][x] }
        return own != grid[y][x + 1] || own != grid[y + 1][x] || own != grid[y + 1][x + 1]
      }
    }
  }

  private func matches(_ grid: Grid, near other: Grid, _ radius: Int) -> Int {
    var points: [(Int, Int)] = []
    for (y, row) in other.enumerated() {
      for x in row.indices where row[x] { points.append((x, y)) }
    }
    var count = 0
    for (y, row) in grid.enumerated() {
      for x in row.indices where row[x] {
        let near = points.contains {
          ($0.0 - x) * ($0.0 - x) + ($0.1 - y) * ($0.1 - y) <= radius * radius
        }
        if near { count += 1 }
      }
    }
    return count
  }

  private func accuracy(_ result: Grid, _ truth: Grid, _ radius: Int) -> Double {
    let (b, g) = (boundary(result), boundary(truth))
    let (nb, ng) = (count(b), count(g))
    var (precision, recall) = (1.0, 1.0)
    if nb == 0 && ng > 0 { recall = 0 }
    if ng == 0 && nb > 0 { precision = 0 }
    if nb > 0 && ng > 0 {
      precision = Double(matches(b, near: g, radius)) / Double(nb)
      recall = Double(matches(g, near: b, radius)) / Double(ng)
    }
    return precision + recall == 0 ? 0 : 2 * precision * recall / (precision + recall)
  }

  private func similarity(_ a: Grid, _ b: Grid) -> Double {
    let pairs = zip(a.joined(), b.joined())
    let union = pairs.count { $0 || $1 }
    return union == 0 ? 1 : Double(pairs.count { $0 && $1 }) / Double(union)
  }

  static let sizes = [
    (1, 1), (1, 7), (7, 1), (2, 2), (8, 5), (9, 9), (63, 4), (64, 6), (65, 7), (71, 33), (130, 20),
  ]

  @Test(arguments: sizes, [0, 1, 2, 3, 8, 40, 300])
  func equalTheDefinitions(size: (Int, Int), radius: Int) {
    let size = FrameSize(width: size.0, height: size.1)
    var noise = Noise(state: UInt64(size.width * 1000 + size.height * 10 + radius))
    let matcher = BoundaryMatcher(size: size, radius: radius)
    for round in 0..<12 {
      let truth = map(size, &noise, labels: 3, void: round % 3 == 0)
      let result = map(size, &noise, labels: 3, void: false)
      let pair = MaskPair(result: result, truth: truth)
      for label in UInt8(1)...3 {
        let (r, t) = (grid(result, label, without: truth), grid(truth, label, without: truth))
        #expect(pair.regionSimilarity(of: label) == similarity(r, t), "round \(round)")
        #expect(
          pair.boundaryAccuracy(of: label, matcher) == accuracy(r, t, radius),
          "round \(round), label \(label)")
      }
    }
  }

  @Test(arguments: sizes)
  func flickerIsTheExcessChange(size: (Int, Int)) {
    let size = FrameSize(width: size.0, height: size.1)
    var noise = Noise(state: UInt64(size.area))
    for _ in 0..<20 {
      let truths = [
        map(size, &noise, labels: 2, void: true), map(size, &noise, labels: 2, void: false),
      ]
      let results = [
        map(size, &noise, labels: 2, void: false), map(size, &noise, labels: 2, void: false),
      ]
      let pairs = zip(results, truths).map { MaskPair(result: $0, truth: $1) }
      for label in UInt8(1)...2 {
        var (changeP, changeG, union) = (0, 0, 0)
        for index in 0..<size.area where !truths.contains(where: { $0.labels[index] == 255 }) {
          let p = results.map { $0.labels[index] == label }
          let g = truths.map { $0.labels[index] == label }
          if p[0] != p[1] { changeP += 1 }
          if g[0] != g[1] { changeG += 1 }
          if g[0] || g[1] { union += 1 }
        }
        let excess = max(0, changeP - changeG)
        let expected = union > 0 ? Double(excess) / Double(union) : excess > 0 ? 1 : 0
        #expect(pairs[1].flicker(of: label, since: pairs[0]) == expected)
      }
    }
  }

  @Test func theRadiusIsThatOfTheBenchmark() {
    #expect(BoundaryMatcher.radius(for: FrameSize(width: 854, height: 480)) == 8)
    #expect(BoundaryMatcher.radius(for: FrameSize(width: 1920, height: 1080)) == 18)
    #expect(BoundaryMatcher.radius(for: FrameSize(width: 1, height: 1)) == 1)
  }

  @Test func publicMeasuresMergeObjects() {
    let size = FrameSize(width: 4, height: 1)
    let truth = LabelMap(size: size, labels: [1, 2, 0, 255])
    let result = LabelMap(size: size, labels: [3, 0, 0, 9])
    #expect(MaskMeasures.regionSimilarity(result: result, truth: truth) == 0.5)
    let empty = LabelMap(size: size)
    #expect(MaskMeasures.regionSimilarity(result: empty, truth: empty) == 1)
    #expect(MaskMeasures.boundaryAccuracy(result: empty, truth: empty) == 1)
    #expect(MaskMeasures.boundaryAccuracy(result: truth, truth: empty) == 0)
  }

  @Test func statisticsFollowTheQuarters() {
    let few = MeasureStatistics([0.9, 0.5, 0.51, 0.1])
    #expect(few.recall == 0.5)
    // Ends 1, 2, 3 (2.5 up), 3, 4: the first quarter is frames 1–2, the last 3–4.
    #expect(abs(few.decay - (0.7 - 0.305)) < 1e-15)
    #expect(MeasureStatistics([0.25]).decay == 0)
    let long = (0..<400).map { Double($0) / 400 }
    let statistics = MeasureStatistics(long)
    func mean(_ range: Range<Int>) -> Double { long[range].reduce(0, +) / Double(range.count) }
    // Ends 1, 101, 201 (200.5 up), 300, 400.
    let expected: Double = mean(0..<101) - mean(299..<400)
    #expect(abs(statistics.decay - expected) < 1e-12)
    // Positions 0, 100, 200, 299 − 256 = 43, 399 − 256 = 143 in the official tool.
    let wrapped: Double = mean(0..<101) - mean(43..<144)
    #expect(abs(MeasureStatistics(long, isCompatible: true).decay - wrapped) < 1e-12)
  }
}
