// The formulas of CKernels.h in double, each output by itself: what scalar is tested against.
// Called by: main.c. Written from the contracts and not from scalar.c.
#include <math.h>
#include <stdlib.h>

#include "check.h"

static float limit(double x, vos_clamp clamp) {
  return (float)fmin(fmax(x, (double)clamp.low), (double)clamp.high);
}

static void gemm(size_t rows, size_t columns, const vos_segment *segments, size_t segment_count,
                 const float *weights, const float *bias, const float *addend,
                 ptrdiff_t addend_stride, float *out, ptrdiff_t out_stride, vos_clamp clamp) {
  size_t depth = 0;
  for (size_t s = 0; s < segment_count; s++) depth += segments[s].depth;
  for (size_t m = 0; m < rows; m++)
    for (size_t n = 0; n < columns; n++) {
      double sum = bias ? (double)bias[n] : 0;
      if (addend) sum += (double)addend[(ptrdiff_t)m * addend_stride + (ptrdiff_t)n];
      size_t row = 0;  // of the right factor
      for (size_t s = 0; s < segment_count; s++)
        for (size_t k = 0; k < segments[s].depth; k++, row++)
          sum += (double)segments[s].base[(ptrdiff_t)m * segments[s].stride + (ptrdiff_t)k] *
                 (double)weights[(n / 16 * depth + row) * 16 + n % 16];
      out[(ptrdiff_t)m * out_stride + (ptrdiff_t)n] = limit(sum, clamp);
    }
}

static void depthwise(const float *const *rows, size_t kernel, size_t stride, size_t width,
                      size_t channels, const float *weights, const float *bias, float *out,
                      vos_clamp clamp) {
  for (size_t at = 0; at < width * channels; at++) {
    const size_t x = at / channels, c = at % channels;
    double sum = (double)bias[c];
    for (size_t tap = 0; tap < kernel * kernel; tap++)
      sum += (double)rows[tap / kernel][(x * stride + tap % kernel) * channels + c] *
             (double)weights[tap * channels + c];
    out[at] = limit(sum, clamp);
  }
}

static void depthwise_dilated(const float *const *rows, size_t kernel, size_t dilation,
                              size_t width, size_t channels, const float *weights,
                              const float *bias, float *out, vos_clamp clamp) {
  for (size_t at = 0; at < width * channels; at++) {
    const size_t x = at / channels, c = at % channels;
    double sum = (double)bias[c];
    for (size_t tap = 0; tap < kernel * kernel; tap++)
      sum += (double)rows[tap / kernel][(x + tap % kernel * dilation) * channels + c] *
             (double)weights[tap * channels + c];
    out[at] = limit(sum, clamp);
  }
}

static void max_pool(const float *const *rows, size_t width, size_t channels, float *out) {
  for (size_t at = 0; at < width * channels; at++) {
    const ptrdiff_t center = 2 * (ptrdiff_t)(at / channels);
    out[at] = -INFINITY;
    for (ptrdiff_t x = center - 1; x <= center + 1; x++)
      for (size_t i = 0; i < 3; i++)
        if (rows[i] && x >= 0)
          out[at] = fmaxf(out[at], rows[i][(size_t)x * channels + at % channels]);
  }
}

static void upsample2(const float *near, const float *far, size_t width, size_t channels,
                      float *out) {
  for (size_t x = 0; x < 2 * width; x++)
    for (size_t c = 0; c < channels; c++) {
      // Half-pixel centres: output x lies at (x + 0.5) / 2 - 0.5 of the input.
      const double position = fmin(fmax(((double)x + 0.5) / 2 - 0.5, 0), (double)width - 1);
      const size_t left = (size_t)position, right = left + 1 < width ? left + 1 : left;
      const double part = position - (double)left;
      const double top = (1 - part) * (double)near[left * channels + c] +
                         part * (double)near[right * channels + c];
      const double bottom = (1 - part) * (double)far[left * channels + c] +
                            part * (double)far[right * channels + c];
      out[x * channels + c] = (float)(0.75 * top + 0.25 * bottom);
    }
}

static void normalize(const float *in, ptrdiff_t in_stride, size_t rows, size_t channels,
                      float *out, ptrdiff_t out_stride) {
  for (size_t m = 0; m < rows; m++) {
    double squares = 0;
    for (size_t c = 0; c < channels; c++)
      squares += pow((double)in[(ptrdiff_t)m * in_stride + (ptrdiff_t)c], 2);
    for (size_t c = 0; c < channels; c++)
      out[(ptrdiff_t)m * out_stride + (ptrdiff_t)c] =
          (float)((double)in[(ptrdiff_t)m * in_stride + (ptrdiff_t)c] / fmax(sqrt(squares), 1e-12));
  }
}

static void softmax(float *scores, ptrdiff_t stride, size_t rows, size_t count, float scale) {
  for (size_t m = 0; m < rows; m++, scores += stride) {
    double largest = -INFINITY, sum = 0;
    for (size_t i = 0; i < count; i++)
      if ((double)scores[i] > largest) largest = (double)scores[i];
    for (size_t i = 0; i < count; i++) sum += exp((double)scale * ((double)scores[i] - largest));
    for (size_t i = 0; i < count; i++)
      scores[i] = (float)(exp((double)scale * ((double)scores[i] - largest)) / sum);
  }
}

static void subtract_distances(float *scores, size_t height, size_t width, float at_y,
                               float at_x, float factor) {
  for (size_t i = 0; i < height * width; i++) {
    const double y = (double)(i / width) - (double)at_y, x = (double)(i % width) - (double)at_x;
    scores[i] = (float)((double)scores[i] - (double)factor * (y * y + x * x));
  }
}

