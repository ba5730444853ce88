// The picture of `vos-cli tradeoff`: points of accuracy over speed, the best ones joined.

import Foundation

struct TradeoffPlot {
  struct Point {
    let name: String
    /// J&F in percent.
    let accuracy: Double
    /// Frames per second.
    let rate: Double
  }

  let points: [Point]
  let title: String
  let speedLabel: String

  private static let size = (width: 760.0, height: 460.0)
  private static let inner = (left: 64.0, right: 736.0, top: 48.0, bottom: 404.0)

  /// Points that no other beats in both, slowest first.
  var frontier: [Point] {
    points.filter { point in
      !points.contains {
        $0.rate >= point.rate && $0.accuracy >= point.accuracy
          && ($0.rate > point.rate || $0.accuracy > point.accuracy)
      }
    }
    .sorted { $0.rate < $1.rate }
  }

  /// A round step that divides `extent` into four to ten parts.
  static func tick(_ extent: Double) -> Double {
    let power = pow(10, (log10(extent / 4)).rounded(.down))
    for factor in [5.0, 2, 1] where extent / (power * factor) >= 4 { return power * factor }
    return power
  }

  private struct Axis {
    let low: Double
    let high: Double
    let step: Double

    /// Whole steps around the values, which need not differ.
    init(_ values: [Double], least: Double) {
      let (lowest, highest) = (values.min() ?? 0, values.max() ?? 1)
      let margin = max((highest - lowest) * 0.15, least)
      step = TradeoffPlot.tick(highest - lowest + 2 * margin)
      low = max(0, ((lowest - margin) / step).rounded(.down) * step)
      high = ((highest + margin) / step).rounded(.up) * step
    }

    var ticks: [Double] { Array(stride(from: low, through: high + step / 2, by: step)) }

    func position(_ value: Double, from start: Double, to end: Double) -> Double {
      start + (value - low) / (high - low) * (end - start)
    }

    func text(_ value: Double) -> String {
      String(format: step < 1 ? "%.1f" : "%.0f", value)
    }
  }

