// Pieces of a predicted mask that lie far from where the object just was: look-alikes, mostly.
// `TrackerSession` takes them away before memory and prior, which would confirm them from then on.

/// The cells of 8 × 8 pixels in which an object has a pixel of at least one half.
struct MaskCells {
  /// Pixels along a cell's side; the network's sizes are multiples of it.
  static let side = 8
  /// A piece this many times smaller than the largest that remained is a speck.
  private static let speckRatio = 24
  /// The steps that every piece may move.
  private static let leastReach = 2

  let width: Int
  let height: Int
  let isOccupied: [Bool]

  init(width: Int, height: Int, isOccupied: [Bool]) {
    precondition(isOccupied.count == width * height, "cells of another size")
    self.width = width
    self.height = height
    self.isOccupied = isOccupied
  }

  /// The cells of `probability`, `[height, width, 1]` in 0…1.
  init(_ probability: FeatureMap, pool: ThreadPool) {
    let (width, height) = (
      probability.shape.width / Self.side, probability.shape.height / Self.side
    )
    let isOccupied = [Bool](unsafeUninitializedCapacity: width * height) { cells, count in
      count = width * height
      pool.parallelFor(height) { y, _ in
        let first = UnsafeRawPointer(probability.row(y * Self.side))
        let stride = probability.row(y * Self.side + 1) - probability.row(y * Self.side)
        for x in 0..<width {
          var isObject = SIMDMask<SIMD8<Int32>>(repeating: false)
          for row in 0..<Self.side {
            let offset = (row * stride + x * Self.side) * MemoryLayout<Float>.stride
            isObject .|= first.loadUnaligned(fromByteOffset: offset, as: SIMD8<Float>.self) .>= 0.5
          }
          cells.initializeElement(at: y * width + x, to: any(isObject))
        }
      }
    }
    self.init(width: width, height: height, isOccupied: isOccupied)
  }

  /// The cells of those pieces of this mask that are strays of an object that was at `before`.
  ///
  /// A stray lies beyond the reach of each piece of the object (beyond half of it if the stray is a
  /// speck), and a larger piece is where the object was. So an object that left, moved far or came back
  /// elsewhere has none, and pieces that were apart already may stay so while each moves less than its
  /// reach. The reach of a piece goes with its size, so that a false one lets in the next only slowly.
  func strays(from before: MaskCells) -> [Int] {
    let pieces = pieces()
    guard pieces.count > 1 else { return [] }
    let former = before.pieces()
    let distances = before.steps(from: former.map { ($0, 0) }, limit: Self.leastReach)
    let remained = pieces.filter { distances.least(of: $0) <= 1 }.map(\.count).max() ?? 0
    let apart = pieces.filter {
      $0.count < remained && distances.least(of: $0) > Self.leastReach
    }
    guard !apart.isEmpty else { return [] }
    func beyond(_ reach: (Int) -> Int) -> [Int] {
      before.steps(
        from: former.map { ($0, max(Self.leastReach, reach(before.reach(of: $0)))) }, limit: 0)
    }
    let (beyondReach, beyondHalf) = (beyond { $0 }, beyond { ($0 + 1) / 2 })
    return apart.filter { piece in
      let isSpeck = Self.speckRatio * piece.count < remained
      return (isSpeck ? beyondHalf : beyondReach).least(of: piece) > 0
    }.flatMap(\.self)
  }

  /// The cells of each connected part.
  private func pieces() -> [[Int]] {
    var isFree = isOccupied
    var pieces: [[Int]] = []
    for start in isOccupied.indices where isFree[start] {
      isFree[start] = false
      var cells = [start]
      var next = 0
      while next < cells.count {
        let cell = cells[next]
        next += 1
        forEachNeighbor(of: cell) { neighbor in
          guard isFree[neighbor] else { return }
          isFree[neighbor] = false
          cells.append(neighbor)
        }
      }
      pieces.append(cells)
    }
    return pieces
  }

