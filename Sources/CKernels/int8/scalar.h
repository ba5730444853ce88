// Single values as the specification computes them. Included by scalar.c, and by the vector variants
// for what fills no vector.
#pragma once

#include <assert.h>
#include <math.h>

#include "../include/CKernelsInt8.h"

static inline uint8_t vos_int8_clamped(int32_t value, vos_int8_clamp clamp) {
  return value < clamp.low ? clamp.low : value > clamp.high ? clamp.high : (uint8_t)value;
}

static inline int32_t vos_int8_saturated(int32_t value) {
  return value < INT16_MIN ? INT16_MIN : value > INT16_MAX ? INT16_MAX : value;
}

/// x · factor / 2^15, rounded to nearest, halves up: `vpmulhrsw`, `vqrdmulh`.
static inline int32_t vos_int8_scaled(int32_t x, int16_t factor) {
  return (x * factor + 0x4000) >> 15;
}

/// Number of the pair of taps with which the second half begins.
static inline size_t vos_int8_first_half(size_t kernel) {
  return ((kernel * kernel + 1) / 2 + 1) / 2;
}

/// All channels of the output whose window begins at column `x` of the rows.
static inline void vos_int8_depthwise_pixel(const uint8_t *const *rows, size_t kernel, size_t x,
                                            size_t channels, const vos_int8_depthwise *factor,
                                            uint8_t *out, vos_int8_clamp clamp) {
  const size_t taps = kernel * kernel, half = 2 * vos_int8_first_half(kernel);
  for (size_t c = 0; c < channels; ++c) {
    int32_t sums[2] = {0, 0};
    for (size_t tap = 0; tap < taps; ++tap) {
      const uint8_t a = rows[tap / kernel][(x + tap % kernel) * channels + c];
      sums[tap >= half] += a * factor->weights[(tap / 2 * channels + c) * 2 + tap % 2];
    }
    assert(sums[0] == vos_int8_saturated(sums[0]) && sums[1] == vos_int8_saturated(sums[1]));
    const int32_t s =
        vos_int8_saturated((sums[0] >> 1) + (sums[1] >> 1) + factor->bias[c]);
    out[c] = vos_int8_clamped(vos_int8_scaled(s, factor->scale[c]) + factor->zero_point, clamp);
  }
}

static inline uint8_t vos_int8_quantized(float x, float inverse_scale, float zero_point) {
  const float scaled = x * inverse_scale;
  float t = scaled + zero_point;
  t = t > 0 ? t : 0;  // NaN is not
  return (uint8_t)rintf(t < VOS_INT8_HIGHEST ? t : VOS_INT8_HIGHEST);
}

// MARK: - Queries and keys

/// x · inverse limited to ±most and rounded, 0 for NaN.
static inline int32_t vos_int8_rounded(float x, float inverse, float most) {
  float t = x * inverse;
  t = t == t ? t : 0;
  t = t > -most ? t : -most;
  return (int32_t)rintf(t < most ? t : most);
}

/// The largest |x|, without NaN: 16 of them side by side, which compilers turn into vectors.
static inline float vos_int8_largest(const float *x, size_t count) {
  float most[16] = {0}, result = 0;
  size_t i = 0;
  for (; i + 16 <= count; i += 16)
    for (size_t l = 0; l < 16; ++l) most[l] = fabsf(x[i + l]) > most[l] ? fabsf(x[i + l]) : most[l];
  for (; i < count; ++i) most[0] = fabsf(x[i]) > most[0] ? fabsf(x[i]) : most[0];
  for (size_t l = 0; l < 16; ++l) result = most[l] > result ? most[l] : result;
  return result;
}

/// One row of `quantize_queries`; returns its scale.
static inline float vos_int8_query(const float *x, size_t depth, uint8_t *out) {
  const float most = 63, largest = vos_int8_largest(x, depth);
  const float inverse = largest > 0 ? most / largest : 0;
  for (size_t d = 0; d < depth; ++d)
    out[d] = (uint8_t)(VOS_INT8_QUERY_ZERO + vos_int8_rounded(x[d], inverse, most));
  for (size_t d = depth; d % 4 != 0; ++d) out[d] = 0;
  return largest / most;
}

/// What a key's values are multiplied by before they are rounded; 0 for one that is too small or too
/// large for that. A weight grows by at most a half in rounding, four of them by 2.
static inline float vos_int8_key_inverse(const float *x, size_t depth) {
  const float largest = vos_int8_largest(x, depth);
  float sum = 0;
  for (size_t first = 0; first < depth; first += 8) {
    float a[8] = {0};
    const size_t count = depth - first < 8 ? depth - first : 8;
    for (size_t i = 0; i < count; ++i) a[i] = x[first + i] == x[first + i] ? fabsf(x[first + i]) : 0;
    const float outer = (a[0] + a[1]) + (a[4] + a[5]), inner = (a[2] + a[3]) + (a[6] + a[7]);
    sum = outer > sum ? outer : sum;
    sum = inner > sum ? inner : sum;
  }
  if (!(largest > 1e-30f)) return 0;
  const float by_value = 127 / largest, by_sum = (VOS_INT8_WEIGHT_SUM - 2) / sum;
  return by_sum < by_value ? by_sum : by_value;
}

/// `pack_keys`.
static inline void vos_int8_pack_keys(const float *in, ptrdiff_t stride, size_t columns, size_t depth,
                                      int8_t *weights, int32_t *bias, float *scale) {
  const size_t panel = 16, groups = (depth + 3) / 4;
  for (size_t first = 0; first < columns; first += panel) {
    int8_t *at = weights + first * groups * 4;
    for (size_t lane = 0; lane < panel; ++lane) {
      const size_t column = first + lane;
      const float *x = in + (ptrdiff_t)(column < columns ? column : first) * stride;
      const float inverse = column < columns ? vos_int8_key_inverse(x, depth) : 0;
      int32_t sum = 0;
      for (size_t d = 0; d < groups * 4; ++d) {
        const int32_t w = d < depth && inverse > 0 ? vos_int8_rounded(x[d], inverse, 127) : 0;
        at[(d / 4 * panel + lane) * 4 + d % 4] = (int8_t)w;
        sum += w;
      }
      bias[column] = -VOS_INT8_QUERY_ZERO * sum;
      scale[column] = inverse > 0 ? 1 / inverse : 1;
    }
  }
}
