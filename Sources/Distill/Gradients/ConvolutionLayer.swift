// Dense convolution over the concatenation of its sources, with bias, addend and activation:
//
//     y = clamp(Σ_s col(x_s) W_s + bias + addend)
//
// and its gradient, with g = dy where the clamp let y through and 0 elsewhere:
//
//     dbias = Σ g,  dW_s = col(x_s)ᵀ g,  dcol_s = g W_sᵀ,  dx_s = colᵀ(dcol_s),  daddend = g
//
// col lists, for each output pixel, what the kernel covers; for 1×1 it is x itself.

import CKernels
import MemoryVOS

final class ConvolutionLayer: GradientLayer {
  private struct Source {
    let value: Int
    let shape: FeatureShape
    /// kernel² · channels: columns of col(x).
    let depth: Int
    /// First row of this source in the weights' accumulator.
    let row: Int
    /// W_sᵀ as right factor `[outputs, depth]`, in panels.
    let backward: AlignedBuffer
    /// dcol of a micro-batch, `[samples, pixels, depth]`; empty for 1×1.
    let columns: AlignedBuffer
  }

  let output: Int
  let accumulatorCount: Int
  var accumulatorOffset = 0

  private let convolution: MemoryVOS.Operation.Convolution
  private let sources: [Source]
  private let addend: Int?
  private let clamp: Clamp
  private let gate: Clamp
  private let shape: FeatureShape
  private let depth: Int
  /// W as right factor `[depth, outputs]`, in panels.
  private let forward: AlignedBuffer
  private let bias: AlignedBuffer
  /// W in our order, `[outputs, depth]`.
  private let arranged: AlignedBuffer
  /// For each part, col(x) of a block of pixels.
  private let scratch: AlignedBuffer
  private let scratchCount: Int
  /// Output pixels worked on at a time: their columns stay in the second-level cache.
  private let block: Int

  private var isPointwise: Bool { convolution.kernel == 1 && convolution.stride == 1 }
  private var outputs: Int { shape.channels }

  init(
    _ specification: LayerSpecification, _ convolution: MemoryVOS.Operation.Convolution,
    shapes: [FeatureShape], parts: Int, microBatch: Int
  ) {
    output = specification.output
    addend = specification.addend
    clamp = specification.clamp
    gate = specification.gate
    self.convolution = convolution
    shape = shapes[specification.output]
    let (outputs, area) = (shape.channels, convolution.kernel * convolution.kernel)
    let isPointwise = convolution.kernel == 1 && convolution.stride == 1
    var row = 0
    var sources: [Source] = []
    for value in specification.sources {
      let depth = area * shapes[value].channels
      let columns = isPointwise ? 0 : microBatch * shape.height * shape.width * depth
      sources.append(
        Source(
          value: value, shape: shapes[value], depth: depth, row: row,
          backward: AlignedBuffer(count: (depth + 15) / 16 * 16 * outputs),
          columns: AlignedBuffer(count: columns)))
      row += depth
    }
    self.sources = sources
    depth = row
    forward = AlignedBuffer(count: (outputs + 15) / 16 * 16 * depth)
    bias = AlignedBuffer(count: (outputs + 15) / 16 * 16)
    arranged = AlignedBuffer(count: outputs * depth)
    block = isPointwise ? 96 : max(1, 96 / shape.width) * shape.width
    scratchCount = isPointwise ? 0 : block * depth
    scratch = AlignedBuffer(count: scratchCount * parts)
    accumulatorCount = depth * outputs + outputs
  }

  // MARK: Parameters

  /// Calls `body(position in PyTorch's order, position in ours)` for each weight.
  private func forEachWeight(_ body: (Int, Int) -> Void) {
    let area = convolution.kernel * convolution.kernel
    let channels = depth / area
    for output in 0..<outputs {
      var first = 0
      for source in sources {
        for channel in 0..<source.shape.channels {
          let from = (output * channels + first + channel) * area
          let to = output * depth + source.row + channel
          for tap in 0..<area { body(from + tap, to + tap * source.shape.channels) }
        }
        first += source.shape.channels
      }
    }
  }

  func load(_ parameters: ParameterSet, _ kernels: vos_kernels) {
    let (weights, biases) = (
      parameters.range(convolution.weight), parameters.range(convolution.bias)
    )
    parameters.scalars.withUnsafeBufferPointer { scalars in
      guard let base = scalars.baseAddress else { return }
      bias.base.update(from: base + biases.lowerBound, count: outputs)
      let weight = base + weights.lowerBound
      if isPointwise {
        arranged.base.update(from: weight, count: outputs * depth)
      } else {
        forEachWeight { arranged.base[$1] = weight[$0] }
      }
    }
    kernels.pack_columns(arranged.base, depth, outputs, depth, forward.base)
    for source in sources {
      kernels.pack_rows(
        arranged.base + source.row, depth, outputs, source.depth, source.backward.base)
    }
  }

