// One allocation for all intermediate results of a plan, shared by those that never live together.

/// Offsets for blocks with known lifetimes.
package struct Arena {
  /// A block: floats needed, and the steps from its writing to its last reading, inclusive.
  package struct Request {
    let count: Int
    let lifetime: ClosedRange<Int>

    package init(count: Int, lifetime: ClosedRange<Int>) {
      self.count = count
      self.lifetime = lifetime
    }
  }

  /// Floats in all.
  package private(set) var count = 0
  /// Offset of each request, a multiple of 16 (64 bytes).
  package private(set) var offsets: [Int] = []

  /// Places each request, largest first, at the lowest offset where it overlaps no other that lives
  /// at the same time.
  package init(_ requests: [Request]) {
    offsets = [Int](repeating: 0, count: requests.count)
    var placed: [Int] = []
    for index in requests.indices.sorted(by: { requests[$0].count > requests[$1].count }) {
      let request = requests[index]
      let neighbours = placed.filter { requests[$0].lifetime.overlaps(request.lifetime) }
        .sorted { offsets[$0] < offsets[$1] }
      var offset = 0
      for neighbour in neighbours {
        if offset + Self.rounded(request.count) <= offsets[neighbour] { break }
        offset = max(offset, offsets[neighbour] + Self.rounded(requests[neighbour].count))
      }
      offsets[index] = offset
      count = max(count, offset + Self.rounded(request.count))
      placed.append(index)
    }
  }

  private static func rounded(_ count: Int) -> Int { (count + 15) & ~15 }
}
