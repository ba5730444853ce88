// What `Tracker` holds between frames, and its stages. Every stage works in place on preallocated
// maps of one input size.

import CKernels

/// The state behind a tracker: compiled network, memory bank, and a plane per object.
final class TrackerSession {
  /// An object that is being tracked.
  struct TrackedObject {
    let id: ObjectID
    /// Probability at the network's size: the newest mask, and the next frame's prior.
    let probability: FeatureMap
    let logit: FeatureMap
    let readout: FeatureMap
  }

  private(set) var objects: [TrackedObject] = []
  private(set) var hasFrame = false
  /// What the network sees of the frame; the planes of objects and background show this part.
  var viewport: Viewport {
    didSet {
      guard viewport != oldValue else { return }
      imageResizer.aim(at: viewport)
      maskResizer.aim(at: viewport)
      labelWriter.aim(at: viewport)
    }
  }
  /// Where the objects were in the frame before, as long as the view has not moved since: for `aggregate`.
  var previousCells: [MaskCells]?
  /// The newest frame while a part of it is seen: a correction may need the rest.
  private(set) var newestFrame: Frame?

  let frameSize: FrameSize
  let networkSize: FrameSize
  let memoryFrames: Int
  /// The largest enlargement of a part of the frame; 1 at least.
  let largestZoom: Double
  let kernels: Kernels
  let pool: ThreadPool
  let labelWriter: LabelWriter
  private let keepsStrays: Bool
  private let plans: NetworkPlans
  private let bank: MemoryBank
  private let reader: MemoryReader
  /// The reader wants to know where objects are in the frames of the ring.
  private let covers: Bool
  private let imageResizer: FrameResizer
  private let maskResizer: FrameResizer
  let background: FeatureMap
  private let others: FeatureMap
  /// What the decoder's last layer read for each object in the newest frame, from networks that
  /// expose it.
  private(set) var features: [ObjectID: ObjectFeatures] = [:]
  /// The newest frame's entries in memory: what a correction replaces.
  private var newestEntries: [MemoryBank.EntryID] = []

  init(
    network: Network, frameSize: FrameSize, configuration: Tracker.Configuration,
    observer: ((_ value: String, _ map: FeatureMap) -> Void)? = nil
  ) throws(TrackerError) {
    self.frameSize = frameSize
    networkSize = try Self.checkedSize(configuration, frameSize, network.configuration)
    largestZoom = configuration.largestZoom(for: frameSize, input: networkSize)
    viewport = Viewport(frameSize)
    memoryFrames = configuration.memoryFrames ?? network.configuration.memoryFrames
    keepsStrays = configuration.keepsStrays
    let instructionSet: InstructionSet
    if let chosen = configuration.instructionSet {
      instructionSet = chosen
    } else {
      do { instructionSet = try .preferred() } catch { throw TrackerError(error.description) }
    }
    guard instructionSet.isSupported else {
      throw TrackerError("\(instructionSet.rawValue) is not supported by this CPU and build")
    }
    kernels = Kernels(instructionSet)
    pool = ThreadPool(threadCount: configuration.threads)
    let observer: ((String, FeatureMap) -> Void)? =
      observer ?? network.simulation.map { ranges in { ranges.round($0, $1) } }
    var options = PlanOptions()
    options.fusesChains = observer == nil
    plans = NetworkPlans(
      network, size: networkSize, kernels: kernels, pool: pool, options: options,
      imageMayBeBytes: true)
    for plan in [plans.keyEncoder, plans.valueEncoder, plans.decoder] { plan.observer = observer }
    bank = MemoryBank(
      positions: networkSize.area / 256, keyChannels: network.configuration.keyChannels,
      valueChannels: network.configuration.valueChannels,
      ringCapacity: memoryFrames - 1, interval: configuration.memoryInterval,
      keysAreBytes: network.quantized?.convolutions["key"] != nil, kernels: kernels, pool: pool)
    // Where no older frame tempers it, trust in the newest confirms its errors.
    let bias = memoryFrames > 2 ? network.configuration.objectBias : ObjectBias()
    covers = bias != ObjectBias()
    reader = MemoryReader(
      topK: configuration.topK ?? network.configuration.topK, logScale: network.weights["t"][0],
      locality: network.configuration.locality, bias: bias,
      kernels: kernels, pool: pool)
    imageResizer = FrameResizer(
      from: frameSize, to: networkSize, channels: 3, kernels: kernels, pool: pool)
    maskResizer = FrameResizer(
      from: frameSize, to: networkSize, channels: 1, kernels: kernels, pool: pool)
    labelWriter = LabelWriter(from: networkSize, to: frameSize, kernels: kernels, pool: pool)
    background = FeatureMap(Self.plane(networkSize))
    others = FeatureMap(Self.plane(networkSize))
  }

