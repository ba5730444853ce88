// AVX2 + FMA variants of the training kernels. Contracts are in include/CKernelsTraining.h; what they
// compute is written plainly in scalar.c. Called by: the table at the end.
#if defined(__x86_64__)

#include <assert.h>
#include <immintrin.h>

#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)

#include "elementwise.h"

#define INLINE static inline __attribute__((always_inline))

// MARK: - Products

/// Lanes 0 ..< count of a vector, for masked loads and stores.
INLINE __m256i lanes(size_t count) {
  const __m256i index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)count), index);
}

// `height` rows of the result times 16 columns, in registers over all m.
INLINE void outer_tile16(size_t rows, size_t height, const float *a, ptrdiff_t a_stride,
                         const float *b, ptrdiff_t b_stride, float *out, ptrdiff_t out_stride) {
  __m256 low[6], high[6];
  for (size_t r = 0; r < height; ++r) {
    low[r] = _mm256_loadu_ps(out + (ptrdiff_t)r * out_stride);
    high[r] = _mm256_loadu_ps(out + (ptrdiff_t)r * out_stride + 8);
  }
  for (size_t m = 0; m < rows; ++m, a += a_stride, b += b_stride) {
    const __m256 b0 = _mm256_loadu_ps(b), b1 = _mm256_loadu_ps(b + 8);
    for (size_t r = 0; r < height; ++r) {
      const __m256 value = _mm256_broadcast_ss(a + r);
      low[r] = _mm256_fmadd_ps(value, b0, low[r]);
      high[r] = _mm256_fmadd_ps(value, b1, high[r]);
    }
  }
  for (size_t r = 0; r < height; ++r) {
    _mm256_storeu_ps(out + (ptrdiff_t)r * out_stride, low[r]);
    _mm256_storeu_ps(out + (ptrdiff_t)r * out_stride + 8, high[r]);
  }
}

// The same for up to 8 columns.
INLINE void outer_tile8(size_t rows, size_t height, __m256i mask, const float *a,
                        ptrdiff_t a_stride, const float *b, ptrdiff_t b_stride, float *out,
                        ptrdiff_t out_stride) {
  __m256 sum[8];
  for (size_t r = 0; r < height; ++r) sum[r] = _mm256_maskload_ps(out + (ptrdiff_t)r * out_stride, mask);
  for (size_t m = 0; m < rows; ++m, a += a_stride, b += b_stride) {
    const __m256 b0 = _mm256_maskload_ps(b, mask);
    for (size_t r = 0; r < height; ++r)
      sum[r] = _mm256_fmadd_ps(_mm256_broadcast_ss(a + r), b0, sum[r]);
  }
  for (size_t r = 0; r < height; ++r)
    _mm256_maskstore_ps(out + (ptrdiff_t)r * out_stride, mask, sum[r]);
}

static void vos_f32_outer_products__avx2(size_t rows, size_t depth, size_t columns, const float *a,
                                         ptrdiff_t a_stride, const float *b, ptrdiff_t b_stride,
                                         float *out, ptrdiff_t out_stride) {
  for (size_t k = 0; k < depth;) {
    const size_t left = depth - k, height = left >= 6 ? 6 : left;
    float *to = out + (ptrdiff_t)k * out_stride;
    size_t n = 0;
#define TILE16(H) outer_tile16(rows, H, a + k, a_stride, b + n, b_stride, to + n, out_stride); break
    for (; n + 16 <= columns; n += 16) {
      switch (height) {
        case 6: TILE16(6);
        case 5: TILE16(5);
        case 4: TILE16(4);
        case 3: TILE16(3);
        case 2: TILE16(2);
        default: TILE16(1);
      }
    }
#undef TILE16
#define TILE8(H) \
  outer_tile8(rows, H, mask, a + k, a_stride, b + n, b_stride, to + n, out_stride); break
    for (; n < columns; n += 8) {
      const __m256i mask = lanes(columns - n);
      switch (height) {
        case 6: TILE8(6);
        case 5: TILE8(5);
        case 4: TILE8(4);
        case 3: TILE8(3);
        case 2: TILE8(2);
        default: TILE8(1);
      }
    }
#undef TILE8
    k += height;
  }
}

// MARK: - Depthwise

/// First output whose taps are all inside the row, and one past the last.
INLINE void interior(size_t kernel, size_t stride, size_t in_width, size_t out_width,
                     size_t *first, size_t *end) {
  const size_t half = kernel / 2;
  *first = (half + stride - 1) / stride;
  *end = in_width + half >= kernel ? (in_width + half - kernel) / stride + 1 : 0;
  if (*end > out_width) *end = out_width;
  if (*first > *end) *first = *end;
}

/// Taps of output x that are inside the row: low ..< high.
INLINE void inside(size_t x, size_t kernel, size_t stride, size_t in_width, size_t *low,
                   size_t *high) {
  const size_t half = kernel / 2, position = x * stride;
  *low = position < half ? half - position : 0;
  *high = position + kernel > in_width + half ? in_width + half - position : kernel;
}

