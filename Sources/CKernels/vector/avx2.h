// Vectors of 8 floats: AVX2 and FMA. Included by avx2.c inside its target region.
#pragma once

#include <immintrin.h>
#include <stdint.h>

typedef __m256 vec;

#define VOS_LANES 8
#define VOS_TILE_ROWS 6     // gemm: 6 × 16 sums in 12 of 16 registers
#define VOS_TILE_VECTORS 2

static inline vec v_load(const float *p) { return _mm256_loadu_ps(p); }
static inline void v_store(float *p, vec x) { _mm256_storeu_ps(p, x); }
/// Lanes 0 ..< count.
static inline __m256i v_lanes(size_t count) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)count), lane);
}
/// `count` < VOS_LANES floats, and zeros.
static inline vec v_load_some(const float *p, size_t count) {
  return _mm256_maskload_ps(p, v_lanes(count));
}
static inline void v_store_some(float *p, size_t count, vec x) {
  _mm256_maskstore_ps(p, v_lanes(count), x);
}
static inline vec v_set(float x) { return _mm256_set1_ps(x); }
static inline vec v_broadcast(const float *p) { return _mm256_broadcast_ss(p); }
static inline vec v_add(vec a, vec b) { return _mm256_add_ps(a, b); }
static inline vec v_sub(vec a, vec b) { return _mm256_sub_ps(a, b); }
static inline vec v_mul(vec a, vec b) { return _mm256_mul_ps(a, b); }
static inline vec v_div(vec a, vec b) { return _mm256_div_ps(a, b); }
static inline vec v_min(vec a, vec b) { return _mm256_min_ps(a, b); }
static inline vec v_max(vec a, vec b) { return _mm256_max_ps(a, b); }
/// a · b + c, rounded once.
static inline vec v_fma(vec a, vec b, vec c) { return _mm256_fmadd_ps(a, b, c); }
static inline vec v_round(vec a) {
  return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
/// 2^n for integral n in -126…127.
static inline vec v_power_of_two(vec n) {
  const __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
  return _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23));
}
/// x where a < b, else y.
static inline vec v_where_less(vec a, vec b, vec x, vec y) {
  return _mm256_blendv_ps(y, x, _mm256_cmp_ps(a, b, _CMP_LT_OQ));
}
/// One bit per lane: a >= b.
static inline uint32_t v_not_less(vec a, vec b) {
  return (uint32_t)_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_GE_OQ));
}
/// p[index[lane]] for each lane.
static inline vec v_gather(const float *p, const int32_t *index) {
  return _mm256_i32gather_ps(p, _mm256_loadu_si256((const __m256i *)index), 4);
}
