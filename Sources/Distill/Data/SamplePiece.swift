// One clip's contribution to a sample: frames chosen, cropped, set in motion. SampleMaker lays
// pieces over each other.

import CKernels
import Foundation
import MemoryVOS

/// The label of pixels about which the truth says nothing.
let voidLabel: UInt8 = 255

/// T warped pictures with labels 0 (background) … `objects`.
struct SamplePiece {
  /// `[T][S · S · 3]` RGB bytes.
  var images: [[UInt8]]
  /// `[T][S · S]`, 255 where the truth says nothing.
  var labels: [[UInt8]]
  /// Number of objects, at least 1.
  var objects: Int
  /// `[T][objects + 1][S · S]` log-probabilities of a teacher, or `nil`.
  var teacher: [[Float]]?
  /// `[T][objects][S / 4 · S / 4][C]` features of a teacher, or empty.
  var features: [[Float]]
  /// What the piece was made of, `nil` for rendered bodies.
  var origin: Origin?

  struct Origin {
    let dataset: Int
    let number: Int
    let choice: ObjectChoice
  }

  /// Share of the first frame's pixels that belong to `object` (1 … `objects`), or to any for `nil`.
  func share(of object: UInt8? = nil) -> Double {
    let pixels = labels[0].count { object == nil ? $0 != 0 && $0 != voidLabel : $0 == object }
    return Double(pixels) / Double(labels[0].count)
  }
}

/// Which of a clip's labels become which objects of a piece.
struct ObjectChoice {
  /// New label by old label.
  var table = [UInt8](repeating: 0, count: 256)
  /// Number of new labels.
  var count = 0

  /// Each group of labels becomes one object.
  init(_ groups: [[Int]]) {
    for (index, group) in groups.enumerated() {
      for label in group { table[label] = UInt8(index + 1) }
    }
    count = groups.count
  }

  /// Pixels of the chosen labels, of a picture whose labels have these areas.
  func area(in areas: [Int]) -> Int {
    (1...254).reduce(0) { $0 + (table[$1] != 0 ? areas[$1] : 0) }
  }

  /// Chooses among the objects of a picture; `nil` when there are none of at least 16 pixels.
  ///
  /// `separate` is the number of objects to keep apart, 1 to make one of them.
  init?(
    areas: [Int], labels: DatasetRecipe.Labels, separate: Int, _ random: inout SampleGenerator
  ) {
    let present = (1...254).filter { areas[$0] >= 16 }
    guard !present.isEmpty else { return nil }
    let objects = labels == .foreground ? [Array(1...254)] : present.map { [$0] }
    if separate > 1 {
      self.init(random.choice(objects, count: separate))
    } else if objects.count == 1 {
      self.init(objects)
    } else {
      switch labels {
      case .foreground: self.init(objects)
      case .parts where random.chance(0.5):
        let count = random.integer(1...max(1, present.count / 2))
        self.init([random.choice(present, count: count)])
      case .parts: self.init([present])
      case .instances:
        self.init(random.chance(0.8) ? [[present[random.index(present.count)]]] : [present])
      }
    }
  }
}

/// Makes pieces out of clips.
struct PieceMaker {
  let recipe: SampleRecipe
  let store: PictureStore
  /// Whether teacher outputs are read.
  let withTeacher: Bool
  /// Whether teacher features are read too.
  let withFeatures: Bool

  /// A piece of a clip, or `nil` when the random choices leave too little or too much object.
  ///
  /// With `chosen` it holds these objects and lies up to half a sample further left or right.
  func piece(
    of clip: TrainingClip, dataset: Int, number: Int, separate: Int, progress: Double,
    chosen: ObjectChoice? = nil, _ random: inout SampleGenerator
  ) throws(TrainingError) -> SamplePiece? {
    let frames = frameNumbers(of: clip, progress: progress, &random)
    var entries: [PictureStore.Entry] = []
    for (index, frame) in frames.enumerated() {
      if clip.isStill, let first = entries.first {
        entries.append(first)
      } else {
        entries.append(
          try store.entry(clip.items[frame], dataset: dataset, clip: number, frame: frame))
      }
      guard entries[index].frame.size == entries[0].frame.size else {
        throw TrainingError(
          clip.items[frame].picture.path, "its size differs from that of \(clip.name)'s frame 0")
      }
    }
    guard
      let choice = chosen
        ?? ObjectChoice(areas: entries[0].areas, labels: clip.labels, separate: separate, &random)
    else { return nil }
    if chosen != nil, choice.area(in: entries[0].areas) == 0 { return nil }
    let warps = warps(
      entries[0], choice: choice, isStill: clip.isStill, isDisplaced: chosen != nil, &random)
    var piece = SamplePiece(
      images: [], labels: [], objects: choice.count, teacher: nil, features: [],
      origin: .init(dataset: dataset, number: number, choice: choice))
    for (entry, warp) in zip(entries, warps) {
      piece.labels.append(warpedLabels(entry, warp, choice.table))
      // Most failures show in the first frame, before any picture is warped.
      if piece.labels.count == 1, !Self.isUsable(piece) { return nil }
      piece.images.append(warpedImage(entry, warp))
    }
    if withTeacher, let outputs = clip.outputs {
      let sources = (0..<frames.count).map { (frame: frames[$0], warp: warps[$0]) }
      let warper = TeacherWarper(
        outputs: outputs, choice: choice, pictureSize: entries[0].frame.size)
      var teacher: [[Float]] = []
      for source in sources {
        teacher.append(try warper.logProbabilities(frame: source.frame, warp: source.warp))
        if withFeatures {
          piece.features.append(try warper.features(frame: source.frame, warp: source.warp))
        }
      }
      piece.teacher = teacher
    }
    return piece
  }

