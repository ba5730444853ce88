import ArgumentParser

/// The command line of MemoryVOS.
///
/// Subcommands are one file each.
@main
struct VOSCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "vos-cli",
    abstract: "Track hand-annotated objects through video, in real time, on ordinary CPUs.",
    version: "0.1.0",
    subcommands: [
      TrackCommand.self, ScoreCommand.self, EvaluateCommand.self, TradeoffCommand.self,
      RenderSampleCommand.self, InspectCommand.self, BenchmarkCommand.self,
      TrainCommand.self, DistillCommand.self, TeachCommand.self,
      AverageCommand.self, RepackCommand.self, QuantizeCommand.self,
    ])
}
