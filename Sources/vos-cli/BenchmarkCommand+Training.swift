// `vos-cli benchmark --training`: frames per second of whole training steps on random input.

import ArgumentParser
import Distill
import Foundation
import MemoryVOS

extension BenchmarkCommand {
  /// Times steps of batch 3, four frames of 256×256, one object: network, losses, AdamW.
  ///
  /// No data is loaded. Input and memory are those of a typical step of the default recipe.
  func runTraining() throws {
    let (batch, frames, side) = (3, 4, 256)
    let pixels = side * side
    var state: UInt64 = 1
    func random(_ count: Int) -> [Float] {
      (0..<count).map { _ in
        // Knuth's linear congruential generator; its upper bits are random enough for noise.
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Float(Int32(truncatingIfNeeded: state >> 32)) / 0x1p31
      }
    }
    let clips = TrainingBatch(
      batch: batch, frames: frames, objects: 1, size: FrameSize(width: side, height: side),
      images: random(batch * frames * pixels * 3),
      masks: random(batch * frames * pixels).map { $0 > 0 ? 1 : 0 })
    let configuration = NetworkConfiguration(preset: network) ?? NetworkConfiguration()
    let step = try TrainingStep(configuration, threads: engine.threads)
    var parameters = step.gradients
    parameters.initialize(seed: 1)
    var optimizer = AdamW(parameters)
    var seconds: [Double] = []
    for index in 0..<steps + 2 {
      let clock = ContinuousClock.now
      _ = step.run(clips, parameters: parameters)
      optimizer.update(&parameters, gradients: step.gradients, learningRate: 1e-4)
      if index >= 2 { seconds.append((.now - clock) / .seconds(1)) }
    }
    let record = TrainingRecord(
      training: .init(
        framesPerSecond: JSONOutput.rounded(
          Double(batch * frames) / seconds.sorted()[seconds.count / 2]),
        step: TimeStatistics(seconds), batch: batch, frames: frames, objects: 1, size: side,
        threads: engine.threads ?? Machine().cores, steps: steps, network: network,
        peakMemoryMb: JSONOutput.rounded(Double(Machine.peakMemory) / 1e6, digits: 1)),
      version: VOSCommand.configuration.version, machine: Machine())
    if json { try JSONOutput.print(record) } else { record.print() }
  }

  private struct TrainingRecord: Encodable {
    struct Training: Encodable {
      let framesPerSecond: Double
      let step: TimeStatistics
      let batch: Int
      let frames: Int
      let objects: Int
      let size: Int
      let threads: Int
      let steps: Int
      let network: String
      let peakMemoryMb: Double
    }

    let training: Training
    let version: String
    let machine: Machine

    func print() {
      Swift.print(
        """
        training      \(training.framesPerSecond) frames/s, \(training.step.medianMs) ms a step
        peak memory   \(training.peakMemoryMb) MB
        settings      \(training.network), batch \(training.batch) of \(training.frames) frames, \
        \(training.size)×\(training.size), \(training.objects) object, \
        \(training.threads) threads, \(training.steps) steps
        machine       \(machine.processor), \(machine.instructionSet) kernels
        """)
    }
  }
}
