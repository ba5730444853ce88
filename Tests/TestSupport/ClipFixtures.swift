// Clips and networks in memory, for tests of everything that tracks.

import Foundation
public import MemoryVOS

/// Frames of a synthetic scene as a source; a pipe when it may not seek.
public final class SampleSource: FrameSource {
  /// The scene.
  public let scene: SampleScene
  /// Whether `seek` works.
  public let isSeekable: Bool
  /// The frames that were read, in order.
  public private(set) var reads: [Int] = []
  private let hidesCount: Bool
  private var position = 0

  /// All frames of a scene; a source that hides its count behaves like a container without one.
  public init(_ scene: SampleScene, isSeekable: Bool = true, hidesCount: Bool = false) {
    self.scene = scene
    self.isSeekable = isSeekable
    self.hidesCount = hidesCount
  }

  /// The scene's size.
  public var size: FrameSize { scene.size }
  /// The scene's length.
  public var frameCount: Int? { hidesCount ? nil : scene.frameCount }

  /// The next frame.
  public func next() throws(MediaError) -> SourceFrame? {
    guard position < scene.frameCount else { return nil }
    defer { position += 1 }
    reads.append(position)
    return SourceFrame(
      index: position, frame: scene.frame(at: position).frame, stem: "f\(position)", seconds: nil)
  }

  /// Goes to a frame; traps for pipes.
  public func seek(to index: Int) throws(MediaError) {
    precondition(isSeekable, "a pipe was asked to seek")
    position = index
  }
}

/// The checkpoints of the repository.
public enum ShippedCheckpoint {
  /// The repository's folder `Checkpoints`.
  public static let folder = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().appending(path: "Checkpoints").path
  /// The default network.
  public static let path = folder + "/vos-mobile.safetensors"
  /// The network that training starts from: unlike the default one it stays what it is.
  public static let basePath = folder + "/recipes/vos-mobile-base.safetensors"
  /// Another trained network of the default's shape; it stays what it is, too.
  public static let liteStartPath = folder + "/recipes/vos-mobile-lite-start.safetensors"
  /// The default network, loaded once.
  public static let network = Result { try Network(checkpoint: path) }
}
