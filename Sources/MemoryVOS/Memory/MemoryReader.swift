// Reading the memory: for each query position a softmax-weighted mean of the values whose keys are
// most similar (STM's space-time memory read; STCN's shared affinity; top-k of MiVOS).

import CKernels
import Foundation

/// affinity = exp(t) · kᵢ·q over all memory positions i; the `topK` largest kept; softmax; weighted
/// sum of values.
///
/// Computed in tiles of queries whose scores stay in the cache.
final class MemoryReader {
  private static let queriesPerTile = 24

  private let kernels: vos_kernels
  private let pool: ThreadPool
  private let topK: Int
  /// exp(t): queries and keys have unit length, so scores are cosines times this.
  private let scale: Float
  private var scratch: [AlignedBuffer] = []
  private let indices: [UnsafeMutablePointer<UInt32>]
  private let weights: [AlignedBuffer]

  /// A reader that keeps `topK` entries per query (0: all); `logScale` is t.
  init(topK: Int, logScale: Float, kernels: Kernels, pool: ThreadPool) {
    self.topK = topK
    scale = exp(logScale)
    self.kernels = kernels.table
    self.pool = pool
    let kept = max(1, topK) * Self.queriesPerTile
    indices = (0..<pool.threadCount).map { _ in .allocate(capacity: kept) }
    weights = (0..<pool.threadCount).map { _ in AlignedBuffer(count: kept) }
  }

  deinit { for pointer in indices { pointer.deallocate() } }

  /// Reads every object: `query` `[h, w, keyChannels]`, `readouts` `[h, w, valueChannels]` each.
  ///
  /// Objects that are remembered in the same frames share the affinity. An object without memory
  /// traps.
  func read(
    _ query: FeatureMap, from bank: MemoryBank, into readouts: [(ObjectID, FeatureMap)]
  ) {
    var done = [Bool](repeating: false, count: readouts.count)
    for first in readouts.indices where !done[first] {
      let entries = values(of: readouts[first].0, in: bank).entries
      let group = readouts.indices.filter {
        !done[$0] && values(of: readouts[$0].0, in: bank).entries == entries
      }
      for index in group { done[index] = true }
      read(
        query, keys: entries.map(bank.keys(of:)), positions: bank.positions,
        values: group.map { values(of: readouts[$0].0, in: bank).values },
        into: group.map { readouts[$0].1 })
    }
  }

  private func values(of object: ObjectID, in bank: MemoryBank) -> MemoryBank.ObjectValues {
    guard let values = bank.objects[object], !values.entries.isEmpty else {
      preconditionFailure("object \(object) has no memory")
    }
    return values
  }

  private func read(
    _ query: FeatureMap, keys: [AlignedBuffer], positions: Int, values: [AlignedBuffer],
    into readouts: [FeatureMap]
  ) {
    let queries = query.shape.height * query.shape.width
    let depth = query.shape.channels
    let total = keys.count * positions
    let tile = Self.queriesPerTile
    if (scratch.first?.count ?? 0) < tile * total {
      scratch = (0..<pool.threadCount).map { _ in AlignedBuffer(count: tile * total) }
    }
    let keepsAll = topK == 0 || topK >= total
    pool.parallelFor((queries + tile - 1) / tile) { index, worker in
      let first = index * tile
      let rows = min(tile, queries - first)
      let scores = scratch[worker].base
      var segment = vos_segment(base: query.row(0) + first * depth, stride: depth, depth: depth)
      for (entry, keys) in keys.enumerated() {
        kernels.gemm(
          rows, positions, &segment, 1, keys.base, nil, nil, 0, scores + entry * positions, total,
          unclamped)
      }
      if keepsAll {
        kernels.softmax(scores, total, rows, total, scale)
      } else {
        kernels.top_k(
          scores, total, rows, total, topK, scale, indices[worker], weights[worker].base)
      }
      segment = vos_segment(base: scores, stride: total, depth: total)
      for (values, readout) in zip(values, readouts) {
        let channels = readout.shape.channels
        let out = readout.row(0) + first * channels
        if keepsAll {
          kernels.gemm(
            rows, channels, &segment, 1, values.base, nil, nil, 0, out, channels, unclamped)
        } else {
          kernels.gather(
            indices[worker], weights[worker].base, rows, topK, values.base, total, channels, out,
            channels)
        }
      }
    }
  }
}

private let unclamped = vos_clamp(low: -.infinity, high: .infinity)
