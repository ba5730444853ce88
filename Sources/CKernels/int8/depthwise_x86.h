// Depthwise convolution rows, 32 channels at a time in 256-bit vectors, 16 in 128-bit ones where there
// are fewer. Contract: CKernelsInt8.h;
// specification: scalar.h. Included as products.h is.

// Unpacking two rows of bytes pairs their channels in this order, and packing the two halves of the
// results undoes it: low holds channels 0-7 and 16-23, high 8-15 and 24-31.
typedef struct {
  __m256i low, high;
} VOS_NAME(halves);

// 16 bytes at p and 16 at p + 32 (and the same 16 bytes on): two bytes for each channel.
VOS_INLINE VOS_NAME(halves) VOS_NAME(load_halves)(const void *p) {
  const __m128i *q = p;
  return (VOS_NAME(halves)){
      _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128(q)), _mm_loadu_si128(q + 2), 1),
      _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128(q + 1)),
                              _mm_loadu_si128(q + 3), 1),
  };
}

VOS_INLINE __m256i VOS_NAME(finished)(__m256i first, __m256i second, __m256i bias, __m256i scale,
                                      __m256i zero) {
  const __m256i sum = _mm256_add_epi16(_mm256_srai_epi16(first, 1), _mm256_srai_epi16(second, 1));
  return _mm256_adds_epi16(_mm256_mulhrs_epi16(_mm256_adds_epi16(sum, bias), scale), zero);
}

// U neighbouring outputs × channels c … c + 31.
VOS_INLINE void VOS_NAME(window)(const int K, const int S, const int U, const uint8_t *const *rows,
                                 size_t at, size_t c, size_t channels,
                                 const vos_int8_depthwise *factor, uint8_t *out,
                                 vos_int8_clamp clamp) {
  enum { most = 2 };
  const int taps = K * K, pairs = (taps + 1) / 2;
  const size_t channel_pairs = 2 * channels;
  VOS_NAME(halves) sum[2][most];
  VOS_UNROLL for (int half = 0; half < 2; half++) {
    const int begin = half ? (pairs + 1) / 2 : 0, end = half ? pairs : (pairs + 1) / 2;
    VOS_UNROLL for (int p = begin; p < end; p++) {
      const VOS_NAME(halves) w =
          VOS_NAME(load_halves)(factor->weights + (size_t)p * channel_pairs + 2 * c);
      // The last tap has no partner: it is its own, and the weight is zero.
      const int a = 2 * p, b = 2 * p + 1 < taps ? 2 * p + 1 : a;
      const uint8_t *first = rows[a / K] + at + (size_t)(a % K) * channels + c;
      const uint8_t *second = rows[b / K] + at + (size_t)(b % K) * channels + c;
      VOS_UNROLL for (int u = 0; u < U; u++) {
        const size_t pixel = (size_t)(u * S) * channels;
        const __m256i x = _mm256_loadu_si256((const __m256i *)(first + pixel));
        const __m256i y = _mm256_loadu_si256((const __m256i *)(second + pixel));
        const __m256i low = _mm256_maddubs_epi16(_mm256_unpacklo_epi8(x, y), w.low);
        const __m256i high = _mm256_maddubs_epi16(_mm256_unpackhi_epi8(x, y), w.high);
        if (p == begin) {
          sum[half][u] = (VOS_NAME(halves)){low, high};
        } else {
          sum[half][u].low = _mm256_add_epi16(sum[half][u].low, low);
          sum[half][u].high = _mm256_add_epi16(sum[half][u].high, high);
        }
      }
    }
  }
  const VOS_NAME(halves) bias = VOS_NAME(load_halves)(factor->bias + c);
  const VOS_NAME(halves) scale = VOS_NAME(load_halves)(factor->scale + c);
  const __m256i zero = _mm256_set1_epi16(factor->zero_point);
  const __m256i least = _mm256_set1_epi8((char)clamp.low);
  const __m256i most_of = _mm256_set1_epi8((char)clamp.high);
  VOS_UNROLL for (int u = 0; u < U; u++) {
    const __m256i low =
        VOS_NAME(finished)(sum[0][u].low, sum[1][u].low, bias.low, scale.low, zero);
    const __m256i high =
        VOS_NAME(finished)(sum[0][u].high, sum[1][u].high, bias.high, scale.high, zero);
    const __m256i bytes = _mm256_packus_epi16(low, high);
    _mm256_storeu_si256((__m256i *)(out + (size_t)u * channels + c),
                        _mm256_min_epu8(_mm256_max_epu8(bytes, least), most_of));
  }
}

