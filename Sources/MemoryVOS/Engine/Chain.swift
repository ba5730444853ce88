// A run of convolutions executed row by row, so that what lies between them never leaves the cache.
//
// Made by `PlanCompiler` where each convolution's only reader is the next one: an inverted residual
// (1×1, depthwise, 1×1) or a decoder's residual block is one chain. Each stage but the last keeps
// just the rows that the next one's kernel spans, in a ring; the last writes to the arena. Start
// reading at `run`; the plain version is one chain per convolution (`PlanOptions.fusesChains`).

import CKernels

/// What is added to a convolution's result before its activation.
enum Addend {
  /// A map of the result's shape.
  case map(FeatureMap)
  /// The bilinear ×2 enlargement of a map of half the result's height and width.
  case upsampled(FeatureMap)
}

/// One convolution of a chain with its bias, addend and activation.
struct ChainStage {
  enum Kind { case dense, depthwise }

  let kind: Kind
  let convolution: Operation.Convolution
  let input: FeatureShape
  let output: FeatureShape
  let weights: AlignedBuffer
  let bias: AlignedBuffer
  let addend: Addend?
  let clamp: vos_clamp

  var kernel: Int { convolution.kernel }
  var stride: Int { convolution.stride }
  var dilation: Int { convolution.dilation }
  var padding: Int { convolution.padding }
  /// Input rows that one output row reads, those between dilated taps included.
  var span: Int { convolution.span }

  /// Floats of one line of the input with its zero columns, rounded up to whole cache lines.
  var lineCount: Int { ((input.width + 2 * padding) * input.channels + 15) & ~15 }
}

/// A chain compiled for one input size.
///
/// Scratch is per worker and allocated here.
final class Chain {
  private let stages: [ChainStage]
  /// May be exchanged for other maps of the same shape and padding between runs.
  var sources: [FeatureMap]
  private let output: FeatureMap
  private let kernels: vos_kernels
  private let tiles: Int
  private let zeros: AlignedBuffer
  private let workers: [Worker]

  init(
    stages: [ChainStage], sources: [FeatureMap], output: FeatureMap, kernels: Kernels,
    threadCount: Int
  ) {
    self.stages = stages
    self.sources = sources
    self.output = output
    self.kernels = kernels.table
    // Rows that two tiles share are computed twice, unless the first stage reads from the arena.
    let repeats = stages.dropFirst().contains { $0.kernel > 1 }
    let wanted = threadCount == 1 ? 1 : repeats ? threadCount : 4 * threadCount
    tiles = min(wanted, output.shape.height)
    let widest = sources.map(\.pitch).max() ?? 0
    zeros = AlignedBuffer(count: max(widest, stages.map(\.lineCount).max() ?? 0))
    workers = (0..<threadCount).map { _ in Worker(stages: stages, sources: sources.count) }
  }

  /// Computes the whole output.
  func run(_ pool: ThreadPool) {
    let rows = output.shape.height
    pool.parallelFor(tiles) { tile, worker in
      let range = rows * tile / tiles..<rows * (tile + 1) / tiles
      workers[worker].begin(range)
      for y in range { produce(stages.count - 1, row: y, workers[worker]) }
    }
  }

  /// Computes row `y` of a stage, after the rows it needs of the stage before.
  private func produce(_ index: Int, row y: Int, _ worker: Worker) {
    let stage = stages[index]
    let state = worker.states[index]
    let first = y * stage.stride - stage.padding
    if index > 0 {
      let before = worker.states[index - 1]
      let last = min(first + stage.span, stage.input.height)
      while before.nextRow < last {
        let next = before.nextRow
        before.nextRow += 1
        produce(index - 1, row: next, worker)
      }
    }
    let isLast = index == stages.count - 1
    let channels = stage.output.channels
    let out = isLast ? output.row(y) : worker.states[index + 1].row(y)
    let addend = addendRow(stage, y: y, state)
    switch stage.kind {
    case .dense:
      let count = fillSegments(stage, index, firstRow: first, worker)
      kernels.gemm(
        stage.output.width, channels, state.segments, count, stage.weights.base, stage.bias.base,
        addend, channels, out, channels, stage.clamp)
    case .depthwise:
      for i in 0..<stage.kernel {
        state.rows[i] = UnsafePointer(
          inputRow(stage, index, source: 0, row: first + i * stage.dilation, worker))
      }
      if stage.dilation == 1 {
        kernels.depthwise(
          state.rows, stage.kernel, stage.stride, stage.output.width, channels,
          stage.weights.base, stage.bias.base, out, stage.clamp)
      } else {
        kernels.depthwise_dilated(
          state.rows, stage.kernel, stage.dilation, stage.output.width, channels,
          stage.weights.base, stage.bias.base, out, stage.clamp)
      }
      precondition(addend == nil, "a depthwise convolution adds nothing")
    }
    if isLast { output.clearPadding(row: y) }
  }

