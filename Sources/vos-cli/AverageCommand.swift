// `vos-cli average`: a model soup of checkpoints.

import ArgumentParser
import Distill
import MemoryVOS

struct AverageCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "average",
    abstract: "Average the weights of several checkpoints of one network.",
    discussion: """
      A "model soup" (Wortsman et al., ICML 2022): runs that started from the same weights often \
      average to a better network than any of them. Metadata is the first one's.
      """)

  @Argument(help: ArgumentHelp("Two or more checkpoints.", valueName: "checkpoints"))
  var inputs: [String]

  @Option(name: .shortAndLong, help: ArgumentHelp("The checkpoint to write.", valueName: "file"))
  var output: String

  func validate() throws {
    guard inputs.count > 1 else { throw ValidationError("name two or more checkpoints") }
  }

  func run() throws {
    var checkpoints: [Checkpoint] = []
    for path in inputs { checkpoints.append(try Checkpoint(path: path)) }
    var soup = try Network.average(checkpoints)
    soup.metadata["parents"] =
      "["
      + inputs.map { "\"\($0.replacing("\\", with: "/").replacing("\"", with: "'"))\"" }
      .joined(separator: ",") + "]"
    try soup.write(to: output)
  }
}
