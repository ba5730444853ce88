// The network unrolled over the frames of a batch: buffers, forward and backward in time. TrainingStep
// owns one for the current shape of batches.
//
//     frames ─> key encoder ─┬─> read(memory: frame 0, frame t-1) ─> decoder ─> aggregation ─> losses
//                            └─> value encoder <──────── masks: given at 0, predicted later ◄──┘

import CKernels
import MemoryVOS

/// Everything a step keeps between forward and backward.
final class UnrolledClip {
  struct Shape: Equatable {
    let batch: Int
    let frames: Int
    let size: FrameSize
  }

  typealias Maps = MemoryReadOperands.Maps

  let shape: Shape
  private let configuration: NetworkConfiguration
  private let kernels: Kernels
  private let pool: ThreadPool
  private let keyEncoder: GradientPlan
  private let valueEncoder: GradientPlan
  private let decoder: GradientPlan
  private let weightRounding: WeightRounding?
  private let keyTape: GradientTape
  private let images: AlignedBuffer
  /// Gradients of the key and of each feature, of every frame.
  private let featureGradients: [String: MapBatch]
  /// The decoder's features before the last layer, when losses look at them.
  private let tap: Graph.Value?
  private let tapGradient: MapBatch?

  private(set) var objects = 0
  private var decoderTapes: [[GradientTape]] = []
  private var valueTapes: [[GradientTape]] = []
  private var readouts: [[MapBatch]] = []
  private var affinities: [AlignedBuffer] = []
  private var reader: MemoryReadGradient?
  private var valueGradients: [[MapBatch]] = []
  private var readoutGradients: [MapBatch] = []
  private var planes: ClipPlanes
  private var temperature: Float = 0
  private var temperatureGradient = 0.0

  private var pixels: Int { shape.size.width * shape.size.height }
  private var positions: Int { pixels / 256 }

  init(
    _ configuration: NetworkConfiguration, shape: Shape, taps: Bool, kernels: Kernels,
    pool: ThreadPool, rounding: NetworkRounding? = nil
  ) {
    self.configuration = configuration
    self.shape = shape
    planes = ClipPlanes(shape, objects: 1)
    self.kernels = kernels
    self.pool = pool
    let graphs = NetworkGraphs(configuration)
    let rounded = rounding?.graphs(graphs)
    weightRounding = rounded.map { WeightRounding($0, pool: pool) }
    let tap = taps ? graphs.decoder.operand(ofConvolution: "p") : nil
    self.tap = tap
    // The image encoder's maps are large: a few frames at a time, one per thread.
    keyEncoder = GradientPlan(
      graphs.keyEncoder, size: shape.size,
      microBatch: min(pool.threadCount, shape.batch * shape.frames),
      kernels: kernels, pool: pool, rounding: rounded?.keyEncoder.values ?? [:])
    valueEncoder = GradientPlan(
      graphs.valueEncoder, size: shape.size, microBatch: shape.batch, kernels: kernels, pool: pool,
      rounding: rounded?.valueEncoder.values ?? [:])
    decoder = GradientPlan(
      graphs.decoder, size: shape.size, microBatch: shape.batch, kernels: kernels, pool: pool,
      extraOutputs: tap.map { [$0] } ?? [], rounding: rounded?.decoder.values ?? [:])
    let frames = shape.batch * shape.frames
    keyTape = GradientTape(keyEncoder, samples: frames)
    images = AlignedBuffer(count: frames * shape.size.width * shape.size.height * 3)
    let imageCount = shape.size.width * shape.size.height * 3
    keyTape.bind("image", (0..<frames).map { [images] in images.base + $0 * imageCount })
    var featureGradients: [String: MapBatch] = [:]
    for output in graphs.keyEncoder.outputs {
      let maps = MapBatch(keyEncoder.shapes[output.value.index], samples: frames)
      featureGradients[output.name] = maps
      keyTape.bindGradient(output.value, maps.all)
    }
    self.featureGradients = featureGradients
    tapGradient = tap.map { [decoder] in
      MapBatch(decoder.shapes[$0.index], samples: shape.batch)
    }
  }

  // MARK: Buffers

