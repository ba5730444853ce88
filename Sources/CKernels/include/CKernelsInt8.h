// The integer kernels of MemoryVOS, one table per instruction set, equal to each other bit for bit.
//
// Called by: Sources/MemoryVOS/Engine for networks quantised by Sources/MemoryVOS/Quantization. The
// rules of CKernels.h hold: no memory taken, no threads, no state. `int8/scalar.c` is the
// specification.
//
// Numbers. Activations are bytes 0…127: real = (byte - zero point) · scale. Seven bits, so that a byte
// is the same number signed and unsigned, and so that a product of two pairs fits 16 bits: AVX2 can
// multiply 32 bytes at once without ever saturating. Weights are int8 and obey the limit below. Zero
// points of inputs and outputs of dense products are folded into `bias` by who packs the weights.
#pragma once

#include <stddef.h>
#include <stdint.h>

// MARK: - Instruction sets

typedef enum {
  VOS_INT8_SCALAR = 0,
  VOS_INT8_AVX2 = 1,
  VOS_INT8_AVXVNNI = 2,     // AVX2 and VEX-coded VNNI
  VOS_INT8_AVX512VNNI = 3,  // AVX-512 F, BW, VL, DQ and VNNI
  VOS_INT8_NEON = 4,
  VOS_INT8_NEONDOT = 5,  // arm64 with the dot-product instructions (FEAT_DotProd)
  VOS_INT8_COUNT = 6,
} vos_int8_isa;

// MARK: - Types

/// The largest activation.
#define VOS_INT8_HIGHEST 127

/// The limit of weights: 127 times the sum of |weight| over any of these must fit int16, thus the sum
/// is at most 258. Dense: in each block of eight consecutive k of a segment and each column, the ks
/// 0, 1, 4, 5 and the ks 2, 3, 6, 7. Depthwise: in each channel, the first half of the pairs of taps
/// (7 of 13, 3 of 5) and the other half.
#define VOS_INT8_WEIGHT_SUM 258

/// The byte that means 0 in a query.
#define VOS_INT8_QUERY_ZERO 64

/// As `vos_segment`, of activations. Of each pixel the bytes up to the next multiple of 4 after `depth`
/// are read too and multiplied by zeros.
typedef struct {
  const uint8_t *base;
  ptrdiff_t stride;
  size_t depth;
} vos_int8_segment;

/// The right factor of a dense product, columns in panels of 16.
typedef struct {
  /// ceil(columns / 16) panels of [groups][16][4]: four consecutive k of each column side by side.
  /// Each segment fills ceil(depth / 4) groups; what is beyond its depth, or no column, is zero.
  const int8_t *weights;
  /// [columns, padded to 16]; |bias| + 127 · sum of |weights| of the column < 2^31.
  const int32_t *bias;
  /// Of sums that become floats: [columns, padded to 16]; > 0.
  const float *scale;
  /// Of sums that become bytes: [columns, padded to 16]; Q15, with an addend Q18; >= 0.
  const int16_t *multiplier;
  /// 0…31. Sums are shifted before they saturate to int16, and what saturates should lie beyond the
  /// bytes: with scale = bytes per unit of the sum, scale · 2^shift >= 2^-8, and with an addend 2^-8
  /// times the bytes of the result that one of the addend stands for, if those are more than 1.
  int shift;
  /// Q11, >= 0.
  int16_t addend_multiplier;
} vos_int8_factor;

/// 0 <= low <= high <= 127.
typedef struct {
  uint8_t low, high;
} vos_int8_clamp;

/// What a depthwise convolution multiplies by; everything [channels].
typedef struct {
  /// [pairs][channels][2]: taps 2p and 2p + 1 in raster order, zero beyond the last tap.
  const int8_t *weights;
  const int16_t *bias;
  /// Q15, >= 0.
  const int16_t *scale;
  /// 0…127.
  uint8_t zero_point;
} vos_int8_depthwise;

