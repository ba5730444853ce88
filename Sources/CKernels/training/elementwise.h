// Training kernels that are simple loops: the same text for every instruction set, vectorised by the
// compiler with whatever the including file's target offers. Called by: scalar.c, avx2.c.
#pragma once

#include <math.h>

#include "tables.h"

// exp to 1e-7 relative (Cephes: 2^n · p(r), r = x - n ln 2), 0 below -87 and no larger than e^88.
// A polynomial instead of libm so that loops over pixels vectorise.
static inline float vos_exp(float x) {
  const float bounded = x < -87.0f ? -87.0f : (x > 88.0f ? 88.0f : x);
  // Adding and taking away 1.5·2^23 rounds to the nearest whole number.
  const float shifted = bounded * 1.44269504f + 12582912.0f;
  const float n = shifted - 12582912.0f;
  const float r = (bounded - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  union {
    int32_t bits;
    float value;
  } power = {((int32_t)n + 127) << 23};
  return x < -87.0f ? 0.0f : p * power.value;
}

// Natural logarithm of a positive normal number to 1e-7 (Cephes).
static inline float vos_log(float x) {
  union {
    float value;
    int32_t bits;
  } split = {x};
  int32_t exponent = ((split.bits >> 23) & 0xff) - 126;
  split.bits = (split.bits & 0x007fffff) | 0x3f000000;  // 0.5 … 1
  const int small = split.value < 0.707106781f;
  const float m = (small ? split.value + split.value : split.value) - 1.0f;
  const float e = (float)(exponent - small);
  const float z = m * m;
  float p = 7.0376836292e-2f;
  p = p * m - 1.1514610310e-1f;
  p = p * m + 1.1676998740e-1f;
  p = p * m - 1.2420140846e-1f;
  p = p * m + 1.4249322787e-1f;
  p = p * m - 1.6668057665e-1f;
  p = p * m + 2.0000714765e-1f;
  p = p * m - 2.4999993993e-1f;
  p = p * m + 3.3333331174e-1f;
  const float y = p * m * z - 2.12194440e-4f * e - 0.5f * z;
  return (m + y) + 0.693359375f * e;
}

static void depthwise_tap(const float *restrict in, const float *restrict weights, size_t width,
                          size_t channels, float *restrict out) {
  for (size_t x = 0; x < width; ++x, in += channels, out += channels)
    for (size_t c = 0; c < channels; ++c) out[c] += in[c] * weights[c];
}

static void depthwise_tap_weights(const float *restrict in, const float *restrict gradient,
                                  size_t width, size_t channels, float *restrict out) {
  for (size_t x = 0; x < width; ++x, in += channels, gradient += channels)
    for (size_t c = 0; c < channels; ++c) out[c] += in[c] * gradient[c];
}

static void max_pool_gradient(const float *const *rows, size_t row, const float *restrict gradient,
                              size_t width, size_t channels, float *restrict out) {
  for (size_t x = 0; x < width; ++x) {
    for (size_t c = 0; c < channels; ++c) {
      float largest = -INFINITY;
      size_t tap = 4;
      for (size_t i = 0; i < 3; ++i) {
        for (size_t j = x > 0 ? 0 : 1; rows[i] && j < 3; ++j) {
          const float value = rows[i][(2 * x + j - 1) * channels + c];
          if (value > largest) {
            largest = value;
            tap = 3 * i + j;
          }
        }
      }
      if (tap / 3 == row) out[(2 * x + tap % 3 - 1) * channels + c] += gradient[x * channels + c];
    }
  }
}

static void clamp_gradient(const float *restrict result, size_t rows, size_t channels,
                           vos_clamp clamp, float *restrict gradient, float *restrict bias) {
  for (size_t m = 0; m < rows; ++m, gradient += channels) {
    if (result) {
      for (size_t c = 0; c < channels; ++c) {
        const float y = result[c];
        gradient[c] = y > clamp.low && y < clamp.high ? gradient[c] : 0.0f;
      }
      result += channels;
    }
    if (bias)
      for (size_t c = 0; c < channels; ++c) bias[c] += gradient[c];
  }
}

static void round_values(float *restrict values, size_t count, float scale, float low, float high,
                         vos_clamp gate, uint8_t *restrict passes) {
  const float inverse = 1 / scale;
  for (size_t i = 0; i < count; ++i) {
    const float value = values[i], r = value * inverse;
    float bounded = r < low - 1 ? low - 1 : r;
    bounded = bounded > high + 1 ? high + 1 : bounded;
    // Adding and taking away 1.5·2^23 rounds to the nearest whole number.
    const float shifted = bounded + 12582912.0f;
    const float whole = shifted - 12582912.0f;
    passes[i] = whole >= low && whole <= high && value > gate.low && value < gate.high;
    const float raised = whole < low ? low : whole;
    values[i] = (raised > high ? high : raised) * scale;
  }
}

static void round_gradient(const uint8_t *restrict passes, size_t count,
                           float *restrict gradient) {
  for (size_t i = 0; i < count; ++i) gradient[i] = passes[i] ? gradient[i] : 0.0f;
}

static void accumulate(const float *restrict in, size_t count, float *restrict out) {
  for (size_t i = 0; i < count; ++i) out[i] += in[i];
}

static void normalize_gradient(const float *restrict in, const float *restrict result,
                               const float *restrict gradient, size_t rows, size_t channels,
                               float *restrict out) {
  for (size_t m = 0; m < rows; ++m) {
    float along = 0, square = 0;
    for (size_t c = 0; c < channels; ++c) {
      along += gradient[c] * result[c];
      square += in[c] * in[c];
    }
    const float norm = sqrtf(square), scale = 1 / (norm > 1e-12f ? norm : 1e-12f);
    if (norm <= 1e-12f) along = 0;
    for (size_t c = 0; c < channels; ++c) out[c] += (gradient[c] - along * result[c]) * scale;
    in += channels;
    result += channels;
    gradient += channels;
    out += channels;
  }
}

static void softmax_gradient(const float *restrict p, size_t rows, size_t count, float scale,
                             float *restrict gradient) {
  for (size_t m = 0; m < rows; ++m, p += count, gradient += count) {
    float lanes[8] = {0}, mean = 0;
    size_t i = 0;
    for (; i + 8 <= count; i += 8)
      for (size_t l = 0; l < 8; ++l) lanes[l] += p[i + l] * gradient[i + l];
    for (; i < count; ++i) mean += p[i] * gradient[i];
    for (size_t l = 0; l < 8; ++l) mean += lanes[l];
    for (i = 0; i < count; ++i) gradient[i] = scale * p[i] * (gradient[i] - mean);
  }
}

static void resize_row(const float *restrict a, const float *restrict b, float a_weight,
                       const int32_t *restrict first, const int32_t *restrict second,
                       const float *restrict first_weight, size_t out_width, size_t channels,
                       float *restrict out) {
  const float b_weight = 1 - a_weight;
  for (size_t x = 0; x < out_width; ++x, out += channels) {
    const size_t l = (size_t)first[x] * channels, r = (size_t)second[x] * channels;
    const float lw = first_weight[x], rw = 1 - lw;
    for (size_t c = 0; c < channels; ++c)
      out[c] = lw * (a_weight * a[l + c] + b_weight * b[l + c]) +
               rw * (a_weight * a[r + c] + b_weight * b[r + c]);
  }
}

static void resize_row_gradient(const float *restrict gradient, float weight,
                                const int32_t *restrict first, const int32_t *restrict second,
                                const float *restrict first_weight, size_t out_width,
                                size_t channels, float *restrict out) {
  for (size_t x = 0; x < out_width; ++x, gradient += channels) {
    float *l = out + (size_t)first[x] * channels, *r = out + (size_t)second[x] * channels;
    const float lw = weight * first_weight[x], rw = weight - lw;
    for (size_t c = 0; c < channels; ++c) l[c] += lw * gradient[c];
    for (size_t c = 0; c < channels; ++c) r[c] += rw * gradient[c];
  }
}

enum { AGGREGATE_BLOCK = 64 };
static const float aggregate_low = 1e-6f, aggregate_high = 1 - 1e-6f;

// p and q = 1 - p of each object and of "some object" are computed without cancellation, so that
// log-odds = log(p) - log(q) keep their digits at both ends.
static void aggregate(const float *const *logits, size_t objects, size_t count,
                      float *const *log_odds, float *const *probabilities) {
  for (size_t start = 0; start < count; start += AGGREGATE_BLOCK) {
    const size_t n = count - start < AGGREGATE_BLOCK ? count - start : AGGREGATE_BLOCK;
    float none[AGGREGATE_BLOCK], some[AGGREGATE_BLOCK], largest[AGGREGATE_BLOCK];
    float total[AGGREGATE_BLOCK];
    for (size_t i = 0; i < n; ++i) {
      none[i] = 1;
      some[i] = 0;
      total[i] = 0;
    }
    for (size_t k = 0; k <= objects; ++k) {
      // Objects first: the background needs all of them.
      const size_t plane = k < objects ? k + 1 : 0;
      float *restrict out = log_odds[plane] + start;
      if (k < objects) {
        const float *restrict logit = logits[k] + start;
        for (size_t i = 0; i < n; ++i) {
          const float e = vos_exp(-fabsf(logit[i])), larger = 1 / (1 + e), smaller = e * larger;
          const float p = logit[i] >= 0 ? larger : smaller, q = logit[i] >= 0 ? smaller : larger;
          some[i] += none[i] * p;
          none[i] *= q;
          const float bounded = p < aggregate_low ? aggregate_low : p;
          const float other = q < aggregate_low ? aggregate_low : q;
          out[i] = vos_log(bounded > aggregate_high ? aggregate_high : bounded) -
                   vos_log(other > aggregate_high ? aggregate_high : other);
        }
      } else {
        for (size_t i = 0; i < n; ++i) {
          const float p = none[i] < aggregate_low ? aggregate_low : none[i];
          const float q = some[i] < aggregate_low ? aggregate_low : some[i];
          out[i] = vos_log(p > aggregate_high ? aggregate_high : p) -
                   vos_log(q > aggregate_high ? aggregate_high : q);
        }
      }
      if (k == 0)
        for (size_t i = 0; i < n; ++i) largest[i] = out[i];
      else
        for (size_t i = 0; i < n; ++i) largest[i] = out[i] > largest[i] ? out[i] : largest[i];
    }
    for (size_t k = 0; k <= objects; ++k) {
      const float *restrict in = log_odds[k] + start;
      float *restrict out = probabilities[k] + start;
      for (size_t i = 0; i < n; ++i) {
        out[i] = vos_exp(in[i] - largest[i]);
        total[i] += out[i];
      }
    }
    for (size_t k = 0; k <= objects; ++k) {
      float *restrict out = probabilities[k] + start;
      for (size_t i = 0; i < n; ++i) out[i] /= total[i];
    }
  }
}

// With L the log-odds, P their softmax, p = sigmoid(logit), q = 1 - p and s = 1 - prod q:
// dL_j = d_log_odds_j + P_j (d_probabilities_j - sum of P · d_probabilities), and since
// dL_0/dlogit_k = -p_k / s and dL_k/dlogit_k = 1 where nothing is clamped,
// dlogit_k = dL_k - dL_0 · p_k / s.
static void aggregate_gradient(const float *const *logits, const float *const *probabilities,
                               size_t objects, size_t count, const float *const *d_log_odds,
                               const float *const *d_probabilities, float *const *d_logits) {
  for (size_t start = 0; start < count; start += AGGREGATE_BLOCK) {
    const size_t n = count - start < AGGREGATE_BLOCK ? count - start : AGGREGATE_BLOCK;
    float none[AGGREGATE_BLOCK], some[AGGREGATE_BLOCK], mean[AGGREGATE_BLOCK];
    float background[AGGREGATE_BLOCK];
    for (size_t i = 0; i < n; ++i) {
      none[i] = 1;
      some[i] = 0;
      mean[i] = 0;
      background[i] = d_log_odds ? d_log_odds[0][start + i] : 0;
    }
    for (size_t k = 0; k < objects; ++k) {
      const float *restrict logit = logits[k] + start;
      for (size_t i = 0; i < n; ++i) {
        const float e = vos_exp(-fabsf(logit[i])), larger = 1 / (1 + e), smaller = e * larger;
        const float p = logit[i] >= 0 ? larger : smaller, q = logit[i] >= 0 ? smaller : larger;
        some[i] += none[i] * p;
        none[i] *= q;
      }
    }
    if (d_probabilities) {
      for (size_t k = 0; k <= objects; ++k) {
        const float *restrict p = probabilities[k] + start, *restrict d = d_probabilities[k] + start;
        for (size_t i = 0; i < n; ++i) mean[i] += p[i] * d[i];
      }
      const float *restrict p = probabilities[0] + start, *restrict d = d_probabilities[0] + start;
      for (size_t i = 0; i < n; ++i) background[i] += p[i] * (d[i] - mean[i]);
    }
    for (size_t i = 0; i < n; ++i)
      background[i] = none[i] >= aggregate_low && some[i] >= aggregate_low ? background[i] / some[i] : 0;
    for (size_t k = 0; k < objects; ++k) {
      const float *restrict logit = logits[k] + start;
      float *restrict out = d_logits[k] + start;
      if (d_log_odds) {
        const float *restrict d = d_log_odds[k + 1] + start;
        for (size_t i = 0; i < n; ++i) out[i] = d[i];
      } else {
        for (size_t i = 0; i < n; ++i) out[i] = 0;
      }
      if (d_probabilities) {
        const float *restrict p = probabilities[k + 1] + start;
        const float *restrict d = d_probabilities[k + 1] + start;
        for (size_t i = 0; i < n; ++i) out[i] += p[i] * (d[i] - mean[i]);
      }
      for (size_t i = 0; i < n; ++i) {
        const float e = vos_exp(-fabsf(logit[i])), larger = 1 / (1 + e), smaller = e * larger;
        const float p = logit[i] >= 0 ? larger : smaller;
        out[i] = (smaller >= aggregate_low ? out[i] : 0) - background[i] * p;
      }
    }
  }
}

static void adamw(size_t count, const float *restrict gradient, float rate, float decay, float b1,
                  float b2, float epsilon, float c1, float c2, float *restrict parameter,
                  float *restrict m, float *restrict v) {
  const float keep = 1 - rate * decay, step = rate / c1, root = 1 / sqrtf(c2);
  for (size_t i = 0; i < count; ++i) {
    const float g = gradient[i];
    m[i] = b1 * m[i] + (1 - b1) * g;
    v[i] = b2 * v[i] + (1 - b2) * g * g;
    parameter[i] = keep * parameter[i] - step * m[i] / (sqrtf(v[i]) * root + epsilon);
  }
}

#define VOS_TRAINING_ELEMENTWISE \
  .depthwise_tap = depthwise_tap, .depthwise_tap_weights = depthwise_tap_weights, \
  .max_pool_gradient = max_pool_gradient, \
  .clamp_gradient = clamp_gradient, .round_values = round_values, \
  .round_gradient = round_gradient, .accumulate = accumulate, \
  .normalize_gradient = normalize_gradient, .softmax_gradient = softmax_gradient, \
  .resize_row = resize_row, .resize_row_gradient = resize_row_gradient, .aggregate = aggregate, \
  .aggregate_gradient = aggregate_gradient, .adamw = adamw
