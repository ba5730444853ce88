// A run of convolutions executed row by row, so that what lies between them never leaves the cache.
//
// Made by `PlanCompiler` where each convolution's only reader is the next one: an inverted residual
// (1×1, depthwise, 1×1) or a decoder's residual block is one chain. Each stage but the last keeps
// just the rows that the next one's kernel spans, in a ring; the last writes to the arena. Start
// reading at `run`; the plain version is one chain per convolution (`PlanOptions.fusesChains`).

/// What is added to a convolution's result before its activation.
enum Addend<Scalar: MapScalar> {
  /// A map of the result's shape.
  case map(ScalarMap<Scalar>)
  /// The bilinear ×2 enlargement of a map of half the result's height and width.
  case upsampled(ScalarMap<Scalar>)
}

/// Whether a convolution mixes channels.
enum ConvolutionKind { case dense, depthwise }

/// One convolution of a chain with its bias, addend and activation.
struct ChainStage<Arithmetic: ChainArithmetic> {
  let kind: ConvolutionKind
  let convolution: Operation.Convolution
  let input: FeatureShape
  let output: FeatureShape
  /// The scalar that means zero in the input.
  let inputFill: Arithmetic.Scalar
  let factor: Arithmetic.Factor
  let addend: Addend<Arithmetic.Scalar>?

  var kernel: Int { convolution.kernel }
  var stride: Int { convolution.stride }
  var dilation: Int { convolution.dilation }
  var padding: Int { convolution.padding }
  /// Input rows that one output row reads, those between dilated taps included.
  var span: Int { convolution.span }

  /// Scalars of one line of the input with its zero columns, rounded up to whole cache lines.
  var lineCount: Int { ((input.width + 2 * padding) * input.channels + 15) & ~15 }
}

/// A chain compiled for one input size.
///
/// Scratch is per worker and allocated here.
final class Chain<Arithmetic: ChainArithmetic> {
  typealias Scalar = Arithmetic.Scalar
  typealias Stage = ChainStage<Arithmetic>

  private let stages: [Stage]
  /// May be exchanged for other maps of the same shape and padding between runs.
  var sources: [ScalarMap<Scalar>]
  private let output: Output
  private let arithmetic: Arithmetic
  private let tiles: Int
  /// For each source, and then for each further stage: the line beyond the map's edge.
  private let borders: [AlignedStorage<Scalar>]
  private let workers: [Worker<Arithmetic>]

  /// Where the last convolution writes.
  enum Output {
    case scalars(ScalarMap<Scalar>)
    /// Its sums, scaled, without addend and activation.
    case floats(FeatureMap)
    /// Rounded row by row.
    case bytes(ByteTensor)
  }

  init(
    stages: [Stage], sources: [ScalarMap<Scalar>], output: Output, arithmetic: Arithmetic,
    threadCount: Int
  ) {
    self.stages = stages
    self.sources = sources
    self.output = output
    self.arithmetic = arithmetic
    // Rows that two tiles share are computed twice, unless the first stage reads from the arena.
    let repeats = stages.dropFirst().contains { $0.kernel > 1 }
    let wanted = threadCount == 1 ? 1 : repeats ? threadCount : 4 * threadCount
    tiles = min(wanted, stages[stages.count - 1].output.height)
    borders =
      sources.map { AlignedStorage(count: $0.pitch, repeating: $0.fill) }
      + stages.dropFirst().map { AlignedStorage(count: $0.lineCount, repeating: $0.inputFill) }
    let isRounded = if case .bytes = output { true } else { false }
    workers = (0..<threadCount).map { _ in
      Worker(stages: stages, sources: sources.count, isRounded: isRounded)
    }
  }

  /// Computes the whole output.
  func run(_ pool: ThreadPool) {
    let rows = stages[stages.count - 1].output.height
    pool.parallelFor(tiles) { tile, worker in
      let range = rows * tile / tiles..<rows * (tile + 1) / tiles
      workers[worker].begin(range)
      for y in range { produce(stages.count - 1, row: y, workers[worker]) }
    }
  }

  /// Computes row `y` of a stage, after the rows it needs of the stage before.
  private func produce(_ index: Int, row y: Int, _ worker: Worker<Arithmetic>) {
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
    let channels = stage.output.channels
    guard index == stages.count - 1 else {
      compute(stage, index, row: y, out: worker.states[index + 1].row(y), worker)
      return
    }
    switch output {
    case .scalars(let map):
      compute(stage, index, row: y, out: map.row(y), worker)
      map.clearPadding(row: y)
    case .bytes(let tensor):
      let line = worker.line.base
      compute(stage, index, row: y, out: line, worker)
      arithmetic.round(
        line, count: stage.output.width * channels, to: tensor.range, out: tensor.map.row(y))
      tensor.map.clearPadding(row: y)
    case .floats(let map):
      let count = fillSegments(stage, index, firstRow: first, worker)
      arithmetic.dense(
        stage.factor, width: stage.output.width, channels: channels, segments: state.segments,
        count: count, floats: map.row(y))
      map.clearPadding(row: y)
    }
  }