  func collect(from sums: UnsafePointer<Float>, into gradients: inout ParameterSet) {
    let (weights, biases) = (
      gradients.range(convolution.weight), gradients.range(convolution.bias)
    )
    gradients.scalars.withUnsafeMutableBufferPointer { scalars in
      guard let base = scalars.baseAddress else { return }
      (base + biases.lowerBound).update(from: sums + depth * outputs, count: outputs)
      let weight = base + weights.lowerBound
      let (depth, outputs) = (depth, outputs)
      forEachWeight { position, ours in
        weight[position] = sums[ours % depth * outputs + ours / depth]
      }
    }
  }

  // MARK: Forward

  func forward(_ pass: GradientPass) {
    pass.forEachPiece(rows: shape.height) { part, sample, rows in
      forEachBlock(rows) { first, count in
        let out = pass.activation(output, sample) + first * outputs
        let added = addend.map { pass.activation($0, sample) + first * outputs }
        withLeftFactor(pass, sample, first, count, part) { segments, segmentCount in
          pass.kernels.gemm(
            count, outputs, segments, segmentCount, forward.base, bias.base, added, outputs, out,
            outputs, clamp)
        }
      }
    }
  }

  /// Blocks of output pixels in `rows`; those of k×k convolutions are whole rows.
  private func forEachBlock(_ rows: Range<Int>, _ body: (_ first: Int, _ count: Int) -> Void) {
    var pixel = rows.lowerBound * shape.width
    let end = rows.upperBound * shape.width
    while pixel < end {
      let count = min(block, end - pixel)
      body(pixel, count)
      pixel += count
    }
  }

  /// col(x) of output pixels `first` ..< `first + count`, one segment per source.
  private func withLeftFactor(
    _ pass: GradientPass, _ sample: Int, _ first: Int, _ count: Int, _ part: Int,
    _ body: (UnsafePointer<vos_segment>, Int) -> Void
  ) {
    withUnsafeTemporaryAllocation(of: vos_segment.self, capacity: sources.count) { segments in
      guard let base = segments.baseAddress else { return }
      var column = scratch.base + part * scratchCount
      for (index, source) in sources.enumerated() {
        let map = pass.activation(source.value, sample)
        if isPointwise {
          base[index] = vos_segment(
            base: map + first * source.depth, stride: source.depth, depth: source.depth)
        } else {
          gather(source, map, first / shape.width, count / shape.width, column)
          base[index] = vos_segment(base: column, stride: source.depth, depth: source.depth)
          column += count * source.depth
        }
      }
      body(base, sources.count)
    }
  }

  /// For one kernel row and output pixel, the part of the kernel row inside the map: first tap,
  /// number of taps, and their first column in the map.
  ///
  /// For taps that are neighbours.
  private func taps(_ x: Int, width: Int) -> (first: Int, count: Int, column: Int) {
    let start = x * convolution.stride - convolution.kernel / 2
    let first = max(0, -start)
    let end = min(convolution.kernel, width - start)
    return (first, max(0, end - first), start + first)
  }

  /// The same for taps that are no neighbours: each tap's column in the map, or nil outside.
  private func forEachTap(_ x: Int, width: Int, _ body: (_ tap: Int, _ column: Int?) -> Void) {
    for j in 0..<convolution.kernel {
      let column = x * convolution.stride + j * convolution.dilation - convolution.padding
      body(j, column >= 0 && column < width ? column : nil)
    }
  }

  private func gather(
    _ source: Source, _ map: UnsafePointer<Float>, _ firstRow: Int, _ rows: Int,
    _ columns: UnsafeMutablePointer<Float>
  ) {
    let (kernel, channels) = (convolution.kernel, source.shape.channels)
    let run = kernel * channels
    let (dilation, padding) = (convolution.dilation, convolution.padding)
    var out = columns
    for y in firstRow..<firstRow + rows {
      for x in 0..<shape.width {
        let (first, count, column) = taps(x, width: source.shape.width)
        for i in 0..<kernel {
          let row = y * convolution.stride + i * dilation - padding
          if row < 0 || row >= source.shape.height {
            out.update(repeating: 0, count: run)
          } else if dilation > 1 {
            forEachTap(x, width: source.shape.width) { j, column in
              let to = out + j * channels
              if let column {
                to.update(
                  from: map + (row * source.shape.width + column) * channels, count: channels)
              } else {
                to.update(repeating: 0, count: channels)
              }
            }
          } else {
            if count < kernel { out.update(repeating: 0, count: run) }
            (out + first * channels).update(
              from: map + (row * source.shape.width + column) * channels, count: count * channels)
          }
          out += run
        }
      }
    }
  }