  var svg: String {
    let (size, inner) = (Self.size, Self.inner)
    let across = Axis(points.map(\.rate), least: 1)
    let up = Axis(points.map(\.accuracy), least: 1)
    func x(_ rate: Double) -> Double { across.position(rate, from: inner.left, to: inner.right) }
    func y(_ value: Double) -> Double { up.position(value, from: inner.bottom, to: inner.top) }
    var lines: [String] = []
    func text(_ x: Double, _ y: Double, _ text: String, _ attributes: String) {
      lines.append(
        String(format: "<text x=\"%.1f\" y=\"%.1f\" ", x, y) + attributes
          + ">\(Self.escaped(text))</text>")
    }
    func line(_ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double) {
      lines.append(
        String(
          format: "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"#e2e5e9\"/>",
          x1, y1, x2, y2))
    }
    for tick in up.ticks {
      line(inner.left, y(tick), inner.right, y(tick))
      text(inner.left - 8, y(tick) + 4, up.text(tick), "text-anchor=\"end\" class=\"t\"")
    }
    for tick in across.ticks {
      line(x(tick), inner.top, x(tick), inner.bottom)
      text(x(tick), inner.bottom + 18, across.text(tick), "text-anchor=\"middle\" class=\"t\"")
    }
    let best = frontier
    let corners = best.map { String(format: "%.1f,%.1f", x($0.rate), y($0.accuracy)) }
    lines.append(
      "<polyline points=\"\(corners.joined(separator: " "))\" fill=\"none\" stroke=\"#1f6feb\" "
        + "stroke-width=\"2\"/>")
    let marks = points.map { (x: x($0.rate), y: y($0.accuracy)) }
    let labels = points.map { "\($0.name)  \(String(format: "%.1f", $0.accuracy))" }
    let places = Self.places(
      of: labels.map { Double($0.count) * 7 }, at: marks,
      line: best.map { (x: x($0.rate), y: y($0.accuracy)) }, in: inner)
    for (index, point) in points.enumerated() {
      let isBest = best.contains { $0.name == point.name }
      lines.append(
        String(format: "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"6\" ", x(point.rate), y(point.accuracy))
          + "fill=\"\(isBest ? "#1f6feb" : "#fff")\" stroke=\"#1f6feb\" stroke-width=\"2\"/>")
      let (x, y, isLeft) = places[index]
      text(x, y, labels[index], "text-anchor=\"\(isLeft ? "end" : "start")\" class=\"p\"")
    }
    text(size.width / 2, 26, title, "text-anchor=\"middle\" class=\"h\"")
    text(
      (inner.left + inner.right) / 2, size.height - 14, speedLabel,
      "text-anchor=\"middle\" class=\"t\"")
    text(
      0, 0, "J&F",
      "text-anchor=\"middle\" class=\"t\" "
        + "transform=\"translate(20 \((inner.top + inner.bottom) / 2)) rotate(-90)\"")
    return """
      <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(Int(size.width)) \(Int(size.height))" \
      font-family="system-ui, sans-serif">
      <style>.t{font-size:13px;fill:#57606a}.p{font-size:13px;fill:#1f2328}\
      .h{font-size:16px;font-weight:600;fill:#1f2328}</style>
      <rect width="100%" height="100%" fill="#fff"/>
      \(lines.joined(separator: "\n"))
      </svg>

      """
  }

  private typealias Place = (x: Double, y: Double, isLeft: Bool)

  /// Where labels of these widths go: beside their marks, above or below, where no other label or mark is
  /// in the way, and best where neither another mark nor the line is near; `isLeft` ones end at `x`.
  private static func places(
    of widths: [Double], at marks: [(x: Double, y: Double)], line: [(x: Double, y: Double)],
    in inner: (left: Double, right: Double, top: Double, bottom: Double)
  ) -> [Place] {
    typealias Box = (left: Double, top: Double, right: Double, bottom: Double)
    func overlap(_ a: Box, _ b: Box) -> Bool {
      a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom
    }
    func box(around mark: (x: Double, y: Double), reach: Double) -> Box {
      (mark.x - reach, mark.y - reach, mark.x + reach, mark.y + reach)
    }
    func box(_ index: Int, _ place: Place) -> Box {
      let left = place.isLeft ? place.x - widths[index] : place.x
      return (left, place.y - 11, left + widths[index], place.y + 3)
    }
    func candidates(_ mark: (x: Double, y: Double)) -> [Place] {
      [-9.0, 20, -24, 35].flatMap { below in
        [false, true].map { isLeft in (mark.x + (isLeft ? -12 : 12), mark.y + below, isLeft) }
      }
    }
    let onLine = zip(line, line.dropFirst()).flatMap { from, to in
      stride(from: 0, through: 1, by: 0.01).map {
        box(around: (from.x + $0 * (to.x - from.x), from.y + $0 * (to.y - from.y)), reach: 1)
      }
    }
    var places = marks.map { candidates($0)[0] }
    func badness(_ index: Int, _ place: Place) -> Int {
      let own = box(index, place)
      let others = marks.indices.filter { $0 != index }
      let isOutside =
        own.left < inner.left || own.right > inner.right + 10 || own.top < inner.top
        || own.bottom > inner.bottom
      return (isOutside ? 8 : 0) + (onLine.contains { overlap(own, $0) } ? 1 : 0)
        + others.reduce(0) { sum, other in
          sum + (overlap(own, box(other, places[other])) ? 4 : 0)
            + (overlap(own, box(around: marks[other], reach: 6)) ? 4 : 0)
            + (overlap(own, box(around: marks[other], reach: 16)) ? 1 : 0)
        }
    }
    for _ in 0..<4 {
      for (index, mark) in marks.enumerated() {
        let ranked = candidates(mark).map { (place: $0, badness: badness(index, $0)) }
        places[index] = ranked.min { $0.badness < $1.badness }?.place ?? places[index]
      }
    }
    return places
  }

  private static func escaped(_ text: String) -> String {
    text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing("\"", with: "&quot;")
  }
}
