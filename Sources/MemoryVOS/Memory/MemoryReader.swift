// Reading the memory: for each query position a softmax-weighted mean of the values whose keys are
// most similar (STM's space-time memory read; STCN's shared affinity; top-k of MiVOS).

import CKernels
import Foundation

/// affinity = exp(t) · kᵢ·q over all memory positions i; the `topK` largest kept; softmax; weighted
/// sum of values.
///
/// In the newest frame the objects are near where they were: with a `locality` of σ its scores are
/// lowered by d² / 2σ², d the distance from the query in positions, so that a look-alike further away
/// is not mistaken for the object (the Gaussian of KMN, Seong et al., ECCV 2020, 3.2, put around the
/// query instead of the best match). Where objects are in predicted frames an `ObjectBias` is added.
///
/// Computed in tiles of queries whose scores stay in the cache. With keys in int8 the products are
/// integer sums, and each query has its own unit, which multiplies the scale of its softmax.
final class MemoryReader {
  private static let queriesPerTile = 24

  private let kernels: Kernels
  private let pool: ThreadPool
  private let topK: Int
  /// exp(t): queries and keys have unit length, so scores are cosines times this.
  private let scale: Float
  /// What a squared distance lowers a score by: 1 / 2σ².
  private let penalty: Float
  private let bias: ObjectBias
  private var workers: [Worker]

  /// What one thread computes with.
  private struct Worker {
    var scores = AlignedBuffer(count: 0)
    /// Queries in bytes, and what scores are multiplied by for it; 1 for float keys.
    var queries = AlignedStorage<UInt8>(count: 0)
    let units = AlignedBuffer(count: queriesPerTile, repeating: 1)
    let weights: AlignedBuffer
    let indices: AlignedStorage<UInt32>
  }

  /// A reader that keeps `topK` entries per query (0: all); `logScale` is t, `locality` is σ (0: none).
  init(
    topK: Int, logScale: Float, locality: Double = 0, bias: ObjectBias = .init(), kernels: Kernels,
    pool: ThreadPool
  ) {
    self.topK = topK
    self.bias = bias
    penalty = locality > 0 ? Float(1 / (2 * locality * locality)) : 0
    scale = exp(logScale)
    self.kernels = kernels
    self.pool = pool
    let kept = max(1, topK) * Self.queriesPerTile
    workers = (0..<pool.threadCount).map { _ in
      Worker(weights: AlignedBuffer(count: kept), indices: AlignedStorage(count: kept))
    }
  }

