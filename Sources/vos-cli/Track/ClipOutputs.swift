// What `track` writes besides masks: overlay video, soft masks, COCO RLE, measurements.

import Foundation
import MemoryVOS

final class ClipOutputs {
  private let size: FrameSize
  private let overlay: OverlayWriter?
  private let soft: SoftMaskWriter?
  private let coco: COCOWriter?
  private let measurements: MeasurementWriter?

  /// Opens every output that was asked for; their files appear when they are complete.
  init(_ options: FurtherOutputs, input: String, source: any FrameSource) throws {
    let size = source.size
    self.size = size
    overlay = try options.overlay.map {
      try OverlayWriter(
        $0, size: size, timing: source.timing, audioFrom: source.timing == nil ? nil : input)
    }
    soft = try options.soft.map { try SoftMaskWriter($0) }
    coco = options.rle.map {
      let name = URL(filePath: input).deletingPathExtension().lastPathComponent
      return COCOWriter($0, name: name, size: size)
    }
    measurements = try options.measure.map { try MeasurementWriter($0) }
  }

  /// Whether anything is written that needs frames in order.
  var wantsOrder: Bool { overlay != nil || coco != nil || measurements != nil }

  /// What the overlay could not take over from the input: its sound.
  var note: String? { overlay?.note }

  /// Writes what does not depend on the order of frames.
  func computed(_ step: PropagationStep, tracker: borrowing Tracker) throws {
    guard let soft else { return }
    for object in tracker.objects {
      try soft.write(
        try tracker.probabilities(of: object), of: object, stem: step.source.stem, size: size)
    }
  }

  /// Writes what does.
  func inOrder(_ step: PropagationStep) throws {
    let (source, labels) = (step.source, step.result.labels)
    var confidences: [ObjectID: Float] = [:]
    for status in step.result.objects {
      if let id = ObjectID(status.id) { confidences[id] = status.confidence }
    }
    if let overlay {
      try overlay.write(Overlay.render(source.frame, labels: labels), seconds: source.seconds)
    }
    coco?.append(stem: source.stem, labels: labels, confidences: confidences)
    try measurements?.append(
      index: source.index, stem: source.stem, seconds: source.seconds, labels: labels,
      confidences: confidences)
  }

  /// Completes every file.
  func finish() throws {
    try overlay?.finish()
    try coco?.finish()
    try measurements?.finish()
  }
}
