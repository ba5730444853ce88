// The kernels that training needs beside those of CKernels.h: gradients and the optimizer.
//
// Called by: Sources/Distill. Same rules as CKernels.h: no allocation, no threads, no state; strides
// in floats; maps are rows of pixels, channels innermost. Unlike inference maps these have no zero
// columns at their borders. `training/scalar.c` is the specification.
#pragma once

#include "CKernels.h"

typedef struct {
  vos_isa isa;

  /// out[k, n] += sum over m < rows: a[m, k] · b[m, n]; k < depth, n < columns. The weight gradient
  /// of a product: a = its left factor, b = the gradient of its result.
  void (*outer_products)(size_t rows, size_t depth, size_t columns, const float *a,
                         ptrdiff_t a_stride, const float *b, ptrdiff_t b_stride, float *out,
                         ptrdiff_t out_stride);

  /// One output row of a k×k depthwise convolution with zero padding k / 2, k = 3 or 5, stride 1 or 2:
  /// out[x, c] = clamp((addend ? addend[x, c] : 0) + bias[c] + sum over i, j: rows[i][x·stride + j - k/2, c] · weights[i·k + j, c])
  /// rows: k pointers to rows of in_width pixels, NULL for rows outside the map. bias: or NULL.
  /// addend: or NULL; may be out.
  void (*depthwise)(const float *const *rows, size_t kernel, size_t stride, size_t in_width,
                    size_t out_width, size_t channels, const float *weights, const float *bias,
                    const float *addend, float *out, vos_clamp clamp);

  /// The gradient of that row with respect to the weights, added up:
  /// out[i·k + j, c] += sum over x: rows[i][x·stride + j - k/2, c] · gradient[x, c]
  void (*depthwise_weights)(const float *const *rows, size_t kernel, size_t stride,
                            size_t in_width, size_t out_width, size_t channels,
                            const float *gradient, float *out);

  /// One row of the gradient with respect to the input of a stride-2 convolution:
  /// out[x, c] += sum over i, and j with x + k/2 - j = 2 o: rows[i][o, c] · weights[i·k + j, c]
  /// rows: k pointers to rows of the result's gradient, out_width pixels each; NULL where kernel row
  /// i reads input row y for no result row. (Stride 1 is `depthwise` with the kernel turned round.)
  void (*depthwise_input2)(const float *const *rows, size_t kernel, size_t in_width,
                           size_t out_width, size_t channels, const float *weights, float *out);

  /// One tap of a depthwise convolution: out[x, c] += in[x, c] · weights[c], x < width.
  void (*depthwise_tap)(const float *in, const float *weights, size_t width, size_t channels,
                        float *out);

  /// The gradient of that with respect to the weights: out[c] += sum over x: in[x, c] · gradient[x, c].
  void (*depthwise_tap_weights)(const float *in, const float *gradient, size_t width,
                                size_t channels, float *out);

  /// Gradient of one row of `max_pool` (CKernels.h) with respect to input row `row` < 3 of its three,
  /// added up: out[2x + j - 1, c] += gradient[x, c] where the first of the largest taps is in that row.
  void (*max_pool_gradient)(const float *const *rows, size_t row, const float *gradient,
                            size_t width, size_t channels, float *out);

  /// Gradient through a clamp, and of the bias below it: where not low < result[m, c] < high,
  /// gradient[m, c] becomes 0 (result NULL: no clamp); then bias[c] += sum over m: gradient[m, c]
  /// (bias NULL: none).
  void (*clamp_gradient)(const float *result, size_t rows, size_t channels, vos_clamp clamp,
                         float *gradient, float *bias);

  /// Rounds values to what whole numbers stand for: values[i] = scale · r, r = values[i] / scale rounded
  /// to the nearest whole number (even of two) and bounded by low … high. passes[i] = 1 where r is not
  /// bounded and gate.low < values[i] < gate.high held, else 0. |low|, |high| < 2^22.
  void (*round_values)(float *values, size_t count, float scale, float low, float high,
                       vos_clamp gate, uint8_t *passes);

  /// The straight-through gradient of that: gradient[i] becomes 0 where passes[i] is 0.
  void (*round_gradient)(const uint8_t *passes, size_t count, float *gradient);

  /// out[i] += in[i].
  void (*accumulate)(const float *in, size_t count, float *out);

  /// Gradient of x / max(|x|, 1e-12) over vectors of `channels`, added up: with y the result and g its
  /// gradient, out += (g - (g·y) y) / |x|, and g / 1e-12 where |x| is smaller than that.
  void (*normalize_gradient)(const float *in, const float *result, const float *gradient,
                             size_t rows, size_t channels, float *out);

  /// Gradient through a softmax: gradient[i] = scale · p[i] · (gradient[i] - sum of p · gradient),
  /// for each of `rows` rows of `count` (consecutive).
  void (*softmax_gradient)(const float *p, size_t rows, size_t count, float scale,
                           float *gradient);

  /// One row of a bilinear resize: out[x, c] = first_weight[x] · v[first[x]] + (1 - first_weight[x]) ·
  /// v[second[x]], v = a_weight · a + (1 - a_weight) · b (two source rows, each [in_width, channels]).
  void (*resize_row)(const float *a, const float *b, float a_weight, const int32_t *first,
                     const int32_t *second, const float *first_weight, size_t out_width,
                     size_t channels, float *out);

  /// Its transpose for one source row of weight `weight`, added up: out [in_width, channels].
  void (*resize_row_gradient)(const float *gradient, float weight, const int32_t *first,
                              const int32_t *second, const float *first_weight, size_t out_width,
                              size_t channels, float *out);

  /// Soft aggregation as in CKernels.h, keeping log-odds: log_odds[0…objects] = log(p / (1 - p)) of the
  /// clamped p_k (background first), probabilities[0…objects] = softmax over them.
  void (*aggregate)(const float *const *logits, size_t objects, size_t count,
                    float *const *log_odds, float *const *probabilities);

  /// Its gradient: d_log_odds and d_probabilities (either may be NULL) to d_logits (overwritten).
  void (*aggregate_gradient)(const float *const *logits, const float *const *probabilities,
                             size_t objects, size_t count, const float *const *d_log_odds,
                             const float *const *d_probabilities, float *const *d_logits);

  /// One step of AdamW (Loshchilov and Hutter, ICLR 2019) on `count` scalars: p *= 1 - rate·decay;
  /// m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g²; p -= rate / c1 · m / (sqrt(v / c2) + epsilon),
  /// c1 = 1 - b1^step, c2 = 1 - b2^step.
  void (*adamw)(size_t count, const float *gradient, float rate, float decay, float b1, float b2,
                float epsilon, float c1, float c2, float *parameter, float *m, float *v);
} vos_training_kernels;

/// The table of one instruction set, falling back to scalar where there is no faster one. Never NULL
/// when `vos_kernels_for(isa)` is not.
const vos_training_kernels *vos_training_kernels_for(vos_isa isa);
