// The specification: every kernel in portable C, written to be read. The SIMD variants compute the
// same within rounding. Contracts are in include/CKernels.h. Called by: the table at the end.
#include <assert.h>
#include <math.h>

#include "../tables.h"

static float clamped(float value, vos_clamp clamp) {
  const float raised = value < clamp.low ? clamp.low : value;
  return raised > clamp.high ? clamp.high : raised;
}

// MARK: - Products

static void vos_f32_gemm_1x16__scalar(size_t rows, size_t columns, const vos_segment *segments,
                               size_t segment_count, const float *weights, const float *bias,
                               const float *addend, ptrdiff_t addend_stride, float *out,
                               ptrdiff_t out_stride, vos_clamp clamp) {
  assert(rows <= 1 || out_stride >= (ptrdiff_t)columns);
  assert(rows <= 1 || !addend || addend_stride >= (ptrdiff_t)columns);
  size_t depth = 0;
  for (size_t s = 0; s < segment_count; ++s) depth += segments[s].depth;

  for (size_t first = 0; first < columns; first += VOS_PANEL) {
    const float *panel = weights + first * depth;
    const size_t width = columns - first < VOS_PANEL ? columns - first : VOS_PANEL;
    for (size_t m = 0; m < rows; ++m) {
      float sum[VOS_PANEL] = {0};
      const float *w = panel;
      for (size_t s = 0; s < segment_count; ++s) {
        const float *a = segments[s].base + (ptrdiff_t)m * segments[s].stride;
        for (size_t k = 0; k < segments[s].depth; ++k, w += VOS_PANEL)
          for (size_t n = 0; n < VOS_PANEL; ++n) sum[n] += a[k] * w[n];
      }
      for (size_t n = 0; n < width; ++n) {
        float value = sum[n];
        if (bias) value += bias[first + n];
        if (addend) value += addend[(ptrdiff_t)m * addend_stride + (ptrdiff_t)(first + n)];
        out[(ptrdiff_t)m * out_stride + (ptrdiff_t)(first + n)] = clamped(value, clamp);
      }
    }
  }
}

static void vos_f32_depthwise__scalar(const float *const *rows, size_t kernel, size_t stride, size_t width,
                               size_t channels, const float *weights, const float *bias, float *out,
                               vos_clamp clamp) {
  assert((kernel == 3 || kernel == 5) && (stride == 1 || stride == 2) && channels >= 1);
  for (size_t x = 0; x < width; ++x) {
    for (size_t c = 0; c < channels; ++c) {
      float sum = bias[c];
      for (size_t i = 0; i < kernel; ++i)
        for (size_t j = 0; j < kernel; ++j)
          sum += rows[i][(x * stride + j) * channels + c] * weights[(i * kernel + j) * channels + c];
      out[x * channels + c] = clamped(sum, clamp);
    }
  }
}

static void vos_f32_depthwise_dilated__scalar(const float *const *rows, size_t kernel,
                                              size_t dilation, size_t width, size_t channels,
                                              const float *weights, const float *bias, float *out,
                                              vos_clamp clamp) {
  assert(kernel >= 1 && dilation >= 1 && channels >= 1);
  for (size_t x = 0; x < width; ++x) {
    for (size_t c = 0; c < channels; ++c) {
      float sum = bias[c];
      for (size_t i = 0; i < kernel; ++i)
        for (size_t j = 0; j < kernel; ++j)
          sum += rows[i][(x + j * dilation) * channels + c] * weights[(i * kernel + j) * channels + c];
      out[x * channels + c] = clamped(sum, clamp);
    }
  }
}

// MARK: - Feature maps

static void vos_f32_max_pool__scalar(const float *const *rows, size_t width, size_t channels,
                                     float *out) {
  assert(rows[0] || rows[1] || rows[2]);
  for (size_t x = 0; x < width; ++x) {
    for (size_t c = 0; c < channels; ++c) {
      float largest = -INFINITY;
      for (size_t i = 0; i < 3; ++i) {
        for (size_t j = x > 0 ? 0 : 1; rows[i] && j < 3; ++j) {
          const float value = rows[i][(2 * x + j - 1) * channels + c];
          largest = value > largest ? value : largest;
        }
      }
      out[x * channels + c] = largest;
    }
  }
}