  /// Beyond this, one frame's features alone take gigabytes.
  private static let largestInput = 16 << 20

  private static func checkedSize(
    _ configuration: Tracker.Configuration, _ frameSize: FrameSize, _ network: NetworkConfiguration
  ) throws(TrackerError) -> FrameSize {
    guard configuration.memoryFrames ?? 1 >= 1 else {
      throw .init("a memory of \(configuration.memoryFrames ?? 0) frames: at least 1 is needed")
    }
    guard configuration.memoryInterval >= 1 else {
      throw .init("a memory interval of \(configuration.memoryInterval): at least 1 is needed")
    }
    guard (configuration.topK ?? 0) >= 0 else {
      throw .init("top-k of \(configuration.topK ?? 0): 0 (all) or more is needed")
    }
    guard configuration.zoomLimit.isFinite, configuration.zoomLimit >= 0 else {
      throw .init("a zoom limit of \(configuration.zoomLimit): 0 (no zoom) or more is needed")
    }
    guard (1...1024).contains(configuration.threads ?? 1) else {
      throw .init("\(configuration.threads ?? 0) threads: 1 to 1024 are possible")
    }
    if case .shortSide(let side) = configuration.inputSize, !(16...4096).contains(side) {
      throw .init("a network input of \(side) pixels: 16 to 4096 are possible")
    }
    let size = configuration.networkSize(for: frameSize, network: network)
    guard size.area <= largestInput else {
      throw .init(
        "frames of \(frameSize) need a network input of \(size), more than \(largestInput) pixels; "
          + "choose a smaller size")
    }
    return size
  }

  private static func plane(_ size: FrameSize) -> FeatureShape {
    FeatureShape(height: size.height, width: size.width, channels: 1)
  }

  // MARK: - Stages of a step

  func check(_ frame: Frame?, _ mask: LabelMap?) throws(TrackerError) {
    if let frame, frame.size != frameSize {
      throw .init("a frame of \(frame.size) in a video of \(frameSize)")
    }
    guard let mask else { return }
    guard mask.size == frameSize else {
      throw .init("a mask of \(mask.size) for frames of \(frameSize)")
    }
    if let void = mask.labels.firstIndex(of: 255) {
      let (x, y) = (void % frameSize.width, void / frameSize.width)
      throw .init("the mask holds 255 (void) at x \(x), y \(y); ids are 1 to 254")
    }
  }

  func load(_ frame: Frame) {
    newestFrame = viewport == Viewport(frameSize) ? nil : frame
    let (scale, shift): (Float, Float) = (1 / 127.5, -1)
    if let image = plans.keyEncoder.byteInputs["image"] {
      imageResizer.resize(frame.pixels, scale: scale, shift: shift, into: image)
    } else if let image = plans.keyEncoder.inputs["image"] {
      imageResizer.resize(frame.pixels, scale: scale, shift: shift, into: image)
    } else {
      preconditionFailure("no image")
    }
  }

  func encode() {
    plans.keyEncoder.run()
    hasFrame = true
  }

  func read() {
    let placement = viewport.grid(
      in: bank.newestViewport ?? viewport, width: networkSize.width / 16,
      height: networkSize.height / 16)
    reader.read(
      key, from: bank, placement: placement, into: objects.map { ($0.id, $0.readout) })
  }

