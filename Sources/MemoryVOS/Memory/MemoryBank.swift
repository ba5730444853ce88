// The finite memory: keys of annotated and recent frames, values of each object in them.
//
// Owned by `Tracker`, read by `MemoryReader`. Keeps what it is given; never calls the network.

import CKernels

/// Keys and values of a bounded number of frames.
///
/// Annotated frames are permanent; `ringCapacity` others come and go: the newest frame, and before it
/// every `interval`-th one, so that a look that the objects had a while ago is remembered beside the
/// present one. An object has values only for frames in which its mask was known. In steady state nothing is allocated: the
/// frame that leaves the ring hands its storage to the one that enters.
final class MemoryBank {
  /// A remembered frame.
  ///
  /// Never reused.
  struct EntryID: Hashable { fileprivate let number: Int }

  /// One object's values: `[valueChannels / 16][entries.count · positions][16]` (`gemm` panels).
  struct ObjectValues {
    fileprivate(set) var entries: [EntryID] = []
    fileprivate(set) var values = AlignedBuffer(count: 0)
  }

  /// A frame that is not permanent.
  private struct RingFrame {
    let entry: EntryID
    /// Its place in the sequence of such frames.
    let ordinal: Int
    /// The part of the frame that its keys show.
    let viewport: Viewport?
    /// The share of each position that objects cover.
    var coverage: AlignedBuffer?
  }

  /// Positions of a frame: (height / 16) · (width / 16).
  let positions: Int
  let keyChannels: Int
  let valueChannels: Int
  let ringCapacity: Int
  /// Frames between those of the ring that stay until it is full.
  let interval: Int
  /// Keys are kept in int8.
  let keysAreBytes: Bool

  private(set) var objects: [ObjectID: ObjectValues] = [:]
  private var keys: [EntryID: MemoryKeys] = [:]
  /// Oldest first.
  private var ring: [RingFrame] = []
  /// The last frame that entered the ring, unless it was forgotten; `newest` is an older one then.
  private(set) var latest: EntryID?
  private var spareKeys: [MemoryKeys] = []
  private var spareCoverages: [AlignedBuffer] = []
  private var nextNumber = 0
  private let kernels: Kernels
  private let pool: ThreadPool

  init(
    positions: Int, keyChannels: Int, valueChannels: Int, ringCapacity: Int, interval: Int = 1,
    keysAreBytes: Bool = false, kernels: Kernels, pool: ThreadPool
  ) {
    precondition(valueChannels % Int(VOS_PANEL) == 0, "value channels in whole panels")
    self.positions = positions
    self.keyChannels = keyChannels
    self.valueChannels = valueChannels
    self.ringCapacity = ringCapacity
    self.interval = interval
    self.keysAreBytes = keysAreBytes
    self.kernels = kernels
    self.pool = pool
  }

  /// Frames held.
  var entryCount: Int { keys.count }

  /// The newest frame that is not permanent.
  var newest: EntryID? { ring.last?.entry }

  /// The part of that frame that its keys show.
  var newestViewport: Viewport? { ring.last?.viewport }

  private func ringIndex(of entry: EntryID) -> Int? { ring.firstIndex { $0.entry == entry } }

  /// Places of the ring's frames in the sequence of frames that were not permanent, oldest first.
  var ringOrdinals: [Int] { ring.map(\.ordinal) }

  /// Floats held, spare buffers included; bytes as quarters.
  var floatCount: Int {
    keys.values.reduce(0) { $0 + $1.floatCount } + spareKeys.reduce(0) { $0 + $1.floatCount }
      + objects.values.reduce(0) { $0 + $1.values.count }
      + (ring.count { $0.coverage != nil } + spareCoverages.count) * positions
  }

  /// The share of each of a frame's positions that objects cover; `nil` when it was not said.
  func coverage(of entry: EntryID) -> AlignedBuffer? {
    ringIndex(of: entry).flatMap { ring[$0].coverage }
  }

  /// The packed keys of a frame.
  func keys(of entry: EntryID) -> MemoryKeys {
    guard let packed = keys[entry] else { preconditionFailure("a frame that was forgotten") }
    return packed
  }

  // MARK: - Writing

  /// Remembers a frame's keys.
  ///
  /// A frame that is not permanent enters the ring at place `ordinal`, by default the next. When the
  /// ring is full another leaves: the newest whose place is no multiple of `interval`, else the oldest.
  func addEntry(
    key: FeatureMap, isPermanent: Bool, ordinal: Int? = nil, viewport: Viewport? = nil
  ) -> EntryID {
    precondition(key.shape.height * key.shape.width == positions && key.padding == 0)
    precondition(isPermanent || ringCapacity > 0, "a ring without room")
    let place = ordinal ?? ring.last.map { $0.ordinal + 1 } ?? 0
    if !isPermanent, ring.count == ringCapacity {
      let leaves = ring.last { $0.ordinal % interval != 0 } ?? ring[0]
      forget(leaves.entry)
    }
    let entry = EntryID(number: nextNumber)
    nextNumber += 1
    let packed =
      spareKeys.popLast()
      ?? MemoryKeys(areBytes: keysAreBytes, positions: positions, channels: keyChannels)
    packed.fill(from: key, kernels: kernels, pool: pool)
    keys[entry] = packed
    if !isPermanent {
      ring.append(RingFrame(entry: entry, ordinal: place, viewport: viewport))
      latest = entry
    }
    return entry
  }

