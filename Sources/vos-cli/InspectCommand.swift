// `vos-cli inspect`: what a checkpoint holds, what a step of it costs, what will compute it.

import ArgumentParser
import Foundation
import MemoryVOS

struct InspectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect",
    abstract: "Show a checkpoint, what it costs to run, and the machine.",
    discussion: """
      Prints the network's configuration, parameters and multiply-adds, the checkpoint's metadata \
      (training recipe, data, licences, scores), and the processor with the kernels chosen for it. \
      Any safetensors file can be inspected.

      EXAMPLES:
        vos-cli inspect
        vos-cli inspect trained.safetensors --tensors
        vos-cli inspect --size 720x1280 --memory 5
      """)

  @Argument(help: CheckpointLocation.help)
  var checkpoint: String?

  @Option(help: ArgumentHelp("Network input, HxW.", valueName: "HxW"))
  var size = SizeOption.exact(FrameSize(width: 864, height: 480))

  @Option(
    help: ArgumentHelp("Frames in memory (default: the checkpoint's).", valueName: "frames"))
  var memory: Int?

  @Option(help: ArgumentHelp("Memory entries that each position reads; 0: all.", valueName: "n"))
  var topK: Int?

  @Flag(help: "List every tensor.")
  var tensors = false

  @Flag(help: "Print JSON.")
  var json = false

  func validate() throws {
    if let memory, memory < 1 {
      throw ValidationError("--memory \(memory): at least 1 is needed")
    }
    guard topK ?? 0 >= 0 else { throw ValidationError("--top-k must not be negative") }
    guard case .exact = size else { throw ValidationError("--size needs height and width: HxW") }
  }

  func run() throws {
    let path = try CheckpointLocation.path(checkpoint)
    let file = try Checkpoint(path: path)
    let machine = Machine()
    let cost = try cost(of: file)
    if json {
      try JSONOutput.print(
        Record(
          checkpoint: path, parameters: file.parameterCount, metadata: file.metadata,
          tensors: tensors ? file.names.map { Tensor(file, $0) } : nil, cost: cost,
          machine: machine))
      return
    }
    print("checkpoint        \(path)")
    print("tensors           \(file.tensors.count)")
    print("parameters        \(Self.grouped(file.parameterCount))")
    if let cost {
      print("precision         \(Self.precision(of: file))")
      print("network input     \(cost.input)  (height x width)")
      print(
        "memory            \(cost.memoryFrames) frames, \(Self.entries(cost.topK)) per position")
      print(
        "multiply-adds     \(Self.giga(cost.perFrame)) per frame + "
          + "\(Self.giga(cost.perObject)) per object")
      for part in cost.parts {
        let costs = [(part.perFrame, "per frame"), (part.perObject, "per object")]
          .filter { $0.0 > 0 }.map { "\(Self.giga($0.0)) \($0.1)" }
        let name = part.name.padding(toLength: 15, withPad: " ", startingAt: 0)
        let integers = part.int8Weights > 0 ? ", \(Self.grouped(part.int8Weights)) in int8" : ""
        print(
          "  \(name) \(costs.joined(separator: " + ")), \(Self.grouped(part.parameters)) parameters"
            + integers)
      }
    }
    print("processor         \(machine.processor), \(machine.cores) cores")
    print(
      "kernels           \(machine.instructionSet)  "
        + "(available: \(machine.instructionSets.joined(separator: ", ")); VOS_ISA chooses)")
    print("OpenBLAS core     \(machine.openBLASCore)")
    print("\nmetadata")
    for (key, value) in file.metadata.sorted(by: { $0.key < $1.key }) {
      print("  \(key): \(Self.indented(value))")
    }
    guard tensors else { return }
    print("\ntensors")
    for name in file.names {
      let tensor = Tensor(file, name)
      let shape = tensor.shape.map(String.init).joined(separator: "×")
      print("  \(name)  \(tensor.dtype)  \(shape.isEmpty ? "scalar" : shape)")
    }
  }

  /// What a step costs, when the file holds a network of ours.
  private func cost(of file: Checkpoint) throws -> Cost? {
    guard file.metadata["architecture"] == Network.architecture, case .exact(let asked) = size
    else { return nil }
    let network = try Network(file)
    var configuration = Tracker.Configuration()
    configuration.inputSize = .exact(asked)
    let input = configuration.networkSize(for: asked, network: network.configuration)
    let kept = topK ?? network.configuration.topK
    let memory = memory ?? network.configuration.memoryFrames
    let cost = network.multiplyAdds(at: input, memoryFrames: memory, topK: kept)
    return Cost(
      input: "\(input.height)x\(input.width)", memoryFrames: memory, topK: kept,
      perFrame: cost.perFrame, perObject: cost.perObject,
      parts: network.parts(at: input, memoryFrames: memory, topK: kept))
  }

  private struct Record: Encodable {
    let checkpoint: String
    let parameters: Int
    let metadata: [String: String]
    let tensors: [Tensor]?
    let cost: Cost?
    let machine: Machine
  }

  private struct Cost: Encodable {
    let input: String
    let memoryFrames: Int
    let topK: Int
    let perFrame: Int
    let perObject: Int
    let parts: [NetworkPart]
  }

  private struct Tensor: Encodable {
    let name: String
    let dtype: String
    let shape: [Int]

    init(_ file: Checkpoint, _ name: String) {
      self.name = name
      dtype = file.tensors[name]?.dtype.rawValue ?? ""
      shape = file.tensors[name]?.shape ?? []
    }
  }

  private static func precision(of file: Checkpoint) -> String {
    if file.isQuantized { return "int8 (8-bit weights, 7-bit activations)" }
    return file.isSimulated ? "float32 that simulates integers" : "float32"
  }

  private static func entries(_ topK: Int) -> String { topK == 0 ? "all entries" : "top \(topK)" }

  private static func giga(_ count: Int) -> String { String(format: "%.2f G", Double(count) / 1e9) }

  private static func grouped(_ number: Int) -> String {
    var digits = String(number)
    var groups: [String] = []
    while digits.count > 3 {
      groups.insert(String(digits.suffix(3)), at: 0)
      digits.removeLast(3)
    }
    return ([digits] + groups).joined(separator: ",")
  }

  /// JSON objects and lists of metadata over several lines.
  private static func indented(_ value: String) -> String {
    guard value.hasPrefix("{") || value.hasPrefix("["),
      let object = try? JSONSerialization.jsonObject(with: Data(value.utf8)),
      let data = try? JSONSerialization.data(
        withJSONObject: object, options: [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes])
    else { return value }
    return String(decoding: data, as: UTF8.self).replacing("\n", with: "\n  ")
  }
}
