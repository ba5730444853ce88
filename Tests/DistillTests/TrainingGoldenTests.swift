// A whole training step against PyTorch: three frames, two objects, memory from predicted masks.

import MemoryVOS
import TestSupport
import Testing

@testable import Distill

private let goldenName = "reference/vos-mobile-training-golden.safetensors"
private let weightsName = "weights/vos-mobile-prototype.safetensors"

/// The golden batch, reordered from `[B, T, C, H, W]`.
private struct TrainingGolden {
  let checkpoint: Checkpoint
  let parameters: ParameterSet
  let batch: TrainingBatch

  init() throws {
    checkpoint = try Checkpoint(path: SharedData.path + "/" + goldenName)
    var parameters = ParameterSet(NetworkConfiguration())
    try parameters.load(Checkpoint(path: SharedData.path + "/" + weightsName))
    self.parameters = parameters
    let x = try #require(checkpoint.tensors["x"])
    let scalars = try x.floats()
    let (b, t, h, w) = (x.shape[0], x.shape[1], x.shape[3], x.shape[4])
    var images = scalars
    for frame in 0..<b * t {
      for channel in 0..<3 {
        for pixel in 0..<h * w {
          images[(frame * h * w + pixel) * 3 + channel] =
            scalars[(frame * 3 + channel) * h * w + pixel]
        }
      }
    }
    let y = try #require(checkpoint.tensors["y"])
    batch = TrainingBatch(
      batch: b, frames: t, objects: y.shape[2], size: FrameSize(width: w, height: h),
      images: images, masks: try y.floats())
  }

  func scalars(_ name: String) throws -> [Float] {
    try #require(checkpoint.tensors[name], "\(name)").floats()
  }
}

@Suite(
  "Training golden parity", .serialized,
  .enabled(if: SharedData.has(goldenName) && SharedData.has(weightsName)))
struct TrainingGoldenTests {
  @Test(arguments: [("all", 1.0, 2), ("hard", 0.25, 1)])
  func lossAndGradients(tag: String, share: Double, threads: Int) throws {
    let golden = try TrainingGolden()
    var loss = LossConfiguration()
    loss.hardestShare = share
    let step = try TrainingStep(.init(), loss: loss, threads: threads)
    let losses = step.run(golden.batch, parameters: golden.parameters, progress: 1)
    let expected = try Double(golden.scalars("loss.\(tag)")[0])
    #expect(abs(losses.total - expected) <= 1e-4 * expected, "\(losses.total), not \(expected)")

    let prefix = "grad.\(tag)."
    let names = golden.checkpoint.names.filter { $0.hasPrefix(prefix) }
    #expect(names.count >= 5)
    for name in names {
      let parameter = String(name.dropFirst(prefix.count))
      let expected = try golden.scalars(name)
      let error = relativeError(step.gradients[parameter], expected)
      #expect(error <= 2e-3, "\(parameter): relative L2 error \(error)")
    }
  }

  @Test func aSecondRunGivesTheSameBits() throws {
    let golden = try TrainingGolden()
    let step = try TrainingStep(.init(), threads: 2)
    let first = step.run(golden.batch, parameters: golden.parameters)
    let gradients = step.gradients.scalars
    let second = step.run(golden.batch, parameters: golden.parameters)
    #expect(first == second)
    #expect(gradients == step.gradients.scalars)
  }
}

/// |a - e| / |e|, in L2 norm; infinite for other counts or NaN.
func relativeError(_ actual: [Float], _ expected: [Float]) -> Double {
  guard actual.count == expected.count else { return .infinity }
  var (difference, norm) = (0.0, 0.0)
  for (a, e) in zip(actual, expected) {
    difference += (Double(a) - Double(e)) * (Double(a) - Double(e))
    norm += Double(e) * Double(e)
  }
  let error = difference.squareRoot() / max(norm.squareRoot(), 1e-30)
  return error.isNaN ? .infinity : error
}
