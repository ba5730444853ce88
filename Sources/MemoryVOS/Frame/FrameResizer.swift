// From pictures and masks of any size to the network's input (DESIGN.md section 4), and back.

import CKernels

/// Resizes bytes `[height, width, channels]` to numbers of another size, separably, row by row.
final class FrameResizer {
  private var rows: ResizeTable
  private var columns: ResizeTable
  private let channels: Int
  private let kernels: vos_kernels
  private let integers: vos_int8_kernels
  private let pool: ThreadPool
  /// Per worker: the horizontally resized input rows that the current output row needs, and an output
  /// row before it is rounded.
  private var lines: [AlignedBuffer]

  /// Images (3 channels) by antialiased bilinear interpolation, masks (1 channel) by area.
  init(from: FrameSize, to: FrameSize, channels: Int, kernels: Kernels, pool: ThreadPool) {
    let table = channels == 1 ? ResizeTable.area : ResizeTable.antialiased
    rows = table(from.height, to.height)
    columns = table(from.width, to.width)
    self.channels = channels
    self.kernels = kernels.table
    integers = kernels.integers
    self.pool = pool
    let (taps, line) = (rows.taps, to.width * channels)
    lines = (0..<pool.threadCount).map { _ in AlignedBuffer(count: (taps + 1) * line) }
  }

  /// Resizes only a part of the frames from here on.
  func aim(at part: Viewport) {
    let table = channels == 1 ? ResizeTable.area : ResizeTable.antialiased
    let (height, width) = (rows.inputCount, columns.inputCount)
    rows = table(part.height, rows.outputCount).placed(at: part.top, of: height)
    columns = table(part.width, columns.outputCount).placed(at: part.left, of: width)
    let count = (rows.taps + 1) * lineCount
    if lines[0].count < count {
      lines = lines.map { _ in AlignedBuffer(count: count) }
    }
  }

  /// out = resized · scale + shift.
  func resize(_ bytes: [UInt8], scale: Float, shift: Float, into output: FeatureMap) {
    precondition(output.shape == shape, "\(output.shape) for \(shape)")
    resize(bytes, scale: scale, shift: shift) { y, _ in
      output.row(y)
    } finish: { _, _ in
    }
  }

  /// The same, rounded to the bytes of an integer plan.
  func resize(_ bytes: [UInt8], scale: Float, shift: Float, into output: ByteTensor) {
    precondition(output.map.shape == shape, "\(output.map.shape) for \(shape)")
    let (range, count) = (output.range, lineCount)
    resize(bytes, scale: scale, shift: shift) { _, worker in
      lines[worker].base + rows.taps * count
    } finish: { y, line in
      integers.quantize(line, count, 1 / range.scale, Float(range.zeroPoint), output.map.row(y))
    }
  }

  private var lineCount: Int { columns.outputCount * channels }
  private var shape: FeatureShape {
    FeatureShape(height: rows.outputCount, width: columns.outputCount, channels: channels)
  }

  /// Writes each output row to `line(y, worker)` and hands it to `finish`.
  private func resize(
    _ bytes: [UInt8], scale: Float, shift: Float,
    line: (_ y: Int, _ worker: Int) -> UnsafeMutablePointer<Float>,
    finish: (_ y: Int, _ line: UnsafeMutablePointer<Float>) -> Void
  ) {
    precondition(bytes.count == rows.inputCount * columns.inputCount * channels)
    let count = lineCount
    let blocks = min(rows.outputCount, 4 * pool.threadCount)
    bytes.withUnsafeBufferPointer { bytes in
      guard let bytes = bytes.baseAddress else { return }
      pool.parallelFor(blocks) { block, worker in
        let ring = lines[worker].base
        var next = 0  // first input row not yet in the ring
        withUnsafeTemporaryAllocation(of: UnsafePointer<Float>?.self, capacity: rows.taps) { taps in
          let range =
            rows.outputCount * block / blocks..<rows.outputCount * (block + 1) / blocks
          for y in range {
            let first = Int(rows.start[y])
            for row in max(first, next)..<max(first + rows.taps, next) {
              resizeColumns(
                bytes + row * columns.inputCount * channels, to: ring + row % rows.taps * count)
            }
            next = max(next, first + rows.taps)
            for tap in 0..<rows.taps {
              taps.initializeElement(at: tap, to: ring + (first + tap) % rows.taps * count)
            }
            let out = line(y, worker)
            rows.weights.withUnsafeBufferPointer { weights in
              guard let weights = weights.baseAddress else { return }
              kernels.combine_rows(
                taps.baseAddress, weights + y * rows.taps, rows.taps, count, scale, shift, out)
            }
            finish(y, out)
          }
        }
      }
    }
  }

  private func resizeColumns(_ row: UnsafePointer<UInt8>, to line: UnsafeMutablePointer<Float>) {
    if columns.isIdentity {
      integers.dequantize(row, lineCount, 1, 0, line)
    } else {
      kernels.resize_row_u8(
        row, channels, columns.start, columns.weights, columns.taps, columns.outputCount, line)
    }
  }
}

