// Where a recipe's teacher comes from: a checkpoint that runs live, or stored outputs. Trainer asks once,
// before the first step.

import MemoryVOS

extension Trainer {
  /// The live teacher, if the recipe has one, and the channels of the teacher's features, 0 when no loss
  /// reads them.
  ///
  /// - Throws: `TrainingError` when a loss needs what no teacher gives.
  static func teacher(
    _ recipe: Recipe, _ datasets: [Dataset], folder: String
  ) throws(TrainingError) -> (LiveTeacher?, channels: Int) {
    let usesFeatures = recipe.loss.needsTeacherFeatures
    if !recipe.teacher.checkpoint.isEmpty {
      let teacher = try LiveTeacher(
        recipe.teacher, folder: folder, sampleSide: recipe.samples.size,
        withFeatures: usesFeatures, threads: recipe.threads == 0 ? nil : recipe.threads)
      return (teacher, teacher.featureChannels)
    }
    let outputs = datasets.lazy.flatMap(\.clips).compactMap(\.outputs).first
    let channels = usesFeatures ? outputs?.features?.channels ?? 0 : 0
    if usesFeatures, channels == 0 {
      throw TrainingError(
        "a loss on features needs a 'teacher', or data sets with stored outputs that hold features; "
          + "else set loss.regression to 0 and loss.representation or loss.omega to 0")
    }
    if recipe.loss.distillation > 0, outputs == nil {
      throw TrainingError(
        "loss.distillation needs a 'teacher', or a data set with 'outputs', a teacher's stored outputs"
      )
    }
    return (nil, channels)
  }
}
