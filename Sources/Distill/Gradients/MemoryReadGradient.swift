// The memory read of training: softmax over all memory positions, and its gradient.
//
//     S = exp(t) Q Kᵀ,  P = softmax(S - D) over memory,  R_k = P V_k for each object k
//
//     dV_k = Pᵀ dR_k,  dP = Σ_k dR_k V_kᵀ,  dS = P ∘ (dP - Σ_m P dP)
//     dQ = exp(t) dS K,  dK = exp(t) dSᵀ Q,  dt = Σ dS ∘ S = Σ Q ∘ dQ
//
// with D = d² / 2σ² in the newest of several frames and 0 elsewhere (MemoryReader's locality).
//
// Inference keeps the largest scores only (MemoryReader); training reads everything, as STCN does.

import CKernels
import MemoryVOS

/// One read's operands: maps `[positions, channels]` per sample.
struct MemoryReadOperands {
  typealias Maps = [UnsafeMutablePointer<Float>]
  /// `[sample]`.
  var query: Maps
  /// `[memory frame][sample]`.
  var keys: [Maps]
  /// `[object][memory frame][sample]`.
  var values: [[Maps]]
  /// `[object][sample]`.
  var readouts: [Maps]
}

/// Reads memory for a batch; one instance serves all frames of a step, `affinity` is theirs.
final class MemoryReadGradient {
  private let positions: Int
  private let width: Int
  /// 1 / 2σ².
  private let penalty: Float
  private let keyChannels: Int
  private let valueChannels: Int
  private let samples: Int
  private let capacity: Int
  private let objects: Int
  private let pool: ThreadPool
  private let kernels: vos_kernels
  private let training: vos_training_kernels

  // Memory frames side by side, and packed; each `[sample]` or `[object][sample]`.
  private let keys: AlignedBuffer
  private let values: AlignedBuffer
  private let packedKeys: AlignedBuffer
  private let packedValues: AlignedBuffer
  // Per part: gradients of keys and values, and a block of dP and dQ.
  private let keySums: AlignedBuffer
  private let valueSums: AlignedBuffer
  private let scratch: AlignedBuffer

  private static let block = 48

  /// Room for `frames` memory frames of `height` · `width` positions.
  init(
    height: Int, width: Int, frames: Int, keyChannels: Int, valueChannels: Int, samples: Int,
    objects: Int, locality: Double = 0, kernels: Kernels, pool: ThreadPool
  ) {
    positions = height * width
    self.width = width
    penalty = locality > 0 ? Float(1 / (2 * locality * locality)) : 0
    self.keyChannels = keyChannels
    self.valueChannels = valueChannels
    self.samples = samples
    self.objects = objects
    self.pool = pool
    self.kernels = kernels.table
    guard let training = vos_training_kernels_for(kernels.table.isa) else {
      preconditionFailure("no training kernels")
    }
    self.training = training.pointee
    capacity = (positions * frames + 15) / 16 * 16
    let valueCount = objects * samples * capacity * Self.rounded(valueChannels)
    let keyCount = samples * capacity * Self.rounded(keyChannels)
    keys = AlignedBuffer(count: keyCount)
    packedKeys = AlignedBuffer(count: keyCount)
    values = AlignedBuffer(count: valueCount)
    packedValues = AlignedBuffer(count: valueCount)
    keySums = AlignedBuffer(count: pool.threadCount * keyCount)
    valueSums = AlignedBuffer(count: pool.threadCount * valueCount)
    scratch = AlignedBuffer(count: pool.threadCount * Self.block * (capacity + keyChannels))
  }

  private static func rounded(_ count: Int) -> Int { (count + 15) / 16 * 16 }

  private var keyStride: Int { capacity * Self.rounded(keyChannels) }
  private var valueStride: Int { capacity * Self.rounded(valueChannels) }

  /// Puts the memory frames side by side.
  private func assemble(_ operands: MemoryReadOperands) {
    precondition(operands.keys.count * positions <= capacity && operands.values.count <= objects)
    for sample in 0..<samples {
      for (frame, maps) in operands.keys.enumerated() {
        let count = positions * keyChannels
        (keys.base + sample * keyStride + frame * count).update(from: maps[sample], count: count)
      }
      for (object, frames) in operands.values.enumerated() {
        let to = values.base + (object * samples + sample) * valueStride
        let count = positions * valueChannels
        for (frame, maps) in frames.enumerated() {
          (to + frame * count).update(from: maps[sample], count: count)
        }
      }
    }
  }

  /// Blocks of query positions: `body(part, sample, first position, count)`.
  private func forEachBlock(_ body: (Int, Int, Int, Int) -> Void) {
    let total = samples * positions
    pool.parallelFor(pool.threadCount) { part, _ in
      var position = total * part / pool.threadCount
      let end = total * (part + 1) / pool.threadCount
      while position < end {
        let sample = position / positions
        let count = min(Self.block, end - position, (sample + 1) * positions - position)
        body(part, sample, position - sample * positions, count)
        position += count
      }
    }
  }

