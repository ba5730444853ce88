// Vectors of 8 sums, 32 bytes. Included by avx2.c and avxvnni.c inside their target regions; the
// latter defines VOS_VNNI.
#pragma once

#include <immintrin.h>

typedef __m256i q_int;
typedef __m256 q_float;
typedef __m256i q_bytes;

#define Q_LANES 8
#define Q_TILE_VECTORS 2
#if defined(VOS_VNNI)
#define Q_TILE_ROWS 6  // a sum waits for the one before it: 12 of them hide that
#else
#define Q_TILE_ROWS 4  // 8 sums, 4 vectors of weights, and what a step needs in 16 registers
#endif

static inline q_int q_zero(void) { return _mm256_setzero_si256(); }
static inline q_int q_load_int(const int32_t *p) { return _mm256_loadu_si256((const __m256i *)p); }
static inline q_float q_load_float(const float *p) { return _mm256_loadu_ps(p); }
static inline void q_store_float(float *p, q_float x) { _mm256_storeu_ps(p, x); }
static inline q_float q_set(float x) { return _mm256_set1_ps(x); }
static inline q_float q_mul(q_float a, q_float b) { return _mm256_mul_ps(a, b); }
static inline q_float q_add(q_float a, q_float b) { return _mm256_add_ps(a, b); }
static inline q_float q_to_float(q_int x) { return _mm256_cvtepi32_ps(x); }
static inline q_int q_round(q_float x) { return _mm256_cvtps_epi32(x); }
/// 0…127, 0 for NaN (of which max takes its second operand).
static inline q_float q_limited(q_float x) {
  return _mm256_min_ps(_mm256_max_ps(x, _mm256_setzero_ps()), _mm256_set1_ps(127));
}
static inline q_bytes q_load_weights(const int8_t *p) {
  return _mm256_loadu_si256((const __m256i *)p);
}
static inline q_bytes q_load_bytes(const uint8_t *p) {
  return _mm256_loadu_si256((const __m256i *)p);
}
static inline int32_t q_sum_lanes(q_int x) {
  __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
  sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xb1)));
}
/// Four bytes in every lane.
static inline q_bytes q_broadcast(const uint8_t *p) {
  int32_t group;
  memcpy(&group, p, sizeof group);
  return _mm256_set1_epi32(group);
}
#if defined(VOS_VNNI)
static inline q_int q_dot(q_int sum, q_bytes a, q_bytes w) {
  return _mm256_dpbusd_avx_epi32(sum, a, w);
}
static inline q_int q_dot_twice(q_int sum, q_bytes a, q_bytes w, q_bytes b, q_bytes v) {
  return q_dot(q_dot(sum, a, w), b, v);
}
#else
static inline q_int q_dot(q_int sum, q_bytes a, q_bytes w) {
  const __m256i pairs = _mm256_maddubs_epi16(a, w);
  return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
/// Two products of pairs are added in 16 bits: VOS_INT8_WEIGHT_SUM says that they fit.
static inline q_int q_dot_twice(q_int sum, q_bytes a, q_bytes w, q_bytes b, q_bytes v) {
  const __m256i pairs = _mm256_add_epi16(_mm256_maddubs_epi16(a, w), _mm256_maddubs_epi16(b, v));
  return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
#endif

// MARK: - Sums into bytes

/// 16 words as packing leaves them: 0-3 8-11 | 4-7 12-15.
typedef __m256i q_words;
typedef __m128i q_shift;

static inline q_shift q_set_shift(int shift) { return _mm_cvtsi32_si128(shift); }
static inline q_words q_set_words(int16_t x) { return _mm256_set1_epi16(x); }
static inline void q_store_words(int16_t *p, q_words x) { _mm256_storeu_si256((__m256i *)p, x); }
static inline __attribute__((always_inline)) q_words q_load_multipliers(const int V,
                                                                        const int16_t *p) {
  (void)V;
  return _mm256_permute4x64_epi64(_mm256_loadu_si256((const __m256i *)p), 0xd8);
}
/// Of V vectors.
static inline __attribute__((always_inline)) q_words q_narrow(const int V, const q_int *x,
                                                              q_shift shift) {
  const __m256i first = _mm256_sra_epi32(x[0], shift);
  if (V < 2) return _mm256_packs_epi32(first, first);
  return _mm256_packs_epi32(first, _mm256_sra_epi32(x[1], shift));
}

/// One row's words, scaled and with the addend's V · 8 bytes.
static inline __attribute__((always_inline)) q_words q_scaled(const int V, const int is_added,
                                                              const int16_t *words,
                                                              q_words multiplier,
                                                              const uint8_t *addend,
                                                              q_words addend_multiplier) {
  const q_words x =
      _mm256_mulhrs_epi16(_mm256_loadu_si256((const __m256i *)words), multiplier);
  if (!is_added) return x;
  const __m128i bytes = V > 1 ? _mm_loadu_si128((const __m128i *)addend)
                              : _mm_loadl_epi64((const __m128i *)addend);
  const __m256i shifted =
      _mm256_slli_epi16(_mm256_cvtepu8_epi16(_mm_shuffle_epi32(bytes, 0xd8)), 7);
  return _mm256_srai_epi16(
      _mm256_adds_epi16(x, _mm256_mulhrs_epi16(shifted, addend_multiplier)), 3);
}

/// R rows, one or two, of V · 8 bytes.
static inline __attribute__((always_inline)) void q_finish(
    const int R, const int V, const int is_added, const int16_t *words, q_words multiplier,
    const uint8_t *addend, ptrdiff_t addend_stride, q_words addend_multiplier, uint8_t *out,
    ptrdiff_t stride, vos_int8_clamp clamp) {
  const q_words first = q_scaled(V, is_added, words, multiplier, addend, addend_multiplier);
  const q_words second = R > 1 ? q_scaled(V, is_added, words + 16, multiplier,
                                          is_added ? addend + addend_stride : NULL,
                                          addend_multiplier)
                               : first;
  __m256i bytes = _mm256_packus_epi16(first, second);
  bytes = _mm256_max_epu8(bytes, _mm256_set1_epi8((char)clamp.low));
  bytes = _mm256_min_epu8(bytes, _mm256_set1_epi8((char)clamp.high));
  bytes = _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
  const __m128i rows[2] = {_mm256_castsi256_si128(bytes), _mm256_extracti128_si256(bytes, 1)};
  for (int r = 0; r < R; r++)
    if (V > 1)
      _mm_storeu_si128((__m128i *)(out + r * stride), rows[r]);
    else
      _mm_storel_epi64((__m128i *)(out + r * stride), rows[r]);
}

/// Q_TILE_VECTORS vectors of 0…127.
static inline void q_store_bytes(uint8_t *out, const q_int *x) {
  const __m256i words =
      _mm256_permute4x64_epi64(_mm256_packs_epi32(x[0], x[1]), 0xd8);
  _mm_storeu_si128((__m128i *)out, _mm_packus_epi16(_mm256_castsi256_si128(words),
                                                    _mm256_extracti128_si256(words, 1)));
}