static void vos_f32_upsample2__scalar(const float *near, const float *far, size_t width, size_t channels,
                               float *out) {
  for (size_t x = 0; x < width; ++x) {
    const size_t left = x > 0 ? x - 1 : 0, right = x + 1 < width ? x + 1 : x;
    for (size_t c = 0; c < channels; ++c) {
      const float v = 0.75f * near[x * channels + c] + 0.25f * far[x * channels + c];
      const float l = 0.75f * near[left * channels + c] + 0.25f * far[left * channels + c];
      const float r = 0.75f * near[right * channels + c] + 0.25f * far[right * channels + c];
      out[2 * x * channels + c] = 0.75f * v + 0.25f * l;
      out[(2 * x + 1) * channels + c] = 0.75f * v + 0.25f * r;
    }
  }
}

static void vos_f32_normalize__scalar(const float *in, ptrdiff_t in_stride, size_t rows, size_t channels,
                               float *out, ptrdiff_t out_stride) {
  for (size_t m = 0; m < rows; ++m, in += in_stride, out += out_stride) {
    float sum = 0;
    for (size_t c = 0; c < channels; ++c) sum += in[c] * in[c];
    const float norm = fmaxf(sqrtf(sum), 1e-12f);
    for (size_t c = 0; c < channels; ++c) out[c] = in[c] / norm;
  }
}

// MARK: - Memory reading

// The smallest result other than 0 is e^-64: even divided by a sum of 2^32 it is no denormal.
static float exponential(float x) { return x < -64.0f ? 0.0f : expf(x); }

static void vos_f32_softmax__scalar(float *scores, ptrdiff_t stride, size_t rows, size_t count,
                             float scale) {
  assert(count >= 1 && scale >= 0 && (rows <= 1 || stride >= (ptrdiff_t)count));
  for (size_t m = 0; m < rows; ++m, scores += stride) {
    float largest = -INFINITY, sum = 0;
    for (size_t i = 0; i < count; ++i) largest = scores[i] > largest ? scores[i] : largest;
    for (size_t i = 0; i < count; ++i) {
      scores[i] = exponential(scale * (scores[i] - largest));
      sum += scores[i];
    }
    for (size_t i = 0; i < count; ++i) scores[i] /= sum;
  }
}

static void vos_f32_subtract_distances__scalar(float *scores, size_t height, size_t width,
                                               float at_y, float at_x, float factor) {
  for (size_t y = 0; y < height; ++y, scores += width) {
    const float dy = (float)y - at_y;
    for (size_t x = 0; x < width; ++x) {
      const float dx = (float)x - at_x;
      scores[x] -= factor * (dy * dy + dx * dx);
    }
  }
}

static void vos_f32_top_k__scalar(const float *scores, ptrdiff_t stride, size_t rows, size_t count,
                           size_t k, float scale, uint32_t *index, float *weight) {
  assert(k >= 1 && k <= count && count <= UINT32_MAX && scale >= 0);
  assert(rows <= 1 || stride >= (ptrdiff_t)count);
  for (size_t m = 0; m < rows; ++m, scores += stride, index += k, weight += k) {
    // `weight` holds the best scores so far, largest first; a newcomer must be strictly larger.
    size_t found = 0;
    for (size_t i = 0; i < count; ++i) {
      const float score = scores[i];
      if (found == k && !(score > weight[k - 1])) continue;
      size_t place = found < k ? found++ : k - 1;
      for (; place > 0 && score > weight[place - 1]; --place) {
        weight[place] = weight[place - 1];
        index[place] = index[place - 1];
      }
      weight[place] = score;
      index[place] = (uint32_t)i;
    }
    vos_f32_softmax__scalar(weight, 0, 1, k, scale);
  }
}

static void vos_f32_gather__scalar(const uint32_t *index, const float *weight, size_t rows, size_t k,
                            const float *values, size_t value_count, size_t channels, float *out,
                            ptrdiff_t out_stride) {
  for (size_t m = 0; m < rows; ++m, index += k, weight += k, out += out_stride) {
    for (size_t c = 0; c < channels; ++c) {
      const float *column = values + c / VOS_PANEL * value_count * VOS_PANEL + c % VOS_PANEL;
      float sum = 0;
      for (size_t j = 0; j < k; ++j) {
        assert(index[j] < value_count);
        sum += weight[j] * column[index[j] * (size_t)VOS_PANEL];
      }
      out[c] = sum;
    }
  }
}

static void vos_f32_pack_columns__scalar(const float *in, ptrdiff_t stride, size_t rows, size_t depth,
                                  float *out) {
  for (size_t first = 0; first < rows; first += VOS_PANEL)
    for (size_t d = 0; d < depth; ++d)
      for (size_t l = 0; l < VOS_PANEL; ++l)
        *out++ = first + l < rows ? in[(ptrdiff_t)(first + l) * stride + (ptrdiff_t)d] : 0.0f;
}