  /// Reads every object: `query` `[h, w, keyChannels]`, `readouts` `[h, w, valueChannels]` each.
  ///
  /// Objects that are remembered in the same frames share the affinity. An object without memory
  /// traps. `placement` says where the query's positions lie in the newest frame's grid, which may show
  /// another part of the scene.
  func read(
    _ query: FeatureMap, from bank: MemoryBank, placement: GridPlacement = .init(),
    into readouts: [(ObjectID, FeatureMap)]
  ) {
    var done = [Bool](repeating: false, count: readouts.count)
    for first in readouts.indices where !done[first] {
      let entries = values(of: readouts[first].0, in: bank).entries
      let group = readouts.indices.filter {
        !done[$0] && values(of: readouts[$0].0, in: bank).entries == entries
      }
      for index in group { done[index] = true }
      let favored = entries.enumerated().compactMap { index, entry -> FavoredFrame? in
        let bias = bias.value(isNewest: entry == bank.latest, objects: readouts.count)
        guard bias != 0, let coverage = bank.coverage(of: entry) else { return nil }
        return FavoredFrame(index: index, coverage: coverage, bias: bias)
      }
      read(
        query, keys: entries.map(bank.keys(of:)), newest: entries.firstIndex { $0 == bank.newest },
        favored: favored, placement: placement, positions: bank.positions,
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
    _ query: FeatureMap, keys: [MemoryKeys], newest: Int?, favored: [FavoredFrame],
    placement: GridPlacement, positions: Int, values: [AlignedBuffer], into readouts: [FeatureMap]
  ) {
    let queries = query.shape.height * query.shape.width
    let total = keys.count * positions
    let tile = Self.queriesPerTile
    reserve(scores: tile * total, bytes: tile * ByteKeys.rowCount(query.shape.channels))
    let keepsAll = topK == 0 || topK >= total
    pool.parallelFor((queries + tile - 1) / tile) { index, thread in
      let first = index * tile
      let rows = min(tile, queries - first)
      let worker = workers[thread]
      multiply(query, first, rows, by: keys, positions: positions, worker)
      if let newest, penalty > 0 {
        localize(
          query.shape, placement, first, rows, worker, total: total, offset: newest * positions)
      }
      for frame in favored { favor(frame, rows, worker, total: total, positions: positions) }
      for row in 0..<rows {
        let (scores, scale) = (worker.scores.base + row * total, scale * worker.units.base[row])
        if keepsAll {
          kernels.table.softmax(scores, total, 1, total, scale)
        } else {
          kernels.table.top_k(
            scores, total, 1, total, topK, scale, worker.indices.base + row * topK,
            worker.weights.base + row * topK)
        }
      }
      var segment = vos_segment(base: worker.scores.base, stride: total, depth: total)
      for (values, readout) in zip(values, readouts) {
        let channels = readout.shape.channels
        let out = readout.row(0) + first * channels
        if keepsAll {
          kernels.table.gemm(
            rows, channels, &segment, 1, values.base, nil, nil, 0, out, channels, unclamped)
        } else {
          kernels.table.gather(
            worker.indices.base, worker.weights.base, rows, topK, values.base, total, channels, out,
            channels)
        }
      }
    }
  }

  /// Scores of queries `first` ..< `first + rows` with all keys, `[rows][keys.count · positions]`, in
  /// units of each query.
  private func multiply(
    _ query: FeatureMap, _ first: Int, _ rows: Int, by keys: [MemoryKeys], positions: Int,
    _ worker: Worker
  ) {
    let depth = query.shape.channels
    let source = query.row(0) + first * depth
    let total = keys.count * positions
    let bytes = ByteKeys.rowCount(depth)
    if case .bytes = keys[0] {
      kernels.integers.quantize_queries(
        source, depth, rows, depth, worker.queries.base, worker.units.base)
    }
    for (entry, keys) in keys.enumerated() {
      let scores = worker.scores.base + entry * positions
      switch keys {
      case .floats(let buffer):
        var segment = vos_segment(base: source, stride: depth, depth: depth)
        kernels.table.gemm(
          rows, positions, &segment, 1, buffer.base, nil, nil, 0, scores, total, unclamped)
      case .bytes(let keys):
        var segment = vos_int8_segment(base: worker.queries.base, stride: bytes, depth: depth)
        var factor = keys.factor
        kernels.integers.gemm_to_float(rows, positions, &segment, 1, &factor, scores, total)
      }
    }
  }

  /// Lowers the scores with one frame, from column `offset` on, by the distances in steps of the query's
  /// grid.
  private func localize(
    _ shape: FeatureShape, _ placement: GridPlacement, _ first: Int, _ rows: Int, _ worker: Worker,
    total: Int, offset: Int
  ) {
    let step = Float(placement.stepX * placement.stepY)
    for row in 0..<rows {
      let (y, x) = (first + row).quotientAndRemainder(dividingBy: shape.width)
      let unit = scale * worker.units.base[row]
      // All scores of a query without length are 0, whatever is subtracted.
      guard unit > 0 else { continue }
      kernels.table.subtract_distances(
        worker.scores.base + row * total + offset, shape.height, shape.width,
        Float(placement.y + Double(y) * placement.stepY),
        Float(placement.x + Double(x) * placement.stepX),
        penalty / (unit * step))
    }
  }

  /// A frame whose objects have a bias.
  private struct FavoredFrame {
    /// Its place among those that are read.
    let index: Int
    let coverage: AlignedBuffer
    let bias: Float
  }

  /// Adds a frame's bias times its coverage to the scores with it.
  private func favor(
    _ frame: FavoredFrame, _ rows: Int, _ worker: Worker, total: Int, positions: Int
  ) {
    let coverage = frame.coverage.base
    for row in 0..<rows {
      let scores = worker.scores.base + row * total + frame.index * positions
      let unit = scale * worker.units.base[row]
      // All scores of a query without length are 0, whatever is added.
      guard unit > 0 else { continue }
      let factor = frame.bias / unit
      for position in 0..<positions { scores[position] += factor * coverage[position] }
    }
  }

  private func reserve(scores: Int, bytes: Int) {
    for index in workers.indices {
      if workers[index].scores.count < scores {
        workers[index].scores = AlignedBuffer(count: scores)
      }
      if workers[index].queries.count < bytes {
        workers[index].queries = AlignedStorage(count: bytes)
      }
    }
  }
}

private let unclamped = vos_clamp(low: -.infinity, high: .infinity)
