// Everything that decides how a training goes: the same recipe, data and number of threads give the
// same weights to the last bit. Trainer runs it, `vos-cli train` reads it from a JSON file.

import Foundation
public import MemoryVOS

/// A training, complete.
public struct Recipe: Codable, Sendable, Hashable {
  /// Where all random choices start.
  public var seed: UInt64 = 1
  /// Optimizer steps.
  public var steps = 20_000
  /// The network that is trained.
  public var network = NetworkConfiguration()
  /// Weights of an image encoder to start from, relative to the recipe's folder; empty for none.
  public var pretrained = ""
  /// A whole checkpoint to start from, relative to the recipe's folder; empty for none.
  ///
  /// Parts of the network that it lacks begin as they would without it.
  public var initial = ""
  /// Data sets.
  public var data: [DatasetRecipe] = []
  /// Samples and their augmentation.
  public var samples = SampleRecipe()
  /// Losses.
  public var loss = LossConfiguration()
  /// A checkpoint that teaches the samples themselves, in place of stored outputs.
  public var teacher = TeacherRecipe()
  /// Rounding of weights and activations, for networks that will compute in integers.
  public var quantization = QuantizationRecipe()
  /// Held-out clips that are tracked and scored during training.
  public var validation = ValidationRecipe()
  /// AdamW.
  public var optimizer = AdamW.Configuration()
  /// Learning rate.
  public var schedule = LearningRateSchedule()
  /// Limit of the gradient's norm.
  public var gradientNorm = 1.0
  /// Share of the averaged weights that a step keeps.
  public var averageDecay = 0.999
  /// Steps between checkpoints.
  public var checkpointEvery = 200
  /// Threads of a step; 0 for one per core.
  public var threads = 0
  /// Background threads that make samples.
  public var loaderThreads = 1
  /// Decoded pictures kept in memory, in MiB.
  public var cacheMegabytes = 512

  /// The prototype's recipe without data.
  public init() {}

  /// Reads a recipe; keys that are left out take their defaults, those of `network` the values of the
  /// configuration that `network.preset` names.
  ///
  /// - Parameters:
  ///   - json: a JSON object.
  ///   - name: the file, for errors.
  ///   - network: what `network` leaves out, unless it names a preset: that of the checkpoint to start
  ///     from, if there is one.
  /// - Throws: `TrainingError` for text that is no JSON, unknown keys (with the likeliest one), values
  ///   of another type, and values that are impossible.
  public init(
    json: String, name: String, network: NetworkConfiguration = .init()
  ) throws(TrainingError) {
    var defaults = Self()
    defaults.network = network
    let json = try RecipeJSON.takePreset(json, into: &defaults.network, name: name)
    self = try RecipeJSON.read(
      json, defaults: defaults,
      elements: [
        "data": DatasetRecipe(), "validation.data": DatasetRecipe(),
        "optimizer.groups": AdamW.Configuration.Group(prefix: "", rate: 1),
      ], name: name)
    if let problem { throw TrainingError(name, problem) }
  }

  /// Every key and its value as JSON.
  public var json: String { RecipeJSON.text(self) }

  /// What makes this recipe impossible, or `nil`.
  public var problem: String? {
    guard steps >= 1, steps <= 100_000_000 else { return "steps \(steps), not in 1…100000000" }
    guard !data.isEmpty else { return "'data' lists no data set" }
    for set in data { if let problem = set.problem { return "data: \(problem)" } }
    guard data.contains(where: { $0.share > 0 }) else { return "data: every share is 0" }
    if let problem = network.problem { return "network: \(problem)" }
    if let problem = samples.problem { return problem }
    guard samples.size % network.stride == 0 else {
      return
        "samples.size \(samples.size), expected a multiple of \(network.stride), the stride of a "
        + "network with context_blocks \(network.contextBlocks)"
    }
    if let problem = loss.problem { return "loss: \(problem)" }
    if let problem = teacher.problem { return "teacher: \(problem)" }
    if !teacher.checkpoint.isEmpty {
      guard loss.distillation > 0 || loss.needsTeacherFeatures else {
        return "no loss reads the 'teacher'; set loss.distillation, loss.regression, or "
          + "loss.representation with loss.omega above 0"
      }
      for set in data where set.kind != .taught && !set.outputs.isEmpty {
        return "data: \(set.path): 'outputs' and 'teacher' exclude each other"
      }
    }
    if let problem = quantization.problem { return "quantization: \(problem)" }
    guard quantization.precision == nil || !initial.isEmpty else {
      return "quantization: rounding begins with a trained network; name it in 'initial'"
    }
    if let problem = validation.problem { return "validation: \(problem)" }
    if let problem = optimizer.problem { return "optimizer: \(problem)" }
    if let problem = schedule.problem { return "schedule: \(problem)" }
    guard gradientNorm > 0, gradientNorm.isFinite else { return "gradient_norm \(gradientNorm)" }
    guard (0..<1).contains(averageDecay) else {
      return "average_decay \(averageDecay), not in 0..<1"
    }
    guard checkpointEvery >= 1 else { return "checkpoint_every \(checkpointEvery)" }
    guard (0...1024).contains(threads), (1...64).contains(loaderThreads) else {
      return "threads \(threads) (0…1024), loader_threads \(loaderThreads) (1…64)"
    }
    guard (0...1 << 20).contains(cacheMegabytes) else { return "cache_megabytes \(cacheMegabytes)" }
    return nil
  }

  enum CodingKeys: String, CodingKey {
    case seed, steps, network, pretrained, initial, data, samples, loss, teacher,
      quantization, validation, optimizer, schedule, threads
    case gradientNorm = "gradient_norm"
    case averageDecay = "average_decay"
    case checkpointEvery = "checkpoint_every"
    case loaderThreads = "loader_threads"
    case cacheMegabytes = "cache_megabytes"
  }
}