  /// Computes the read-outs and keeps P in `affinity`, `[sample, positions, memory positions]`.
  ///
  /// Of several memory frames the last is the newest one.
  func forward(
    _ operands: MemoryReadOperands, temperature: Float, affinity: UnsafeMutablePointer<Float>
  ) {
    assemble(operands)
    let memory = operands.keys.count * positions
    pool.parallelFor(samples * (1 + operands.values.count)) { index, _ in
      let (slot, sample) = (index / samples, index % samples)
      if slot == 0 {
        kernels.pack_columns(
          keys.base + sample * keyStride, keyChannels, memory, keyChannels,
          packedKeys.base + sample * keyStride)
      } else {
        let offset = ((slot - 1) * samples + sample) * valueStride
        kernels.pack_rows(
          values.base + offset, valueChannels, memory, valueChannels, packedValues.base + offset)
      }
    }
    let scale = TrainingMath.exp(temperature)
    forEachBlock { _, sample, first, count in
      let p = affinity + (sample * positions + first) * memory
      var query = vos_segment(
        base: operands.query[sample] + first * keyChannels, stride: keyChannels,
        depth: keyChannels)
      kernels.gemm(
        count, memory, &query, 1, packedKeys.base + sample * keyStride, nil, nil, 0, p, memory,
        .none)
      if penalty > 0, operands.keys.count > 1 {
        for row in 0..<count {
          let (y, x) = (first + row).quotientAndRemainder(dividingBy: width)
          kernels.subtract_distances(
            p + row * memory + memory - positions, positions / width, width, Float(y), Float(x),
            penalty / scale)
        }
      }
      kernels.softmax(p, memory, count, memory, scale)
      var weights = vos_segment(base: p, stride: memory, depth: memory)
      for (object, maps) in operands.readouts.enumerated() {
        kernels.gemm(
          count, valueChannels, &weights, 1,
          packedValues.base + (object * samples + sample) * valueStride, nil, nil, 0,
          maps[sample] + first * valueChannels, valueChannels, .none)
      }
    }
  }

  /// Adds to the gradients of query, keys and values, given those of the read-outs; returns that of t.
  func backward(
    _ operands: MemoryReadOperands, gradients: MemoryReadOperands, temperature: Float,
    affinity: UnsafePointer<Float>
  ) -> Double {
    assemble(operands)
    let memory = operands.keys.count * positions
    // Now keys are rows and values are columns of the right factors.
    pool.parallelFor(samples * (1 + operands.values.count)) { index, _ in
      let (slot, sample) = (index / samples, index % samples)
      if slot == 0 {
        kernels.pack_rows(
          keys.base + sample * keyStride, keyChannels, memory, keyChannels,
          packedKeys.base + sample * keyStride)
      } else {
        let offset = ((slot - 1) * samples + sample) * valueStride
        kernels.pack_columns(
          values.base + offset, valueChannels, memory, valueChannels, packedValues.base + offset)
      }
    }
    keySums.base.update(repeating: 0, count: keySums.count)
    valueSums.base.update(repeating: 0, count: valueSums.count)
    let scale = TrainingMath.exp(temperature)
    var partial = [Double](repeating: 0, count: pool.threadCount)
    partial.withUnsafeMutableBufferPointer { partial in
      guard let sums = partial.baseAddress else { return }
      forEachBlock { part, sample, first, count in
        sums[part] += backwardBlock(
          operands, gradients, scale, affinity, (part, sample, first, count), memory)
      }
    }
    distribute(gradients, memory)
    return partial.reduce(0, +)
  }

  private func backwardBlock(
    _ operands: MemoryReadOperands, _ gradients: MemoryReadOperands, _ scale: Float,
    _ affinity: UnsafePointer<Float>, _ block: (part: Int, sample: Int, first: Int, count: Int),
    _ memory: Int
  ) -> Double {
    let (part, sample, first, count) = block
    let p = affinity + (sample * positions + first) * memory
    let dp = scratch.base + part * Self.block * (capacity + keyChannels)
    let dq = dp + Self.block * capacity
    for (object, maps) in gradients.readouts.enumerated() {
      let g = maps[sample] + first * valueChannels
      let slot = object * samples + sample
      var segment = vos_segment(base: g, stride: valueChannels, depth: valueChannels)
      kernels.gemm(
        count, memory, &segment, 1, packedValues.base + slot * valueStride, nil,
        object > 0 ? dp : nil, memory, dp, memory, .none)
      training.outer_products(
        count, memory, valueChannels, p, memory, g, valueChannels,
        valueSums.base + (part * objects * samples + slot) * valueStride, valueChannels)
    }
    training.softmax_gradient(p, count, memory, scale, dp)
    var segment = vos_segment(base: dp, stride: memory, depth: memory)
    kernels.gemm(
      count, keyChannels, &segment, 1, packedKeys.base + sample * keyStride, nil, nil, 0, dq,
      keyChannels, .none)
    let query = operands.query[sample] + first * keyChannels
    training.outer_products(
      count, memory, keyChannels, dp, memory, query, keyChannels,
      keySums.base + (part * samples + sample) * keyStride, keyChannels)
    training.accumulate(
      dq, count * keyChannels, gradients.query[sample] + first * keyChannels)
    var along = 0.0
    for index in 0..<count * keyChannels { along += Double(query[index] * dq[index]) }
    return along
  }

  /// Adds the parts' sums to the memory frames' gradients, part after part.
  private func distribute(_ gradients: MemoryReadOperands, _ memory: Int) {
    pool.parallelFor(samples) { sample, _ in
      for part in 0..<pool.threadCount {
        let keyBase = keySums.base + (part * samples + sample) * keyStride
        for (frame, maps) in gradients.keys.enumerated() {
          let count = positions * keyChannels
          training.accumulate(keyBase + frame * count, count, maps[sample])
        }
        for (object, frames) in gradients.values.enumerated() {
          let slot = (part * objects + object) * samples + sample
          let count = positions * valueChannels
          for (frame, maps) in frames.enumerated() {
            training.accumulate(
              valueSums.base + slot * valueStride + frame * count, count, maps[sample])
          }
        }
      }
    }
  }
}
