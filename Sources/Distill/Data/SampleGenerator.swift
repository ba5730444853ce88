// Random numbers that depend on what they are for, not on when they are drawn. SampleMaker and
// RecipePrior make one generator per sample; nothing else in Distill draws numbers.

/// Numbers that follow from a seed and a purpose alone (SplitMix64 started at a hash of both).
///
/// Sample 17 of seed 1 is the same whichever thread makes it, and whatever was made before.
public struct SampleGenerator: RandomNumberGenerator, Sendable {
  /// What a stream of numbers is for: streams of different purposes are unrelated.
  public enum Purpose: UInt64, Sendable {
    /// What all samples of a batch share.
    case batch = 1
    /// One sample.
    case sample = 2
    /// Corruption of a prior.
    case prior = 3
    /// Decay of a predicted mask.
    case decay = 4
  }

  private var state: UInt64

  /// The stream of a purpose, told apart by `counters` (step, sample, frame …).
  public init(seed: UInt64, purpose: Purpose, _ counters: Int...) {
    var state = Self.mixed(seed &+ 0x9e37_79b9_7f4a_7c15)
    for value in [purpose.rawValue] + counters.map({ UInt64(bitPattern: Int64($0)) }) {
      state = Self.mixed((state ^ value) &+ 0x9e37_79b9_7f4a_7c15)
    }
    self.state = state
  }

  /// The next 64 bits.
  public mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    return Self.mixed(state)
  }

  /// Uniform in `range`.
  mutating func real(_ range: ClosedRange<Double>) -> Double {
    let unit = Double(next() >> 11) * 0x1p-53
    return range.lowerBound + (range.upperBound - range.lowerBound) * unit
  }

  /// Uniform in -limit…limit.
  mutating func symmetric(_ limit: Double) -> Double { real(-limit...limit) }

  /// True with probability `share`.
  mutating func chance(_ share: Double) -> Bool { real(0...1) < share }

  /// Uniform in 0 ..< `count`; traps when `count` is not positive.
  mutating func index(_ count: Int) -> Int {
    precondition(count > 0, "nothing to choose from")
    return Int(next().multipliedFullWidth(by: UInt64(count)).high)
  }

  /// Uniform in a range of integers.
  mutating func integer(_ range: ClosedRange<Int>) -> Int {
    range.lowerBound + index(range.count)
  }

  /// An index with probability proportional to its weight, given the running sums of all weights.
  mutating func weighted(_ sums: [Double]) -> Int {
    let draw = real(0...1) * (sums.last ?? 0)
    var (low, high) = (0, sums.count - 1)
    while low < high {
      let middle = (low + high) / 2
      if sums[middle] > draw { high = middle } else { low = middle + 1 }
    }
    return low
  }

  /// `count` different elements in random order.
  mutating func choice<Element>(_ elements: [Element], count: Int) -> [Element] {
    var rest = elements
    return (0..<min(count, elements.count)).map { _ in rest.remove(at: index(rest.count)) }
  }

  /// About normally distributed: the sum of twelve uniform numbers, mean 0, deviation 1.
  mutating func normal() -> Double {
    (0..<12).reduce(-6.0) { sum, _ in sum + real(0...1) }
  }

  private static func mixed(_ value: UInt64) -> UInt64 {
    var z = value
    z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
    return z ^ z >> 31
  }
}
