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
    out[c] = vos_int8_clamped(((s * factor->scale[c] + 0x4000) >> 15) + factor->zero_point, clamp);
  }
}

static inline uint8_t vos_int8_quantized(float x, float inverse_scale, float zero_point) {
  const float scaled = x * inverse_scale;
  float t = scaled + zero_point;
  t = t > 0 ? t : 0;  // NaN is not
  return (uint8_t)rintf(t < VOS_INT8_HIGHEST ? t : VOS_INT8_HIGHEST);
}
