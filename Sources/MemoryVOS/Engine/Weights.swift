// Parameters as a checkpoint holds them, and the layouts the kernels want. Packed once per plan.

import CKernels

/// Parameters by name, in PyTorch's order (convolutions `[out, in / groups, height, width]`).
package struct Weights: Sendable {
  package var tensors: [String: [Float]]

  package init(_ tensors: [String: [Float]]) { self.tensors = tensors }

  /// The scalars of a parameter; traps when it is missing (checkpoints are checked on loading).
  package subscript(name: String) -> [Float] {
    guard let tensor = tensors[name] else { preconditionFailure("no parameter \(name)") }
    return tensor
  }

  /// The right factor of a dense convolution: rows in the order in which `Chain` lists segments
  /// (kernel row, source, kernel column, channel), columns in panels of 16.
  func packedDense(
    _ convolution: Operation.Convolution, sources: [Int], outputs: Int
  ) -> AlignedBuffer {
    let kernel = convolution.kernel
    let inputs = sources.reduce(0, +)
    let weight = self[convolution.weight]
    precondition(weight.count == outputs * inputs * kernel * kernel, "\(convolution.weight)")
    let panel = Int(VOS_PANEL)
    let panels = (outputs + panel - 1) / panel
    let packed = AlignedBuffer(count: panels * panel * inputs * kernel * kernel)
    var depth = 0
    for ky in 0..<kernel {
      var firstChannel = 0
      for channels in sources {
        for kx in 0..<kernel {
          for channel in firstChannel..<firstChannel + channels {
            for output in 0..<outputs {
              let index = ((output * inputs + channel) * kernel + ky) * kernel + kx
              let row = output / panel * (inputs * kernel * kernel) + depth
              packed.base[row * panel + output % panel] = weight[index]
            }
            depth += 1
          }
        }
        firstChannel += channels
      }
    }
    return packed
  }

  /// `[kernel · kernel, channels]`.
  func packedDepthwise(_ convolution: Operation.Convolution, channels: Int) -> AlignedBuffer {
    let taps = convolution.kernel * convolution.kernel
    let weight = self[convolution.weight]
    precondition(weight.count == channels * taps, "\(convolution.weight)")
    let packed = AlignedBuffer(count: channels * taps)
    for channel in 0..<channels {
      for tap in 0..<taps { packed.base[tap * channels + channel] = weight[channel * taps + tap] }
    }
    return packed
  }

  /// The bias, zero-padded to whole panels.
  func packedBias(_ convolution: Operation.Convolution) -> AlignedBuffer {
    let bias = self[convolution.bias]
    let panel = Int(VOS_PANEL)
    let packed = AlignedBuffer(count: (bias.count + panel - 1) / panel * panel)
    for (index, value) in bias.enumerated() { packed.base[index] = value }
    return packed
  }
}
