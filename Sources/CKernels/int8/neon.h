// Vectors of 4 sums, 16 bytes: arm64. Included by neon.c and neondot.c; the latter defines
// VOS_DOT_PRODUCT. Activations are below 128, so that they are signed bytes too.
#pragma once

#include <arm_neon.h>

typedef int32x4_t q_int;
typedef float32x4_t q_float;
typedef int8x16_t q_bytes;

#define Q_LANES 4
#define Q_TILE_ROWS 4
#define Q_TILE_VECTORS 4

static inline q_int q_zero(void) { return vdupq_n_s32(0); }
static inline q_int q_load_int(const int32_t *p) { return vld1q_s32(p); }
static inline q_float q_load_float(const float *p) { return vld1q_f32(p); }
static inline void q_store_float(float *p, q_float x) { vst1q_f32(p, x); }
static inline q_float q_set(float x) { return vdupq_n_f32(x); }
static inline q_float q_mul(q_float a, q_float b) { return vmulq_f32(a, b); }
static inline q_float q_add(q_float a, q_float b) { return vaddq_f32(a, b); }
static inline q_float q_to_float(q_int x) { return vcvtq_f32_s32(x); }
static inline q_int q_round(q_float x) { return vcvtnq_s32_f32(x); }
/// 0…127, 0 for NaN (of which maxnm takes the other operand).
static inline q_float q_limited(q_float x) {
  return vminq_f32(vmaxnmq_f32(x, vdupq_n_f32(0)), vdupq_n_f32(127));
}
static inline q_bytes q_load_weights(const int8_t *p) { return vld1q_s8(p); }
static inline q_bytes q_load_bytes(const uint8_t *p) { return vreinterpretq_s8_u8(vld1q_u8(p)); }
static inline int32_t q_sum_lanes(q_int x) { return vaddvq_s32(x); }
/// Four bytes in every lane.
static inline q_bytes q_broadcast(const uint8_t *p) {
  int32_t group;
  memcpy(&group, p, sizeof group);
  return vreinterpretq_s8_s32(vdupq_n_s32(group));
}
static inline q_float q_load_activations(const uint8_t *p) {
  uint32_t group;
  memcpy(&group, p, sizeof group);
  const uint8x8_t bytes = vreinterpret_u8_u32(vdup_n_u32(group));
  return vcvtq_f32_u32(vmovl_u16(vget_low_u16(vmovl_u8(bytes))));
}

#if defined(VOS_DOT_PRODUCT)
static inline q_int q_dot(q_int sum, q_bytes a, q_bytes w) { return vdotq_s32(sum, a, w); }
static inline q_int q_dot_twice(q_int sum, q_bytes a, q_bytes w, q_bytes b, q_bytes v) {
  return q_dot(q_dot(sum, a, w), b, v);
}
#else
static inline q_int q_dot(q_int sum, q_bytes a, q_bytes w) {
  const int16x8_t low = vmull_s8(vget_low_s8(a), vget_low_s8(w));
  const int16x8_t high = vmull_high_s8(a, w);
  return vaddq_s32(sum, vpaddq_s32(vpaddlq_s16(low), vpaddlq_s16(high)));
}
/// Two products are added in 16 bits: VOS_INT8_WEIGHT_SUM says that they fit.
static inline q_int q_dot_twice(q_int sum, q_bytes a, q_bytes w, q_bytes b, q_bytes v) {
  const int16x8_t low = vmlal_s8(vmull_s8(vget_low_s8(a), vget_low_s8(w)), vget_low_s8(b),
                                 vget_low_s8(v));
  const int16x8_t high = vmlal_high_s8(vmull_high_s8(a, w), b, v);
  return vaddq_s32(sum, vpaddq_s32(vpaddlq_s16(low), vpaddlq_s16(high)));
}
#endif

/// V · 4 bytes.
static inline __attribute__((always_inline)) void q_store_clamped(const int V, uint8_t *out,
                                                                  const q_int *x,
                                                                  vos_int8_clamp clamp) {
  if (V == 4) {
    const int16x8_t first = vqmovn_high_s32(vqmovn_s32(x[0]), x[1]);
    const int16x8_t second = vqmovn_high_s32(vqmovn_s32(x[2]), x[3]);
    const uint8x16_t bytes = vqmovun_high_s16(vqmovun_s16(first), second);
    vst1q_u8(out, vminq_u8(vmaxq_u8(bytes, vdupq_n_u8(clamp.low)), vdupq_n_u8(clamp.high)));
    return;
  }
  const int32x4_t low = vdupq_n_s32(clamp.low), high = vdupq_n_s32(clamp.high);
  for (int v = 0; v < V; v++) {
    const int32x4_t limited = vminq_s32(vmaxq_s32(x[v], low), high);
    const uint16x4_t words = vmovn_u32(vreinterpretq_u32_s32(limited));
    const uint32_t bytes =
        vget_lane_u32(vreinterpret_u32_u8(vmovn_u16(vcombine_u16(words, words))), 0);
    memcpy(out + 4 * v, &bytes, sizeof bytes);
  }
}

/// R rows of V · 4 bytes.
static inline __attribute__((always_inline)) void q_store_rows(const int R, const int V,
                                                               uint8_t *out, ptrdiff_t step,
                                                               q_int x[][Q_TILE_VECTORS],
                                                               vos_int8_clamp clamp) {
  for (int r = 0; r < R; r++) q_store_clamped(V, out + r * step, x[r], clamp);
}
