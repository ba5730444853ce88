// The specification of the training kernels, written to be read. Contracts are in
// include/CKernelsTraining.h. Called by: the table at the end.
#include <assert.h>

#include "elementwise.h"

static void vos_f32_outer_products__scalar(size_t rows, size_t depth, size_t columns,
                                           const float *a, ptrdiff_t a_stride, const float *b,
                                           ptrdiff_t b_stride, float *out, ptrdiff_t out_stride) {
  for (size_t m = 0; m < rows; ++m, a += a_stride, b += b_stride)
    for (size_t k = 0; k < depth; ++k)
      for (size_t n = 0; n < columns; ++n) out[(ptrdiff_t)k * out_stride + (ptrdiff_t)n] += a[k] * b[n];
}

// Position of tap j of output x in an input row, or -1 when it is in the padding.
static ptrdiff_t tap(size_t x, size_t stride, size_t j, size_t kernel, size_t width) {
  const ptrdiff_t position = (ptrdiff_t)(x * stride + j) - (ptrdiff_t)(kernel / 2);
  return position >= 0 && position < (ptrdiff_t)width ? position : -1;
}

static void vos_f32_depthwise__scalar(const float *const *rows, size_t kernel, size_t stride,
                                      size_t in_width, size_t out_width, size_t channels,
                                      const float *weights, const float *bias,
                                      const float *addend, float *out, vos_clamp clamp) {
  assert((kernel == 3 || kernel == 5) && (stride == 1 || stride == 2));
  for (size_t x = 0; x < out_width; ++x) {
    for (size_t c = 0; c < channels; ++c) {
      float sum = (addend ? addend[x * channels + c] : 0) + (bias ? bias[c] : 0);
      for (size_t i = 0; i < kernel; ++i) {
        for (size_t j = 0; rows[i] && j < kernel; ++j) {
          const ptrdiff_t from = tap(x, stride, j, kernel, in_width);
          if (from >= 0)
            sum += rows[i][(size_t)from * channels + c] * weights[(i * kernel + j) * channels + c];
        }
      }
      sum = sum < clamp.low ? clamp.low : sum;
      out[x * channels + c] = sum > clamp.high ? clamp.high : sum;
    }
  }
}

static void vos_f32_depthwise_weights__scalar(const float *const *rows, size_t kernel,
                                              size_t stride, size_t in_width, size_t out_width,
                                              size_t channels, const float *gradient,
                                              float *out) {
  for (size_t i = 0; i < kernel; ++i) {
    for (size_t j = 0; rows[i] && j < kernel; ++j) {
      for (size_t x = 0; x < out_width; ++x) {
        const ptrdiff_t from = tap(x, stride, j, kernel, in_width);
        if (from < 0) continue;
        for (size_t c = 0; c < channels; ++c)
          out[(i * kernel + j) * channels + c] +=
            rows[i][(size_t)from * channels + c] * gradient[x * channels + c];
      }
    }
  }
}

static void vos_f32_depthwise_input2__scalar(const float *const *rows, size_t kernel,
                                             size_t in_width, size_t out_width, size_t channels,
                                             const float *weights, float *out) {
  for (size_t i = 0; i < kernel; ++i) {
    for (size_t o = 0; rows[i] && o < out_width; ++o) {
      for (size_t j = 0; j < kernel; ++j) {
        const ptrdiff_t to = tap(o, 2, j, kernel, in_width);
        if (to < 0) continue;
        for (size_t c = 0; c < channels; ++c)
          out[(size_t)to * channels + c] +=
            rows[i][o * channels + c] * weights[(i * kernel + j) * channels + c];
      }
    }
  }
}

const vos_training_kernels vos_training_kernels_scalar = {
  .isa = VOS_ISA_SCALAR,
  .outer_products = vos_f32_outer_products__scalar,
  .depthwise = vos_f32_depthwise__scalar,
  .depthwise_weights = vos_f32_depthwise_weights__scalar,
  .depthwise_input2 = vos_f32_depthwise_input2__scalar,
  VOS_TRAINING_ELEMENTWISE,
};