  /// One segment per kernel row and source; one per tap when taps are no neighbours.
  private func fillSegments(
    _ stage: ChainStage, _ index: Int, firstRow: Int, _ worker: Worker
  ) -> Int {
    let segments = worker.states[index].segments
    var count = 0
    let sourceCount = index == 0 ? sources.count : 1
    for i in 0..<stage.kernel {
      for source in 0..<sourceCount {
        let channels = index == 0 ? sources[source].shape.channels : stage.input.channels
        let row = inputRow(
          stage, index, source: source, row: firstRow + i * stage.dilation, worker)
        let runs = stage.dilation == 1 ? 1 : stage.kernel
        for run in 0..<runs {
          segments[count] = vos_segment(
            base: row + run * stage.dilation * channels, stride: stage.stride * channels,
            depth: stage.kernel / runs * channels)
          count += 1
        }
      }
    }
    return count
  }

  /// The left zero column of input row `row`, of which as many are there as the kernel reads.
  private func inputRow(
    _ stage: ChainStage, _ index: Int, source: Int, row: Int, _ worker: Worker
  ) -> UnsafeMutablePointer<Float> {
    guard row >= 0, row < stage.input.height else { return zeros.base }
    if index > 0 { return worker.states[index].line(row) }
    return sources[source].row(row) - stage.padding * sources[source].shape.channels
  }

  private func addendRow(
    _ stage: ChainStage, y: Int, _ state: Worker.StageState
  ) -> UnsafePointer<Float>? {
    switch stage.addend {
    case nil: return nil
    case .map(let map): return UnsafePointer(map.row(y))
    case .upsampled(let map):
      let near = y / 2
      let far = min(max(y % 2 == 0 ? near - 1 : near + 1, 0), map.shape.height - 1)
      kernels.upsample2(
        map.row(near), map.row(far), map.shape.width, map.shape.channels, state.addendLine.base)
      return UnsafePointer(state.addendLine.base)
    }
  }
}

/// One thread's rings and positions in a tile.
private final class Worker {
  final class StageState {
    /// Input rows of this stage, `span` of them; the first stage reads from the arena.
    private let ring: AlignedBuffer
    private let stage: ChainStage
    let addendLine: AlignedBuffer
    let segments: UnsafeMutablePointer<vos_segment>
    let rows: UnsafeMutablePointer<UnsafePointer<Float>?>
    /// The next row of its output that this stage has to compute.
    var nextRow = 0

    init(stage: ChainStage, sources: Int, isFirst: Bool) {
      self.stage = stage
      // Zeroed once: rows are written between the zero columns and never over them.
      ring = AlignedBuffer(count: isFirst ? 0 : stage.span * stage.lineCount)
      let isUpsampled = if case .upsampled = stage.addend { true } else { false }
      addendLine = AlignedBuffer(
        count: isUpsampled ? stage.output.width * stage.output.channels : 0)
      let runs = stage.dilation == 1 ? 1 : stage.kernel
      segments = .allocate(capacity: stage.kernel * runs * max(1, sources))
      rows = .allocate(capacity: stage.kernel)
    }

    deinit {
      segments.deallocate()
      rows.deallocate()
    }

    /// The ring's line for input row `y`, from its left zero column.
    func line(_ y: Int) -> UnsafeMutablePointer<Float> {
      ring.base + y % stage.span * stage.lineCount
    }

    /// Column 0 of that line.
    func row(_ y: Int) -> UnsafeMutablePointer<Float> {
      line(y) + stage.padding * stage.input.channels
    }
  }

  let states: [StageState]
  private let stages: [ChainStage]

  init(stages: [ChainStage], sources: Int) {
    self.stages = stages
    states = stages.enumerated().map { index, stage in
      StageState(stage: stage, sources: index == 0 ? sources : 1, isFirst: index == 0)
    }
  }

  /// Sets the first row that each stage has to compute for `rows` of the last one.
  func begin(_ rows: Range<Int>) {
    var first = rows.lowerBound
    for (state, stage) in zip(states, stages).reversed() {
      state.nextRow = first
      first = max(0, first * stage.stride - stage.padding)
    }
  }
}
