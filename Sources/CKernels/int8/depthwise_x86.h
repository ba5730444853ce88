// Depthwise convolution rows in 128- and 256-bit vectors, with AVX-512 VNNI in 512-bit ones too.
// Contract: CKernelsInt8.h; specification: scalar.h. Included as products.h is.

#define D(op) _mm_##op
#define D_CHANNELS 16
#define D_VECTOR __m128i
#define D_LOAD(p) _mm_loadu_si128((const __m128i *)(p))
#define D_STORE(p, x) _mm_storeu_si128((__m128i *)(p), x)
#define D_HALVES(p, lower, upper) \
  lower = _mm_loadu_si128((const __m128i *)(p)), upper = _mm_loadu_si128((const __m128i *)(p) + 1)
#include "depthwise_window.h"

#define D(op) _mm256_##op
#define D_CHANNELS 32
#define D_VECTOR __m256i
#define D_LOAD(p) _mm256_loadu_si256((const __m256i *)(p))
#define D_STORE(p, x) _mm256_storeu_si256((__m256i *)(p), x)
#define D_LANES(p, first, second)                                                    \
  _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)(p) + first)), \
                          _mm_loadu_si128((const __m128i *)(p) + second), 1)
#define D_HALVES(p, lower, upper) lower = D_LANES(p, 0, 2), upper = D_LANES(p, 1, 3)
#include "depthwise_window.h"
#undef D_LANES

#if Q_LANES == 16
#define D(op) _mm512_##op
#define D_CHANNELS 64
#define D_VECTOR __m512i
#define D_LOAD(p) _mm512_loadu_si512(p)
#define D_STORE(p, x) _mm512_storeu_si512(p, x)
#define D_HALVES(p, lower, upper)                                          \
  const __m512i begin_ = _mm512_loadu_si512(p),                            \
                end_ = _mm512_loadu_si512((const uint8_t *)(p) + 64);      \
  lower = _mm512_shuffle_i64x2(begin_, end_, 0x88), upper = _mm512_shuffle_i64x2(begin_, end_, 0xdd)
#include "depthwise_window.h"
#endif

// U neighbouring outputs, all channels: 32 or more, or 16 to 31 when narrow. The last vector of
// channels may overlap the one before: the same bytes are computed again.
VOS_INLINE void VOS_NAME(depthwise_pixels)(const int K, const int S, const int U,
                                           const int is_narrow, const uint8_t *const *rows,
                                           size_t at, size_t channels,
                                           const vos_int8_depthwise *factor, uint8_t *out,
                                           vos_int8_clamp clamp) {
  if (is_narrow) {
    VOS_NAME(window_16)(K, S, U, rows, at, 0, channels, factor, out, clamp);
    if (channels > 16)
      VOS_NAME(window_16)(K, S, U, rows, at, channels - 16, channels, factor, out, clamp);
    return;
  }
  size_t c = 0;
#if Q_LANES == 16
  for (; channels >= 64 && c + 32 < channels; c += 64) {
    const size_t from = c + 64 <= channels ? c : channels - 64;
    VOS_NAME(window_64)(K, S, U, rows, at, from, channels, factor, out, clamp);
  }
#endif
  for (; c < channels; c += 32) {
    const size_t from = c + 32 <= channels ? c : channels - 32;
    VOS_NAME(window_32)(K, S, U, rows, at, from, channels, factor, out, clamp);
  }
}

VOS_INLINE void VOS_NAME(depthwise_row)(const int K, const int S, const int is_narrow,
                                        const uint8_t *const *rows, size_t width, size_t channels,
                                        const vos_int8_depthwise *factor, uint8_t *out,
                                        vos_int8_clamp clamp) {
  const size_t step = (size_t)S * channels;
  size_t x = 0;
  for (; x + 2 <= width; x += 2)
    VOS_NAME(depthwise_pixels)
    (K, S, 2, is_narrow, rows, x * step, channels, factor, out + x * channels, clamp);
  if (x < width)
    VOS_NAME(depthwise_pixels)
    (K, S, 1, is_narrow, rows, x * step, channels, factor, out + x * channels, clamp);
}

VOS_INLINE void VOS_NAME(depthwise_vectors)(const int is_narrow, const uint8_t *const *rows,
                                            size_t kernel, size_t stride, size_t width,
                                            size_t channels, const vos_int8_depthwise *factor,
                                            uint8_t *out, vos_int8_clamp clamp) {
  if (kernel == 3 && stride == 1)
    VOS_NAME(depthwise_row)(3, 1, is_narrow, rows, width, channels, factor, out, clamp);
  else if (kernel == 3)
    VOS_NAME(depthwise_row)(3, 2, is_narrow, rows, width, channels, factor, out, clamp);
  else if (stride == 1)
    VOS_NAME(depthwise_row)(5, 1, is_narrow, rows, width, channels, factor, out, clamp);
  else
    VOS_NAME(depthwise_row)(5, 2, is_narrow, rows, width, channels, factor, out, clamp);
}

static void VOS_NAME(vos_u7s8_depthwise)(const uint8_t *const *rows, size_t kernel, size_t stride,
                                         size_t width, size_t channels,
                                         const vos_int8_depthwise *factor, uint8_t *out,
                                         vos_int8_clamp clamp) {
  assert((kernel == 3 || kernel == 5) && (stride == 1 || stride == 2) && channels >= 1);
  if (channels < 16)
    for (size_t x = 0; x < width; x++)
      vos_int8_depthwise_pixel(rows, kernel, x * stride, channels, factor, out + x * channels,
                               clamp);
  else if (channels < 32)
    VOS_NAME(depthwise_vectors)(1, rows, kernel, stride, width, channels, factor, out, clamp);
  else
    VOS_NAME(depthwise_vectors)(0, rows, kernel, stride, width, channels, factor, out, clamp);
}
