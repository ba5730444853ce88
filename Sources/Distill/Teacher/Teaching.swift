// START HERE for a teacher's outputs ahead of time: clips of a data set in, one file of stored outputs per
// clip out. `vos-cli teach` is a thin cover of this; training reads the files through StoredOutputs.

import Foundation
import MemoryVOS

/// Writes a teacher's outputs for whole data sets.
public final class Teaching {
  /// What to write, and where.
  public struct Options: Sendable {
    /// The teacher; `checkpoint` is a path as it is.
    public var teacher = TeacherRecipe()
    /// The data set: davis, youtube-vos or taught.
    ///
    /// `path` is as it is; `outputs` is not used.
    public var data = DatasetRecipe()
    /// Taught: the folder with the mask of each clip's first frame, `CLIP.png`.
    public var masks = ""
    /// The folder for the files, one `CLIP.safetensors` each.
    public var output = ""
    /// The stored planes are this much smaller than the frames.
    public var reduction = 4
    /// Whether features before the teacher's last layer are stored too.
    public var withFeatures = false
    /// Whether numbers are kept in 32 bits instead of 16.
    public var isSinglePrecision = false
    /// Threads; `nil` for one per core.
    public var threads: Int?
    /// What identifies the checkpoint's content, stored with the outputs.
    public var digest = ""

    /// Everything by default; teacher, data and output must be set.
    public init() {}
  }

  /// What is done, for a progress bar.
  public struct Progress: Sendable {
    /// Frames that are done, in files of earlier runs too.
    public let frames: Int
    /// Frames in all.
    public let total: Int
    /// The clip.
    public let clip: String
  }

  let options: Options
  let clips: [UntaughtClip]
  /// Clips whose files an earlier run has written.
  private let finished: Set<String>
  private let network: Network
  private let settings: String

  /// Opens checkpoint and data and checks everything that can be checked before the first frame.
  ///
  /// - Throws: `TrainingError` for options, files and earlier outputs that cannot be used.
  public init(_ options: Options) throws(TrainingError) {
    self.options = options
    if let problem = options.teacher.problem { throw TrainingError("teacher: \(problem)") }
    guard [1, 2, 4, 8, 16].contains(options.reduction) else {
      throw TrainingError("a reduction of \(options.reduction), expected 1, 2, 4, 8 or 16")
    }
    do {
      let network = try Network(checkpoint: options.teacher.checkpoint)
      self.network = options.withFeatures ? Network(exposingFeaturesOf: network) : network
    } catch { throw TrainingError("\(error)") }
    settings = Self.settings(options)
    clips = try UntaughtClip.find(options)
    do {
      try FileManager.default.createDirectory(
        atPath: options.output, withIntermediateDirectories: true)
    } catch {
      throw TrainingError(
        options.output, "the folder cannot be made: \(error.localizedDescription)")
    }
    finished = try Self.finished(clips, options.output, settings: settings)
  }

  /// Clips, and how many of them an earlier run has finished.
  public var clipCount: (all: Int, finished: Int) { (clips.count, finished.count) }

  /// Frames whose outputs are stored.
  public var frameCount: Int { clips.reduce(0) { $0 + $1.storedCount } }

  /// Bytes of the files that are still to be written, without objects that appear late.
  ///
  /// - Throws: `TrainingError` when the disk has less room.
  public func diskBytes() throws(TrainingError) -> Int {
    var bytes = 0
    for clip in clips where !finished.contains(clip.name) {
      bytes += layout(clip, objects: clip.firstObjects).dataCount + 4096
    }
    var status = statvfs()
    if statvfs(options.output, &status) == 0 {
      let free = Int(clamping: UInt64(status.f_bavail) * UInt64(status.f_frsize))
      guard free >= bytes else {
        throw TrainingError(
          options.output,
          "needs \(bytes >> 20) MiB, the disk has \(free >> 20) MiB left; free some, choose another "
            + "folder, or store less (a larger reduction, no features)")
      }
    }
    return bytes
  }

  /// Writes what is missing; clips are finished one by one.
  ///
  /// - Parameter show: called after each frame; writing stops when it returns false.
  /// - Returns: whether everything is written.
  /// - Throws: `TrainingError` for files that cannot be read or written; finished clips stay.
  public func run(
    _ show: (Progress) -> Bool = { _ in true }
  ) throws(TrainingError) -> Bool {
    var frames = clips.filter { finished.contains($0.name) }.reduce(0) { $0 + $1.storedCount }
    let total = frameCount
    var ensemble: TeacherEnsemble?
    for clip in clips where !finished.contains(clip.name) {
      let size = clip.frameSize
      do {
        let current: TeacherEnsemble
        if let known = ensemble, known.frameSize == size {
          current = known
          current.reset()
        } else {
          // The old one goes first: both may not fit.
          ensemble = nil
          current = try TeacherEnsemble(
            network, recipe: options.teacher, frameSize: size, threads: options.threads)
        }
        ensemble = current
        let isComplete = try teach(clip, current) {
          frames += 1
          return show(Progress(frames: frames, total: total, clip: clip.name))
        }
        guard isComplete else { return false }
      } catch let error as TrainingError { throw error } catch {
        throw TrainingError(clip.name, "\(error)")
      }
    }
    return true
  }

