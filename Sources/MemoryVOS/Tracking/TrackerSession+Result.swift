// From probabilities at the network's size to what a step answers.

extension TrackerSession {
  /// Labels at the frame's size; given labels stand as they are.
  func result(given mask: LabelMap?) -> FrameResult {
    var labels = [UInt8](repeating: 0, count: frameSize.area)
    if !objects.isEmpty {
      labelWriter.write(
        [background] + objects.map(\.probability), ids: [0] + objects.map(\.id.rawValue),
        into: &labels)
    }
    let given = Set(mask?.objects ?? [])
    if let mask {
      for (index, label) in mask.labels.enumerated() where label != 0 { labels[index] = label }
      for (index, label) in labels.enumerated() where mask.labels[index] == 0 {
        if let id = ObjectID(label), given.contains(id) { labels[index] = 0 }
      }
    }
    let result = LabelMap(size: frameSize, labels: labels)
    let areas = result.areas
    let statuses = objects.map { object in
      ObjectStatus(
        id: object.id.rawValue, area: areas[Int(object.id.rawValue)],
        confidence: given.contains(object.id) ? 1 : confidence(of: object))
    }
    return FrameResult(labels: result, objects: statuses)
  }

  /// Mean probability where it is at least one half, sampled on every other row and column.
  private func confidence(of object: TrackedObject) -> Float {
    var sums = SIMD4<Float>.zero
    var counts = SIMD4<Float>.zero
    for y in stride(from: 0, to: networkSize.height, by: 2) {
      let row = object.probability.row(y)
      for x in stride(from: 0, to: networkSize.width, by: 8) {
        let four = SIMD4(row[x], row[x + 2], row[x + 4], row[x + 6])
        let isObject = four .>= 0.5
        sums += SIMD4.zero.replacing(with: four, where: isObject)
        counts += SIMD4.zero.replacing(with: .one, where: isObject)
      }
    }
    return counts.sum() > 0 ? sums.sum() / counts.sum() : 0
  }
}
