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
      On clips that it has set aside it measures what each group of layers loses in int8, and keeps \
      the worst in float. Needs images and the mask of each clip's first frame, nothing else. The \
      result is used like any other checkpoint.

        vos-cli quantize vos-mobile --data DAVIS --output vos-mobile-int8.safetensors
        vos-cli track clip.mp4 --mask first.png --output masks --checkpoint vos-mobile-int8.safetensors

      Layout: DAVIS, with ImageSets/YEAR/SET.txt, and Annotations and JPEGImages by resolution.

      A checkpoint that was trained with rounding ('quantization' in its recipe) brings ranges and \
      float layers along and needs no --data; with --data it is calibrated anew.

      --simulate W/A writes a checkpoint that computes in floats, slowly, what W-bit weights and A-bit \
      activations would: for precisions that no kernel has.
      """)

  @Argument(help: CheckpointLocation.help)
  var checkpoint: String?

  @Option(help: ArgumentHelp("The root of a data set in DAVIS's layout.", valueName: "root"))
  var data: String?

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
      "Layers that stay float: beginnings of their names (`vos-cli inspect --tensors`), or 'none' "
        + "(default: measured).", valueName: "name"))
  var keptFloat: [String] = []

  @Option(
    help: ArgumentHelp(
      "Share of the multiply-adds that may stay float where that is measured.",
      valueName: "share"))
  var floatBudget = 0.08

  @Option(
    help: ArgumentHelp(
      "Frames of clips set aside that measure what each group of layers loses.",
      valueName: "count"))
  var sensitivityFrames = 40

  @Option(
    help: ArgumentHelp(
      "Simulate bits of weights / activations, 2…8 or 32 each, such as 6/4.", valueName: "w/a"))
  var simulate: String?

  @Option(help: ArgumentHelp("The int8 checkpoint.", valueName: "file"))
  var output: String

  func validate() throws {
    guard frames >= Quantizer.leastFrames else {
      throw ValidationError("--frames must be at least \(Quantizer.leastFrames)")
    }
    guard sensitivityFrames >= 2 else {
      throw ValidationError("--sensitivity-frames must be at least 2")
    }
    guard (0...1).contains(floatBudget) else {
      throw ValidationError("--float-budget must be between 0 and 1")
    }
    if let simulate, QuantizationPrecision(simulate) == nil {
      throw ValidationError(
        "--simulate takes bits of weights and activations, 2…8 or 32 each, such as 6/4, not "
          + "'\(simulate)'")
    }
  }

  func run() throws {
    let path = try CheckpointLocation.path(checkpoint)
    var quantizer = try Quantizer(try Checkpoint(path: path))
    let named = keptFloat.filter { $0 != "none" }
    for name in named where !quantizer.layers.contains(where: { $0.hasPrefix(name) }) {
      throw CommandFailure(
        "--float \(name): no layer's name begins so; groups are "
          + quantizer.layerGroups.joined(separator: " "))
    }
    var kept: [String]? = keptFloat.isEmpty ? nil : named
    let precision = simulate.flatMap { QuantizationPrecision($0) }
    if let data {
      let clips = try CalibrationClip.clips(
        root: data, year: year, set: setName, resolution: resolution, frames: frames)
      let measures = kept == nil && quantizer.trainedPrecision == nil
      let (calibrated, heldOut) = measures ? CalibrationClip.split(clips) : (clips, [])
      try calibrate(&quantizer, on: calibrated)
      if measures { kept = try measured(quantizer, heldOut) }
    } else if quantizer.trainedPrecision == nil {
      throw CommandFailure(
        "--data is missing: \(path) was not trained with rounding, so that its ranges must be "
          + "measured on annotated clips")
    }
    let result =
      try precision.map { try quantizer.simulated($0, keepingFloat: kept) }
      ?? quantizer.quantized(keepingFloat: kept)
    try result.write(to: output)
    try report(quantizer, precision, kept: kept, from: path)
  }

  private func calibrate(_ quantizer: inout Quantizer, on clips: [CalibrationClip]) throws {
    let bar = ProgressBar(total: clips.reduce(0) { $0 + $1.frameCount })
    for clip in clips {
      try quantizer.observe(clip.frames(), mask: clip.mask())
      bar.update(quantizer.frameCount)
    }
    bar.finish("calibrated on \(quantizer.frameCount) frames of \(clips.count) clips")
  }

  /// The layers that stay float by what they lose on clips; prints what was measured.
  private func measured(_ quantizer: Quantizer, _ clips: [CalibrationClip]) throws -> [String] {
    let each = max(2, sensitivityFrames / clips.count)
    let annotated = try clips.map {
      AnnotatedClip(frames: try $0.frames(limit: each), mask: try $0.mask())
    }
    let bar = ProgressBar(total: quantizer.layerGroups.count)
    let measured = try quantizer.sensitivities(on: annotated) { bar.update($0) }
    bar.finish(
      "measured on \(annotated.reduce(0) { $0 + $1.frames.count }) frames of \(clips.count) clips")
    let kept = Quantizer.layersToKeep(measured, budget: floatBudget)
    print("layers           1 - IoU in int8   weights   multiply-adds")
    for group in measured.sorted(by: { $0.loss > $1.loss }) {
      print(
        group.group.padding(toLength: 16, withPad: " ", startingAt: 0)
          + String(
            format: "%13.3f %% %8.2f %% %13.2f %%", 100 * group.loss, 100 * group.weights,
            100 * group.multiplyAdds) + (kept.contains(group.group) ? "   stays float" : ""))
    }
    return kept
  }

  private func report(
    _ quantizer: Quantizer, _ precision: QuantizationPrecision?, kept: [String]?, from path: String
  ) throws {
    let kept = kept ?? quantizer.defaultFloatLayers
    print("float: \(kept.isEmpty ? "none" : kept.joined(separator: " "))")
    if let precision {
      let bytes = quantizer.byteCount(precision, keepingFloat: kept)
      print(
        String(
          format: "%@: simulates %@ bits, whose tensors take %.2f MB", output,
          precision.description, Double(bytes) / 1e6))
      return
    }
    let sizes = try [path, output].map {
      try FileManager.default.attributesOfItem(atPath: $0)[.size] as? Int ?? 0
    }
    print(
      String(
        format: "%@: %.2f MB, %.1f %% of the float checkpoint", output, Double(sizes[1]) / 1e6,
        100 * Double(sizes[1]) / Double(max(1, sizes[0]))))
  }
}
