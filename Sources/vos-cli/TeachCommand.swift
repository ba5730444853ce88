// `vos-cli teach`: a checkpoint's outputs for a data set, as `vos-cli distill` reads them.

import ArgumentParser
import Distill
import Foundation
import MemoryVOS

struct TeachCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "teach",
    abstract: "Write a checkpoint's outputs for a data set, for a student to learn from.",
    discussion: """
      Tracks every clip of a data set and writes OUTPUT/CLIP.safetensors: log-odds of each object on \
      each frame, and on request features (docs/RECIPES.md has the layout). Name the folder as \
      'outputs' of the data set in the recipe of `vos-cli distill`. Clips that are already written are \
      skipped, so that the same command goes on after an interruption.

        vos-cli teach vos-mobile --data DAVIS --list ImageSets/2017/train.txt --output out --size 720 \\
          --flip
        vos-cli teach big.safetensors --data videos --kind taught --masks first --output out

      Layouts: davis and youtube-vos (objects are given where they first appear; frames with masks are \
      stored); taught: a folder of videos and folders of frames without labels, and --masks with \
      CLIP.png for the first frame of each. Stills have no frames to track: give the recipe a live \
      'teacher' for them.

      A teacher should be stronger than its student: a larger input (--size), a longer memory \
      (--memory), mirrored frames (--flip) and several sizes (--scales) cost time and nothing else.
      """)

  @Argument(
    help: ArgumentHelp(
      "The teacher: a checkpoint file, or the name of a shipped one.", valueName: "checkpoint"))
  var checkpoint: String

  @Option(help: ArgumentHelp("The data set's folder.", valueName: "folder"))
  var data: String

  @Option(
    help: ArgumentHelp("Its layout: davis, youtube-vos or taught.", valueName: "layout"),
    transform: { name in
      guard let kind = DatasetRecipe.Kind(rawValue: name) else {
        throw ValidationError("'\(name)' is no layout; expected davis, youtube-vos or taught")
      }
      return kind
    })
  var kind = DatasetRecipe.Kind.davis

  @Option(
    help: ArgumentHelp(
      "The list of clips, relative to --data (davis needs one).", valueName: "file"))
  var list = ""

  @Option(
    help: ArgumentHelp(
      "davis: the folder in Annotations and JPEGImages; by default the one that has the clips.",
      valueName: "name"))
  var resolution = ""

  @Option(help: ArgumentHelp("taught: the folder of first masks, CLIP.png.", valueName: "folder"))
  var masks = ""

  @Option(name: .shortAndLong, help: ArgumentHelp("Folder for the outputs.", valueName: "folder"))
  var output: String

  @Option(
    help: ArgumentHelp("Short side of the teacher's input; 0: the frames' own.", valueName: "px"))
  var size = 480

  @Option(
    help: ArgumentHelp(
      "Factors on --size, separated by commas; probabilities are averaged over them.",
      valueName: "factors"))
  var scales = "1"

  @Flag(help: "Average with the mirrored frames.")
  var flip = false

  @OptionGroup var engine: EngineOptions

  @Option(
    help: ArgumentHelp("Store planes this much smaller than the frames.", valueName: "factor"))
  var reduction = 4

  @Flag(help: "Store the features before the teacher's last layer, for losses on features.")
  var features = false

  @Flag(help: "Store 32-bit numbers instead of 16-bit ones.")
  var float32 = false

  @Flag(help: "Check data and disk, print the estimate, and stop.")
  var dryRun = false

  func validate() throws {
    guard
      scales.split(separator: ",", omittingEmptySubsequences: false).allSatisfy({
        Double($0) != nil
      })
    else { throw ValidationError("--scales \(scales): expected factors such as 1,1.25,1.5") }
  }

  func run() throws {
    let path = try CheckpointLocation.path(checkpoint)
    var options = Teaching.Options()
    options.teacher.checkpoint = path
    options.teacher.size = size
    options.teacher.scales = scales.split(separator: ",").compactMap { Double($0) }
    options.teacher.flip = flip
    options.teacher.memory =
      try engine.memory ?? Network(checkpoint: path).configuration.memoryFrames
    options.teacher.topK = engine.topK ?? -1
    options.data = DatasetRecipe(kind, path: data)
    options.data.list = list
    options.data.resolution = resolution
    options.masks = masks
    options.output = output
    options.reduction = reduction
    options.withFeatures = features
    options.isSinglePrecision = float32
    options.threads = engine.threads
    options.digest = Digest.sha256(
      (try? Data(contentsOf: URL(filePath: path), options: .alwaysMapped)) ?? Data())
    let teaching = try Teaching(options)
    let (all, finished) = teaching.clipCount
    if finished > 0 { Message.note("\(finished) finished clips are kept") }
    let bytes = try teaching.diskBytes()
    Message.note(
      "\(all - finished) clips to write, \((bytes + (1 << 20) - 1) >> 20) MiB in \(output)")
    if dryRun { return }
    StopSignal.install()
    var bar: ProgressBar?
    let isComplete = try teaching.run { progress in
      let shown = bar ?? ProgressBar(total: progress.total, done: progress.frames - 1)
      bar = shown
      shown.update(progress.frames)
      return !StopSignal.isRequested
    }
    guard isComplete else {
      bar?.finish("stopped")
      Message.warning("stopped; finished clips are kept, run the same command to go on")
      throw ExitCode(StopSignal.exitCode)
    }
    bar?.finish("\(teaching.frameCount) frames of \(all) clips")
    print(output)
  }
}