  /// Says which share of each position of a frame in the ring objects cover, 0…1: `fill` writes all of
  /// them.
  func cover(_ entry: EntryID, fill: (AlignedBuffer) -> Void) {
    guard let index = ringIndex(of: entry) else { preconditionFailure("a frame not in the ring") }
    let coverage = spareCoverages.popLast() ?? AlignedBuffer(count: positions)
    fill(coverage)
    ring[index].coverage = coverage
  }

  /// Remembers an object's value in a frame: `[height / 16, width / 16, valueChannels]`.
  func store(_ value: FeatureMap, of object: ObjectID, in entry: EntryID) {
    precondition(value.shape.channels == valueChannels && value.padding == 0)
    precondition(keys[entry] != nil, "a value for a frame that was forgotten")
    var memory = objects[object] ?? ObjectValues()
    objects[object] = nil  // The copy above is then the only one.
    let slot = memory.entries.firstIndex(of: entry) ?? makeRoom(for: entry, in: &memory)
    let panel = Int(VOS_PANEL)
    let total = memory.entries.count * positions
    let (base, channels, count) = (memory.values.base, valueChannels, positions)
    pool.parallelFor(channels / panel) { index, _ in
      kernels.table.pack_rows(
        value.row(0) + index * panel, channels, count, panel,
        base + (index * total + slot * count) * panel)
    }
    objects[object] = memory
  }

  /// A slot for a frame that has none, in the storage of one that is gone if there is one.
  ///
  /// Slots are those of the permanent frames and then of the ring, oldest first: the order in which a
  /// read adds up does not depend on which frames came and went, and so not on where a run was resumed.
  private func makeRoom(for entry: EntryID, in memory: inout ObjectValues) -> Int {
    var free = memory.entries.count
    if let stale = memory.entries.firstIndex(where: { keys[$0] == nil }) {
      memory.entries.remove(at: stale)
      free = stale
    } else {
      resize(&memory, keeping: Array(memory.entries.indices), count: free + 1)
    }
    func isRecent(_ entry: EntryID) -> Bool { ring.contains { $0.entry == entry } }
    let slot =
      isRecent(entry)
      ? memory.entries.count
      : memory.entries.firstIndex(where: isRecent) ?? memory.entries.count
    memory.entries.insert(entry, at: slot)
    let stride = positions * Int(VOS_PANEL)
    for index in 0..<valueChannels / Int(VOS_PANEL) {
      let base = memory.values.base + index * memory.entries.count * stride
      if free < slot {
        (base + free * stride).update(
          from: base + (free + 1) * stride, count: (slot - free) * stride)
      } else {
        (base + (slot + 1) * stride).update(
          from: base + slot * stride, count: (free - slot) * stride)
      }
    }
    return slot
  }

  /// Drops values of frames that are gone and got no successor.
  ///
  /// Call after a frame's last `store`.
  func finishEntry() {
    for (object, memory) in objects where memory.entries.contains(where: { keys[$0] == nil }) {
      var memory = memory
      let kept = memory.entries.indices.filter { keys[memory.entries[$0]] != nil }
      resize(&memory, keeping: kept, count: kept.count)
      memory.entries = kept.map { memory.entries[$0] }
      objects[object] = memory
    }
  }

  /// Moves the kept slots to the front of a store with room for `count`.
  private func resize(_ memory: inout ObjectValues, keeping slots: [Int], count: Int) {
    let panel = Int(VOS_PANEL)
    let (from, to) = (memory.entries.count * positions, count * positions)
    let values = AlignedBuffer(count: to * valueChannels)
    for index in 0..<valueChannels / panel {
      for (new, old) in slots.enumerated() {
        (values.base + (index * to + new * positions) * panel).update(
          from: memory.values.base + (index * from + old * positions) * panel,
          count: positions * panel)
      }
    }
    memory.values = values
  }

  // MARK: - Forgetting

  /// Forgets a frame.
  ///
  /// Its values go with the next `store` or `finishEntry`.
  func forget(_ entry: EntryID) {
    if let packed = keys.removeValue(forKey: entry) { spareKeys.append(packed) }
    if entry == latest { latest = nil }
    guard let index = ringIndex(of: entry) else { return }
    if let coverage = ring.remove(at: index).coverage { spareCoverages.append(coverage) }
  }

  /// Forgets every frame that is not permanent.
  func forgetRing() {
    for frame in ring { forget(frame.entry) }
    finishEntry()
  }

  /// Forgets every frame and object.
  func forgetEverything() {
    for entry in Array(keys.keys) { forget(entry) }
    objects = [:]
  }

  /// Forgets an object, and with it what is said to be covered.
  func forget(_ object: ObjectID) {
    objects[object] = nil
    for index in ring.indices {
      if let coverage = ring[index].coverage { spareCoverages.append(coverage) }
      ring[index].coverage = nil
    }
  }
}
