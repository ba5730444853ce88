// Which pieces of a mask are strays, against distances and pieces found in the plainest way.

import TestSupport
import Testing

@testable import MemoryVOS

private func cells(_ picture: String) -> MaskCells {
  let rows = picture.split(separator: "\n").map { Array($0) }
  return MaskCells(
    width: rows[0].count, height: rows.count, isOccupied: rows.joined().map { $0 != "." })
}

/// The cells of `now` that are strays, as a picture.
private func strays(_ now: String, from before: String) -> String {
  let now = cells(now)
  let strays = Set(now.strays(from: cells(before)))
  return (0..<now.height).map { y in
    String((0..<now.width).map { strays.contains(y * now.width + $0) ? "#" : "." })
  }.joined(separator: "\n")
}

@Suite struct StrayPiecesTests {
  @Test func aSmallerPieceFarAwayIsAStray() {
    let before = """
      .##.........
      .##.........
      ............
      """
    let now = """
      .##.......#.
      .##........#
      ............
      """
    #expect(
      strays(now, from: before) == """
        ..........#.
        ...........#
        ............
        """)
  }

  @Test(arguments: [
    // Nearby: within two cells.
    (".##..........", ".##.#........"),
    // Larger than what stayed: the object has moved there.
    (".##..........", ".#......###.."),
    // As large.
    (".##..........", ".##.....##..."),
    // Nothing is where the object was.
    (".##..........", "......##..#.."),
    // Apart before.
    (".##.....##...", ".##......#..."),
    // Nothing was there: the object comes back.
    (".............", ".##.....#...."),
    (".##..........", "............."),
  ])
  func theseAreNone(before: String, now: String) {
    #expect(!strays(now, from: before).contains("#"))
  }

  @Test func reachGrowsWithTheObject() {
    let tall = Array(repeating: "######..................", count: 6).joined(separator: "\n")
    func with(_ column: Int) -> String {
      var rows = tall.split(separator: "\n").map { Array($0) }
      for row in 2...3 { rows[row][column] = "#" }
      return rows.map { String($0) }.joined(separator: "\n")
    }
    // Six cells wide and high: three steps from column 5.
    #expect(!strays(with(8), from: tall).contains("#"))
    #expect(strays(with(9), from: tall).contains("#"))
  }

  /// Beside 48 cells, one is a speck and two are not.
  @Test(arguments: [(1, true), (2, false)])
  func aSpeckMustBeNearer(count: Int, isStray: Bool) {
    let rows = Array(repeating: "######..............", count: 8)
    func with(_ first: Int) -> String {
      (rows.prefix(7) + [
        "######" + String(repeating: ".", count: first - 6)
          + String(repeating: "#", count: count) + String(repeating: ".", count: 20 - first - count)
      ])
      .joined(separator: "\n")
    }
    // Reach 4; 2 for a speck.
    let before = rows.joined(separator: "\n")
    #expect(!strays(with(7), from: before).contains("#"))
    #expect(strays(with(8), from: before).contains("#") == isStray)
    #expect(strays(with(10), from: before).contains("#"))
  }

  /// A false piece beside the object must not let in another one as far away as the object is large.
  @Test func aSmallPieceDoesNotReachAsFarAsTheObject() {
    let rows = Array(repeating: "######..................", count: 5)
    func with(_ columns: Int...) -> String {
      var last = Array("######..................")
      for column in columns { last[column] = "#" }
      return (rows + [String(last)]).joined(separator: "\n")
    }
    #expect(!strays(with(8, 10), from: with(8)).contains("#"))
    #expect(strays(with(8, 11), from: with(8)).contains("#"))
    #expect(strays(with(11), from: with(8)).contains("#"))
  }

  @Test func likeThePlainestWay() {
    var random = SeededGenerator(seed: 12)
    var found = 0
    for _ in 0..<1200 {
      let width = Int.random(in: 1...24, using: &random)
      let height = Int.random(in: 1...9, using: &random)
      func mask() -> MaskCells {
        let share = Double.random(in: 0...0.5, using: &random)
        return MaskCells(
          width: width, height: height,
          isOccupied: (0..<width * height).map { _ in
            Double.random(in: 0...1, using: &random) < share
          })
      }
      let (before, now) = (mask(), mask())
      let actual = now.strays(from: before)
      #expect(Set(actual).count == actual.count)
      #expect(Set(actual) == plainStrays(now, before))
      found += actual.count
    }
    #expect(found > 100)
  }

  private func plainStrays(_ now: MaskCells, _ before: MaskCells) -> Set<Int> {
    func place(_ cell: Int) -> (y: Int, x: Int) { (cell / now.width, cell % now.width) }
    func steps(_ one: Int, _ other: Int) -> Int {
      max(abs(place(one).y - place(other).y), abs(place(one).x - place(other).x))
    }
    let occupied = now.isOccupied.indices.filter { now.isOccupied[$0] }
    let was = before.isOccupied.indices.filter { before.isOccupied[$0] }
    // Labels spread until nothing changes.
    func pieces(_ cells: [Int]) -> [[Int]] {
      var label = Dictionary(uniqueKeysWithValues: cells.map { ($0, $0) })
      var changed = true
      while changed {
        changed = false
        for one in cells {
          for other in cells where steps(one, other) == 1 {
            if let own = label[one], let theirs = label[other], theirs < own {
              label[one] = theirs
              changed = true
            }
          }
        }
      }
      return Array(Dictionary(grouping: cells) { label[$0] ?? -1 }.values)
    }
    func distance(_ piece: [Int], _ other: [Int]) -> Int {
      piece.flatMap { cell in other.map { steps(cell, $0) } }.min() ?? .max
    }
    func reach(_ piece: [Int]) -> Int {
      let (ys, xs) = (piece.map { place($0).y }, piece.map { place($0).x })
      let (wide, high) = (
        (xs.max() ?? 0) - (xs.min() ?? 0) + 1, (ys.max() ?? 0) - (ys.min() ?? 0) + 1
      )
      return max(2, Int((Double(wide * high).squareRoot() / 2).rounded(.up)))
    }
    let parts = pieces(occupied)
    let remained = parts.filter { distance($0, was) <= 1 }.map(\.count).max() ?? 0
    let former = pieces(was)
    return Set(
      parts.filter { part in
        part.count < remained && former.allSatisfy { distance(part, $0) > reach($0) }
          || 24 * part.count < remained
            && former.allSatisfy { distance(part, $0) > max(2, (reach($0) + 1) / 2) }
      }.flatMap { $0 })
  }

  @Test func aCellIsOccupiedFromOneHalfOn() {
    let pool = ThreadPool(threadCount: 2)
    let map = FeatureMap(FeatureShape(height: 32, width: 48, channels: 1))
    #expect(!MaskCells(map, pool: pool).isOccupied.contains(true))
    for y in 0..<32 {
      for x in 0..<48 {
        map.row(y)[x] = 0.5
        let cells = MaskCells(map, pool: pool)
        #expect((cells.width, cells.height) == (6, 4))
        #expect(cells.isOccupied.indices.filter { cells.isOccupied[$0] } == [y / 8 * 6 + x / 8])
        map.row(y)[x] = 0.499
      }
    }
    #expect(!MaskCells(map, pool: pool).isOccupied.contains(true))
  }

  @Test(arguments: [false, true]) func trackersDropThem(keepsStrays: Bool) throws {
    let size = FrameSize(width: 160, height: 64)
    var configuration = Tracker.Configuration()
    configuration.inputSize = .exact(size)
    configuration.keepsStrays = keepsStrays
    let tracker = try Tracker(
      network: .random(seed: 11), frameSize: size, configuration: configuration)
    let session = tracker.session
    func isOne(_ x: Int, _ y: Int) -> Bool { (8..<32).contains(x) && (8..<40).contains(y) }
    func isTwo(_ x: Int, _ y: Int) -> Bool { (96..<112).contains(x) && (8..<40).contains(y) }
    func isStray(_ x: Int, _ y: Int) -> Bool { (130..<140).contains(x) && (20..<30).contains(y) }
    // Object 1 says so more loudly than object 2, whose it is.
    func isTaken(_ x: Int, _ y: Int) -> Bool { (104..<112).contains(x) && (16..<24).contains(y) }
    var mask = LabelMap(size: size)
    for y in 0..<size.height {
      for x in 0..<size.width {
        mask.labels[y * size.width + x] = isOne(x, y) ? 1 : isTwo(x, y) ? 2 : 0
      }
    }
    session.give(mask, keepingOthers: false)
    try #require(session.objects.count == 2)
    for y in 0..<size.height {
      for x in 0..<size.width {
        session.objects[0].logit.row(y)[x] =
          isTaken(x, y) ? 2 : isOne(x, y) || isStray(x, y) ? 6 : -6
        session.objects[1].logit.row(y)[x] = isTaken(x, y) ? 1.5 : isTwo(x, y) ? 6 : -6
      }
    }
    session.aggregate()
    let labels = session.result(given: nil).labels
    for y in 0..<size.height {
      for x in 0..<size.width {
        let stays = isOne(x, y) || keepsStrays && (isStray(x, y) || isTaken(x, y))
        #expect(labels.labels[y * size.width + x] == (stays ? 1 : isTwo(x, y) ? 2 : 0))
        let sum = session.objects.reduce(session.background.row(y)[x]) {
          $0 + $1.probability.row(y)[x]
        }
        #expect(abs(sum - 1) < 1e-5)
      }
    }
  }
}
