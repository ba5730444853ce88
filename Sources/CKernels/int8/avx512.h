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
static inline q_int q_dot(q_int sum, q_bytes a, q_bytes w) {
  return _mm512_dpbusd_epi32(sum, a, w);
}
static inline q_int q_dot_twice(q_int sum, q_bytes a, q_bytes w, q_bytes b, q_bytes v) {
  return q_dot(q_dot(sum, a, w), b, v);
}

// MARK: - Sums into bytes

/// 32 words as packing leaves them, in quarters: four of each of the two vectors.
typedef __m512i q_words;
typedef __m512i q_shift;

static inline q_shift q_set_shift(int shift) { return _mm512_set1_epi32(shift); }
static inline q_words q_set_words(int16_t x) { return _mm512_set1_epi16(x); }
static inline void q_store_words(int16_t *p, q_words x) { _mm512_storeu_si512(p, x); }
static inline __attribute__((always_inline)) q_words q_load_multipliers(const int V,
                                                                        const int16_t *p) {
  const __m512i x = V > 1 ? _mm512_loadu_si512(p)
                          : _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)p));
  return _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7), x);
}
/// Of V vectors.
static inline __attribute__((always_inline)) q_words q_narrow(const int V, const q_int *x,
                                                              q_shift shift) {
  const __m512i first = _mm512_srav_epi32(x[0], shift);
  if (V < 2) return _mm512_packs_epi32(first, first);
  return _mm512_packs_epi32(first, _mm512_srav_epi32(x[1], shift));
}

/// One row's words, scaled and with the addend's V · 16 bytes.
static inline __attribute__((always_inline)) q_words q_scaled(const int V, const int is_added,
                                                              const int16_t *words,
                                                              q_words multiplier,
                                                              const uint8_t *addend,
                                                              q_words addend_multiplier) {
  const q_words x = _mm512_mulhrs_epi16(_mm512_loadu_si512(words), multiplier);
  if (!is_added) return x;
  const __m256i bytes = V > 1 ? _mm256_loadu_si256((const __m256i *)addend)
                              : _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)addend));
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  const __m512i shifted = _mm512_slli_epi16(
      _mm512_cvtepu8_epi16(_mm256_permutevar8x32_epi32(bytes, order)), 7);
  return _mm512_srai_epi16(
      _mm512_adds_epi16(x, _mm512_mulhrs_epi16(shifted, addend_multiplier)), 3);
}

/// R rows, one or two, of V · 16 bytes.
static inline __attribute__((always_inline)) void q_finish(
    const int R, const int V, const int is_added, const int16_t *words, q_words multiplier,
    const uint8_t *addend, ptrdiff_t addend_stride, q_words addend_multiplier, uint8_t *out,
    ptrdiff_t stride, vos_int8_clamp clamp) {
  const q_words first = q_scaled(V, is_added, words, multiplier, addend, addend_multiplier);
  const q_words second = R > 1 ? q_scaled(V, is_added, words + 32, multiplier,
                                          is_added ? addend + addend_stride : NULL,
                                          addend_multiplier)
                               : first;
  __m512i bytes = _mm512_packus_epi16(first, second);
  bytes = _mm512_max_epu8(bytes, _mm512_set1_epi8((char)clamp.low));
  bytes = _mm512_min_epu8(bytes, _mm512_set1_epi8((char)clamp.high));
  bytes = _mm512_permutexvar_epi32(
      _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), bytes);
  const __m256i rows[2] = {_mm512_castsi512_si256(bytes), _mm512_extracti64x4_epi64(bytes, 1)};
  for (int r = 0; r < R; r++)
    if (V > 1)
      _mm256_storeu_si256((__m256i *)(out + r * stride), rows[r]);
    else
      _mm_storeu_si128((__m128i *)(out + r * stride), _mm256_castsi256_si128(rows[r]));
}

/// Q_TILE_VECTORS vectors of 0…127.
static inline void q_store_bytes(uint8_t *out, const q_int *x) {
  for (int v = 0; v < Q_TILE_VECTORS; v++)
    _mm_storeu_si128((__m128i *)(out + 16 * v), _mm512_cvtepi32_epi8(x[v]));
}
