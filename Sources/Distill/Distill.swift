// Training of compact students, against labels and a larger teacher. Depends on MemoryVOS.
//
// START HERE: one step is
//
//     let step = try TrainingStep(configuration, loss: .init(), threads: 2)
//     let losses = step.run(batch, parameters: parameters, prior: prior, progress: 0.3, seed: 7)
//     let norm = step.gradients.clip(norm: 1)
//     optimizer.update(&parameters, gradients: step.gradients, learningRate: rate)
//     average.update(parameters, step: 17)
//
// `parameters` and `step.gradients` are `ParameterSet`s: named tensors in one flat array.
