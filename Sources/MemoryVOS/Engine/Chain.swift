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
  let kernel: Int
  let stride: Int
  let input: FeatureShape
  let output: FeatureShape
  let weights: AlignedBuffer
  let bias: AlignedBuffer
  let addend: Addend?
  let clamp: vos_clamp

  var padding: Int { kernel / 2 }

  var isUpsampled: Bool { if case .upsampled = addend { true } else { false } }

  /// Columns (or rows) of the input that output `range` reads, edges not yet clamped.
  func inputRange(_ range: Range<Int>) -> Range<Int> {
    let first = range.lowerBound * stride - padding
    return first..<((range.upperBound - 1) * stride - padding + kernel)
  }
}

/// A chain compiled for one input size.
///
/// Scratch is per worker and allocated here.
final class Chain {
  private let stages: [ChainStage]
  private let sources: [FeatureMap]
  private let output: FeatureMap
  private let kernels: vos_kernels
  private let columnTiles: Int
  private let rowTiles: Int
  private let scratch: [AlignedBuffer]
  private let zeros: AlignedBuffer
  private let workers: [Worker]

  /// Rings beyond this many bytes are cut into column tiles: they should share L2 with weights.
  private static let ringBudget = 192 << 10

  init(
    stages: [ChainStage], sources: [FeatureMap], output: FeatureMap, kernels: Kernels,
    threadCount: Int
  ) {
    self.stages = stages
    self.sources = sources
    self.output = output
    self.kernels = kernels.table
    let ring = zip(stages, stages.dropFirst()).reduce(0) { total, pair in
      total + pair.1.kernel * pair.0.output.width * pair.0.output.channels * 4
    }
    let wide = stages.contains(where: \.isUpsampled)
    columnTiles = wide ? 1 : min(max(1, (ring + Self.ringBudget - 1) / Self.ringBudget), 8)
    // Rows that two tiles share are computed twice, unless the first stage reads from the arena.
    let repeats = stages.dropFirst().contains { $0.kernel > 1 }
    let wanted = threadCount == 1 ? 1 : repeats ? threadCount : 4 * threadCount
    rowTiles = max(1, min(wanted / (repeats ? columnTiles : 1), output.shape.height))
    let lines = stages.map { Self.lineCount($0) }
    let perWorker = lines.reduce(0, +)
    scratch = (0..<threadCount).map { _ in AlignedBuffer(count: perWorker) }
    let widest = sources.map(\.pitch).max() ?? 0
    let linePixels = stages.map { ($0.input.width + 2 * $0.padding) * $0.input.channels }
    zeros = AlignedBuffer(count: max(widest, linePixels.max() ?? 0))
    workers = scratch.map { Worker(stages: stages, sources: sources.count, scratch: $0) }
  }

  /// Floats of a stage's input ring plus the line of its enlarged addend.
  private static func lineCount(_ stage: ChainStage) -> Int {
    let ring = stage.kernel * ((stage.input.width + 2 * stage.padding) * stage.input.channels + 16)
    return ring + stage.output.width * stage.output.channels + 32
  }

  /// Computes the whole output.
  func run(_ pool: ThreadPool) {
    let rows = output.shape.height
    let columns = output.shape.width
    pool.parallelFor(rowTiles * columnTiles) { tile, worker in
      let (row, column) = (tile / columnTiles, tile % columnTiles)
      workers[worker].begin(
        columns: columns * column / columnTiles..<columns * (column + 1) / columnTiles)
      runTile(
        rows: rows * row / rowTiles..<rows * (row + 1) / rowTiles, worker: workers[worker])
    }
  }

  private func runTile(rows: Range<Int>, worker: Worker) {
    worker.beginRows(rows)
    for y in rows { produce(stages.count - 1, row: y, worker) }
  }

  /// Computes row `y` of a stage, after the rows it needs of the stage before.
  private func produce(_ index: Int, row y: Int, _ worker: Worker) {
    let stage = stages[index]
    let state = worker.states[index]
    let columns = state.columns
    let first = y * stage.stride - stage.padding
    if index > 0 {
      let before = worker.states[index - 1]
      let last = min(first + stage.kernel, stage.input.height)
      while before.nextRow < last {
        let next = before.nextRow
        before.nextRow += 1
        produce(index - 1, row: next, worker)
      }
    }
    let isLast = index == stages.count - 1
    let channels = stage.output.channels
    let out =
      isLast
      ? output.row(y) + columns.lowerBound * channels
      : worker.states[index + 1].line(y) + (columns.lowerBound - worker.states[index + 1].origin)
        * channels
    let (addend, addendStride) = addendRow(stage, y: y, columns: columns, state)
    switch stage.kind {
    case .dense:
      let count = fillSegments(stage, index, firstRow: first, worker)
      kernels.gemm(
        columns.count, channels, state.segments, count, stage.weights.base, stage.bias.base,
        addend, addendStride, out, channels, stage.clamp)
    case .depthwise:
      for i in 0..<stage.kernel {
        state.rows[i] = UnsafePointer(
          inputRow(stage, index, source: 0, row: first + i, worker))
      }
      kernels.depthwise(
        state.rows, stage.kernel, stage.stride, columns.count, channels, stage.weights.base,
        stage.bias.base, out, stage.clamp)
      precondition(addend == nil, "a depthwise convolution adds nothing")
    }
    if isLast { clearPadding(row: y, columns: columns) }
  }

