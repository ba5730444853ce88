// The colours that DAVIS, PASCAL VOC and YouTube-VOS give to labels.

/// The PASCAL VOC palette: label → colour, injective over 0…255.
public enum Palette {
  /// The colour of a label: bits 0, 1, 2 of the label go to the top bit of red, green, blue, the
  /// next three bits to the next, and so on.
  public static func color(of label: UInt8) -> (red: UInt8, green: UInt8, blue: UInt8) {
    var rest = label
    var red: UInt8 = 0
    var green: UInt8 = 0
    var blue: UInt8 = 0
    for bit in stride(from: UInt8(7), through: 0, by: -1) where rest > 0 {
      red |= (rest & 1) << bit
      green |= (rest >> 1 & 1) << bit
      blue |= (rest >> 2 & 1) << bit
      rest >>= 3
    }
    return (red, green, blue)
  }
}
