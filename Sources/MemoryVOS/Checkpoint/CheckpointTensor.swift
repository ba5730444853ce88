// One named array of a checkpoint, as its file holds it.

/// The scalar types of safetensors that have whole bytes.
public enum CheckpointScalar: String, Sendable, CaseIterable {
  /// IEEE 754 floating point, and bfloat16.
  case float64 = "F64"
  /// 32-bit floating point.
  case float32 = "F32"
  /// 16-bit floating point.
  case float16 = "F16"
  /// The upper half of a 32-bit float.
  case bfloat16 = "BF16"
  /// 8-bit floating point with a 5-bit exponent.
  case float8E5M2 = "F8_E5M2"
  /// 8-bit floating point with a 4-bit exponent.
  case float8E4M3 = "F8_E4M3"
  /// Signed integers.
  case int64 = "I64"
  /// 32-bit signed integers.
  case int32 = "I32"
  /// 16-bit signed integers.
  case int16 = "I16"
  /// 8-bit signed integers.
  case int8 = "I8"
  /// Unsigned integers.
  case uint64 = "U64"
  /// 32-bit unsigned integers.
  case uint32 = "U32"
  /// 16-bit unsigned integers.
  case uint16 = "U16"
  /// 8-bit unsigned integers.
  case uint8 = "U8"
  /// One byte, 0 or 1.
  case bool = "BOOL"

  /// Bytes of one scalar.
  public var byteCount: Int {
    switch self {
    case .float64, .int64, .uint64: 8
    case .float32, .int32, .uint32: 4
    case .float16, .bfloat16, .int16, .uint16: 2
    case .float8E5M2, .float8E4M3, .int8, .uint8, .bool: 1
    }
  }
}

/// Shape, scalar type and little-endian bytes of one tensor.
public struct CheckpointTensor: Sendable {
  /// Extents, outermost first; empty for a scalar.
  public let shape: [Int]
  /// Type of each scalar.
  public let dtype: CheckpointScalar
  /// Little-endian scalars, row-major: `shape` product × `dtype.byteCount` bytes.
  public let bytes: ArraySlice<UInt8>
  /// File and name that errors report.
  let origin: (path: String, name: String)

  /// A tensor from little-endian bytes; traps when their number does not fit the shape.
  public init(shape: [Int], dtype: CheckpointScalar, bytes: some Sequence<UInt8>) {
    self.init(shape: shape, dtype: dtype, bytes: ArraySlice(bytes), origin: ("", "?"))
  }

  /// A 32-bit tensor; traps when `floats.count` is not the product of `shape`.
  public init(shape: [Int], floats: [Float]) {
    self.init(
      shape: shape, dtype: .float32, bytes: floats.withUnsafeBytes { ArraySlice(Array($0)) },
      origin: ("", "?"))
  }

  init(
    shape: [Int], dtype: CheckpointScalar, bytes: ArraySlice<UInt8>,
    origin: (path: String, name: String)
  ) {
    precondition(
      CheckpointTensor.byteCount(shape: shape, dtype: dtype) == bytes.count,
      "\(bytes.count) bytes for \(dtype.rawValue) of shape \(shape)")
    self.shape = shape
    self.dtype = dtype
    self.bytes = bytes
    self.origin = origin
  }

  /// Number of scalars: the product of `shape`.
  public var count: Int { bytes.count / dtype.byteCount }

  /// The scalars of an F32, F16 or BF16 tensor, row-major, converted exactly to 32 bits.
  ///
  /// Throws for other types, and for NaN and infinities, naming the first one's index: a network
  /// with such a weight answers nothing but NaN.
  public func floats() throws(CheckpointError) -> [Float] {
    let count = count
    let result: [Float]
    switch dtype {
    case .float32:
      result = [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
        bytes.withUnsafeBytes { UnsafeMutableRawBufferPointer(buffer).copyMemory(from: $0) }
        initialized = count
      }
    case .float16:
      result = bytes.withUnsafeBytes { raw in
        (0..<count).map {
          Self.float(half: raw.loadUnaligned(fromByteOffset: 2 * $0, as: UInt16.self))
        }
      }
    case .bfloat16:
      result = bytes.withUnsafeBytes { raw in
        (0..<count).map {
          Float(
            bitPattern: UInt32(raw.loadUnaligned(fromByteOffset: 2 * $0, as: UInt16.self)) << 16)
        }
      }
    default:
      throw CheckpointError(
        path: origin.path, tensor: origin.name, expected: "floats (F32, F16 or BF16)",
        found: dtype.rawValue, suggestion: "convert the tensor to F32")
    }
    if let bad = result.firstIndex(where: { !$0.isFinite }) {
      throw CheckpointError(
        path: origin.path, tensor: origin.name, expected: "finite numbers",
        found: "\(result[bad]) at index \(bad) of \(count)",
        suggestion: "the file is damaged or its training diverged; use another checkpoint")
    }
    return result
  }

  /// The value of an IEEE 754 half-precision number. (`Float16` is missing on some platforms.)
  static func float(half bits: UInt16) -> Float {
    let sign = UInt32(bits & 0x8000) << 16
    let exponent = UInt32(bits >> 10 & 0x1f)
    let fraction = UInt32(bits & 0x3ff)
    switch exponent {
    case 0:
      let magnitude = Float(fraction) * 0x1p-24
      return Float(bitPattern: magnitude.bitPattern | sign)
    case 31: return Float(bitPattern: sign | 0x7f80_0000 | fraction << 13)
    default: return Float(bitPattern: sign | (exponent + 112) << 23 | fraction << 13)
    }
  }

  /// Bytes of a tensor, or `nil` when the number exceeds `Int` or an extent is negative.
  static func byteCount(shape: [Int], dtype: CheckpointScalar) -> Int? {
    if shape.contains(where: { $0 < 0 }) { return nil }
    if shape.contains(0) { return 0 }
    var total = dtype.byteCount
    for extent in shape {
      let (product, overflow) = total.multipliedReportingOverflow(by: extent)
      if overflow { return nil }
      total = product
    }
    return total
  }
}