static void vos_f32_pack_rows__scalar(const float *in, ptrdiff_t stride, size_t rows, size_t columns,
                               float *out) {
  for (size_t first = 0; first < columns; first += VOS_PANEL)
    for (size_t r = 0; r < rows; ++r)
      for (size_t l = 0; l < VOS_PANEL; ++l)
        *out++ = first + l < columns ? in[(ptrdiff_t)r * stride + (ptrdiff_t)(first + l)] : 0.0f;
}

// MARK: - Resizing

static void vos_u8_resize_row__scalar(const uint8_t *in, size_t channels, const int32_t *start,
                               const float *weights, size_t taps, size_t width, float *out) {
  assert((channels == 1 || channels == 3) && taps >= 1);
  for (size_t x = 0; x < width; ++x) {
    for (size_t c = 0; c < channels; ++c) {
      float sum = 0;
      for (size_t j = 0; j < taps; ++j)
        sum += weights[x * taps + j] * (float)in[((size_t)start[x] + j) * channels + c];
      out[x * channels + c] = sum;
    }
  }
}

static void vos_f32_resize_row__scalar(const float *in, const int32_t *start, const float *weights,
                                size_t taps, size_t width, float *out) {
  for (size_t x = 0; x < width; ++x) {
    float sum = 0;
    for (size_t j = 0; j < taps; ++j) sum += weights[x * taps + j] * in[(size_t)start[x] + j];
    out[x] = sum;
  }
}

static void vos_f32_combine_rows__scalar(const float *const *rows, const float *weights, size_t taps,
                                  size_t count, float scale, float shift, float *out) {
  for (size_t i = 0; i < count; ++i) {
    float sum = 0;
    for (size_t j = 0; j < taps; ++j) sum += weights[j] * rows[j][i];
    out[i] = sum * scale + shift;
  }
}

// MARK: - Masks

// With odds o = p / (1 - p) = e^logit(p), the softmax over logits is o_k / sum of o. p and q = 1 - p
// are both computed without cancellation, and so is 1 - prod(q) = sum over k of p_k · prod_{j<k} q_j.
static void vos_f32_aggregate__scalar(const float *const *logits, size_t objects, size_t count,
                               float *const *probabilities) {
  const float low = 1e-6f, high = 1 - 1e-6f;
  for (size_t i = 0; i < count; ++i) {
    float none = 1, some = 0, total = 0;
    for (size_t k = 0; k < objects; ++k) {
      const float logit = logits[k][i], e = exponential(-fabsf(logit));
      const float larger = 1 / (1 + e), smaller = e / (1 + e);
      const float p = logit >= 0 ? larger : smaller, q = logit >= 0 ? smaller : larger;
      some += none * p;
      none *= q;
      const float odds = fminf(fmaxf(p, low), high) / fminf(fmaxf(q, low), high);
      probabilities[k + 1][i] = odds;
      total += odds;
    }
    const float odds = fminf(fmaxf(none, low), high) / fminf(fmaxf(some, low), high);
    total += odds;
    probabilities[0][i] = odds / total;
    for (size_t k = 1; k <= objects; ++k) probabilities[k][i] /= total;
  }
}

static void vos_f32_argmax__scalar(const float *const *planes, size_t plane_count, size_t count,
                            const uint8_t *ids, uint8_t *labels) {
  assert(plane_count >= 1);
  for (size_t i = 0; i < count; ++i) {
    size_t best = 0;
    for (size_t k = 1; k < plane_count; ++k)
      if (planes[k][i] > planes[best][i]) best = k;
    labels[i] = ids[best];
  }
}

const vos_kernels vos_kernels_scalar = {
  .isa = VOS_ISA_SCALAR,
  .name = "scalar",
  .gemm = vos_f32_gemm_1x16__scalar,
  .depthwise = vos_f32_depthwise__scalar,
  .depthwise_dilated = vos_f32_depthwise_dilated__scalar,
  .max_pool = vos_f32_max_pool__scalar,
  .upsample2 = vos_f32_upsample2__scalar,
  .normalize = vos_f32_normalize__scalar,
  .softmax = vos_f32_softmax__scalar,
  .subtract_distances = vos_f32_subtract_distances__scalar,
  .top_k = vos_f32_top_k__scalar,
  .gather = vos_f32_gather__scalar,
  .pack_columns = vos_f32_pack_columns__scalar,
  .pack_rows = vos_f32_pack_rows__scalar,
  .resize_row_u8 = vos_u8_resize_row__scalar,
  .resize_row = vos_f32_resize_row__scalar,
  .combine_rows = vos_f32_combine_rows__scalar,
  .aggregate = vos_f32_aggregate__scalar,
  .argmax = vos_f32_argmax__scalar,
};
