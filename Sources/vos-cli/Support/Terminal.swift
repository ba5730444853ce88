// What a person at a terminal sees, and how that person stops the program.

import Foundation
import Synchronization

/// A line on standard error that is drawn again and again; nothing when that is no terminal.
final class ProgressBar {
  private let total: Int?
  private let unit: String
  private let isTerminal = isatty(STDERR_FILENO) == 1
  private let start = ContinuousClock.now
  private var drawn: ContinuousClock.Instant?
  private let done: Int

  /// A bar for `total` frames or other units, of which `done` were done by an earlier run.
  init(total: Int?, done: Int = 0, unit: String = "frames") {
    self.total = total
    self.unit = unit
    self.done = done
  }

  /// Draws the bar, or with a note in place of speed and time, ten times a second at most.
  func update(_ count: Int, note: String? = nil) {
    let now = ContinuousClock.now
    guard isTerminal, drawn.map({ now - $0 >= .milliseconds(100) }) ?? true else { return }
    drawn = now
    let line = Self.line(
      count: count, total: total, done: done, unit: unit, seconds: (now - start) / .seconds(1),
      note: note)
    FileHandle.standardError.write(Data("\r\(line)\u{1b}[K".utf8))
  }

  /// Ends the line with a last message.
  func finish(_ message: String) {
    guard isTerminal else { return }
    FileHandle.standardError.write(Data("\r\(message)\u{1b}[K\n".utf8))
  }

  /// The bar's text after `seconds` seconds; with a note, cut to what fits into 80 columns.
  static func line(
    count: Int, total: Int?, done: Int, unit: String = "frames", seconds: Double,
    note: String? = nil
  ) -> String {
    let rate = seconds > 0 ? Double(count - done) / seconds : 0
    let speed = String(format: "%.1f \(unit)/s", rate)
    guard let total, total >= count, total > 0 else { return "\(count) \(unit)  \(speed)" }
    let width = 30
    let filled = count * width / total
    let bar =
      String(repeating: "#", count: filled) + String(repeating: ".", count: width - filled)
    if let note { return String("[\(bar)] \(count)/\(total)  \(note)".prefix(79)) }
    let left = rate > 0 ? Int((Double(total - count) / rate).rounded(.up)) : 0
    let time =
      left >= 3600
      ? String(format: "%d:%02d:%02d", left / 3600, left / 60 % 60, left % 60)
      : String(format: "%d:%02d", left / 60, left % 60)
    return "[\(bar)] \(count)/\(total)  \(speed)  \(time) left"
  }
}

/// Ctrl-C and `kill`, noted so that the work can end in good order; a second one ends it at once.
enum StopSignal {
  private static let number = Atomic<Int32>(0)

  /// Catches SIGINT and SIGTERM from here on.
  static func install() {
    // A parent's thread that blocks signals hands that down.
    var signals = sigset_t()
    sigemptyset(&signals)
    for signal in [SIGINT, SIGTERM] {
      sigaddset(&signals, signal)
      var action = sigaction()
      // Storing to an atomic is all that a signal handler does here.
      action.__sigaction_handler.sa_handler = { StopSignal.number.store($0, ordering: .relaxed) }
      action.sa_flags = SA_RESTART | Int32(bitPattern: UInt32(SA_RESETHAND))
      sigaction(signal, &action, nil)
    }
    pthread_sigmask(SIG_UNBLOCK, &signals, nil)
  }

  /// Whether one has come.
  static var isRequested: Bool { number.load(ordering: .relaxed) != 0 }

  /// The exit code that shells expect of a process stopped like this: 128 + the signal's number.
  static var exitCode: Int32 { 128 + number.load(ordering: .relaxed) }
}

/// Lines for people, on standard error.
enum Message {
  static func note(_ text: String) {
    FileHandle.standardError.write(Data("\(text)\n".utf8))
  }

  static func warning(_ text: String) {
    FileHandle.standardError.write(Data("Warning: \(text)\n".utf8))
  }
}