  // MARK: Backward

  func backward(_ pass: GradientPass) {
    let plan = pass.plan
    let added = addend.flatMap { plan.isLive($0) ? $0 : nil }
    // A shared buffer holds the addend's gradient already.
    let separate = added.flatMap { plan.gradientRoots[$0] == plan.gradientRoots[output] ? nil : $0 }
    let addToAddend = separate.map { plan.claim($0) } ?? false
    let wanted = sources.map { plan.isLive($0.value) }
    let accumulates = zip(sources, wanted).map { $1 && plan.claim($0.value) }

    pass.forEachPiece(rows: shape.height) { part, sample, rows in
      let sums = pass.accumulator(self, part)
      forEachBlock(rows) { first, count in
        let g = pass.gradient(output, sample) + first * outputs
        let result =
          gate.isActive ? pass.activation(output, sample) + first * outputs : nil
        pass.training.clamp_gradient(
          result, count, outputs, gate, g, sums + depth * outputs)
        if let separate {
          let to = pass.gradient(separate, sample) + first * outputs
          if addToAddend {
            pass.training.accumulate(g, count * outputs, to)
          } else {
            to.update(from: g, count: count * outputs)
          }
        }
        withLeftFactor(pass, sample, first, count, part) { segments, _ in
          for (index, source) in sources.enumerated() {
            pass.training.outer_products(
              count, source.depth, outputs, segments[index].base, source.depth, g, outputs,
              sums + source.row * outputs, outputs)
          }
        }
        for (index, source) in sources.enumerated() where wanted[index] {
          inputGradient(
            pass, source, g, sample, first, count, accumulates: accumulates[index])
        }
      }
    }
    guard !isPointwise else { return }
    for (index, source) in sources.enumerated() where wanted[index] {
      scatter(pass, source, accumulates: accumulates[index])
    }
  }

  /// g W_sᵀ of a block: for 1×1 into dx itself, else into the layer's columns.
  private func inputGradient(
    _ pass: GradientPass, _ source: Source, _ g: UnsafePointer<Float>, _ sample: Int,
    _ first: Int, _ count: Int, accumulates: Bool
  ) {
    let local = sample - pass.samples.lowerBound
    let to =
      isPointwise
      ? pass.gradient(source.value, sample) + first * source.depth
      : source.columns.base + (local * shape.height * shape.width + first) * source.depth
    var segment = vos_segment(base: g, stride: outputs, depth: outputs)
    pass.kernels.gemm(
      count, source.depth, &segment, 1, source.backward.base, nil,
      isPointwise && accumulates ? to : nil, source.depth, to, source.depth, .none)
  }

  /// colᵀ: each input row adds up what the output rows that read it left in the columns.
  private func scatter(_ pass: GradientPass, _ source: Source, accumulates: Bool) {
    let (kernel, stride, channels) = (
      convolution.kernel, convolution.stride, source.shape.channels
    )
    pass.forEachPiece(rows: source.shape.height) { _, sample, rows in
      let local = sample - pass.samples.lowerBound
      let columns = source.columns.base + local * shape.height * shape.width * source.depth
      for y in rows {
        let width = source.shape.width
        let to = pass.gradient(source.value, sample) + y * width * channels
        if !accumulates { to.update(repeating: 0, count: width * channels) }
        for i in 0..<kernel {
          let position = y + convolution.padding - i * convolution.dilation
          guard position >= 0, position % stride == 0, position / stride < shape.height else {
            continue
          }
          var from = columns + position / stride * shape.width * source.depth
          from += i * kernel * channels
          for x in 0..<shape.width {
            if convolution.dilation > 1 {
              forEachTap(x, width: width) { j, column in
                guard let column else { return }
                pass.training.accumulate(
                  from + j * channels, channels, to + column * channels)
              }
            } else {
              let (first, count, column) = taps(x, width: width)
              pass.training.accumulate(
                from + first * channels, count * channels, to + column * channels)
            }
            from += source.depth
          }
        }
      }
    }
  }
}
