// Masks drawn at another size than the video's, fitted on request.

extension LabelMap {
  /// The map at another size: each pixel takes the label under its centre, so no label is invented.
  public func resized(to target: FrameSize) -> LabelMap {
    let columns = (0..<target.width).map { (2 * $0 + 1) * size.width / (2 * target.width) }
    var result = [UInt8](repeating: 0, count: target.area)
    for y in 0..<target.height {
      let row = (2 * y + 1) * size.height / (2 * target.height) * size.width
      for x in 0..<target.width { result[y * target.width + x] = labels[row + columns[x]] }
    }
    return LabelMap(size: target, labels: result)
  }
}