  // MARK: - One clip

  private func teach(
    _ clip: UntaughtClip, _ ensemble: TeacherEnsemble, stored: () -> Bool
  ) throws -> Bool {
    let layout = layout(clip, objects: try clip.objects())
    let writer = try StoredOutputsWriter(layout, to: file(clip.name))
    let resampler = AreaResampler(from: ensemble.frameSize, to: layout.size)
    let reader = UntaughtClip.Reader()
    var known = Set<ObjectID>()
    for item in clip.items {
      let frame = try reader.frame(item)
      guard frame.size == ensemble.frameSize else {
        throw TrainingError(
          item.picture.path, "a frame of \(frame.size), the clip's first is \(ensemble.frameSize)")
      }
      let given = try clip.given(item, known: &known)
      var firstFeatures: [ObjectFeatures?]?
      if layout.features != nil, let given, item.isStored, given.objects.count == known.count {
        firstFeatures = try ensemble.firstFeatures(frame, mask: given, objects: layout.objects)
      }
      if !known.isEmpty { try ensemble.step(frame, mask: given) }
      guard item.isStored else { continue }
      let planes = try ensemble.probabilities(of: layout.objects)
      let area = ensemble.frameSize.area
      let small = layout.objects.indices.flatMap {
        resampler.resample(planes[$0 * area..<($0 + 1) * area])
      }
      var features: [Float] = []
      if let (size, channels) = layout.features {
        for object in firstFeatures ?? ensemble.features(of: layout.objects) {
          features += object?.values ?? [Float](repeating: 0, count: size.area * channels)
        }
      }
      try writer.append(
        logOdds: TeacherPlanes.logOdds(small, objects: layout.objects.count), features: features)
      guard stored() else { return false }
    }
    try writer.finish()
    return true
  }

  private func layout(
    _ clip: UntaughtClip, objects: [ObjectID]
  ) -> StoredOutputsWriter.Layout {
    let size = clip.frameSize
    func reduced(_ side: Int) -> Int { (side + options.reduction - 1) / options.reduction }
    var layout = StoredOutputsWriter.Layout(
      frameCount: clip.storedCount, objects: objects,
      size: FrameSize(width: reduced(size.width), height: reduced(size.height)))
    layout.precision = options.isSinglePrecision ? .single : .half
    layout.metadata = ["teacher": settings]
    if options.withFeatures {
      let input = options.teacher.configuration(
        scale: options.teacher.scales[0], frameSize: size, threads: nil
      ).networkSize(for: size, network: network.configuration)
      layout.features = (
        FrameSize(width: input.width / 4, height: input.height / 4), network.featureChannels
      )
    }
    return layout
  }

  private func file(_ clip: String) -> String { "\(options.output)/\(clip).safetensors" }

  // MARK: - Earlier runs

  /// What makes files of one run differ from those of another, as JSON.
  private static func settings(_ options: Options) -> String {
    struct Settings: Encodable {
      let teacher: TeacherRecipe
      let digest: String
      let reduction: Int
      let features: Bool
      let precision: String
      let strays: String
    }
    var teacher = options.teacher
    teacher.checkpoint = (teacher.checkpoint as NSString).lastPathComponent
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let data = try? encoder.encode(
      Settings(
        teacher: teacher, digest: options.digest, reduction: options.reduction,
        features: options.withFeatures,
        precision: options.isSinglePrecision ? "float32" : "float16", strays: "dropped by piece"))
    return String(decoding: data ?? Data(), as: UTF8.self)
  }

  private static func finished(
    _ clips: [UntaughtClip], _ output: String, settings: String
  ) throws(TrainingError) -> Set<String> {
    var finished = Set<String>()
    for clip in clips {
      let path = "\(output)/\(clip.name).safetensors"
      guard FileManager.default.fileExists(atPath: path) else { continue }
      let outputs = try StoredOutputs(path: path)
      guard outputs.metadata["teacher"] == settings else {
        throw TrainingError(
          path,
          "was written with another teacher or other options; choose another folder, or "
            + "remove it")
      }
      try outputs.check(frameCount: clip.storedCount, clip: clip.name)
      finished.insert(clip.name)
    }
    return finished
  }
}
