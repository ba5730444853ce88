// What a tracker is asked and what it answers.

extension Tracker {
  /// How to track.
  ///
  /// Every field has a default that suits 480p video on two cores.
  public struct Configuration: Sendable, Hashable {
    /// Size of the network's input.
    public enum InputSize: Sendable, Hashable {
      /// The short side in pixels, rounded up to a multiple of the network's stride, 16 or 32; the
      /// long side keeps the frame's aspect and is rounded up too.
      case shortSide(Int)
      /// Height and width, each rounded up to a multiple of the stride.
      case exact(FrameSize)
    }

    /// Network input; 480 is the height that DAVIS scores are given for.
    public var inputSize = InputSize.shortSide(480)
    /// Frames in memory, the first included: 2 is the first and the newest; `nil` takes the
    /// checkpoint's value.
    ///
    /// Further ones are every `memoryInterval`-th of the past. More annotated frames come on top. At
    /// least 1.
    public var memoryFrames: Int?
    /// Frames between those that stay in a memory of more than two; at least 1.
    public var memoryInterval = 5
    /// Memory entries that each position reads; 0 reads all; `nil` takes the checkpoint's value.
    public var topK: Int?
    /// Whether pieces of a mask that appear far from where the object just was stay in it.
    ///
    /// They are mostly look-alikes: while a larger piece is where the object was, background and other
    /// objects get them. In a flock under one label, whose members come and go, they may be right.
    public var keepsStrays = false
    /// Network pixels for one pixel of the frame, along a side, up to which small objects are
    /// enlarged; 0 shows the network the whole frame always.
    ///
    /// While all objects together leave enough of the frame free, the network's input is a part of the frame
    /// around them: more detail in the same time. Frames that are enlarged further already, to
    /// fill the network's input, stay whole. While an object that is tracked is nowhere to be seen, all of the
    /// frame is looked at.
    public var zoomLimit = 1.25
    /// Threads, by default one per core.
    public var threads: Int?
    /// SIMD variant, by default the best of this CPU or what `VOS_ISA` asks for.
    public var instructionSet: InstructionSet?

    /// The defaults.
    public init() {}

    /// How much a network `input` can be enlarged further for frames of `size`.
    func largestZoom(for size: FrameSize, input: FrameSize) -> Double {
      let present = max(
        Double(input.width) / Double(size.width), Double(input.height) / Double(size.height))
      return max(1, zoomLimit / present)
    }

    /// The input of `network` for frames of `size`.
    public func networkSize(for size: FrameSize, network: NetworkConfiguration) -> FrameSize {
      let stride = network.stride
      func up(_ value: Int) -> Int { (value + stride - 1) / stride * stride }
      switch inputSize {
      case .exact(let size): return FrameSize(width: up(size.width), height: up(size.height))
      case .shortSide(let side):
        let short = up(side)
        let (least, most) = (min(size.width, size.height), max(size.width, size.height))
        let long = (most * short + least * stride - 1) / (least * stride) * stride
        return size.width < size.height
          ? FrameSize(width: short, height: long) : FrameSize(width: long, height: short)
      }
    }
  }
}

/// A frame, mask or setting that a tracker cannot use.
///
/// The description says what was expected, what was found and what to try.
public struct TrackerError: Error, Sendable, CustomStringConvertible {
  /// One line.
  public let description: String

  init(_ description: String) { self.description = description }
}

/// Where one object is in one frame.
public struct ObjectStatus: Sendable, Hashable, Codable {
  /// The object's label.
  public let id: UInt8
  /// Pixels of the frame that belong to it.
  public let area: Int
  /// Mean probability over the pixels that it owns, 0…1 (0 when it owns none).
  ///
  /// 1 where annotated.
  public let confidence: Float
  /// Whether it owns at least one pixel.
  public var isPresent: Bool { area > 0 }
}

/// The answer to one frame.
public struct FrameResult: Sendable {
  /// The object of each pixel, 0 for none, at the frame's size.
  public let labels: LabelMap
  /// Each tracked object, in ascending order of ids.
  public let objects: [ObjectStatus]
}

/// Seconds per stage of one step.
public struct StageTimings: Sendable, Hashable, Codable {
  /// Frame to network input.
  public var resize = 0.0
  /// Image encoder: features and key.
  public var encode = 0.0
  /// Memory read.
  public var read = 0.0
  /// Decoder, all objects.
  public var decode = 0.0
  /// Soft aggregation, labels at the frame's size, statuses.
  public var aggregate = 0.0
  /// Value encoder, all objects, and memory write.
  public var memorize = 0.0

  /// All stages together.
  public var total: Double { resize + encode + read + decode + aggregate + memorize }

  /// Name and seconds of each stage, in order.
  public var stages: [(name: String, seconds: Double)] {
    [
      ("resize", resize), ("encode", encode), ("read", read), ("decode", decode),
      ("aggregate", aggregate), ("memorize", memorize),
    ]
  }

  /// Zero everywhere.
  public init() {}
}

/// Measures the stages of a step.
struct StageClock {
  private(set) var timings = StageTimings()
  private var last = ContinuousClock.now

  mutating func lap(_ stage: WritableKeyPath<StageTimings, Double>) {
    let now = ContinuousClock.now
    timings[keyPath: stage] += (now - last) / .seconds(1)
    last = now
  }
}
