// Boundaries and how many of their pixels lie near another boundary: the counts behind F.
//
// The plain version is BoundaryTests' brute force: dilate with a disk, AND, count. This one never
// paints a disk. A boundary pixel at distance d along its row reaches ⌊√(r² − d²)⌋ rows up and down;
// so each row is turned into reaches once, and one sweep down and one up carry the best reach from
// row to row, one less each time. The work does not depend on the radius, and the sweeps are
// byte-wide maxima that the compiler vectorises.

/// Boundary maps of one frame size, with the working memory that matching needs.
///
/// Memory: `profile`, `row` and `reach` are owned, of the sizes that `init` gives them, and every
/// index below is bounded by the plane's own size.
final class BoundaryMatcher {
  typealias Words = UnsafeMutablePointer<UInt64>

  let size: FrameSize
  /// Pixels; a boundary pixel is matched when another boundary has one within this distance.
  let radius: Int
  private let wordsPerRow: Int
  private let found: Words
  /// Boundary planes, kept for reuse from frame to frame.
  private let first: Words
  private let second: Words

  /// The radius of the DAVIS measure: 0.008 of the diagonal, rounded up.
  static func radius(for size: FrameSize) -> Int {
    let squared = Double(size.width * size.width + size.height * size.height)
    return Int((0.008 * squared.squareRoot()).rounded(.up))
  }

  init(size: FrameSize, radius: Int? = nil) {
    self.size = size
    self.radius = radius ?? Self.radius(for: size)
    wordsPerRow = (size.width + 63) / 64
    let count = wordsPerRow * size.height
    found = .allocate(capacity: count)
    first = .allocate(capacity: count)
    second = .allocate(capacity: count)
  }

  deinit {
    found.deallocate()
    first.deallocate()
    second.deallocate()
  }

  /// Pixels of two boundaries and how many of each lie near the other.
  struct Counts: Equatable {
    var result = 0
    var truth = 0
    var matchedResult = 0
    var matchedTruth = 0

    /// F = 2PR / (P + R), with the official tool's conventions for empty boundaries.
    var accuracy: Double {
      let precision: Double
      let recall: Double
      switch (result, truth) {
      case (0, 0): (precision, recall) = (1, 1)
      case (0, _): (precision, recall) = (1, 0)
      case (_, 0): (precision, recall) = (0, 1)
      default:
        precision = Double(matchedResult) / Double(result)
        recall = Double(matchedTruth) / Double(truth)
      }
      let sum = precision + recall
      return sum == 0 ? 0 : 2 * precision * recall / sum
    }
  }

  /// Counts for the boundaries of two objects, given as bit planes of this size (`nil`: no pixel).
  func counts(result: Words?, truth: Words?) -> Counts {
    var counts = Counts()
    let resultBox = result.map { boundary(of: $0, into: first) } ?? Box()
    let truthBox = truth.map { boundary(of: $0, into: second) } ?? Box()
    counts.result = resultBox.count
    counts.truth = truthBox.count
    guard !resultBox.isEmpty, !truthBox.isEmpty else { return counts }
    counts.matchedResult = matched(first, resultBox, near: second, truthBox)
    counts.matchedTruth = matched(second, truthBox, near: first, resultBox)
    return counts
  }

  /// Where the set pixels of a plane are: rows and words, both inclusive.
  struct Box {
    var firstRow = Int.max
    var lastRow = -1
    var firstWord = Int.max
    var lastWord = -1
    var count = 0
    var isEmpty: Bool { count == 0 }
  }

  /// Pixels that differ from their right, lower or lower right neighbour (the official `seg2bmap`:
  /// the last row looks right only, the last column down only, the last pixel is never boundary).
  func boundary(of plane: Words, into output: Words) -> Box {
    var box = Box()
    let lastBit = UInt64(1) << UInt64((size.width - 1) & 63)
    for row in 0..<size.height {
      let this = plane + row * wordsPerRow
      let isLastRow = row == size.height - 1
      let below = isLastRow ? this : this + wordsPerRow
      for word in 0..<wordsPerRow {
        let isLastWord = word == wordsPerRow - 1
        let current = this[word]
        let down = below[word]
        let nextCurrent = isLastWord ? 0 : this[word + 1]
        let nextDown = isLastWord ? 0 : below[word + 1]
        var edge: UInt64 = 0
        if current | down | nextCurrent | nextDown != 0 {
          let right = current >> 1 | nextCurrent << 63
          if isLastRow {
            edge = current ^ right
            if isLastWord { edge &= ~lastBit }
          } else {
            let diagonal = down >> 1 | nextDown << 63
            edge = (current ^ right) | (current ^ down) | (current ^ diagonal)
            if isLastWord { edge = edge & ~lastBit | (current ^ down) & lastBit }
          }
        }
        output[row * wordsPerRow + word] = edge
        if edge != 0 {
          box.firstRow = min(box.firstRow, row)
          box.lastRow = row
          box.firstWord = min(box.firstWord, word)
          box.lastWord = max(box.lastWord, word)
          box.count += edge.nonzeroBitCount
        }
      }
    }
    return box
  }

  // MARK: - Matching

  private func matched(_ query: Words, _ queryBox: Box, near source: Words, _ box: Box) -> Int {
    // A reach of 254 pixels fits a byte: frames up to about 31,000 pixels diagonally.
    if radius <= 254 {
      return matched(query, queryBox, near: source, box, reach: UInt8.self)
    }
    return matched(query, queryBox, near: source, box, reach: UInt32.self)
  }