INLINE __m256 bounded(__m256 value, __m256 low, __m256 high) {
  return _mm256_min_ps(_mm256_max_ps(value, low), high);
}

typedef struct {
  const float *const *rows;
  size_t in_width, out_width, channels;
  const float *weights, *bias, *addend;
  float *out;
  vos_clamp clamp;
} depthwise_row;

INLINE __m256 depthwise_start(const depthwise_row *row, size_t x, size_t c) {
  __m256 sum = row->bias ? _mm256_loadu_ps(row->bias + c) : _mm256_setzero_ps();
  return row->addend ? _mm256_add_ps(sum, _mm256_loadu_ps(row->addend + x * row->channels + c)) : sum;
}

// One output of 8 channels, any position.
INLINE void depthwise_edge(const depthwise_row *row, size_t kernel, size_t stride, size_t x,
                           size_t c, __m256 low, __m256 high) {
  size_t from, to;
  inside(x, kernel, stride, row->in_width, &from, &to);
  __m256 sum = depthwise_start(row, x, c);
  for (size_t i = 0; i < kernel; ++i) {
    if (!row->rows[i]) continue;
    for (size_t j = from; j < to; ++j) {
      const float *in = row->rows[i] + (x * stride + j - kernel / 2) * row->channels + c;
      const float *w = row->weights + (i * kernel + j) * row->channels + c;
      sum = _mm256_fmadd_ps(_mm256_loadu_ps(in), _mm256_loadu_ps(w), sum);
    }
  }
  _mm256_storeu_ps(row->out + x * row->channels + c, bounded(sum, low, high));
}

// Four neighbouring outputs of 8 channels, all taps inside.
INLINE void depthwise_tile(const depthwise_row *row, size_t kernel, size_t stride, size_t x,
                           size_t c, __m256 low, __m256 high) {
  const size_t channels = row->channels;
  __m256 sum[4];
  for (size_t t = 0; t < 4; ++t) sum[t] = depthwise_start(row, x + t, c);
  for (size_t i = 0; i < kernel; ++i) {
    if (!row->rows[i]) continue;
    const float *in = row->rows[i] + (x * stride - kernel / 2) * channels + c;
    const float *w = row->weights + i * kernel * channels + c;
    __m256 weight[5];
    for (size_t j = 0; j < kernel; ++j) weight[j] = _mm256_loadu_ps(w + j * channels);
    for (size_t p = 0; p < 3 * stride + kernel; ++p) {
      const __m256 value = _mm256_loadu_ps(in + p * channels);
      for (size_t t = 0; t < 4; ++t)
        if (p >= t * stride && p - t * stride < kernel)
          sum[t] = _mm256_fmadd_ps(value, weight[p - t * stride], sum[t]);
    }
  }
  for (size_t t = 0; t < 4; ++t)
    _mm256_storeu_ps(row->out + (x + t) * channels + c, bounded(sum[t], low, high));
}

INLINE void depthwise_row_of(const depthwise_row *row, size_t kernel, size_t stride) {
  const __m256 low = _mm256_set1_ps(row->clamp.low), high = _mm256_set1_ps(row->clamp.high);
  size_t first, end;
  interior(kernel, stride, row->in_width, row->out_width, &first, &end);
  for (size_t c = 0; c + 8 <= row->channels; c += 8) {
    size_t x = 0;
    for (; x < first; ++x) depthwise_edge(row, kernel, stride, x, c, low, high);
    for (; x + 4 <= end; x += 4) depthwise_tile(row, kernel, stride, x, c, low, high);
    for (; x < row->out_width; ++x) depthwise_edge(row, kernel, stride, x, c, low, high);
  }
}

static void vos_f32_depthwise__avx2(const float *const *rows, size_t kernel, size_t stride,
                                    size_t in_width, size_t out_width, size_t channels,
                                    const float *weights, const float *bias, const float *addend,
                                    float *out, vos_clamp clamp) {
  assert((kernel == 3 || kernel == 5) && (stride == 1 || stride == 2));
  if (channels % 8 != 0) {
    vos_training_kernels_scalar.depthwise(rows, kernel, stride, in_width, out_width, channels,
                                          weights, bias, addend, out, clamp);
    return;
  }
  const depthwise_row row = {rows, in_width, out_width, channels, weights, bias, addend, out, clamp};
  if (kernel == 3 && stride == 1) depthwise_row_of(&row, 3, 1);
  else if (kernel == 3) depthwise_row_of(&row, 3, 2);
  else if (stride == 1) depthwise_row_of(&row, 5, 1);
  else depthwise_row_of(&row, 5, 2);
}

