// AVX-512 and VNNI in portable C, from SIMDe, under the names that the kernels use. build/kernels/test-vnni puts this
// folder before the compiler's own, so that the integer kernels for CPUs with VNNI run on CPUs without.
#ifndef VOS_SIMDE_IMMINTRIN_H
#define VOS_SIMDE_IMMINTRIN_H

#include_next <immintrin.h>

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>
#include <string.h>

// What SIMDe 0.7.4 lacks.

#define _mm256_dpbusd_avx_epi32(sum, a, b) simde_mm256_dpbusd_epi32(sum, a, b)

static inline __m512 vos_cvtepi32_ps(__m512i x) {
  int32_t in[16];
  float out[16];
  memcpy(in, &x, sizeof in);
  for (int i = 0; i < 16; i++) out[i] = (float)in[i];
  return _mm512_loadu_ps(out);
}
#define _mm512_cvtepi32_ps(x) vos_cvtepi32_ps(x)

/// To the nearest, ties to even; −2³¹ for what does not fit, NaN included.
static inline __m512i vos_cvtps_epi32(__m512 x) {
  float in[16];
  int32_t out[16];
  memcpy(in, &x, sizeof in);
  for (int i = 0; i < 16; i++) out[i] = _mm_cvtss_si32(_mm_set_ss(in[i]));
  return _mm512_loadu_si512(out);
}
#define _mm512_cvtps_epi32(x) vos_cvtps_epi32(x)

static inline __m512i vos_cvtepu8_epi16(__m256i x) {
  uint8_t in[32];
  int16_t out[32];
  memcpy(in, &x, sizeof in);
  for (int i = 0; i < 32; i++) out[i] = in[i];
  return _mm512_loadu_si512(out);
}
#define _mm512_cvtepu8_epi16(x) vos_cvtepu8_epi16(x)

/// By less than 32.
static inline __m512i vos_srav_epi32(__m512i x, __m512i count) {
  int32_t in[16], by[16];
  memcpy(in, &x, sizeof in);
  memcpy(by, &count, sizeof by);
  for (int i = 0; i < 16; i++) in[i] >>= by[i];
  return _mm512_loadu_si512(in);
}
#define _mm512_srav_epi32(x, count) vos_srav_epi32(x, count)

/// The lowest byte of each.
static inline __m128i vos_cvtepi32_epi8(__m512i x) {
  int32_t in[16];
  uint8_t out[16];
  memcpy(in, &x, sizeof in);
  for (int i = 0; i < 16; i++) out[i] = (uint8_t)in[i];
  return _mm_loadu_si128((const __m128i *)out);
}
#define _mm512_cvtepi32_epi8(x) vos_cvtepi32_epi8(x)

/// Two quarters of a, two of b, each chosen by two bits.
static inline __m512i vos_shuffle_i64x2(__m512i a, __m512i b, int chosen) {
  char in[2][64], out[64];
  memcpy(in[0], &a, 64);
  memcpy(in[1], &b, 64);
  for (int i = 0; i < 4; i++) memcpy(out + 16 * i, in[i / 2] + 16 * (chosen >> 2 * i & 3), 16);
  return _mm512_loadu_si512(out);
}
#define _mm512_shuffle_i64x2(a, b, chosen) vos_shuffle_i64x2(a, b, chosen)

static inline int32_t vos_reduce_add_epi32(__m512i x) {
  int32_t in[16];
  uint32_t sum = 0;
  memcpy(in, &x, sizeof in);
  for (int i = 0; i < 16; i++) sum += (uint32_t)in[i];
  return (int32_t)sum;
}
#define _mm512_reduce_add_epi32(x) vos_reduce_add_epi32(x)

#endif
