// The order in which people number files. ImageFolderReader sorts by it.

/// Names compared with their runs of digits as numbers: frame2 before frame10.
enum NaturalOrder {
  /// Whether `a` comes before `b`; a total order, also for names that differ only by zeros.
  static func precedes(_ a: String, _ b: String) -> Bool {
    let (x, y) = (Array(a.utf8), Array(b.utf8))
    var (i, j) = (0, 0)
    while i < x.count, j < y.count {
      if isDigit(x[i]), isDigit(y[j]) {
        let (m, n) = (number(x, &i), number(y, &j))
        if m.count != n.count { return m.count < n.count }
        if m != n { return m.lexicographicallyPrecedes(n) }
      } else {
        if x[i] != y[j] { return x[i] < y[j] }
        i += 1
        j += 1
      }
    }
    let (restA, restB) = (x.count - i, y.count - j)
    return restA == restB ? x.lexicographicallyPrecedes(y) : restA < restB
  }

  private static func isDigit(_ byte: UInt8) -> Bool { (48...57).contains(byte) }

  /// The digits at `position` without leading zeros; moves behind them.
  private static func number(_ text: [UInt8], _ position: inout Int) -> ArraySlice<UInt8> {
    let start = position
    while position < text.count, isDigit(text[position]) { position += 1 }
    return text[start..<position].drop { $0 == 48 }
  }
}