typedef struct {
  vos_int8_isa isa;
  const char *name;  // "scalar", "avx2", "avxvnni", "avx512vnni", "neon", "neondot"

  /// sum[m, n] = bias[n] + sum over segments s, depth k: A_s[m, k] · W[k, n], in int32
  /// With `sat` saturation to int16, >> an arithmetic shift, and a ∗ b = (a · b + 2^14) >> 15:
  ///   t = sat(sum >> shift) ∗ multiplier[n]
  ///   with an addend t = sat(t + (addend[m, n] · 2^7) ∗ addend_multiplier) >> 3
  ///   out[m, n] = t clamped
  /// addend: or NULL; may be equal to out (same stride). Writes exactly `columns` bytes per row.
  void (*gemm)(size_t rows, size_t columns, const vos_int8_segment *segments, size_t segment_count,
               const vos_int8_factor *factor, const uint8_t *addend, ptrdiff_t addend_stride,
               uint8_t *out, ptrdiff_t out_stride, vos_int8_clamp clamp);

  /// out[m, n] = float(sum) · scale[n].
  void (*gemm_to_float)(size_t rows, size_t columns, const vos_int8_segment *segments,
                        size_t segment_count, const vos_int8_factor *factor, float *out,
                        ptrdiff_t out_stride);

  /// One output row of a k×k depthwise convolution, k = 3 or 5, stride 1 or 2. With a and b the sums of
  /// activation · weight over the two halves of the taps (VOS_INT8_WEIGHT_SUM), `sat` saturation to
  /// int16, and >> an arithmetic shift:
  ///   s = sat((a >> 1) + (b >> 1) + bias[c])
  ///   out[x, c] = clamp(((s · scale[c] + 2^14) >> 15) + zero_point)
  /// rows: as in `vos_kernels.depthwise`. Any number of channels.
  void (*depthwise)(const uint8_t *const *rows, size_t kernel, size_t stride, size_t width,
                    size_t channels, const vos_int8_depthwise *factor, uint8_t *out,
                    vos_int8_clamp clamp);

  /// As `vos_kernels.upsample2`: out = (9·nearest + 3·two neighbours + 1·opposite + 8) >> 4.
  void (*upsample2)(const uint8_t *near, const uint8_t *far, size_t width, size_t channels,
                    uint8_t *out);

  /// out[i] = x[i] · inverse_scale + zero_point (rounded to float twice), limited to 0…127, rounded to
  /// the nearest integer, ties to even; 0 for NaN.
  void (*quantize)(const float *in, size_t count, float inverse_scale, float zero_point,
                   uint8_t *out);

  /// out[i] = float(in[i] - zero_point) · scale, of any bytes.
  void (*dequantize)(const uint8_t *in, size_t count, float scale, int32_t zero_point, float *out);

  /// Queries as left factor of the affinity, each with its own unit: with m the largest |x| of a row,
  /// out[r, d] = VOS_INT8_QUERY_ZERO + x · (63 / m) rounded to nearest even, 1…127; scale[r] = m / 63.
  /// Rows of `depth` bytes and zeros up to the next multiple of 4, one after the other. A row of
  /// zeros has scale 0; NaN counts as 0.
  void (*quantize_queries)(const float *in, ptrdiff_t stride, size_t rows, size_t depth,
                           uint8_t *out, float *scale);

  /// Keys as columns of a `vos_int8_factor`, each with its own unit u: weight = x / u rounded to nearest
  /// even, as fine as int8 and VOS_INT8_WEIGHT_SUM allow; scale = u; bias cancels the queries' zero.
  /// Columns with nothing above 1e-30, or infinity, have weights 0 and scale 1; NaN counts as 0. Fills
  /// whole panels: weights [ceil(columns / 16)][ceil(depth / 4)][16][4], bias and scale [columns,
  /// padded to 16].
  void (*pack_keys)(const float *in, ptrdiff_t stride, size_t columns, size_t depth, int8_t *weights,
                    int32_t *bias, float *scale);
} vos_int8_kernels;

/// The table of one instruction set, or NULL when this build or this CPU (or its OS) lacks it.
const vos_int8_kernels *vos_int8_kernels_for(vos_int8_isa isa);
