// A teacher's outputs in a file per clip. `vos-cli teach` (StoredOutputsWriter) and
// Tools/export_teacher.py write them, SampleMaker warps them like the pictures.
//
// A safetensors file:
//   log_odds  F16 or F32 [T, K + 1, h, w]: log-odds after soft aggregation, background first. Only
//             their differences within a pixel count: softmax(log_odds) are the probabilities.
//   features  optional, F16 or F32 [T, K, h', w', C]: features before the last layer.
//   metadata  format = "vos-teacher-outputs", format_version = "1", objects = "1,2" (the K labels).
// T is the number of the clip's frames (with masks, for a labelled clip); h × w is any size with
// the frame's view, commonly a quarter of the frame.

public import MemoryVOS

/// An open file of stored outputs.
public final class StoredOutputs: Sendable {
  /// The value of `format` in the metadata.
  public static let format = "vos-teacher-outputs"

  /// The file.
  public let path: String
  /// T.
  public let frameCount: Int
  /// The labels of the K objects.
  public let objects: [ObjectID]
  /// Size of the log-odds' planes.
  public let size: FrameSize
  /// Further text in the file.
  let metadata: [String: String]
  /// Size and channels of the features; `nil` when there are none.
  public let features: (size: FrameSize, channels: Int)?
  private let file: CheckpointFile

  /// Opens a file and checks its shapes.
  public init(path: String) throws(TrainingError) {
    let file: CheckpointFile
    do { file = try CheckpointFile(path: path) } catch { throw TrainingError("\(error)") }
    guard file.metadata["format"] == Self.format else {
      throw TrainingError(
        path,
        "expected format '\(Self.format)' in the metadata, found "
          + "'\(file.metadata["format"] ?? "none")'; `vos-cli teach` writes it")
    }
    guard file.metadata["format_version"] == "1" else {
      throw TrainingError(
        path, "expected format_version '1', found '\(file.metadata["format_version"] ?? "none")'")
    }
    let labels = (file.metadata["objects"] ?? "").split(separator: ",")
    objects = labels.compactMap { UInt8($0).flatMap(ObjectID.init) }
    guard !objects.isEmpty, objects.count == labels.count, Set(objects).count == labels.count else {
      throw TrainingError(path, "expected the objects' labels in the metadata, such as '1,2'")
    }
    let shape = try Self.shape(of: "log_odds", rank: 4, in: file)
    guard shape[1] == objects.count + 1 else {
      throw TrainingError(
        path, "log_odds has \(shape[1]) channels, expected background and \(objects.count) objects")
    }
    frameCount = shape[0]
    size = FrameSize(width: shape[3], height: shape[2])
    if file.tensors["features"] != nil {
      let shape = try Self.shape(of: "features", rank: 5, in: file)
      guard shape[0] == frameCount, shape[1] == objects.count else {
        throw TrainingError(
          path,
          "features of shape \(shape), expected \(frameCount) frames, \(objects.count) objects")
      }
      features = (FrameSize(width: shape[3], height: shape[2]), shape[4])
    } else {
      features = nil
    }
    self.path = path
    self.file = file
    metadata = file.metadata
  }

  private static func shape(
    of name: String, rank: Int, in file: CheckpointFile
  ) throws(TrainingError) -> [Int] {
    guard let tensor = file.tensors[name] else {
      throw TrainingError(file.path, "no tensor '\(name)'")
    }
    guard tensor.shape.count == rank, tensor.shape.allSatisfy({ (1...1 << 20).contains($0) }),
      tensor.dtype == .float32 || tensor.dtype == .float16
    else {
      throw TrainingError(
        file.path,
        "\(name) is \(tensor.dtype.rawValue) of shape \(tensor.shape), expected F16 or "
          + "F32 with \(rank) dimensions")
    }
    return tensor.shape
  }

  /// Throws unless there is one output for each of the clip's frames.
  func check(frameCount: Int, clip: String) throws(TrainingError) {
    guard frameCount == self.frameCount else {
      throw TrainingError(
        path, "outputs for \(self.frameCount) frames, but \(clip) has \(frameCount)")
    }
  }

  /// Throws unless the planes have nearly the proportions of the clip's frames: something else was
  /// seen by the teacher then.
  ///
  /// Inputs rounded to multiples of 16 and reduced may be off by 10 %, or by a pixel.
  func check(view: FrameSize, of clip: String) throws(TrainingError) {
    let (a, b) = (size.width * view.height, size.height * view.width)
    guard abs(a - b) * 10 <= max(a, b) || abs(a - b) <= max(view.width, view.height) else {
      throw TrainingError(
        path, "planes of \(size) have other proportions than the frames of \(clip), \(view)")
    }
  }

  /// Log-odds of a frame, `[K + 1][h][w]`.
  func logOdds(frame: Int) throws(TrainingError) -> [Float] {
    let count = (objects.count + 1) * size.area
    do { return try file.floats("log_odds", from: frame * count, count: count) } catch {
      throw TrainingError("\(error)")
    }
  }

  /// Features of a frame as planes, `[K][C][h'][w']`; traps when there are none.
  func featurePlanes(frame: Int) throws(TrainingError) -> [Float] {
    guard let features else { preconditionFailure("\(path) has no features") }
    let (area, channels) = (features.size.area, features.channels)
    let count = objects.count * area * channels
    let values: [Float]
    do { values = try file.floats("features", from: frame * count, count: count) } catch {
      throw TrainingError("\(error)")
    }
    var planes = [Float](repeating: 0, count: count)
    for object in 0..<objects.count {
      for pixel in 0..<area {
        for channel in 0..<channels {
          planes[(object * channels + channel) * area + pixel] =
            values[(object * area + pixel) * channels + channel]
        }
      }
    }
    return planes
  }

  /// The most probable label of each pixel of a frame, at the outputs' size.
  func labels(frame: Int) throws(TrainingError) -> LabelMap {
    let values = try logOdds(frame: frame)
    var map = LabelMap(size: size)
    for pixel in 0..<size.area {
      var best = values[pixel]
      for (index, object) in objects.enumerated() {
        let value = values[(index + 1) * size.area + pixel]
        if value > best { (best, map.labels[pixel]) = (value, object.rawValue) }
      }
    }
    return map
  }

  /// A file of stored outputs: `logOdds` is `[T][K + 1][h][w]`, kept in half precision.
  ///
  /// - Throws: `TrainingError` when it cannot be written; nothing is left behind then.
  public static func write(
    logOdds: [Float], frameCount: Int, objects: [ObjectID], size: FrameSize, to path: String
  ) throws(TrainingError) {
    let layout = StoredOutputsWriter.Layout(frameCount: frameCount, objects: objects, size: size)
    let count = layout.logOddsPerFrame
    precondition(logOdds.count == frameCount * count, "\(logOdds.count) log-odds")
    let writer = try StoredOutputsWriter(layout, to: path)
    for frame in 0..<frameCount {
      try writer.append(logOdds: Array(logOdds[frame * count..<(frame + 1) * count]))
    }
    try writer.finish()
  }
}