  /// One segment per kernel row and source.
  private func fillSegments(
    _ stage: ChainStage, _ index: Int, firstRow: Int, _ worker: Worker
  ) -> Int {
    let segments = worker.states[index].segments
    var count = 0
    let sourceCount = index == 0 ? sources.count : 1
    for i in 0..<stage.kernel {
      for source in 0..<sourceCount {
        let channels = index == 0 ? sources[source].shape.channels : stage.input.channels
        segments[count] = vos_segment(
          base: inputRow(stage, index, source: source, row: firstRow + i, worker),
          stride: stage.stride * channels, depth: stage.kernel * channels)
        count += 1
      }
    }
    return count
  }

  /// The first scalar that the tile's first output column reads in input row `row`.
  private func inputRow(
    _ stage: ChainStage, _ index: Int, source: Int, row: Int, _ worker: Worker
  ) -> UnsafeMutablePointer<Float> {
    guard row >= 0, row < stage.input.height else { return zeros.base }
    let state = worker.states[index]
    if index > 0 { return state.line(row) }
    return sources[source].row(row) + state.origin * sources[source].shape.channels
  }

  private func addendRow(
    _ stage: ChainStage, y: Int, columns: Range<Int>, _ state: Worker.StageState
  ) -> (UnsafePointer<Float>?, Int) {
    let channels = stage.output.channels
    switch stage.addend {
    case nil: return (nil, 0)
    case .map(let map): return (UnsafePointer(map.row(y) + columns.lowerBound * channels), channels)
    case .upsampled(let map):
      let near = y / 2
      let far = min(max(y % 2 == 0 ? near - 1 : near + 1, 0), map.shape.height - 1)
      kernels.upsample2(map.row(near), map.row(far), map.shape.width, channels, state.addendLine)
      return (UnsafePointer(state.addendLine), channels)
    }
  }

  private func clearPadding(row y: Int, columns: Range<Int>) {
    let count = output.padding * output.shape.channels
    guard count > 0 else { return }
    let row = output.row(y)
    if columns.lowerBound == 0 { (row - count).update(repeating: 0, count: count) }
    if columns.upperBound == output.shape.width {
      (row + output.shape.width * output.shape.channels).update(repeating: 0, count: count)
    }
  }
}

/// One thread's rings and positions in a tile.
private final class Worker {
  final class StageState {
    let stage: ChainStage
    let isFirst: Bool
    let base: UnsafeMutablePointer<Float>
    let addendLine: UnsafeMutablePointer<Float>
    let segments: UnsafeMutablePointer<vos_segment>
    let rows: UnsafeMutablePointer<UnsafePointer<Float>?>
    /// Columns of its output that this tile computes.
    var columns = 0..<0
    /// Input column (possibly negative: padding) at the start of a line.
    var origin = 0
    var lineFloats = 0
    var nextRow = 0

    init(stage: ChainStage, sources: Int, isFirst: Bool, base: UnsafeMutablePointer<Float>) {
      self.stage = stage
      self.isFirst = isFirst
      self.base = base
      let ring =
        stage.kernel * ((stage.input.width + 2 * stage.padding) * stage.input.channels + 16)
      addendLine = base + ring
      segments = .allocate(capacity: stage.kernel * max(1, sources))
      rows = .allocate(capacity: stage.kernel)
    }

    deinit {
      segments.deallocate()
      rows.deallocate()
    }

    /// The ring's line for input row `row`.
    func line(_ row: Int) -> UnsafeMutablePointer<Float> { base + row % stage.kernel * lineFloats }
  }

  let states: [StageState]

  init(stages: [ChainStage], sources: Int, scratch: AlignedBuffer) {
    var next = scratch.base
    states = stages.enumerated().map { index, stage in
      let state = StageState(
        stage: stage, sources: index == 0 ? sources : 1, isFirst: index == 0, base: next)
      let ring =
        stage.kernel * ((stage.input.width + 2 * stage.padding) * stage.input.channels + 16)
      next += (ring + stage.output.width * stage.output.channels + 31) & ~15
      return state
    }
  }

  /// Fixes the columns of every stage for a tile and zeroes the lines' columns beyond the image.
  func begin(columns: Range<Int>) {
    var wanted = columns
    for state in states.reversed() {
      state.columns = wanted
      let stage = state.stage
      let input = stage.inputRange(wanted)
      state.origin = input.lowerBound
      wanted = max(0, input.lowerBound)..<min(stage.input.width, input.upperBound)
      guard !state.isFirst else { continue }
      let channels = stage.input.channels
      state.lineFloats = (input.count * channels + 15) & ~15
      for line in 0..<stage.kernel {
        let start = state.base + line * state.lineFloats
        start.update(repeating: 0, count: (wanted.lowerBound - input.lowerBound) * channels)
        (start + (wanted.upperBound - input.lowerBound) * channels)
          .update(repeating: 0, count: (input.upperBound - wanted.upperBound) * channels)
      }
    }
  }

  /// Sets the first row that each stage has to compute.
  func beginRows(_ rows: Range<Int>) {
    var first = rows.lowerBound
    for state in states.reversed() {
      state.nextRow = first
      first = max(0, first * state.stage.stride - state.stage.padding)
    }
  }
}