  @inline(__always)
  private func matched<Reach: FixedWidthInteger & UnsignedInteger>(
    _ query: Words, _ queryBox: Box, near source: Words, _ box: Box, reach: Reach.Type
  ) -> Int {
    let top = max(queryBox.firstRow, box.firstRow - radius)
    let bottom = min(queryBox.lastRow, box.lastRow + radius)
    guard top <= bottom else { return 0 }
    // Only these columns can be reached and are asked for.
    let left = max(queryBox.firstWord * 64, box.firstWord * 64 - radius)
    let right = min(queryBox.lastWord * 64 + 63, box.lastWord * 64 + 63 + radius, size.width - 1)
    guard left <= right else { return 0 }
    let columns = left..<right + 1
    return withUnsafeTemporaryAllocation(of: Reach.self, capacity: radius + 1) { profile in
      for distance in 0...radius {
        let rows = Double(radius * radius - distance * distance).squareRoot()
        profile[distance] = Reach(rows.rounded(.down)) + 1
      }
      return withUnsafeTemporaryAllocation(of: Reach.self, capacity: 2 * columns.count) { memory in
        let best = UnsafeMutableBufferPointer(rebasing: memory[..<columns.count])
        let row = UnsafeMutableBufferPointer(rebasing: memory[columns.count...])
        for index in top * wordsPerRow..<(bottom + 1) * wordsPerRow { found[index] = 0 }
        best.update(repeating: 0)
        for y in stride(from: box.firstRow, through: bottom, by: 1) {
          advance(best, row, source: source, y, in: box, columns, profile)
          if y >= top { mark(query, y, columns, best) }
        }
        best.update(repeating: 0)
        for y in stride(from: box.lastRow, through: top, by: -1) {
          advance(best, row, source: source, y, in: box, columns, profile)
          if y <= bottom { mark(query, y, columns, best) }
        }
        var count = 0
        for index in top * wordsPerRow..<(bottom + 1) * wordsPerRow {
          count += found[index].nonzeroBitCount
        }
        return count
      }
    }
  }

  /// Carries the best reach one row on and adds what row `y` of the source reaches.
  @inline(__always)
  private func advance<Reach: FixedWidthInteger & UnsignedInteger>(
    _ best: UnsafeMutableBufferPointer<Reach>, _ row: UnsafeMutableBufferPointer<Reach>,
    source: Words, _ y: Int, in box: Box, _ columns: Range<Int>,
    _ profile: UnsafeMutableBufferPointer<Reach>
  ) {
    guard let best = best.baseAddress, let row = row.baseAddress else { return }
    let count = columns.count
    let hasSource =
      (box.firstRow...box.lastRow).contains(y)
      && fill(row, count, from: source + y * wordsPerRow, box, columns.lowerBound, profile)
    if hasSource {
      for x in 0..<count {
        let carried = best[x] > 0 ? best[x] &- 1 : 0
        best[x] = carried > row[x] ? carried : row[x]
      }
    } else {
      for x in 0..<count { best[x] = best[x] > 0 ? best[x] &- 1 : 0 }
    }
  }

  /// The vertical reach of one row's pixels at each column; false when the row has none.
  @inline(__always)
  private func fill<Reach: FixedWidthInteger & UnsignedInteger>(
    _ row: UnsafeMutablePointer<Reach>, _ count: Int, from words: Words, _ box: Box, _ left: Int,
    _ profile: UnsafeMutableBufferPointer<Reach>
  ) -> Bool {
    var previous: Int?
    for word in box.firstWord...box.lastWord {
      var bits = words[word]
      while bits != 0 {
        let x = word * 64 + bits.trailingZeroBitCount - left
        bits &= bits - 1
        if let previous {
          // Each column between two pixels belongs to the nearer one.
          let middle = (previous + x) >> 1  // Rounded down, also left of the first column.
          spread(row, count, from: previous, through: middle, profile)
          spreadLeft(row, count, from: x, through: middle + 1, profile)
        } else {
          for column in 0..<count { row[column] = 0 }
          spreadLeft(row, count, from: x, through: 0, profile)
        }
        previous = x
      }
    }
    guard let previous else { return false }
    spread(row, count, from: previous, through: count - 1, profile)
    return true
  }

  @inline(__always)
  private func spread<Reach: FixedWidthInteger & UnsignedInteger>(
    _ row: UnsafeMutablePointer<Reach>, _ count: Int, from pixel: Int, through last: Int,
    _ profile: UnsafeMutableBufferPointer<Reach>
  ) {
    let first = max(pixel, 0)
    let last = min(last, pixel + radius, count - 1)
    guard first <= last else { return }
    for column in first...last { row[column] = profile[column - pixel] }
  }

  @inline(__always)
  private func spreadLeft<Reach: FixedWidthInteger & UnsignedInteger>(
    _ row: UnsafeMutablePointer<Reach>, _ count: Int, from pixel: Int, through first: Int,
    _ profile: UnsafeMutableBufferPointer<Reach>
  ) {
    let first = max(first, pixel - radius, 0)
    let last = min(pixel, count - 1)
    guard first <= last else { return }
    for column in first...last { row[column] = profile[pixel - column] }
  }

  /// Marks the query's pixels of row `y` that are within reach.
  @inline(__always)
  private func mark<Reach: FixedWidthInteger & UnsignedInteger>(
    _ query: Words, _ y: Int, _ columns: Range<Int>, _ best: UnsafeMutableBufferPointer<Reach>
  ) {
    for word in columns.lowerBound >> 6...(columns.upperBound - 1) >> 6 {
      var bits = query[y * wordsPerRow + word]
      var hits: UInt64 = 0
      while bits != 0 {
        let bit = bits.trailingZeroBitCount
        bits &= bits - 1
        let x = word * 64 + bit
        if columns.contains(x), best[x - columns.lowerBound] > 0 { hits |= 1 << UInt64(bit) }
      }
      found[y * wordsPerRow + word] |= hits
    }
  }
}
