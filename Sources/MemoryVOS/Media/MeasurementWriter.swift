// Numbers per frame and object as CSV. vos-cli's --measure writes through this.

import Foundation

/// A CSV file with one row per frame and object.
///
/// RFC 4180, UTF-8, "." as decimal point:
///
///     frame,name,seconds,object,present,area_px,centroid_x,centroid_y,box_x,box_y,box_width,box_height,confidence
///
/// Coordinates are pixels, the first column and row being 0; centroid and box are empty for an
/// object that is not in the frame, seconds for images. The file appears when `finish()` is called.
public final class MeasurementWriter {
  private let file: StreamedFile

  /// Begins a file.
  ///
  /// - Throws: `MediaError` when the folder cannot be written.
  public init(_ path: String) throws(MediaError) {
    file = try StreamedFile(path)
    try file.write(
      "frame,name,seconds,object,present,area_px,centroid_x,centroid_y,"
        + "box_x,box_y,box_width,box_height,confidence\n")
  }

  /// Appends a frame's rows, one for each object of `confidences` in ascending order.
  ///
  /// - Parameters:
  ///   - index: The frame's number.
  ///   - stem: The frame's name.
  ///   - seconds: The frame's time, `nil` for images.
  ///   - labels: The frame's objects.
  ///   - confidences: The tracked objects, also those not in the frame, with their confidence 0…1.
  /// - Throws: `MediaError` when the file cannot be written.
  public func append(
    index: Int, stem: String, seconds: Double?, labels: LabelMap, confidences: [ObjectID: Float]
  ) throws(MediaError) {
    let shapes = ObjectShape.shapes(in: labels)
    var rows = ""
    for (object, confidence) in confidences.sorted(by: { $0.key < $1.key }) {
      let time = seconds.map { String(format: "%.6f", $0) } ?? ""
      rows += "\(index),\(MeasurementWriter.quoted(stem)),\(time),\(object),"
      if let shape = shapes[object] {
        rows += "1,\(shape.area),"
        rows += String(format: "%.3f,%.3f,", shape.centroidX, shape.centroidY)
        rows += "\(shape.left),\(shape.top),\(shape.width),\(shape.height),"
      } else {
        rows += "0,0,,,,,,,"
      }
      rows += String(format: "%.4f\n", Double(confidence))
    }
    try file.write(rows)
  }

  /// Completes the file; call once.
  public func finish() throws(MediaError) { try file.finish() }

  /// A field with quotes where RFC 4180 asks for them.
  static func quoted(_ field: String) -> String {
    let special: Set<UInt8> = [UInt8(ascii: ","), UInt8(ascii: "\""), 10, 13]
    guard field.utf8.contains(where: special.contains) else { return field }
    return "\"" + field.replacingOccurrences(of: "\"", with: "\"\"") + "\""
  }
}
