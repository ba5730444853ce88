// `vos-cli render-sample`: a clip with exact ground truth, for trying the tool without data.

import ArgumentParser
import Foundation
import MemoryVOS
import Synchronization

struct RenderSampleCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "render-sample",
    abstract: "Render a synthetic clip with exact ground truth.",
    discussion: """
      An animal (object 1) walks and a ball (object 2) bounces through a landscape. DIR receives \
      frames/00000.png … and Annotations/00000.png …, the exact label of every pixel.

      SCENES:
        default       camera pan, occlusion, a cloud that dims the light
        hard-cut      half-way the camera is elsewhere and closer
        leave-return  both objects leave the picture and come back
        fast-camera   a fast, shaking pan with motion blur

      EXAMPLE:
        vos-cli render-sample --output sample
        vos-cli track sample/frames --mask sample/Annotations/00000.png --output masks
      """)

  @Option(
    help: ArgumentHelp("Scene to render (default: default).", valueName: "name"),
    transform: { argument in
      guard let name = SampleScene.Name(rawValue: argument) else {
        let names = SampleScene.Name.allCases.map(\.rawValue).joined(separator: ", ")
        throw ValidationError("no scene '\(argument)'; there are \(names)")
      }
      return name
    })
  var scene = SampleScene.Name.standard

  @Option(name: .shortAndLong, help: ArgumentHelp("Folder for the clip.", valueName: "dir"))
  var output: String

  @Option(help: ArgumentHelp("Also write a video of the clip.", valueName: "file"))
  var video: String?

  @Option(help: ArgumentHelp("Number of frames; the same story, faster or slower.", valueName: "n"))
  var frames = 72

  @Option(help: ArgumentHelp("Size of the frames, HxW.", valueName: "HxW"))
  var size = SizeOption.exact(FrameSize(width: 854, height: 480))

  @Option(help: ArgumentHelp("Another seed gives other textures and trees.", valueName: "number"))
  var seed: UInt32 = 1

  func validate() throws {
    guard (1...100_000).contains(frames) else {
      throw ValidationError("--frames must be between 1 and 100000")
    }
    guard case .exact(let size) = size, size.area <= 1 << 25 else {
      throw ValidationError("--size needs height and width, at most 32 million pixels: HxW")
    }
  }

  func run() throws {
    guard case .exact(let size) = size else { return }
    let scene = SampleScene(named: scene, size: size, frameCount: frames, seed: seed)
    let folders = ["frames", "Annotations"].map { "\(output)/\($0)" }
    for folder in folders {
      do {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
      } catch {
        throw MediaError(path: folder, problem: "the folder cannot be made; check path and rights")
      }
    }
    let progress = ProgressBar(total: frames)
    let writer = try video.map {
      try OverlayWriter(
        $0, size: size, timing: nil, audioFrom: nil, framesPerSecond: Self.framesPerSecond)
    }
    // Frames do not depend on each other: a few at a time, on all cores.
    let batch = 8
    for first in stride(from: 0, to: frames, by: batch) {
      let count = min(batch, frames - first)
      let failure = Mutex<MediaError?>(nil)
      let pictures = Mutex<[Int: Frame]>([:])
      DispatchQueue.concurrentPerform(iterations: count) { offset in
        do throws(MediaError) {
          let (frame, labels) = scene.frame(at: first + offset)
          let name = String(format: "%05d.png", first + offset)
          try Self.image(frame).write(to: "\(folders[0])/\(name)", compression: 1)
          try MaskFile.write(labels, to: "\(folders[1])/\(name)")
          pictures.withLock { $0[offset] = frame }
        } catch {
          failure.withLock { $0 = $0 ?? error }
        }
      }
      if let error = failure.withLock({ $0 }) { throw error }
      for (offset, frame) in pictures.withLock({ $0 }).sorted(by: { $0.key < $1.key }) {
        try writer?.write(frame, seconds: Double(first + offset) / Self.framesPerSecond)
      }
      progress.update(first + count)
    }
    try writer?.finish()
    progress.finish("\(frames) frames and their labels in \(output)")
  }

  private static let framesPerSecond = 25.0

  private static func image(_ frame: Frame) -> PNGImage {
    PNGImage(size: frame.size, kind: .rgb, samples: .bytes(frame.pixels))
  }
}
