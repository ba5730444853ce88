// The SIMD variants of the training kernels against the scalar ones, at the edges of their tiles.

import CKernels
import MemoryVOS
import TestSupport
import Testing

@testable import Distill

@Suite("Training kernels")
struct TrainingKernelTests {
  private func table(_ instructionSet: InstructionSet) throws -> vos_training_kernels {
    try #require(vos_training_kernels_for(Kernels(instructionSet).table.isa)).pointee
  }

  private func random(_ count: Int, seed: UInt64) -> [Float] {
    var generator = SeededGenerator(seed: seed)
    return (0..<count).map { _ in Float.random(in: -1...1, using: &generator) }
  }

  @Test(arguments: InstructionSet.supported)
  func outerProducts(_ instructionSet: InstructionSet) throws {
    let (kernels, reference) = (try table(instructionSet), try table(.scalar))
    for rows in [0, 1, 2, 7] {
      for depth in [1, 2, 3, 4, 5, 6, 7, 12, 13] {
        for columns in [1, 7, 8, 9, 15, 16, 17, 24, 31, 33] {
          // Strides beyond the extents: what lies between must stay.
          let (a, b) = (random(8 * 20, seed: 1), random(8 * 40, seed: 2))
          var actual = random(13 * 37, seed: 3)
          var expected = actual
          kernels.outer_products(rows, depth, columns, a, 20, b, 40, &actual, 37)
          reference.outer_products(rows, depth, columns, a, 20, b, 40, &expected, 37)
          let difference = Difference(actual, expected)
          #expect(difference.maximum < 1e-5, "\(rows) × \(depth) × \(columns): \(difference)")
        }
      }
    }
  }

  @Test(arguments: InstructionSet.supported, [(3, 1), (3, 2), (5, 1), (5, 2)])
  func depthwise(_ instructionSet: InstructionSet, geometry: (kernel: Int, stride: Int)) throws {
    let (kernels, reference) = (try table(instructionSet), try table(.scalar))
    let (kernel, stride) = geometry
    for outWidth in [1, 2, 3, 4, 5, 8, 9, 13] {
      for channels in [1, 8, 16, 24, 30] {
        let width = outWidth * stride
        let map = random(kernel * width * channels, seed: 4)
        let weights = random(kernel * kernel * channels, seed: 5)
        let bias = random(channels, seed: 6)
        let gradient = random(kernel * outWidth * channels, seed: 7)
        let start = random(max(width * channels, kernel * kernel * channels), seed: 8)
        for missing in [-1, 0, kernel - 1] {
          func run(_ kernels: vos_training_kernels) -> [[Float]] {
            func rows(_ base: UnsafePointer<Float>, _ width: Int) -> [UnsafePointer<Float>?] {
              (0..<kernel).map { $0 == missing ? nil : base + $0 * width * channels }
            }
            var (result, slopes, inputs) = (start, start, start)
            map.withUnsafeBufferPointer { map in
              guard let map = map.baseAddress else { return }
              let addend = start
              kernels.depthwise(
                rows(map, width), kernel, stride, width, outWidth, channels, weights, bias,
                addend, &result, .relu)
              kernels.depthwise_weights(
                rows(map, width), kernel, stride, width, outWidth, channels, gradient, &slopes)
            }
            gradient.withUnsafeBufferPointer { gradient in
              guard let gradient = gradient.baseAddress, stride == 2 else { return }
              kernels.depthwise_input2(
                rows(gradient, outWidth), kernel, width, outWidth, channels, weights, &inputs)
            }
            return [result, slopes, inputs]
          }
          for (actual, expected) in zip(run(kernels), run(reference)) {
            let difference = Difference(actual, expected)
            #expect(difference.maximum < 1e-5, "\(outWidth) × \(channels): \(difference)")
          }
        }
      }
    }
  }

  @Test func hardestPixelsWithNaNEnd() {
    var values = random(100, seed: 9)
    for index in stride(from: 0, to: 100, by: 7) { values[index] = .nan }
    _ = HardestPixels.select(&values, count: 100, rank: 25)
    var nothing = [Float](repeating: .nan, count: 10)
    #expect(HardestPixels.select(&nothing, count: 10, rank: 3).isNaN)
  }
}