  /// Makes room for `objects` objects per clip.
  func reserve(objects wanted: Int) {
    planes = planes.reserving(objects: wanted)
    guard wanted > objects else { return }
    objects = wanted
    let (batch, steps) = (shape.batch, shape.frames - 1)
    let channels = configuration.valueChannels
    let value = FeatureShape(
      height: shape.size.height / 16, width: shape.size.width / 16, channels: channels)
    func extend<T>(_ rows: inout [[T]], _ make: () -> T) {
      while rows.count < steps { rows.append([]) }
      for row in rows.indices { while rows[row].count < wanted { rows[row].append(make()) } }
    }
    extend(&decoderTapes) { GradientTape(decoder, samples: batch) }
    extend(&valueTapes) { GradientTape(valueEncoder, samples: batch) }
    extend(&readouts) { MapBatch(value, samples: batch) }
    extend(&valueGradients) { MapBatch(value, samples: batch) }
    while readoutGradients.count < wanted {
      readoutGradients.append(MapBatch(value, samples: batch))
    }
    while affinities.count < steps {
      let memory = positions * (affinities.isEmpty ? 1 : 2)
      affinities.append(AlignedBuffer(count: batch * positions * memory))
    }
    reader = MemoryReadGradient(
      height: value.height, width: value.width, frames: 2,
      keyChannels: configuration.keyChannels, valueChannels: channels, samples: batch,
      objects: wanted, locality: configuration.locality, kernels: kernels, pool: pool)
    for step in 0..<steps {
      for object in 0..<wanted {
        bindFeatures(of: step + 1, to: decoderTapes[step][object], of: decoder.graph)
        bindFeatures(of: step, to: valueTapes[step][object], of: valueEncoder.graph)
        decoderTapes[step][object].bind("readout", readouts[step][object].all)
        decoderTapes[step][object].bindGradient("readout", readoutGradients[object].all)
        valueTapes[step][object].bindGradient(
          valueEncoder.graph.output("value"), valueGradients[step][object].all)
        if let tap, let tapGradient {
          decoderTapes[step][object].bindGradient(tap, tapGradient.all)
        }
      }
    }
  }

  /// Binds those of the image's features that `graph` reads.
  private func bindFeatures(of frame: Int, to tape: GradientTape, of graph: Graph) {
    for name in graph.inputNames where featureGradients[name] != nil {
      tape.bind(name, features(name, frame: frame))
      tape.bindGradient(name, featureGradients(name, frame: frame))
    }
  }

  /// A feature of one frame of every clip.
  private func features(_ name: String, frame: Int) -> Maps {
    let value = keyEncoder.graph.output(name).index
    return (0..<shape.batch).map { keyTape.activation(value, $0 * shape.frames + frame) }
  }

  private func featureGradients(_ name: String, frame: Int) -> Maps {
    guard let maps = featureGradients[name] else { preconditionFailure("no feature \(name)") }
    return (0..<shape.batch).map { maps[$0 * shape.frames + frame] }
  }

  private func values(_ frame: Int, _ object: Int) -> Maps {
    let value = valueEncoder.graph.output("value").index
    return (0..<shape.batch).map { valueTapes[frame][object].activation(value, $0) }
  }

  func load(_ given: ParameterSet) {
    let parameters = weightRounding?.rounded(given) ?? given
    for plan in [keyEncoder, valueEncoder, decoder] {
      plan.load(parameters)
      plan.reset()
    }
    temperature = parameters["t"][0]
    temperatureGradient = 0
  }

  func collect(into gradients: inout ParameterSet) {
    for plan in [keyEncoder, valueEncoder, decoder] { plan.collect(into: &gradients) }
    weightRounding?.gate(&gradients)
    gradients["t"] = [Float(temperatureGradient)]
  }

  // MARK: Forward

  func forward(_ batch: TrainingBatch, prior: (any PriorCorruption)?) {
    batch.images.withUnsafeBufferPointer { source in
      if let base = source.baseAddress { images.base.update(from: base, count: source.count) }
    }
    keyEncoder.forward(keyTape, samples: 0..<shape.batch * shape.frames)
    planes.takeMasks(batch)
    planes.decay(0, nil)
    for frame in 1..<shape.frames {
      encodeValues(frame - 1, objects: batch.objects)
      reader?.forward(
        operands(frame, objects: batch.objects), temperature: temperature,
        affinity: affinities[frame - 1].base)
      planes.corrupt(frame, prior, pool)
      let logit = decoder.graph.output("logit")
      for object in 0..<batch.objects {
        let tape = decoderTapes[frame - 1][object]
        tape.bind("previous", planes.previous(frame, object))
        decoder.forward(tape, samples: 0..<shape.batch)
      }
      planes.aggregate(frame, decoder.training, pool) { object, sample in
        decoderTapes[frame - 1][object].activation(logit.index, sample)
      }
      planes.decay(frame, frame < shape.frames - 1 ? prior : nil)
    }
  }

  /// The memory values of `frame`, from its masks.
  private func encodeValues(_ frame: Int, objects: Int) {
    planes.mixOthers(frame, pool)
    for object in 0..<objects {
      let tape = valueTapes[frame][object]
      tape.bind("mask", planes.masks(frame, object))
      tape.bind("others", planes.others(frame, object))
      valueEncoder.forward(tape, samples: 0..<shape.batch)
    }
  }

