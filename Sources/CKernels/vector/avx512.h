// Vectors of 16 floats: AVX-512 F, BW, VL, DQ. Included by avx512.c inside its target region.
#pragma once

#include <immintrin.h>
#include <stdint.h>

typedef __m512 vec;

#define VOS_LANES 16
#define VOS_TILE_ROWS 9     // gemm: 9 × 32 sums in 18 of 32 registers; 9 divides 54, 108, 216, 432
#define VOS_TILE_VECTORS 2

static inline vec v_load(const float *p) { return _mm512_loadu_ps(p); }
static inline void v_store(float *p, vec x) { _mm512_storeu_ps(p, x); }
/// `count` < VOS_LANES floats, and zeros.
static inline vec v_load_some(const float *p, size_t count) {
  return _mm512_maskz_loadu_ps((__mmask16)((1u << count) - 1), p);
}
static inline void v_store_some(float *p, size_t count, vec x) {
  _mm512_mask_storeu_ps(p, (__mmask16)((1u << count) - 1), x);
}
static inline vec v_set(float x) { return _mm512_set1_ps(x); }
static inline vec v_broadcast(const float *p) { return _mm512_set1_ps(*p); }
static inline vec v_add(vec a, vec b) { return _mm512_add_ps(a, b); }
static inline vec v_sub(vec a, vec b) { return _mm512_sub_ps(a, b); }
static inline vec v_mul(vec a, vec b) { return _mm512_mul_ps(a, b); }
static inline vec v_div(vec a, vec b) { return _mm512_div_ps(a, b); }
static inline vec v_min(vec a, vec b) { return _mm512_min_ps(a, b); }
static inline vec v_max(vec a, vec b) { return _mm512_max_ps(a, b); }
/// a · b + c, rounded once.
static inline vec v_fma(vec a, vec b, vec c) { return _mm512_fmadd_ps(a, b, c); }
static inline vec v_round(vec a) {
  return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
/// 2^n for integral n in -126…127.
static inline vec v_power_of_two(vec n) {
  const __m512i exponent = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
  return _mm512_castsi512_ps(_mm512_slli_epi32(exponent, 23));
}
/// x where a < b, else y.
static inline vec v_where_less(vec a, vec b, vec x, vec y) {
  return _mm512_mask_mov_ps(y, _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), x);
}
/// One bit per lane: a >= b.
static inline uint32_t v_not_less(vec a, vec b) {
  return (uint32_t)_mm512_cmp_ps_mask(a, b, _CMP_GE_OQ);
}
/// p[index[lane]] for each lane.
static inline vec v_gather(const float *p, const int32_t *index) {
  return _mm512_i32gather_ps(_mm512_loadu_si512(index), p, 4);
}