// An entry is chosen when fewer than k others come before it: larger ones, and equal earlier ones.
static void top_k(const float *scores, ptrdiff_t stride, size_t rows, size_t count, size_t k,
                  float scale, uint32_t *index, float *weight) {
  for (size_t m = 0; m < rows; m++, scores += stride, index += k, weight += k) {
    size_t chosen = 0;
    for (size_t i = 0; i < count; i++) {
      size_t before = 0;
      for (size_t j = 0; j < count; j++)
        before += scores[j] > scores[i] || (scores[j] == scores[i] && j < i);
      if (before < k && chosen < k) index[chosen] = (uint32_t)i, weight[chosen++] = scores[i];
    }
    softmax(weight, 0, 1, k, scale);
  }
}

static void gather(const uint32_t *index, const float *weight, size_t rows, size_t k,
                   const float *values, size_t value_count, size_t channels, float *out,
                   ptrdiff_t out_stride) {
  for (size_t m = 0; m < rows; m++)
    for (size_t c = 0; c < channels; c++) {
      double sum = 0;
      for (size_t j = 0; j < k; j++)
        sum += (double)weight[m * k + j] *
               (double)values[(c / 16 * value_count + index[m * k + j]) * 16 + c % 16];
      out[(ptrdiff_t)m * out_stride + (ptrdiff_t)c] = (float)sum;
    }
}

static void pack_columns(const float *in, ptrdiff_t stride, size_t rows, size_t depth, float *out) {
  for (size_t at = 0; at < (rows + 15) / 16 * 16 * depth; at++) {
    const size_t row = at / (16 * depth) * 16 + at % 16, d = at / 16 % depth;
    out[at] = row < rows ? in[(ptrdiff_t)row * stride + (ptrdiff_t)d] : 0;
  }
}

static void pack_rows(const float *in, ptrdiff_t stride, size_t rows, size_t columns, float *out) {
  for (size_t at = 0; at < (columns + 15) / 16 * 16 * rows; at++) {
    const size_t column = at / (16 * rows) * 16 + at % 16, row = at / 16 % rows;
    out[at] = column < columns ? in[(ptrdiff_t)row * stride + (ptrdiff_t)column] : 0;
  }
}

static void resize_row_u8(const uint8_t *in, size_t channels, const int32_t *start,
                          const float *weights, size_t taps, size_t width, float *out) {
  for (size_t at = 0; at < width * channels; at++) {
    const size_t x = at / channels, c = at % channels;
    double sum = 0;
    for (size_t j = 0; j < taps; j++)
      sum += (double)weights[x * taps + j] * in[((size_t)start[x] + j) * channels + c];
    out[at] = (float)sum;
  }
}

static void resize_row(const float *in, const int32_t *start, const float *weights, size_t taps,
                       size_t width, float *out) {
  for (size_t x = 0; x < width; x++) {
    double sum = 0;
    for (size_t j = 0; j < taps; j++)
      sum += (double)weights[x * taps + j] * (double)in[(size_t)start[x] + j];
    out[x] = (float)sum;
  }
}

static void combine_rows(const float *const *rows, const float *weights, size_t taps, size_t count,
                         float scale, float shift, float *out) {
  for (size_t i = 0; i < count; i++) {
    double sum = 0;
    for (size_t j = 0; j < taps; j++) sum += (double)weights[j] * (double)rows[j][i];
    out[i] = (float)(sum * (double)scale + (double)shift);
  }
}

// log p and log(1 - p) of a sigmoid, kept within log 1e-6 and log(1 - 1e-6).
static double bounded_logit(double log_p, double log_q) {
  const double least = log(1e-6), most = log1p(-1e-6);
  return fmin(fmax(log_p, least), most) - fmin(fmax(log_q, least), most);
}

static void aggregate(const float *const *logits, size_t objects, size_t count,
                      float *const *probabilities) {
  for (size_t i = 0; i < count; i++) {
    double bounded[256], log_none = 0, sum = 0;
    for (size_t k = 0; k < objects; k++) {
      const double x = (double)logits[k][i], tail = log1p(exp(-fabs(x)));
      const double log_p = x >= 0 ? -tail : x - tail, log_q = x >= 0 ? -x - tail : -tail;
      bounded[k + 1] = bounded_logit(log_p, log_q);
      log_none += log_q;
    }
    bounded[0] = bounded_logit(log_none, log(-expm1(log_none)));
    for (size_t k = 0; k <= objects; k++) sum += exp(bounded[k]);
    for (size_t k = 0; k <= objects; k++) probabilities[k][i] = (float)(exp(bounded[k]) / sum);
  }
}

static void argmax(const float *const *planes, size_t plane_count, size_t count, const uint8_t *ids,
                   uint8_t *labels) {
  for (size_t i = 0; i < count; i++) {
    size_t best = plane_count - 1;
    for (size_t k = plane_count; k-- > 0;)
      if (planes[k][i] >= planes[best][i]) best = k;
    labels[i] = ids[best];
  }
}

const vos_kernels vos_kernels_double = {
  .isa = VOS_ISA_SCALAR,
  .name = "double",
  .gemm = gemm,
  .depthwise = depthwise,
  .depthwise_dilated = depthwise_dilated,
  .max_pool = max_pool,
  .upsample2 = upsample2,
  .normalize = normalize,
  .softmax = softmax,
  .subtract_distances = subtract_distances,
  .top_k = top_k,
  .gather = gather,
  .pack_columns = pack_columns,
  .pack_rows = pack_rows,
  .resize_row_u8 = resize_row_u8,
  .resize_row = resize_row,
  .combine_rows = combine_rows,
  .aggregate = aggregate,
  .argmax = argmax,
};