  private func compute(
    _ stage: Stage, _ index: Int, row y: Int, out: UnsafeMutablePointer<Scalar>,
    _ worker: Worker<Arithmetic>
  ) {
    let state = worker.states[index]
    let first = y * stage.stride - stage.padding
    let (width, channels) = (stage.output.width, stage.output.channels)
    let addend = addendRow(stage, y: y, state)
    switch stage.kind {
    case .dense:
      let count = fillSegments(stage, index, firstRow: first, worker)
      arithmetic.dense(
        stage.factor, width: width, channels: channels, segments: state.segments, count: count,
        addend: addend, out: out)
    case .depthwise:
      for i in 0..<stage.kernel {
        state.rows[i] = UnsafePointer(
          inputRow(stage, index, source: 0, row: first + i * stage.dilation, worker))
      }
      arithmetic.depthwise(
        stage.factor, rows: state.rows, kernel: stage.kernel, stride: stage.stride,
        dilation: stage.dilation, width: width, channels: channels, out: out)
      precondition(addend == nil, "a depthwise convolution adds nothing")
    }
  }

  /// One segment per kernel row and source; one per tap when taps are no neighbours.
  private func fillSegments(
    _ stage: Stage, _ index: Int, firstRow: Int, _ worker: Worker<Arithmetic>
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
          segments[count] = arithmetic.segment(
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
    _ stage: Stage, _ index: Int, source: Int, row: Int, _ worker: Worker<Arithmetic>
  ) -> UnsafeMutablePointer<Scalar> {
    guard row >= 0, row < stage.input.height else {
      return borders[index == 0 ? source : sources.count + index - 1].base
    }
    if index > 0 { return worker.states[index].line(row) }
    return sources[source].row(row) - stage.padding * sources[source].shape.channels
  }

  private func addendRow(
    _ stage: Stage, y: Int, _ state: Worker<Arithmetic>.StageState
  ) -> UnsafePointer<Scalar>? {
    switch stage.addend {
    case nil: return nil
    case .map(let map): return UnsafePointer(map.row(y))
    case .upsampled(let map):
      let near = y / 2
      let far = min(max(y % 2 == 0 ? near - 1 : near + 1, 0), map.shape.height - 1)
      arithmetic.upsample2(
        near: map.row(near), far: map.row(far), width: map.shape.width,
        channels: map.shape.channels, out: state.addendLine.base)
      return UnsafePointer(state.addendLine.base)
    }
  }
}

/// One thread's rings and positions in a tile.
private final class Worker<Arithmetic: ChainArithmetic> {
  typealias Stage = ChainStage<Arithmetic>

  final class StageState {
    /// Input rows of this stage, `span` of them; the first stage reads from the arena.
    private let ring: AlignedStorage<Arithmetic.Scalar>
    private let stage: Stage
    let addendLine: AlignedStorage<Arithmetic.Scalar>
    let segments: UnsafeMutablePointer<Arithmetic.Segment>
    let rows: UnsafeMutablePointer<UnsafePointer<Arithmetic.Scalar>?>
    /// The next row of its output that this stage has to compute.
    var nextRow = 0

    init(stage: Stage, sources: Int, isFirst: Bool) {
      self.stage = stage
      // Filled once: rows are written between the zero columns and never over them.
      ring = AlignedStorage(
        count: isFirst ? 0 : stage.span * stage.lineCount, repeating: stage.inputFill)
      let isUpsampled = if case .upsampled = stage.addend { true } else { false }
      addendLine = AlignedStorage(
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
    func line(_ y: Int) -> UnsafeMutablePointer<Arithmetic.Scalar> {
      ring.base + y % stage.span * stage.lineCount
    }

    /// Column 0 of that line.
    func row(_ y: Int) -> UnsafeMutablePointer<Arithmetic.Scalar> {
      line(y) + stage.padding * stage.input.channels
    }
  }

  let states: [StageState]
  /// A row of the last stage, when it is rounded.
  let line: AlignedStorage<Arithmetic.Scalar>
  private let stages: [Stage]

  init(stages: [Stage], sources: Int, isRounded: Bool) {
    self.stages = stages
    let last = stages[stages.count - 1].output
    line = AlignedStorage(count: isRounded ? last.width * last.channels : 0)
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
