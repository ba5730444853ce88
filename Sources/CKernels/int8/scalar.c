// The specification of the integer kernels, written to be read. Every other variant gives the same
// bytes. Contracts are in include/CKernelsInt8.h. Called by: the table at the end.
// A product and the sum it goes into are separate statements: no compiler makes one rounding of them.

#include <assert.h>
#include <math.h>

#include "scalar.h"
#include "tables.h"

#define VOS_PANEL 16

static int32_t product_sum(const vos_int8_segment *segments, size_t segment_count,
                           const vos_int8_factor *factor, size_t groups, size_t m, size_t n) {
  const int8_t *w = factor->weights + (n / VOS_PANEL * groups * VOS_PANEL + n % VOS_PANEL) * 4;
  int32_t sum = factor->bias[n];
  for (size_t s = 0; s < segment_count; ++s) {
    const uint8_t *a = segments[s].base + (ptrdiff_t)m * segments[s].stride;
    const size_t depth = segments[s].depth;
    for (size_t k = 0; k < depth; ++k) {
      assert(a[k] <= VOS_INT8_HIGHEST);
      sum += a[k] * w[k / 4 * 4 * VOS_PANEL + k % 4];
    }
    w += (depth + 3) / 4 * 4 * VOS_PANEL;
  }
  return sum;
}

static size_t group_count(const vos_int8_segment *segments, size_t segment_count) {
  size_t groups = 0;
  for (size_t s = 0; s < segment_count; ++s) groups += (segments[s].depth + 3) / 4;
  return groups;
}

static void vos_u7s8_gemm_1x1c4__scalar(size_t rows, size_t columns,
                                        const vos_int8_segment *segments, size_t segment_count,
                                        const vos_int8_factor *factor, const uint8_t *addend,
                                        ptrdiff_t addend_stride, uint8_t *out,
                                        ptrdiff_t out_stride, vos_int8_clamp clamp) {
  assert(clamp.low <= clamp.high && clamp.high <= VOS_INT8_HIGHEST);
  assert(factor->shift >= 0 && factor->shift < 32 && factor->addend_multiplier >= 0);
  assert(rows <= 1 || out_stride >= (ptrdiff_t)columns);
  const size_t groups = group_count(segments, segment_count);
  for (size_t m = 0; m < rows; ++m)
    for (size_t n = 0; n < columns; ++n) {
      const int32_t sum = product_sum(segments, segment_count, factor, groups, m, n);
      const int32_t s = vos_int8_saturated(sum >> factor->shift);
      int32_t t = vos_int8_scaled(s, factor->multiplier[n]);
      if (addend) {
        const int32_t a = addend[(ptrdiff_t)m * addend_stride + (ptrdiff_t)n] * 128;
        t = vos_int8_saturated(t + vos_int8_scaled(a, factor->addend_multiplier)) >> 3;
      }
      out[(ptrdiff_t)m * out_stride + (ptrdiff_t)n] = vos_int8_clamped(t, clamp);
    }
}

static void vos_u7s8f32_gemm_1x1c4__scalar(size_t rows, size_t columns,
                                           const vos_int8_segment *segments, size_t segment_count,
                                           const vos_int8_factor *factor, float *out,
                                           ptrdiff_t out_stride) {
  assert(rows <= 1 || out_stride >= (ptrdiff_t)columns);
  const size_t groups = group_count(segments, segment_count);
  for (size_t m = 0; m < rows; ++m)
    for (size_t n = 0; n < columns; ++n)
      out[(ptrdiff_t)m * out_stride + (ptrdiff_t)n] =
          (float)product_sum(segments, segment_count, factor, groups, m, n) * factor->scale[n];
}

static void vos_u7s8_depthwise__scalar(const uint8_t *const *rows, size_t kernel, size_t stride,
                                       size_t width, size_t channels,
                                       const vos_int8_depthwise *factor, uint8_t *out,
                                       vos_int8_clamp clamp) {
  assert((kernel == 3 || kernel == 5) && (stride == 1 || stride == 2) && channels >= 1);
  for (size_t x = 0; x < width; ++x)
    vos_int8_depthwise_pixel(rows, kernel, x * stride, channels, factor, out + x * channels, clamp);
}

static void vos_u7_upsample2__scalar(const uint8_t *near, const uint8_t *far, size_t width,
                                     size_t channels, uint8_t *out) {
  for (size_t x = 0; x < 2 * width; ++x) {
    const size_t nearest = x / 2;
    const size_t other =
        x % 2 == 0 ? (nearest > 0 ? nearest - 1 : 0) : (nearest + 1 < width ? nearest + 1 : nearest);
    for (size_t c = 0; c < channels; ++c) {
      const int v = 3 * near[nearest * channels + c] + far[nearest * channels + c];
      const int w = 3 * near[other * channels + c] + far[other * channels + c];
      out[x * channels + c] = (uint8_t)((3 * v + w + 8) >> 4);
    }
  }
}

static void vos_f32u7_quantize__scalar(const float *in, size_t count, float inverse_scale,
                                       float zero_point, uint8_t *out) {
  for (size_t i = 0; i < count; ++i) out[i] = vos_int8_quantized(in[i], inverse_scale, zero_point);
}

static void vos_u7f32_dequantize__scalar(const uint8_t *in, size_t count, float scale,
                                         int32_t zero_point, float *out) {
  for (size_t i = 0; i < count; ++i) out[i] = (float)(in[i] - zero_point) * scale;
}

static void vos_f32u7_quantize_queries__scalar(const float *in, ptrdiff_t stride, size_t rows,
                                               size_t depth, uint8_t *out, float *scale) {
  for (size_t r = 0; r < rows; ++r)
    scale[r] = vos_int8_query(in + (ptrdiff_t)r * stride, depth, out + r * ((depth + 3) / 4 * 4));
}

static void vos_f32s8_pack_keys__scalar(const float *in, ptrdiff_t stride, size_t columns,
                                        size_t depth, int8_t *weights, int32_t *bias,
                                        float *scale) {
  vos_int8_pack_keys(in, stride, columns, depth, weights, bias, scale);
}

const vos_int8_kernels vos_int8_kernels_scalar = {
  .isa = VOS_INT8_SCALAR,
  .name = "scalar",
  .gemm = vos_u7s8_gemm_1x1c4__scalar,
  .gemm_to_float = vos_u7s8f32_gemm_1x1c4__scalar,
  .depthwise = vos_u7s8_depthwise__scalar,
  .upsample2 = vos_u7_upsample2__scalar,
  .quantize = vos_f32u7_quantize__scalar,
  .dequantize = vos_u7f32_dequantize__scalar,
  .quantize_queries = vos_f32u7_quantize_queries__scalar,
  .pack_keys = vos_f32s8_pack_keys__scalar,
};