VOS_INLINE __m128i VOS_NAME(finished_narrow)(__m128i first, __m128i second, const int16_t *bias,
                                             const int16_t *scale, __m128i zero) {
  const __m128i sum = _mm_add_epi16(_mm_srai_epi16(first, 1), _mm_srai_epi16(second, 1));
  const __m128i biased = _mm_adds_epi16(sum, _mm_loadu_si128((const __m128i *)bias));
  return _mm_adds_epi16(_mm_mulhrs_epi16(biased, _mm_loadu_si128((const __m128i *)scale)), zero);
}

// One output × channels c … c + 15.
VOS_INLINE void VOS_NAME(window_narrow)(const int K, const uint8_t *const *rows, size_t at, size_t c,
                                        size_t channels, const vos_int8_depthwise *factor,
                                        uint8_t *out, vos_int8_clamp clamp) {
  const int taps = K * K, pairs = (taps + 1) / 2;
  __m128i low[2] = {_mm_setzero_si128(), _mm_setzero_si128()};
  __m128i high[2] = {_mm_setzero_si128(), _mm_setzero_si128()};
  VOS_UNROLL for (int p = 0; p < pairs; p++) {
    const int half = p >= (pairs + 1) / 2;
    const int a = 2 * p, b = 2 * p + 1 < taps ? 2 * p + 1 : a;
    const int8_t *weights = factor->weights + (size_t)p * 2 * channels + 2 * c;
    const uint8_t *first = rows[a / K] + at + (size_t)(a % K) * channels + c;
    const uint8_t *second = rows[b / K] + at + (size_t)(b % K) * channels + c;
    const __m128i x = _mm_loadu_si128((const __m128i *)first);
    const __m128i y = _mm_loadu_si128((const __m128i *)second);
    low[half] = _mm_add_epi16(
        low[half], _mm_maddubs_epi16(_mm_unpacklo_epi8(x, y),
                                     _mm_loadu_si128((const __m128i *)weights)));
    high[half] = _mm_add_epi16(
        high[half], _mm_maddubs_epi16(_mm_unpackhi_epi8(x, y),
                                      _mm_loadu_si128((const __m128i *)(weights + 16))));
  }
  const __m128i zero = _mm_set1_epi16(factor->zero_point);
  const __m128i bytes = _mm_packus_epi16(
      VOS_NAME(finished_narrow)(low[0], low[1], factor->bias + c, factor->scale + c, zero),
      VOS_NAME(finished_narrow)(high[0], high[1], factor->bias + c + 8, factor->scale + c + 8,
                                zero));
  const __m128i limited = _mm_max_epu8(bytes, _mm_set1_epi8((char)clamp.low));
  _mm_storeu_si128((__m128i *)(out + c), _mm_min_epu8(limited, _mm_set1_epi8((char)clamp.high)));
}

/// 16 … 31 channels.
VOS_INLINE void VOS_NAME(depthwise_narrow)(const int K, size_t stride, const uint8_t *const *rows,
                                           size_t width, size_t channels,
                                           const vos_int8_depthwise *factor, uint8_t *out,
                                           vos_int8_clamp clamp) {
  for (size_t x = 0; x < width; x++) {
    const size_t at = x * stride * channels;
    VOS_NAME(window_narrow)(K, rows, at, 0, channels, factor, out + x * channels, clamp);
    if (channels > 16)
      VOS_NAME(window_narrow)
      (K, rows, at, channels - 16, channels, factor, out + x * channels, clamp);
  }
}

VOS_INLINE void VOS_NAME(depthwise_row)(const int K, const int S, const uint8_t *const *rows,
                                        size_t width, size_t channels,
                                        const vos_int8_depthwise *factor, uint8_t *out,
                                        vos_int8_clamp clamp) {
  for (size_t x = 0; x < width; x += 2) {
    const size_t at = x * (size_t)S * channels;
    // The last block overlaps the one before: the same bytes are computed again.
    for (size_t c = 0; c < channels; c += 32) {
      const size_t from = c + 32 <= channels ? c : channels - 32;
      if (x + 1 < width)
        VOS_NAME(window)(K, S, 2, rows, at, from, channels, factor, out + x * channels, clamp);
      else
        VOS_NAME(window)(K, S, 1, rows, at, from, channels, factor, out + x * channels, clamp);
    }
  }
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
  else if (channels < 32 && kernel == 3)
    VOS_NAME(depthwise_narrow)(3, stride, rows, width, channels, factor, out, clamp);
  else if (channels < 32)
    VOS_NAME(depthwise_narrow)(5, stride, rows, width, channels, factor, out, clamp);
  else if (kernel == 3 && stride == 1)
    VOS_NAME(depthwise_row)(3, 1, rows, width, channels, factor, out, clamp);
  else if (kernel == 3)
    VOS_NAME(depthwise_row)(3, 2, rows, width, channels, factor, out, clamp);
  else if (stride == 1)
    VOS_NAME(depthwise_row)(5, 1, rows, width, channels, factor, out, clamp);
  else
    VOS_NAME(depthwise_row)(5, 2, rows, width, channels, factor, out, clamp);
}
