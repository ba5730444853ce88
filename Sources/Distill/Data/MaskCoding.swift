// What the values in a mask file mean. The layouts choose, PictureStore reads.

import MemoryVOS

/// A file format of masks.
enum MaskCoding: Sendable {
  /// A PNG of labels; 255 is void.
  case labels
  /// A PNG of 1 (object), 2 (background) and 3 (not classified, hence void): Oxford-IIIT pets.
  case trimap
  /// A MATLAB file whose matrix `groundtruth` holds labels: Clothing Co-Parsing.
  case matlab

  /// How the names of such files end.
  var fileExtension: String {
    switch self {
    case .labels, .trimap: ".png"
    case .matlab: ".mat"
    }
  }

  /// Labels in which 0 is background and 255 void.
  ///
  /// - Throws: `TrainingError` for a file that cannot be read or holds other values.
  func read(_ path: String) throws(TrainingError) -> LabelMap {
    if case .matlab = self { return try MATFile.labels(path, variable: "groundtruth") }
    var map: LabelMap
    do { map = try MaskFile.read(path, role: .truth) } catch { throw TrainingError("\(error)") }
    guard case .trimap = self else { return map }
    for index in map.labels.indices {
      switch map.labels[index] {
      case 1: break
      case 2: map.labels[index] = 0
      case 3: map.labels[index] = 255
      case let value:
        throw TrainingError(
          path, "the value \(value); a trimap has 1 (object), 2 (background) and 3 (unknown)")
      }
    }
    return map
  }
}
