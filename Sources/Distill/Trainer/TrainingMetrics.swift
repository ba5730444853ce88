// What a training measured, step by step: metrics.csv. Trainer writes it beside its checkpoints, the
// report draws it.

import Foundation
import MemoryVOS

/// Rows of numbers, one per step.
struct TrainingMetrics {
  static let header =
    "step,loss,cross_entropy,dice,distillation,representation,regression,overlap,"
    + "gradient_norm,learning_rate"

  /// Step numbers and the other columns, in order.
  private(set) var rows: [(step: Int, values: [Double])] = []

  /// Adds what step `step` measured.
  mutating func append(
    step: Int, losses: StepLosses, gradientNorm: Double, learningRate: Double
  ) {
    rows.append(
      (
        step,
        [
          losses.total, losses.crossEntropy, losses.dice, losses.distillation,
          losses.representation, losses.regression, losses.overlap, gradientNorm, learningRate,
        ]
      ))
  }

  /// Takes the rows of the steps before `step` from a file that an earlier process wrote.
  mutating func read(_ path: String, before step: Int) throws(TrainingError) {
    guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
      throw TrainingError(path, "cannot be read, but the run has \(step) steps; restore the file")
    }
    rows = []
    for line in text.split(whereSeparator: \.isNewline).dropFirst() {
      let fields = line.split(separator: ",", omittingEmptySubsequences: false)
      guard let number = fields.first.flatMap({ Int($0) }), number < step else { continue }
      let values = fields.dropFirst().compactMap { Double($0) }
      guard values.count == 9 else { throw TrainingError(path, "a damaged row: '\(line)'") }
      rows.append((number, values))
    }
  }

  /// The file: numbers are written so that reading them gives the same bits.
  var text: String {
    var text = Self.header + "\n"
    for row in rows {
      text += "\(row.step)," + row.values.map { "\($0)" }.joined(separator: ",") + "\n"
    }
    return text
  }

  /// A self-contained HTML page: curves, the recipe, and `pictures` (title, PNG file) below.
  func page(
    title: String, recipe: Recipe, validations: ValidationLog = .init(),
    pictures: [(title: String, png: [UInt8])]
  ) -> String {
    let columns = Self.header.split(separator: ",").dropFirst()
    var body = ""
    if let best = validations.best {
      let points = validations.scores.map(\.mean)
      body +=
        "<figure><figcaption>validation J&amp;F (best \(Float(best.mean)) after step "
        + "\(best.step))</figcaption>\(Self.curve(points))</figure>\n"
    }
    for (index, name) in columns.enumerated() {
      let values = rows.map { $0.values[index] }
      guard values.contains(where: { $0 != 0 }) else { continue }
      body += "<figure><figcaption>\(name)</figcaption>\(Self.curve(values))</figure>\n"
    }
    for picture in pictures {
      let data = Data(picture.png).base64EncodedString()
      body +=
        "<h2>\(Self.escaped(picture.title))</h2><img src=\"data:image/png;base64,\(data)\" alt=\"\">\n"
    }
    return """
      <!doctype html><html lang="en"><meta charset="utf-8"><title>\(Self.escaped(title))</title>
      <style>body{font:15px sans-serif;margin:2em;max-width:70em}figure{display:inline-block;margin:.5em}
      svg{background:#f6f6f6}polyline{fill:none;stroke:#06c;stroke-width:1.5}img{max-width:100%}
      text{font-size:11px;fill:#555}</style>
      <h1>\(Self.escaped(title))</h1><p>\(rows.last.map { $0.step + 1 } ?? 0) of \(recipe.steps) steps</p>
      \(body)<h2>Recipe</h2><pre>\(Self.escaped(recipe.json))</pre></html>

      """
  }

  /// At most 400 points, each the mean of its share of the values.
  private static func curve(_ values: [Double]) -> String {
    let (width, height) = (420.0, 180.0)
    let count = min(400, values.count)
    let points = (0..<count).map { point -> Double in
      let part = values[point * values.count / count..<(point + 1) * values.count / count]
      return part.reduce(0, +) / Double(part.count)
    }.filter(\.isFinite)
    guard let low = points.min(), let high = points.max() else { return "" }
    let span = high > low ? high - low : 1
    let line = points.enumerated().map { index, value in
      let x = Double(index) / Double(max(points.count - 1, 1)) * width
      let y = height - 14 - (value - low) / span * (height - 28)
      return "\((x * 10).rounded() / 10),\((y * 10).rounded() / 10)"
    }.joined(separator: " ")
    return """
      <svg width="\(Int(width))" height="\(Int(height))"><polyline points="\(line)"/>\
      <text x="2" y="11">\(Float(high))</text><text x="2" y="\(Int(height) - 3)">\(Float(low))</text></svg>
      """
  }

  private static func escaped(_ text: String) -> String {
    text.replacingOccurrences(of: "&", with: "&amp;").replacingOccurrences(of: "<", with: "&lt;")
  }
}