  func decode() {
    features = [:]
    for object in objects {
      plans.decoder.rebind("previous", to: object.probability)
      plans.decoder.rebind("readout", to: object.readout)
      plans.decoder.rebind(output: "logit", to: object.logit)
      plans.decoder.run()
      if let map = plans.decoder.outputs[Network.featuresName] {
        features[object.id] = ObjectFeatures(
          size: FrameSize(width: map.shape.width, height: map.shape.height),
          channels: map.shape.channels, values: map.scalars)
      }
    }
  }

  /// Where each object is.
  var cells: [MaskCells] { objects.map { MaskCells($0.probability, pool: pool) } }

  /// Logits to probabilities of the background and each object, without stray pieces.
  func aggregate() {
    guard !objects.isEmpty else { return }
    let before = keepsStrays ? [] : previousCells ?? cells
    previousCells = nil
    let width = networkSize.width
    let count = objects.count
    pool.parallelFor(networkSize.height) { y, _ in
      withUnsafeTemporaryAllocation(of: UnsafePointer<Float>?.self, capacity: count) { logits in
        withUnsafeTemporaryAllocation(
          of: UnsafeMutablePointer<Float>?.self, capacity: count + 1
        ) { probabilities in
          probabilities.initializeElement(at: 0, to: background.row(y))
          for (index, object) in objects.enumerated() {
            logits.initializeElement(at: index, to: object.logit.row(y))
            probabilities.initializeElement(at: index + 1, to: object.probability.row(y))
          }
          kernels.table.aggregate(logits.baseAddress, count, width, probabilities.baseAddress)
        }
      }
    }
    if !keepsStrays { dropStrays(since: before) }
  }

  /// Puts given masks in the place of predicted ones; they skip aggregation.
  ///
  /// Objects that are not in the mask keep what the given ones leave of their probability, or lose
  /// it all when `keepingOthers` is false.
  func give(_ mask: LabelMap, keepingOthers: Bool) {
    let given = mask.objects
    for id in given where !objects.contains(where: { $0.id == id }) { track(id) }
    var free = [Float](repeating: 1, count: networkSize.area)
    for object in objects where given.contains(object.id) {
      maskResizer.resize(
        mask.labels.map { $0 == object.id.rawValue ? 1 : 0 }, scale: 1, shift: 0,
        into: object.probability)
      object.probability.forEachRow { y, row, width in
        for x in 0..<width { free[y * width + x] -= row[x] }
      }
    }
    for object in objects where !given.contains(object.id) {
      object.probability.forEachRow { y, row, width in
        for x in 0..<width { row[x] *= keepingOthers ? max(0, free[y * width + x]) : 0 }
      }
    }
    background.forEachRow { y, row, width in
      for x in 0..<width { row[x] = 1 }
      for object in objects {
        let other = object.probability.row(y)
        for x in 0..<width { row[x] = max(0, row[x] - other[x]) }
      }
    }
  }

  func memorize(annotated mask: LabelMap?, remember: Bool) {
    newestEntries = []
    let given = Set(mask?.objects ?? [])
    let predicted = objects.filter { !given.contains($0.id) }
    let permanent = objects.filter {
      given.contains($0.id) && (remember || bank.objects[$0.id] == nil)
    }
    if !permanent.isEmpty { write(permanent, isPermanent: true) }
    if !predicted.isEmpty, bank.ringCapacity > 0 { write(predicted, isPermanent: false) }
  }

  // MARK: - Memory

  /// Frames and floats in memory: for tests of its bound.
  var memoryEntryCount: Int { bank.entryCount }
  var memoryFloatCount: Int { bank.floatCount }
  /// The share of each position of the newest predicted frame in memory that objects cover: for tests.
  var newestCoverage: AlignedBuffer? { bank.newest.flatMap(bank.coverage) }
  /// Places of the predicted frames in memory in the sequence of predicted frames, oldest first.
  var ringOrdinals: [Int] { bank.ringOrdinals }

  private var key: FeatureMap {
    guard let key = plans.keyEncoder.outputs["key"] else { preconditionFailure("no key") }
    return key
  }

