// `vos-cli quantize`: an int8 checkpoint from a float one and annotated clips.

import ArgumentParser
import Foundation
import MemoryVOS

struct QuantizeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "quantize",
    abstract: "Make an int8 checkpoint: smaller and faster, nearly the same masks.",
    discussion: """
      Tracks clips of a data set with the float checkpoint, from the first mask and through the \
      memory, to see which numbers each layer computes; then rounds weights and chooses ranges. \
      Needs images and the mask of each clip's first frame, nothing else. The result is used like \
      any other checkpoint.

        vos-cli quantize vos-mobile --data DAVIS --output vos-mobile-int8.safetensors
        vos-cli track clip.mp4 --mask first.png --output masks --checkpoint vos-mobile-int8.safetensors

      Layout: DAVIS, with ImageSets/YEAR/SET.txt, and Annotations and JPEGImages by resolution.
      """)

  @Argument(help: CheckpointLocation.help)
  var checkpoint: String?

  @Option(help: ArgumentHelp("The root of a data set in DAVIS's layout.", valueName: "root"))
  var data: String

  @Option(help: ArgumentHelp("The folder of set lists in ImageSets.", valueName: "year"))
  var year = "2017"

  @Option(
    name: .customLong("set"),
    help: ArgumentHelp(
      "The list in ImageSets; never one that scores are given on.", valueName: "name"))
  var setName = "train"

  @Option(help: ArgumentHelp("The folder in Annotations and JPEGImages.", valueName: "name"))
  var resolution = "480p"

  @Option(help: ArgumentHelp("Frames to track, over all clips.", valueName: "count"))
  var frames = 160

  @Option(
    name: .customLong("float"), parsing: .upToNextOption,
    help: ArgumentHelp(
      "Layers that stay float: beginnings of their names (`vos-cli inspect --tensors`).",
      valueName: "name"))
  var keptFloat = Quantizer.sensitiveLayers

  @Option(help: ArgumentHelp("The int8 checkpoint.", valueName: "file"))
  var output: String

  func validate() throws {
    guard frames >= Quantizer.leastFrames else {
      throw ValidationError("--frames must be at least \(Quantizer.leastFrames)")
    }
  }

  func run() throws {
    let path = try CheckpointLocation.path(checkpoint)
    let float = try Checkpoint(path: path)
    var quantizer = try Quantizer(float)
    let clips = try CalibrationClip.clips(
      root: data, year: year, set: setName, resolution: resolution, frames: frames)
    let bar = ProgressBar(total: clips.reduce(0) { $0 + $1.frameCount })
    for clip in clips {
      try quantizer.observe(clip.frames(), mask: clip.mask())
      bar.update(quantizer.frameCount)
    }
    bar.finish("\(quantizer.frameCount) frames of \(clips.count) clips")
    let result = try quantizer.quantized(keepingFloat: keptFloat)
    try result.write(to: output)
    let sizes = try [path, output].map {
      try FileManager.default.attributesOfItem(atPath: $0)[.size] as? Int ?? 0
    }
    print(
      String(
        format: "%@: %.2f MB, %.1f %% of the float checkpoint", output, Double(sizes[1]) / 1e6,
        100 * Double(sizes[1]) / Double(max(1, sizes[0]))))
  }
}

/// A clip's first frames.
private struct CalibrationClip {
  let sequence: TruthSet.Sequence
  let images: String
  let frameCount: Int

  /// Frames between two that are tracked: objects move, as they do over longer clips.
  private static let step = 3

  static func clips(
    root: String, year: String, set: String, resolution: String, frames: Int
  ) throws -> [CalibrationClip] {
    guard FileManager.default.fileExists(atPath: root + "/Annotations") else {
      throw MediaError(
        path: root,
        problem: "an unlabelled folder: there is no Annotations in it; calibration tracks objects "
          + "and needs the mask of each clip's first frame")
    }
    let truth = try TruthSet(davis: root, year: year, set: set, resolution: resolution)
    let each = max(2, (frames + truth.sequences.count - 1) / truth.sequences.count)
    var left = frames
    var clips: [CalibrationClip] = []
    for sequence in truth.sequences where left > 0 {
      guard let images = sequence.images else {
        throw MediaError(
          path: sequence.folder, problem: "there are no images of '\(sequence.name)' in JPEGImages")
      }
      clips.append(.init(sequence: sequence, images: images, frameCount: min(each, left)))
      left -= each
    }
    return clips
  }

  func mask() throws -> LabelMap {
    let path = sequence.mask(sequence.frames[0])
    var mask = try MaskFile.read(path, role: .truth)
    mask.labels = mask.labels.map { $0 == 255 ? 0 : $0 }
    guard !mask.objects.isEmpty else {
      throw MediaError(path: path, problem: "holds no object; calibration tracks objects")
    }
    return mask
  }

  func frames() throws -> [Frame] {
    let source = try Media.openFrames(images)
    var frames: [Frame] = []
    var index = 0
    while frames.count < frameCount, let item = try source.next() {
      if index % Self.step == 0 { frames.append(item.frame) }
      index += 1
    }
    return frames
  }
}
