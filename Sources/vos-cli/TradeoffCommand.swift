// `vos-cli tradeoff`: accuracy against speed of several evaluations, as a picture.

import ArgumentParser
import Foundation
import MemoryVOS

struct TradeoffCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tradeoff",
    abstract: "Draw accuracy against speed of several evaluations.",
    discussion: """
      Takes what 'vos-cli evaluate --json' printed, one file for each checkpoint or setting, all \
      measured on one machine with the same number of threads:

        vos-cli evaluate --davis DAVIS --output a --json > a.json
        vos-cli evaluate --davis DAVIS --output b --json --checkpoint vos-mobile-int8 > b.json
        vos-cli tradeoff vos-mobile=a.json int8=b.json --output tradeoff.svg

      Points that no other one beats in both accuracy and speed are filled and joined.
      """)

  @Argument(
    help: ArgumentHelp(
      "Results of 'evaluate --json'; NAME= says what the point is called.",
      valueName: "[name=]file"))
  var evaluations: [String]

  @Option(help: ArgumentHelp("What was evaluated on, for the title.", valueName: "text"))
  var title = "Accuracy and speed"

  @Option(name: .shortAndLong, help: ArgumentHelp("The SVG to write.", valueName: "file"))
  var output: String

  func run() throws {
    var read: [(point: TradeoffPlot.Point, threads: Int, path: String)] = []
    for argument in evaluations {
      let parts = argument.split(separator: "=", maxSplits: 1).map(String.init)
      let path = parts.last ?? argument
      let evaluation = try Evaluation(path: path)
      let name = parts.count > 1 ? parts[0] : evaluation.name
      read.append(
        (
          .init(name: name, accuracy: 100 * evaluation.overall, rate: evaluation.rate),
          evaluation.threads, path
        ))
    }
    let threads = read[0].threads
    for other in read where other.threads != threads {
      throw CommandFailure(
        "\(other.path): measured with \(other.threads) threads in all, \(read[0].path) with "
          + "\(threads); evaluate them with the same --threads and --sequences")
    }
    let plot = TradeoffPlot(
      points: read.map(\.point), title: title,
      speedLabel: "frames per second in tracking steps, \(threads) thread\(threads == 1 ? "" : "s")"
    )
    try Data(plot.svg.utf8).write(to: URL(fileURLWithPath: output), options: .atomic)
    print("\(read.count) points in \(output)")
  }
}

/// What a plot needs of a file that `evaluate --json` wrote.
private struct Evaluation {
  let name: String
  let overall: Double
  /// Frames a second of all threads together.
  let rate: Double
  let threads: Int

  private struct File: Decodable {
    struct Result: Decodable {
      let name: String
      let overall: Double
    }
    struct Speed: Decodable {
      let framesPerSecond: Double
      let sequencesAtATime: Int
      let threadsEach: Int
    }
    let results: [Result]
    let speed: Speed
  }

  init(path: String) throws {
    let file: File
    do {
      file = try JSONDecoder().decode(File.self, from: Data(contentsOf: URL(fileURLWithPath: path)))
    } catch is DecodingError {
      throw CommandFailure("\(path): not what 'vos-cli evaluate --json' prints")
    } catch {
      throw CommandFailure(
        "\(path): cannot be read; expected a file made by 'vos-cli evaluate --json'")
    }
    let speed = file.speed
    guard let result = file.results.first, result.overall.isFinite, speed.framesPerSecond > 0,
      speed.framesPerSecond.isFinite, speed.sequencesAtATime > 0, speed.threadsEach > 0
    else { throw CommandFailure("\(path): holds no score, or no speed") }
    name = result.name.replacing(".safetensors", with: "")
    overall = result.overall
    rate = speed.framesPerSecond * Double(speed.sequencesAtATime)
    threads = speed.sequencesAtATime * speed.threadsEach
  }
}