  /// Encodes the values of some objects in the newest frame and remembers them; `ordinal` is the place
  /// of a predicted frame in their sequence, by default the next.
  func write(_ written: [TrackedObject], isPermanent: Bool, ordinal: Int? = nil) {
    guard let value = plans.valueEncoder.outputs["value"] else { preconditionFailure("no value") }
    let entry = bank.addEntry(
      key: key, isPermanent: isPermanent, ordinal: ordinal, viewport: viewport)
    plans.valueEncoder.rebind("others", to: others)
    for object in written {
      sumOthers(of: object.id)
      plans.valueEncoder.rebind("mask", to: object.probability)
      plans.valueEncoder.run()
      bank.store(value, of: object.id, in: entry)
    }
    if !isPermanent, covers { bank.cover(entry, fill: measureCoverage) }
    bank.finishEntry()
    newestEntries.append(entry)
  }

  /// Mean probability of all objects together in each position of 16 × 16 pixels.
  private func measureCoverage(into coverage: AlignedBuffer) {
    sumOthers(of: nil)
    let columns = networkSize.width / 16
    pool.parallelFor(networkSize.height / 16) { y, _ in
      for x in 0..<columns {
        var sum = SIMD16<Float>.zero
        for row in 0..<16 {
          sum += UnsafeRawPointer(others.row(y * 16 + row) + x * 16)
            .loadUnaligned(as: SIMD16<Float>.self)
        }
        coverage.base[y * columns + x] = sum.sum() / 256
      }
    }
  }

  /// others = the sum of the probabilities of all objects but one, at most 1.
  private func sumOthers(of id: ObjectID?) {
    let summed = objects.filter { $0.id != id }
    pool.parallelFor(networkSize.height) { y, _ in
      let (row, width) = (others.row(y), networkSize.width)
      row.update(repeating: 0, count: width)
      for object in summed {
        let other = object.probability.row(y)
        for x in 0..<width { row[x] += other[x] }
      }
      for x in 0..<width { row[x] = min(row[x], 1) }
    }
  }

  /// Remembers an annotated frame's objects without tracking them.
  func annotate(_ frame: Frame, _ mask: LabelMap) {
    let (tracked, seen) = (objects, viewport)
    objects = []
    viewport = viewport(around: mask)
    load(frame)
    encode()
    give(mask, keepingOthers: false)
    write(objects, isPermanent: true)
    objects = tracked
    viewport = seen
    newestEntries = []
    newestFrame = nil
    hasFrame = false
  }

  /// Writes the newest frame anew, as a permanent one with every object.
  func correctMemory() {
    for entry in newestEntries { bank.forget(entry) }
    newestEntries = []
    write(objects, isPermanent: true)
  }

  func restart() {
    bank.forgetRing()
    objects = []
    newestEntries = []
    hasFrame = false
    newestFrame = nil
    viewport = Viewport(frameSize)
  }

  /// The state before the first frame; buffers are kept.
  func forgetEverything() {
    restart()
    features = [:]
    bank.forgetEverything()
  }

  // MARK: - Objects

  func track(_ id: ObjectID) {
    let plane = Self.plane(networkSize)
    let shape = FeatureShape(
      height: networkSize.height / 16, width: networkSize.width / 16,
      channels: bank.valueChannels)
    let object = TrackedObject(
      id: id, probability: FeatureMap(plane), logit: FeatureMap(plane),
      readout: FeatureMap(shape))
    objects.append(object)
    objects.sort { $0.id < $1.id }
  }

  func remove(_ id: ObjectID) throws(TrackerError) {
    guard objects.contains(where: { $0.id == id }) || bank.objects[id] != nil else {
      let known = objects.map(\.id.description).joined(separator: ", ")
      throw .init("no object \(id) to remove; tracked are: \(known.isEmpty ? "none" : known)")
    }
    objects.removeAll { $0.id == id }
    bank.forget(id)
  }

  func probabilities(of id: ObjectID) throws(TrackerError) -> [Float] {
    guard let object = objects.first(where: { $0.id == id }) else {
      throw .init("object \(id) is not tracked")
    }
    return labelWriter.enlarged(object.probability)
  }
}
