// Vectors of 4 floats: arm64 Advanced SIMD. Included by neon.c.
#pragma once

#include <arm_neon.h>
#include <stdint.h>
#include <string.h>

typedef float32x4_t vec;

#define VOS_LANES 4
#define VOS_TILE_ROWS 6     // gemm: 6 × 16 sums in 24 of 32 registers
#define VOS_TILE_VECTORS 4

static inline vec v_load(const float *p) { return vld1q_f32(p); }
static inline void v_store(float *p, vec x) { vst1q_f32(p, x); }
/// `count` < VOS_LANES floats, and zeros.
static inline vec v_load_some(const float *p, size_t count) {
  float line[VOS_LANES] = {0};
  memcpy(line, p, count * sizeof(float));
  return v_load(line);
}
static inline void v_store_some(float *p, size_t count, vec x) {
  float line[VOS_LANES];
  v_store(line, x);
  memcpy(p, line, count * sizeof(float));
}
static inline vec v_set(float x) { return vdupq_n_f32(x); }
static inline vec v_broadcast(const float *p) { return vld1q_dup_f32(p); }
static inline vec v_add(vec a, vec b) { return vaddq_f32(a, b); }
static inline vec v_sub(vec a, vec b) { return vsubq_f32(a, b); }
static inline vec v_mul(vec a, vec b) { return vmulq_f32(a, b); }
static inline vec v_div(vec a, vec b) { return vdivq_f32(a, b); }
static inline vec v_min(vec a, vec b) { return vminq_f32(a, b); }
static inline vec v_max(vec a, vec b) { return vmaxq_f32(a, b); }
/// a · b + c, rounded once.
static inline vec v_fma(vec a, vec b, vec c) { return vfmaq_f32(c, a, b); }
static inline vec v_round(vec a) { return vrndnq_f32(a); }
/// 2^n for integral n in -126…127.
static inline vec v_power_of_two(vec n) {
  return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127)), 23));
}
/// x where a < b, else y.
static inline vec v_where_less(vec a, vec b, vec x, vec y) {
  return vbslq_f32(vcltq_f32(a, b), x, y);
}
/// One bit per lane: a >= b.
static inline uint32_t v_not_less(vec a, vec b) {
  const uint32_t bits[4] = {1, 2, 4, 8};
  return vaddvq_u32(vandq_u32(vcgeq_f32(a, b), vld1q_u32(bits)));
}
/// p[index[lane]] for each lane.
static inline vec v_gather(const float *p, const int32_t *index) {
  const float four[4] = {p[index[0]], p[index[1]], p[index[2]], p[index[3]]};
  return vld1q_f32(four);
}
