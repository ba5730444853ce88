// Vectors of 16 sums, 64 bytes: AVX-512 VNNI. Included by avx512vnni.c inside its target region.
#pragma once

#include <immintrin.h>

typedef __m512i q_int;
typedef __m512 q_float;
typedef __m512i q_bytes;

#define Q_LANES 16
#define Q_TILE_ROWS 8
#define Q_TILE_VECTORS 2

static inline q_int q_zero(void) { return _mm512_setzero_si512(); }
static inline q_int q_load_int(const int32_t *p) { return _mm512_loadu_si512(p); }
static inline q_float q_load_float(const float *p) { return _mm512_loadu_ps(p); }
static inline void q_store_float(float *p, q_float x) { _mm512_storeu_ps(p, x); }
static inline q_float q_set(float x) { return _mm512_set1_ps(x); }
static inline q_float q_mul(q_float a, q_float b) { return _mm512_mul_ps(a, b); }
static inline q_float q_add(q_float a, q_float b) { return _mm512_add_ps(a, b); }
static inline q_float q_to_float(q_int x) { return _mm512_cvtepi32_ps(x); }
static inline q_int q_round(q_float x) { return _mm512_cvtps_epi32(x); }
/// 0…127, 0 for NaN (of which max takes its second operand).
static inline q_float q_limited(q_float x) {
  return _mm512_min_ps(_mm512_max_ps(x, _mm512_setzero_ps()), _mm512_set1_ps(127));
}
static inline q_bytes q_load_weights(const int8_t *p) { return _mm512_loadu_si512(p); }
static inline q_bytes q_load_bytes(const uint8_t *p) { return _mm512_loadu_si512(p); }
static inline int32_t q_sum_lanes(q_int x) { return _mm512_reduce_add_epi32(x); }
/// Four bytes in every lane.
static inline q_bytes q_broadcast(const uint8_t *p) {
  int32_t group;
  memcpy(&group, p, sizeof group);
  return _mm512_set1_epi32(group);
}
static inline q_float q_load_activations(const uint8_t *p) {
  return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p)));
}
static inline q_int q_dot(q_int sum, q_bytes a, q_bytes w) {
  return _mm512_dpbusd_epi32(sum, a, w);
}
static inline q_int q_dot_twice(q_int sum, q_bytes a, q_bytes w, q_bytes b, q_bytes v) {
  return q_dot(q_dot(sum, a, w), b, v);
}
/// V · 16 bytes.
static inline __attribute__((always_inline)) void q_store_clamped(const int V, uint8_t *out,
                                                                  const q_int *x,
                                                                  vos_int8_clamp clamp) {
  const __m512i low = _mm512_set1_epi32(clamp.low), high = _mm512_set1_epi32(clamp.high);
  for (int v = 0; v < V; v++)
    _mm_storeu_si128((__m128i *)(out + 16 * v),
                     _mm512_cvtepi32_epi8(_mm512_min_epi32(_mm512_max_epi32(x[v], low), high)));
}

/// R rows of V · 16 bytes, two whole ones at a time.
static inline __attribute__((always_inline)) void q_store_rows(const int R, const int V,
                                                               uint8_t *out, ptrdiff_t step,
                                                               q_int x[][Q_TILE_VECTORS],
                                                               vos_int8_clamp clamp) {
  int r = 0;
  if (V == 2) {
    const __m512i low = _mm512_set1_epi8((char)clamp.low);
    const __m512i high = _mm512_set1_epi8((char)clamp.high);
    // Packing works in quarters: four bytes of each of the four vectors.
    const __m512i order =
        _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    _Pragma("clang loop unroll(full)") for (; r + 2 <= R; r += 2) {
      const __m512i first = _mm512_packs_epi32(x[r][0], x[r][1]);
      const __m512i second = _mm512_packs_epi32(x[r + 1][0], x[r + 1][1]);
      __m512i bytes = _mm512_packus_epi16(first, second);
      bytes = _mm512_min_epu8(_mm512_max_epu8(bytes, low), high);
      bytes = _mm512_permutexvar_epi32(order, bytes);
      _mm256_storeu_si256((__m256i *)(out + r * step), _mm512_castsi512_si256(bytes));
      _mm256_storeu_si256((__m256i *)(out + (r + 1) * step), _mm512_extracti64x4_epi64(bytes, 1));
    }
  }
  for (; r < R; r++) q_store_clamped(V, out + r * step, x[r], clamp);
}