  /// Frame 0 and the frame before.
  private func memory(of frame: Int) -> [Int] { frame == 1 ? [0] : [0, frame - 1] }

  private func operands(_ frame: Int, objects: Int) -> MemoryReadOperands {
    MemoryReadOperands(
      query: features("key", frame: frame),
      keys: memory(of: frame).map { features("key", frame: $0) },
      values: (0..<objects).map { object in memory(of: frame).map { values($0, object) } },
      readouts: (0..<objects).map { readouts[frame - 1][$0].all })
  }

  private func operandGradients(_ frame: Int, objects: Int) -> MemoryReadOperands {
    MemoryReadOperands(
      query: featureGradients("key", frame: frame),
      keys: memory(of: frame).map { featureGradients("key", frame: $0) },
      values: (0..<objects).map { object in
        memory(of: frame).map { valueGradients[$0][object].all }
      },
      readouts: (0..<objects).map { readoutGradients[$0].all })
  }

  // MARK: Backward

  func backward(_ batch: TrainingBatch, losses: inout LossTerms) {
    let samples = 0..<shape.batch
    for maps in featureGradients.values { maps.clear() }
    for row in valueGradients { for maps in row.prefix(batch.objects) { maps.clear() } }
    let logit = decoder.graph.output("logit")
    for frame in (1..<shape.frames).reversed() {
      planes.clearGradients()
      if frame < shape.frames - 1 {
        backwardValues(frame, objects: batch.objects)
        planes.decayGradient(frame)
      }
      losses.addMaskTerms(frame, planes, pool)
      planes.aggregateGradient(frame, decoder.training, pool) { object, sample in
        decoderTapes[frame - 1][object].activation(logit.index, sample)
      }
      for object in 0..<batch.objects {
        let tape = decoderTapes[frame - 1][object]
        tape.bindGradient(logit, planes.logitGradients(object))
        readoutGradients[object].clear()
        if let tap, let tapGradient {
          tapGradient.clear()
          losses.addFeatureTerms(
            frame, object, shape: decoder.shapes[tap.index],
            features: samples.map { tape.activation(tap.index, $0) }, gradients: tapGradient.all)
        }
        decoder.backward(tape, samples: samples)
      }
      temperatureGradient +=
        reader?.backward(
          operands(frame, objects: batch.objects),
          gradients: operandGradients(frame, objects: batch.objects), temperature: temperature,
          affinity: affinities[frame - 1].base) ?? 0
    }
    backwardValues(0, objects: batch.objects)
    keyEncoder.backward(keyTape, samples: 0..<shape.batch * shape.frames)
  }

  /// Through the value encoder of `frame` into its masks, unless those were given.
  private func backwardValues(_ frame: Int, objects: Int) {
    let isPredicted = frame > 0
    for object in 0..<objects {
      let tape = valueTapes[frame][object]
      let wantsOthers = isPredicted && objects > 1
      if wantsOthers { planes.clearOthersGradient() }
      tape.bindGradient("mask", isPredicted ? planes.maskGradients(object) : nil)
      tape.bindGradient("others", wantsOthers ? planes.othersGradients() : nil)
      valueEncoder.backward(tape, samples: 0..<shape.batch)
      if wantsOthers { planes.spreadOthersGradient(frame, object, pool) }
    }
  }
}

extension Graph {
  fileprivate var inputNames: [String] {
    nodes.compactMap { if case .input(let name) = $0.operation { name } else { nil } }
  }

  /// What the convolution called `name` reads; traps when there is none or it reads several.
  func operand(ofConvolution name: String) -> Value {
    for node in nodes {
      if case .convolution(let convolution) = node.operation, convolution.name == name {
        precondition(node.inputs.count == 1, "\(name) reads several maps")
        return node.inputs[0]
      }
    }
    preconditionFailure("the graph has no convolution \(name)")
  }
}

/// Maps of one shape, one per sample.
final class MapBatch {
  let shape: FeatureShape
  let samples: Int
  private let buffer: AlignedBuffer

  init(_ shape: FeatureShape, samples: Int) {
    self.shape = shape
    self.samples = samples
    buffer = AlignedBuffer(count: shape.count * samples)
  }

  subscript(sample: Int) -> UnsafeMutablePointer<Float> { buffer.base + sample * shape.count }

  var all: [UnsafeMutablePointer<Float>] { (0..<samples).map { self[$0] } }

  func clear() { buffer.base.update(repeating: 0, count: buffer.count) }
}
