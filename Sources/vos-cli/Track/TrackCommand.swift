// `vos-cli track`: from a mask on one frame to masks on every frame. Options and their checks; the
// work is in TrackRun.

import ArgumentParser
import Foundation
import MemoryVOS

struct TrackCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "track",
    abstract: "Track the objects of a mask through a video.",
    discussion: """
      INPUT is a video file, a folder of images (in natural order of their names), a TIFF stack, \
      or - for a video on standard input. DIR receives one indexed PNG for each frame, named like \
      the input image, or 00000.png, 00001.png … for a video: pixel values are the mask's object \
      ids, 0 is background.

      A mask is an indexed or grey PNG whose values are object ids (1 to 254, any of them; a grey \
      one of only 0 and 255 means object 1), or an RGB PNG in the DAVIS palette. Several masks may \
      be given: each is remembered for the whole clip, and one that brings a new object adds it \
      from its frame on. Frames before the first mask are tracked backward, all others forward \
      from the nearest mask before them. From a pipe it goes forward only.

      Ctrl-C stops in good order: the masks so far are complete, the overlay plays. The same \
      command goes on where it stopped, and gives the masks that an uninterrupted run would have \
      given. (Not from a pipe.)

      EXAMPLES:
        Masks and a video to look at:
          vos-cli track walk.mp4 --mask a.png --output masks --overlay seen.mp4
        A folder, the mask drawn on frame 40, a correction on frame 90:
          vos-cli track frames/ --mask 40:a.png --mask 90:b.png --output masks
        The best masks, twenty seconds later:
          vos-cli track kite.mp4 --mask a.png --output masks --adapt 60
        Numbers for a plot:
          vos-cli track cells.tif --mask cells.png --output masks --measure cells.csv
        Half the work, from a pipe:
          ffmpeg -i in.mkv -f nut - | vos-cli track - --mask a.png --output m --size 336
      """)

  @Argument(help: ArgumentHelp("Video file, image folder, or - for a pipe.", valueName: "input"))
  var input: String

  @Option(
    help: ArgumentHelp(
      "Mask of the objects; FRAME counts from 0, without it the first tracked frame. Repeatable.",
      valueName: "[frame:]file"))
  var mask: [MaskArgument] = []

  @Option(name: .shortAndLong, help: ArgumentHelp("Folder for the masks.", valueName: "dir"))
  var output: String

  @Option(help: CheckpointLocation.help)
  var checkpoint: String?

  @OptionGroup(title: "FURTHER OUTPUTS") var further: FurtherOutputs

  @Option(
    help: ArgumentHelp("Track only this object of the masks. Repeatable.", valueName: "id"))
  var object: [UInt8] = []

  @Flag(help: "Resize masks that have another size than the frames, instead of refusing them.")
  var resizeMask = false

  @Option(help: ArgumentHelp("First frame that gets a mask.", valueName: "frame"))
  var start = 0

  @Option(help: ArgumentHelp("Frame after the last one that gets a mask.", valueName: "frame"))
  var end: Int?

  @Option(help: ArgumentHelp("Track every n-th frame only.", valueName: "n"))
  var every = 1

  @Option(
    help: ArgumentHelp(
      "Network input: short side, or HxW; rounded up to multiples of 16 or 32. Smaller is faster.",
      valueName: "size"))
  var size = SizeOption.shortSide(480)

  @OptionGroup var engine: EngineOptions
  @OptionGroup var tracking: TrackingOptions
  @OptionGroup var adaptation: AdaptOption

  @Flag(help: "Replace masks and files that exist, and forget an interrupted run.")
  var overwrite = false

  func validate() throws {
    guard !mask.isEmpty else {
      throw ValidationError(
        "--mask is missing: a mask of the objects on one frame starts the tracking")
    }
    guard start >= 0 else { throw ValidationError("--start must not be negative") }
    guard every >= 1 else { throw ValidationError("--every must be at least 1") }
    guard start < end ?? .max else {
      throw ValidationError("--end \(end ?? 0) must be greater than --start \(start)")
    }
    guard object.allSatisfy({ (1...254).contains($0) }) else {
      throw ValidationError("--object must be between 1 and 254")
    }
  }

  func run() throws {
    StopSignal.install()
    let run = try TrackRun(self)
    let finished = try run.run()
    if !finished { throw ExitCode(StopSignal.exitCode) }
  }
}

/// What `track` writes besides masks.
struct FurtherOutputs: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Video of the input with coloured objects, its sound included.", valueName: "file"))
  var overlay: String?

  @Option(
    help: ArgumentHelp(
      "Folder for soft masks: a 16-bit PNG for each object and frame.", valueName: "dir"))
  var soft: String?

  @Option(help: ArgumentHelp("COCO RLE of all masks, as JSON.", valueName: "file"))
  var rle: String?

  @Option(
    help: ArgumentHelp(
      "Area, centroid, box and confidence of each object in each frame, as CSV.",
      valueName: "file"))
  var measure: String?

  @Flag(help: "Print a summary as JSON: times, memory, statistics of the objects.")
  var json = false

  /// The files among them.
  var files: [String] { [overlay, rle, measure].compactMap { $0 } }
}