/// Resizes probability planes to the frame's size, bilinearly, and names the largest.
final class LabelWriter {
  private let frameSize: FrameSize
  private var part: Viewport
  private var rows: ResizeTable
  private var columns: ResizeTable
  private let kernels: vos_kernels
  private let pool: ThreadPool
  /// Floats of a line that is as wide as input or output.
  private let lineCount: Int
  /// Per worker: a scratch line and one line per plane, and pointers to the latter.
  private var lines: [AlignedBuffer] = []
  private var planePointers: [UnsafeMutablePointer<UnsafePointer<Float>?>] = []
  private var reservedPlanes = 0

  init(from: FrameSize, to: FrameSize, kernels: Kernels, pool: ThreadPool) {
    frameSize = to
    part = Viewport(to)
    rows = .bilinear(from: from.height, to: to.height)
    columns = .bilinear(from: from.width, to: to.width)
    self.kernels = kernels.table
    self.pool = pool
    lineCount = max(from.width, to.width)
  }

  deinit { for pointer in planePointers { pointer.deallocate() } }

  /// The planes are a part of the frame from here on; the rest of it is 0.
  func aim(at part: Viewport) {
    self.part = part
    rows = .bilinear(from: rows.inputCount, to: part.height)
    columns = .bilinear(from: columns.inputCount, to: part.width)
  }

  /// labels[i] = ids[k] of the plane k that is largest at pixel i.
  func write(_ planes: [FeatureMap], ids: [UInt8], into labels: inout [UInt8]) {
    let width = columns.outputCount
    precondition(labels.count == frameSize.area && planes.count == ids.count)
    reserve(planes: planes.count)
    labels.withUnsafeMutableBufferPointer { labels in
      guard let base = labels.baseAddress else { return }
      let labels = Shared(base)
      forEachRow { y, worker in
        let pointers = planePointers[worker]
        for (index, plane) in planes.enumerated() {
          let line = lines[worker].base + lineCount * (index + 1)
          pointers[index] = resizedRow(y, of: plane, worker: worker, line: line)
        }
        kernels.argmax(
          pointers, planes.count, width, ids,
          labels.pointer + (part.top + y) * frameSize.width + part.left)
      }
    }
  }

  /// One plane at the frame's size, row by row.
  func enlarged(_ plane: FeatureMap) -> [Float] {
    let width = columns.outputCount
    reserve(planes: 1)
    return [Float](unsafeUninitializedCapacity: frameSize.area) { output, count in
      guard let base = output.baseAddress else { return }
      base.initialize(repeating: 0, count: frameSize.area)
      let out = Shared(base)
      forEachRow { y, worker in
        let line = out.pointer + (part.top + y) * frameSize.width + part.left
        let row = resizedRow(y, of: plane, worker: worker, line: line)
        if row != UnsafePointer(line) { line.update(from: row, count: width) }
      }
      count = frameSize.area
    }
  }

  /// Makes room for the lines of so many planes: once per number of objects, not per frame.
  private func reserve(planes: Int) {
    guard planes > reservedPlanes else { return }
    for pointer in planePointers { pointer.deallocate() }
    reservedPlanes = planes
    lines = (0..<pool.threadCount).map { _ in AlignedBuffer(count: (planes + 1) * lineCount) }
    planePointers = (0..<pool.threadCount).map { _ in .allocate(capacity: planes) }
  }

  private func forEachRow(_ body: (_ y: Int, _ worker: Int) -> Void) {
    let blocks = min(rows.outputCount, 4 * pool.threadCount)
    pool.parallelFor(blocks) { block, worker in
      for y in rows.outputCount * block / blocks..<rows.outputCount * (block + 1) / blocks {
        body(y, worker)
      }
    }
  }

  /// Row `y` at the frame's size: the plane's own where sizes are equal, otherwise in `line`.
  private func resizedRow(
    _ y: Int, of plane: FeatureMap, worker: Int, line: UnsafeMutablePointer<Float>
  ) -> UnsafePointer<Float> {
    let keepsWidth = columns.inputCount == columns.outputCount
    var row = UnsafePointer(plane.row(y * rows.inputCount / rows.outputCount))
    if rows.inputCount != rows.outputCount {
      let combined = keepsWidth ? line : lines[worker].base
      let first = Int(rows.start[y])
      withUnsafeTemporaryAllocation(of: UnsafePointer<Float>?.self, capacity: rows.taps) { taps in
        for tap in 0..<rows.taps { taps.initializeElement(at: tap, to: plane.row(first + tap)) }
        rows.weights.withUnsafeBufferPointer { weights in
          guard let weights = weights.baseAddress else { return }
          kernels.combine_rows(
            taps.baseAddress, weights + y * rows.taps, rows.taps, columns.inputCount, 1, 0,
            combined)
        }
      }
      row = UnsafePointer(combined)
    }
    if keepsWidth { return row }
    kernels.resize_row(
      row, columns.start, columns.weights, columns.taps, columns.outputCount, line)
    return UnsafePointer(line)
  }
}

/// Output rows shared by threads that each write their own.
private struct Shared<Element>: @unchecked Sendable {
  let pointer: UnsafeMutablePointer<Element>

  init(_ pointer: UnsafeMutablePointer<Element>) { self.pointer = pointer }
}
