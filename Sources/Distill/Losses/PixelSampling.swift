// Which pixels the representation loss correlates: near object boundaries first, where errors are.

/// Random numbers that follow from a seed (SplitMix64, Steele et al., OOPSLA 2014).
struct SplitMix64: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
    return z ^ z >> 31
  }
}

/// Boundary-aware sampling (MobileVOS, section 3: errors concentrate at boundaries).
enum PixelSampling {
  /// Whether a pixel of another class is within `radius` (a square) of each pixel of a label map.
  static func boundary(_ labels: [UInt8], width: Int, height: Int, radius: Int) -> [Bool] {
    precondition(labels.count == width * height && radius >= 1)
    // Smallest and largest label of each square, one axis after the other.
    func extremes(_ map: [UInt8], _ pick: (UInt8, UInt8) -> UInt8) -> [UInt8] {
      var rows = map
      for y in 0..<height {
        for x in 0..<width {
          for near in max(0, x - radius)...min(width - 1, x + radius) {
            rows[y * width + x] = pick(rows[y * width + x], map[y * width + near])
          }
        }
      }
      var result = rows
      for y in 0..<height {
        for near in max(0, y - radius)...min(height - 1, y + radius) {
          for x in 0..<width {
            result[y * width + x] = pick(result[y * width + x], rows[near * width + x])
          }
        }
      }
      return result
    }
    return zip(extremes(labels, min), extremes(labels, max)).map { $0 != $1 }
  }

  /// Whether a pixel belongs to an object where that is so thin that no square of side 2 · `radius` + 1
  /// that holds the pixel lies inside it: what a morphological opening takes away.
  static func thin(_ labels: [UInt8], width: Int, height: Int, radius: Int) -> [Bool] {
    let isNearOther = boundary(labels, width: width, height: height, radius: radius)
    var isThin = labels.map { $0 != 0 && $0 != voidLabel }
    for pixel in labels.indices where isThin[pixel] {
      let (y, x) = pixel.quotientAndRemainder(dividingBy: width)
      isThin[pixel] = !(max(0, y - radius)...min(height - 1, y + radius)).contains { row in
        (max(0, x - radius)...min(width - 1, x + radius)).contains { column in
          let near = row * width + column
          return !isNearOther[near] && labels[near] == labels[pixel]
        }
      }
    }
    return isThin
  }

  /// `count` different pixels that are not `excluded`, all when there are fewer, in ascending order.
  ///
  /// Boundary pixels at random, topped up with others at random when the boundary is shorter.
  static func choose(
    boundary: [Bool], excluded: [Bool]? = nil, count: Int, using generator: inout SplitMix64
  ) -> [Int] {
    var near = boundary.indices.filter { boundary[$0] && !(excluded?[$0] ?? false) }
    if near.count < count {
      var far = boundary.indices.filter { !boundary[$0] && !(excluded?[$0] ?? false) }
      draw(count - near.count, from: &far, using: &generator)
      return (near + far).sorted()
    }
    draw(count, from: &near, using: &generator)
    return near.sorted()
  }

  /// Keeps `count` random elements (a partial Fisher–Yates shuffle).
  private static func draw(
    _ count: Int, from elements: inout [Int], using generator: inout SplitMix64
  ) {
    guard count < elements.count else { return }
    for index in 0..<count {
      elements.swapAt(index, Int.random(in: index..<elements.count, using: &generator))
    }
    elements.removeLast(elements.count - count)
  }
}
