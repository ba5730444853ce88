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

// MARK: - Sums into bytes

/// 16 words in order.
typedef int16x8x2_t q_words;
typedef int32x4_t q_shift;

static inline q_shift q_set_shift(int shift) { return vdupq_n_s32(-shift); }
static inline q_words q_set_words(int16_t x) { return (q_words){{vdupq_n_s16(x), vdupq_n_s16(x)}}; }
static inline void q_store_words(int16_t *p, q_words x) {
  vst1q_s16(p, x.val[0]);
  vst1q_s16(p + 8, x.val[1]);
}
static inline q_words q_load_words(const int16_t *p) {
  return (q_words){{vld1q_s16(p), vld1q_s16(p + 8)}};
}
static inline q_words q_load_multipliers(const int V, const int16_t *p) {
  (void)V;
  return q_load_words(p);
}
/// Of V vectors.
static inline __attribute__((always_inline)) q_words q_narrow(const int V, const q_int *x,
                                                              q_shift shift) {
  int16x4_t words[4];
  for (int v = 0; v < 4; v++) words[v] = vqmovn_s32(vshlq_s32(x[v < V ? v : 0], shift));
  return (q_words){{vcombine_s16(words[0], words[1]), vcombine_s16(words[2], words[3])}};
}

/// R rows of V · 4 bytes.
static inline __attribute__((always_inline)) void q_finish(
    const int R, const int V, const int is_added, const int16_t *words, q_words multiplier,
    const uint8_t *addend, ptrdiff_t addend_stride, q_words addend_multiplier, uint8_t *out,
    ptrdiff_t stride, vos_int8_clamp clamp) {
  for (int r = 0; r < R; r++) {
    q_words x = q_load_words(words + 16 * r);
    uint8_t added[16] = {0};
    if (is_added) memcpy(added, addend + r * addend_stride, (size_t)V * 4);
    for (int h = 0; h < 2; h++) {
      x.val[h] = vqrdmulhq_s16(x.val[h], multiplier.val[h]);
      if (!is_added) continue;
      const int16x8_t shifted = vreinterpretq_s16_u16(vshll_n_u8(vld1_u8(added + 8 * h), 7));
      const int16x8_t more = vqrdmulhq_s16(shifted, addend_multiplier.val[h]);
      x.val[h] = vshrq_n_s16(vqaddq_s16(x.val[h], more), 3);
    }
    uint8x16_t bytes = vqmovun_high_s16(vqmovun_s16(x.val[0]), x.val[1]);
    bytes = vminq_u8(vmaxq_u8(bytes, vdupq_n_u8(clamp.low)), vdupq_n_u8(clamp.high));
    uint8_t line[16];
    vst1q_u8(line, bytes);
    memcpy(out + r * stride, line, (size_t)V * 4);
  }
}

/// Q_TILE_VECTORS vectors of 0…127.
static inline void q_store_bytes(uint8_t *out, const q_int *x) {
  const int16x8_t first = vqmovn_high_s32(vqmovn_s32(x[0]), x[1]);
  const int16x8_t second = vqmovn_high_s32(vqmovn_s32(x[2]), x[3]);
  vst1q_u8(out, vqmovun_high_s16(vqmovun_s16(first), second));
}