  /// Whether there is neither too little nor too much object on the first frame.
  static func isUsable(_ piece: SamplePiece) -> Bool {
    (0.008...0.85).contains(piece.share())
      && (piece.objects == 1
        || (1...piece.objects).allSatisfy { piece.share(of: UInt8($0)) > 0.003 })
  }

  private func frameNumbers(
    of clip: TrainingClip, progress: Double, _ random: inout SampleGenerator
  ) -> [Int] {
    if clip.isStill { return [Int](repeating: 0, count: recipe.frames) }
    let gap = recipe.gap(at: progress, &random)
    let direction = random.chance(recipe.reversedShare) ? -1 : 1
    var frames = [random.index(clip.frameCount)]
    while frames.count < recipe.frames {
      let next = frames[frames.count - 1] + direction * random.integer(1...gap)
      frames.append(min(max(next, 0), clip.frameCount - 1))
    }
    return frames
  }

  /// Crop and motion of each frame.
  private func warps(
    _ entry: PictureStore.Entry, choice: ObjectChoice, isStill: Bool, isDisplaced: Bool,
    _ random: inout SampleGenerator
  ) -> [Warp] {
    let motion = isStill ? recipe.stillMotion : recipe.videoMotion
    let limits = MotionLimits(
      degrees: motion[0], scale: motion[1], shift: motion[2], shear: motion[3])
    var map = crop(entry, choice: choice, isStill: isStill, &random)
    if isDisplaced {
      let (x, y) = (random.symmetric(0.5), random.symmetric(0.15))
      map = AffineMap(c: x * Double(recipe.size), f: y * Double(recipe.size)).after(map)
    }
    return (0..<recipe.frames).map { _ in
      map = AffineMap.motion(limits, size: recipe.size, &random).after(map)
      let spline =
        isStill && random.chance(recipe.splineShare)
        ? ThinPlateSpline(
          size: recipe.size, points: recipe.splinePoints, deviation: recipe.splineDeviation,
          &random)
        : nil
      return Warp(size: recipe.size, map: map.inverse, spline: spline)
    }
  }

  /// Maps a random square of the picture to the sample.
  private func crop(
    _ entry: PictureStore.Entry, choice: ObjectChoice, isStill: Bool,
    _ random: inout SampleGenerator
  ) -> AffineMap {
    let size = Double(recipe.size)
    let (width, height) = (Double(entry.frame.size.width), Double(entry.frame.size.height))
    let range = isStill ? recipe.stillScale : recipe.videoScale
    let scale = size / min(width, height) * random.real(range[0]...range[1])
    var x = random.real(0...width)
    var y = random.real(0...height)
    if random.chance(recipe.centeredShare) {
      let area = choice.area(in: entry.areas)
      let pixel = position(of: random.index(area), in: entry.labels.labels, table: choice.table)
      x = Double(pixel % entry.frame.size.width)
      y = Double(pixel / entry.frame.size.width)
    }
    let reach = size / 2 / scale
    x = min(max(x, min(reach, width / 2)), max(width - reach, width / 2))
    y = min(max(y, min(reach, height / 2)), max(height - reach, height / 2))
    let side = random.chance(recipe.mirroredShare) ? -scale : scale
    return AffineMap(
      a: side, b: 0, c: size / 2 - side * x, d: 0, e: scale, f: size / 2 - scale * y)
  }

  /// The position of the `count`-th pixel that the table keeps.
  private func position(of count: Int, in labels: [UInt8], table: [UInt8]) -> Int {
    var left = count
    return labels.withUnsafeBufferPointer { labels in
      for index in labels.indices where table[Int(labels[index])] != 0 {
        if left == 0 { return index }
        left -= 1
      }
      return 0
    }
  }

  private func warpedImage(_ entry: PictureStore.Entry, _ warp: Warp) -> [UInt8] {
    let side = Int32(recipe.size)
    let count = recipe.size * recipe.size * 3
    return [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      warp.withDescription {
        vos_warp_rgb(
          entry.frame.pixels, Int32(entry.frame.size.width), Int32(entry.frame.size.height), $0,
          side, side, buffer.baseAddress)
      }
      initialized = count
    }
  }

  private func warpedLabels(
    _ entry: PictureStore.Entry, _ warp: Warp, _ table: [UInt8]
  ) -> [UInt8] {
    let side = Int32(recipe.size)
    let count = recipe.size * recipe.size
    var table = table
    table[Int(voidLabel)] = voidLabel
    return [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      warp.withDescription {
        vos_warp_labels(
          entry.labels.labels, Int32(entry.labels.size.width), Int32(entry.labels.size.height),
          table, $0, side, side, buffer.baseAddress)
      }
      initialized = count
    }
  }
}