  /// The occupied cells' rectangle; right and bottom are the first cells beyond it.
  var box: (left: Int, right: Int, top: Int, bottom: Int)? {
    let occupied = isOccupied.indices.lazy.filter { isOccupied[$0] }
    return occupied.isEmpty ? nil : box(of: occupied)
  }

  private func box(of cells: some Sequence<Int>) -> (left: Int, right: Int, top: Int, bottom: Int) {
    var (left, right, top, bottom) = (width, -1, height, -1)
    for cell in cells {
      let (y, x) = cell.quotientAndRemainder(dividingBy: width)
      (left, right) = (min(left, x), max(right, x))
      (top, bottom) = (min(top, y), max(bottom, y))
    }
    return (left, right + 1, top, bottom + 1)
  }

  /// How many steps from a piece of the object more of it may come into view, but for `leastReach`:
  /// half the side of a square as large as its bounding box.
  private func reach(of piece: [Int]) -> Int {
    let box = box(of: piece)
    let extent = Double((box.right - box.left) * (box.bottom - box.top)).squareRoot()
    return Int((extent / 2).rounded(.up))
  }

  /// For each cell the steps from the next piece, diagonal ones included, less that piece's head start;
  /// `Int.max` where they are more than `limit`.
  private func steps(from pieces: [(cells: [Int], headStart: Int)], limit: Int) -> [Int] {
    var steps = [Int](repeating: .max, count: isOccupied.count)
    var waiting = pieces.sorted { $0.headStart < $1.headStart }
    var step = -(waiting.last?.headStart ?? 0)
    var front: [Int] = []
    while !front.isEmpty || !waiting.isEmpty {
      while let piece = waiting.last, -piece.headStart <= step {
        waiting.removeLast()
        for cell in piece.cells where steps[cell] > step {
          steps[cell] = step
          front.append(cell)
        }
      }
      guard step < limit else { break }
      step += 1
      var reached: [Int] = []
      for cell in front {
        forEachNeighbor(of: cell) { neighbor in
          guard steps[neighbor] > step else { return }
          steps[neighbor] = step
          reached.append(neighbor)
        }
      }
      front = reached
    }
    return steps
  }

  private func forEachNeighbor(of cell: Int, _ body: (Int) -> Void) {
    let (y, x) = cell.quotientAndRemainder(dividingBy: width)
    for row in max(0, y - 1)...min(height - 1, y + 1) {
      for column in max(0, x - 1)...min(width - 1, x + 1) where (row, column) != (y, x) {
        body(row * width + column)
      }
    }
  }
}

extension [Int] {
  /// The least of the values at some places; `Int.max` without any.
  fileprivate func least(of places: [Int]) -> Int {
    places.reduce(.max) { Swift.min($0, self[$1]) }
  }
}

extension TrackerSession {
  /// Takes from each object what is far from where it was.
  ///
  /// The background and the other objects share it in proportion to their own probabilities: a part of
  /// one object that was taken for another mostly goes back.
  func dropStrays(since before: [MaskCells]) {
    let strays = zip(objects, before).map { object, before in
      MaskCells(object.probability, pool: pool).strays(from: before)
    }
    let planes = [background] + objects.map(\.probability)
    for (object, cells) in zip(objects, strays) {
      for cell in cells { drop(cell, of: object.probability, among: planes) }
    }
  }

  private func drop(_ cell: Int, of dropped: FeatureMap, among planes: [FeatureMap]) {
    let side = MaskCells.side
    let (top, left) = (cell / (networkSize.width / side), cell % (networkSize.width / side))
    for y in top * side..<(top + 1) * side {
      let rows = planes.map { $0.row(y) }
      for x in left * side..<(left + 1) * side {
        dropped.row(y)[x] = 0
        let rest = rows.reduce(Float.zero) { $0 + $1[x] }
        // Nobody else wanted it.
        if rest < 1e-3 { background.row(y)[x] = 1 }
        for row in rows where rest >= 1e-3 { row[x] /= rest }
      }
    }
  }
}