// Kernel row `in`, `vectors` · 8 channels: kernel · vectors sums in registers along the row.
INLINE void weights_tile(const float *in, size_t kernel, size_t stride, size_t vectors,
                         size_t in_width, size_t out_width, size_t channels, const float *gradient,
                         float *out) {
  size_t first, end;
  interior(kernel, stride, in_width, out_width, &first, &end);
  __m256 sum[5][2];
  for (size_t j = 0; j < kernel; ++j)
    for (size_t v = 0; v < vectors; ++v) sum[j][v] = _mm256_loadu_ps(out + j * channels + 8 * v);
  for (size_t x = first; x < end; ++x) {
    const float *at = in + (x * stride - kernel / 2) * channels;
    for (size_t v = 0; v < vectors; ++v) {
      const __m256 g = _mm256_loadu_ps(gradient + x * channels + 8 * v);
      for (size_t j = 0; j < kernel; ++j)
        sum[j][v] = _mm256_fmadd_ps(_mm256_loadu_ps(at + j * channels + 8 * v), g, sum[j][v]);
    }
  }
  for (size_t j = 0; j < kernel; ++j)
    for (size_t v = 0; v < vectors; ++v) _mm256_storeu_ps(out + j * channels + 8 * v, sum[j][v]);

  for (size_t x = 0; x < out_width; ++x) {
    if (x == first && end > first) x = end;
    if (x >= out_width) break;
    size_t from, to;
    inside(x, kernel, stride, in_width, &from, &to);
    for (size_t j = from; j < to; ++j) {
      const float *at = in + (x * stride + j - kernel / 2) * channels;
      for (size_t v = 0; v < vectors; ++v) {
        float *target = out + j * channels + 8 * v;
        const __m256 g = _mm256_loadu_ps(gradient + x * channels + 8 * v);
        _mm256_storeu_ps(
          target, _mm256_fmadd_ps(_mm256_loadu_ps(at + 8 * v), g, _mm256_loadu_ps(target)));
      }
    }
  }
}

static void vos_f32_depthwise_weights__avx2(const float *const *rows, size_t kernel, size_t stride,
                                            size_t in_width, size_t out_width, size_t channels,
                                            const float *gradient, float *out) {
  if (channels % 8 != 0) {
    vos_training_kernels_scalar.depthwise_weights(rows, kernel, stride, in_width, out_width,
                                                  channels, gradient, out);
    return;
  }
#define TILE(K, S, V) \
  weights_tile(rows[i] + c, K, S, V, in_width, out_width, channels, gradient + c, \
               out + i * kernel * channels + c)
  for (size_t i = 0; i < kernel; ++i) {
    if (!rows[i]) continue;
    for (size_t c = 0; c < channels;) {
      const int two = c + 16 <= channels;
      if (kernel == 3 && stride == 1) { if (two) TILE(3, 1, 2); else TILE(3, 1, 1); }
      else if (kernel == 3) { if (two) TILE(3, 2, 2); else TILE(3, 2, 1); }
      else if (stride == 1) { if (two) TILE(5, 1, 2); else TILE(5, 1, 1); }
      else { if (two) TILE(5, 2, 2); else TILE(5, 2, 1); }
      c += two ? 16 : 8;
    }
  }
#undef TILE
}

static void vos_f32_depthwise_input2__avx2(const float *const *rows, size_t kernel, size_t in_width,
                                           size_t out_width, size_t channels, const float *weights,
                                           float *out) {
  if (channels % 8 != 0) {
    vos_training_kernels_scalar.depthwise_input2(rows, kernel, in_width, out_width, channels,
                                                 weights, out);
    return;
  }
  const size_t half = kernel / 2;
  for (size_t x = 0; x < in_width; ++x) {
    // Taps j with x + half - j even; o = (x + half - j) / 2 inside the result.
    for (size_t c = 0; c < channels; c += 8) {
      __m256 sum = _mm256_loadu_ps(out + x * channels + c);
      for (size_t j = (x + half) & 1; j < kernel && j <= x + half; j += 2) {
        const size_t o = (x + half - j) / 2;
        if (o >= out_width) continue;
        for (size_t i = 0; i < kernel; ++i) {
          if (!rows[i]) continue;
          sum = _mm256_fmadd_ps(_mm256_loadu_ps(rows[i] + o * channels + c),
                                _mm256_loadu_ps(weights + (i * kernel + j) * channels + c), sum);
        }
      }
      _mm256_storeu_ps(out + x * channels + c, sum);
    }
  }
}

const vos_training_kernels vos_training_kernels_avx2 = {
  .isa = VOS_ISA_AVX2,
  .outer_products = vos_f32_outer_products__avx2,
  .depthwise = vos_f32_depthwise__avx2,
  .depthwise_weights = vos_f32_depthwise_weights__avx2,
  .depthwise_input2 = vos_f32_depthwise_input2__avx2,
  VOS_TRAINING_ELEMENTWISE,
};

#pragma clang attribute pop

#endif
