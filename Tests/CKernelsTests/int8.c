// The integer kernels: every table must give the bytes of the specification, which is compared with
// formulas written down anew. Swept shapes, random and extreme values. Called by: main.c.
#include <math.h>
#include <string.h>

#include "../../Sources/CKernels/int8/tables.h"
#include "check.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

// MARK: - Values

/// How extreme the inputs of a case are.
typedef enum { anything, highest, lowest, alternating, all_equal, value_kinds } kind;
static const char *const kind_names[] = {"random", "highest", "lowest", "alternating", "all equal"};

static uint8_t *random_activations(size_t count, kind kind) {
  uint8_t *values = allocate(count);
  const uint8_t same = (uint8_t)random_below(128);
  for (size_t i = 0; i < count; i++)
    values[i] = kind == highest       ? 127
                : kind == lowest      ? 0
                : kind == alternating ? (uint8_t)(i % 2 * 127)
                : kind == all_equal   ? same
                                      : (uint8_t)random_below(128);
  return values;
}

/// A weight of a group in which |weights| of `left` may still be spent.
static int8_t random_weight(kind kind, int *left, size_t position) {
  int w = kind == anything    ? (int)random_below(256) - 128
          : kind == all_equal ? 64
          : kind == lowest    ? -128
          : kind == highest   ? 127
          : position % 2      ? -128
                              : 127;
  if (w > *left) w = *left;
  if (w < -*left) w = -*left;
  *left -= w < 0 ? -w : w;
  return (int8_t)w;
}

// MARK: - Outputs

enum { guard = 64 };

typedef struct {
  uint8_t *data;
  size_t rows, columns, stride, size;  // in bytes
} byte_matrix;

static byte_matrix new_bytes(size_t rows, size_t columns, size_t stride) {
  byte_matrix m = {NULL, rows, columns, stride, rows ? (rows - 1) * stride + columns : 0};
  uint8_t *all = allocate(m.size + 2 * guard);
  memset(all, 0xa5, m.size + 2 * guard);
  m.data = all + guard;
  return m;
}

/// The same bytes, gaps and guards included.
static void expect_equal(byte_matrix actual, byte_matrix expected) {
  const uint8_t *a = actual.data - guard, *e = expected.data - guard;
  for (size_t i = 0; i < actual.size + 2 * guard; i++)
    if (a[i] != e[i]) {
      fail("byte %td is %u, expected %u", (ptrdiff_t)i - guard, a[i], e[i]);
      return;
    }
}

// MARK: - Dense products

enum { max_segments = 3 };

typedef struct {
  size_t rows, columns, segment_count, depths[max_segments];
  kind kind;
} product;

/// Weights at the limit that keeps 16-bit sums exact.
static int8_t *limited_weights(product p, size_t groups) {
  const size_t panels = (p.columns + 15) / 16;
  int8_t *weights = allocate(panels * groups * 64);
  memset(weights, 0, panels * groups * 64);
  for (size_t n = 0; n < p.columns; n++) {
    int8_t *column = weights + (n / 16 * groups * 16 + n % 16) * 4;
    for (size_t s = 0; s < p.segment_count; s++) {
      int left[2] = {0, 0};
      for (size_t k = 0; k < p.depths[s]; k++) {
        if (k % 8 == 0) left[0] = left[1] = VOS_INT8_WEIGHT_SUM;
        column[k / 4 * 64 + k % 4] = random_weight(p.kind, &left[k / 2 % 2], k / 4 + k);
      }
      column += (p.depths[s] + 3) / 4 * 64;
    }
  }
  return weights;
}

static double product_value(const vos_int8_segment *segments, product p, size_t groups,
                            const vos_int8_factor *factor, size_t m, size_t n) {
  int64_t sum = factor->bias[n];
  size_t group = 0;
  for (size_t s = 0; s < p.segment_count; s++) {
    for (size_t k = 0; k < p.depths[s]; k++)
      sum += (int64_t)segments[s].base[(ptrdiff_t)m * segments[s].stride + (ptrdiff_t)k] *
             factor->weights[((n / 16 * groups + group + k / 4) * 16 + n % 16) * 4 + k % 4];
    group += (p.depths[s] + 3) / 4;
  }
  return (double)sum;
}

static double saturated(double x) { return fmin(fmax(x, INT16_MIN), INT16_MAX); }

static void compare_gemm(const vos_int8_kernels *tested, product p) {
  enum { no_addend, separate_addend, added_in_place, addend_kinds };
  const int addend_kind = (int)random_below(addend_kinds);
  const size_t stride = p.columns + (random_below(2) ? 0 : random_below(20));
  begin("%zu x %zu, depths %zu %zu %zu, %s, stride %zu, addend %d", p.rows, p.columns, p.depths[0],
        p.depths[1], p.depths[2], kind_names[p.kind], stride, addend_kind);
  vos_int8_segment segments[max_segments];
  size_t groups = 0;
  double largest = 1;
  for (size_t s = 0; s < p.segment_count; s++) {
    const size_t depth = p.depths[s], whole = (depth + 3) / 4 * 4;
    const size_t step = random_below(3) ? depth + random_below(7) : (depth + 2) / 3;
    segments[s] = (vos_int8_segment){
      .base = random_activations(p.rows ? (p.rows - 1) * step + whole : 0, p.kind),
      .stride = (ptrdiff_t)step,
      .depth = depth,
    };
    groups += whole / 4;
    largest += 127.0 * 64 * (double)depth;
  }
  const size_t padded = (p.columns + 15) / 16 * 16;
  int32_t *bias = allocate(padded * sizeof *bias);
  float *scale = allocate(padded * sizeof *scale);
  int16_t *multiplier = allocate(padded * sizeof *multiplier);
  // Shifts around the one that makes 16 bits of the largest sum.
  const int usual = (int)fmax(0, log2(largest) - 14), shift = usual + (int)random_below(4) - 2;
  const int shifts[] = {0, 31, shift < 0 ? 0 : shift};
  for (size_t n = 0; n < padded; n++) {
    bias[n] = random_below(4) ? (int32_t)((double)random_below(2000) / 1000 * largest - largest)
                              : (int32_t)(random_below(2) ? 1 << 30 : -(1 << 30));
    scale[n] = random_below(4) ? (float)(random_below(1000) + 1) * 0.0005f : 0.5f;
    // Halves are met often: with 2^14 every odd word is one.
    multiplier[n] = random_below(4)   ? (int16_t)(128 + random_below(1024))
                    : random_below(4) ? 1 << 14
                    : random_below(2) ? 0
                                      : INT16_MAX;
  }
  const int16_t addends[] = {0, 512, INT16_MAX, (int16_t)random_below(4096)};
  const vos_int8_factor factor = {
    limited_weights(p, groups), bias, scale, multiplier,
    shifts[random_below(8) ? 2 : random_below(2)], addends[random_below(COUNT(addends))]};
  const uint8_t low = (uint8_t)(random_below(2) ? 0 : random_below(100));
  const vos_int8_clamp clamp = {low, (uint8_t)(random_below(2) ? 127 : low + random_below(28))};
  const uint8_t *added = random_activations(p.rows * p.columns, anything);

  byte_matrix out[2], floats[2];
  for (int i = 0; i < 2; i++) {
    const vos_int8_kernels *kernels = i ? &vos_int8_kernels_scalar : tested;
    out[i] = new_bytes(p.rows, p.columns, stride);
    byte_matrix addend = new_bytes(p.rows, p.columns, stride);
    if (addend_kind == added_in_place) addend = out[i];
    for (size_t m = 0; m < p.rows; m++)
      memcpy(addend.data + m * stride, added + m * p.columns, p.columns);
    kernels->gemm(p.rows, p.columns, segments, p.segment_count, &factor,
                  addend_kind == no_addend ? NULL : addend.data, (ptrdiff_t)stride, out[i].data,
                  (ptrdiff_t)stride, clamp);
    floats[i] = new_bytes(p.rows, p.columns * 4, stride * 4);
    kernels->gemm_to_float(p.rows, p.columns, segments, p.segment_count, &factor,
                           (float *)(void *)floats[i].data, (ptrdiff_t)stride);
  }
  expect_equal(out[0], out[1]);
  expect_equal(floats[0], floats[1]);
  if (tested != &vos_int8_kernels_scalar) return;
  for (size_t m = 0; m < p.rows; m++)
    for (size_t n = 0; n < p.columns; n++) {
      const double sum = product_value(segments, p, groups, &factor, m, n);
      const double word = saturated(floor(sum / exp2(factor.shift)));
      double t = floor(word * multiplier[n] / 32768 + 0.5);
      if (addend_kind != no_addend) {
        const double a = added[m * p.columns + n];
        t = floor(saturated(t + floor(a * factor.addend_multiplier / 256 + 0.5)) / 8);
      }
      const double value = fmin(fmax(t, clamp.low), clamp.high);
      if (out[0].data[m * stride + n] != value)
        fail("[%zu, %zu] is %u, expected %g", m, n, out[0].data[m * stride + n], value);
      const double plain = (double)(float)sum * (double)scale[n];
      if (((const float *)(void *)floats[0].data)[m * stride + n] != (float)plain)
        fail("[%zu, %zu] is not %g", m, n, plain);
    }
}

static void test_gemm_int8(const vos_int8_kernels *tested) {
  // The edges of tiles of 4, 6 and 8 rows, of blocks of 48, and of 4, 8, 16 and 32 columns.
  static const size_t rows[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 17, 48, 54, 101};
  static const size_t columns[] = {0,  1,  3,  4,  5,  7,  8,  9,  12, 13, 15,
                                   16, 17, 24, 25, 31, 32, 33, 48, 64, 65};
  static const struct {
    size_t count, depths[max_segments];
  } depths[] = {
    {0, {0}},      {1, {0}},        {1, {1}},      {1, {4}},      {1, {5}},        {1, {8}},
    {1, {9}},      {1, {12}},       {2, {1, 3}},   {2, {33, 17}}, {3, {27, 27, 27}}, {3, {5, 0, 11}},
  };
  for (size_t r = 0; r < COUNT(rows); r++)
    for (size_t c = 0; c < COUNT(columns); c++)
      for (size_t d = 0; d < COUNT(depths); d++) {
        product p = {rows[r], columns[c], depths[d].count, {0}, (kind)random_below(value_kinds)};
        memcpy(p.depths, depths[d].depths, sizeof p.depths);
        compare_gemm(tested, p);
      }
  static const size_t deep[][3] = {{5, 864, 64}, {9, 576, 96}, {3, 3240, 128}, {7, 1021, 33},
                                  {9, 288, 1}, {5, 1021, 1}};
  for (size_t i = 0; i < COUNT(deep); i++)
    for (kind kind = 0; kind < value_kinds; kind++)
      compare_gemm(tested, (product){deep[i][0], deep[i][2], 1, {deep[i][1]}, kind});
}

// MARK: - Depthwise

static void compare_depthwise(const vos_int8_kernels *tested, size_t kernel, size_t stride,
                              size_t width, size_t channels, kind kind) {
  begin("%zu x %zu stride %zu, width %zu, %zu channels, %s", kernel, kernel, stride, width, channels,
        kind_names[kind]);
  const uint8_t *rows[5];
  for (size_t i = 0; i < kernel; i++)
    rows[i] = random_activations(width ? ((width - 1) * stride + kernel) * channels : 0, kind);
  const size_t taps = kernel * kernel, pairs = (taps + 1) / 2;
  int8_t *weights = allocate(pairs * channels * 2);
  int16_t *bias = allocate(channels * sizeof *bias), *scale = allocate(channels * sizeof *scale);
  memset(weights, 0, pairs * channels * 2);
  for (size_t c = 0; c < channels; c++) {
    int left[2] = {VOS_INT8_WEIGHT_SUM, VOS_INT8_WEIGHT_SUM};
    for (size_t tap = 0; tap < taps; tap++)
      weights[(tap / 2 * channels + c) * 2 + tap % 2] =
          random_weight(kind, &left[tap / 2 >= (pairs + 1) / 2], tap);
    bias[c] = random_below(4) ? (int16_t)((int)random_below(8000) - 4000)
                              : random_below(2) ? INT16_MIN : INT16_MAX;
    scale[c] = random_below(4) ? (int16_t)random_below(1000) : random_below(2) ? 0 : INT16_MAX;
  }
  const vos_int8_depthwise factor = {weights, bias, scale,
                                     (uint8_t)(random_below(2) ? random_below(128)
                                                               : random_below(2) * 127)};
  const uint8_t low = (uint8_t)(random_below(2) ? 0 : random_below(100));
  const vos_int8_clamp clamp = {low, (uint8_t)(random_below(2) ? 127 : low + random_below(28))};
  byte_matrix out[2];
  for (int i = 0; i < 2; i++) {
    out[i] = new_bytes(1, width * channels, width * channels);
    (i ? &vos_int8_kernels_scalar : tested)
        ->depthwise(rows, kernel, stride, width, channels, &factor, out[i].data, clamp);
  }
  expect_equal(out[0], out[1]);
  if (tested != &vos_int8_kernels_scalar) return;
  for (size_t at = 0; at < width * channels; at++) {
    const size_t x = at / channels, c = at % channels;
    double sums[2] = {0, 0};
    for (size_t tap = 0; tap < taps; tap++)
      sums[tap / 2 >= (pairs + 1) / 2] +=
          (double)rows[tap / kernel][(x * stride + tap % kernel) * channels + c] *
          weights[(tap / 2 * channels + c) * 2 + tap % 2];
    const double s = saturated(floor(sums[0] / 2) + floor(sums[1] / 2) + bias[c]);
    const double t = floor(s * scale[c] / 32768 + 0.5) + factor.zero_point;
    const double value = fmin(fmax(t, clamp.low), clamp.high);
    if (out[0].data[at] != value) fail("[%zu] is %u, expected %g", at, out[0].data[at], value);
  }
}

static void test_depthwise_int8(const vos_int8_kernels *tested) {
  static const size_t widths[] = {0, 1, 2, 3, 4, 5, 8, 17};
  static const size_t channels[] = {1,  2,  7,  8,  9,  15, 16, 17, 24, 31, 32,
                                    33, 40, 47, 48, 49, 63, 64, 65, 96, 97, 144};
  for (size_t c = 0; c < COUNT(channels); c++)
    for (size_t variant = 0; variant < 4; variant++)
      for (size_t w = 0; w < COUNT(widths); w++)
        for (kind kind = 0; kind < value_kinds; kind++)
          compare_depthwise(tested, variant & 1 ? 5 : 3, variant & 2 ? 2 : 1, widths[w],
                            channels[c], kind);
}

// MARK: - Maps

static void test_upsample2_int8(const vos_int8_kernels *tested) {
  static const size_t widths[] = {1, 2, 3, 4, 5, 9, 17}, channels[] = {1, 3, 8, 15, 16, 31, 32, 33, 64};
  for (size_t w = 0; w < COUNT(widths); w++)
    for (size_t c = 0; c < COUNT(channels); c++)
      for (kind kind = 0; kind < value_kinds; kind++) {
        const size_t width = widths[w], count = width * channels[c];
        begin("width %zu, %zu channels, %s", width, channels[c], kind_names[kind]);
        const uint8_t *near = random_activations(count, kind);
        const uint8_t *far = random_activations(count, anything);
        byte_matrix out[2];
        for (int i = 0; i < 2; i++) {
          out[i] = new_bytes(1, 2 * count, 2 * count);
          (i ? &vos_int8_kernels_scalar : tested)
              ->upsample2(near, far, width, channels[c], out[i].data);
        }
        expect_equal(out[0], out[1]);
        if (tested != &vos_int8_kernels_scalar) continue;
        for (size_t x = 0; x < 2 * width; x++)
          for (size_t k = 0; k < channels[c]; k++) {
            const double place = fmin(fmax(((double)x + 0.5) / 2 - 0.5, 0), (double)width - 1);
            const size_t left = (size_t)place, right = left + 1 < width ? left + 1 : left;
            const double part = place - (double)left;
            const size_t l = left * channels[c] + k, r = right * channels[c] + k;
            const double mean = 0.75 * ((1 - part) * near[l] + part * near[r]) +
                                0.25 * ((1 - part) * far[l] + part * far[r]);
            if (out[0].data[x * channels[c] + k] != floor(mean + 0.5))
              fail("[%zu, %zu] is %u, expected %g", x, k, out[0].data[x * channels[c] + k], mean);
          }
      }
}

static void test_conversions_int8(const vos_int8_kernels *tested) {
  static const float special[] = {0, -0.0f, 1e30f, -1e30f, INFINITY, -INFINITY, NAN, 1e-40f};
  for (size_t count = 0; count <= 70; count++)
    for (int round = 0; round < 4; round++) {
      const float zero = (float)(round == 0 ? 0 : round == 1 ? 127 : random_below(128));
      const float inverse = round == 2 ? 1 : (float)(random_below(500) + 1) * 0.125f;
      begin("%zu values, times %g, zero point %g", count, (double)inverse, (double)zero);
      float *in = random_floats(count, -20, 20);
      for (size_t i = 0; i < count; i++) {
        if (random_below(8) == 0) in[i] = special[random_below(COUNT(special))];
        if (random_below(4) == 0) in[i] = (float)random_below(300) * 0.5f / inverse;  // ties
      }
      uint8_t *bytes = random_activations(count, anything);
      for (size_t i = 0; i < count; i++) bytes[i] = (uint8_t)random_below(256);
      byte_matrix out[2], floats[2];
      for (int i = 0; i < 2; i++) {
        const vos_int8_kernels *kernels = i ? &vos_int8_kernels_scalar : tested;
        out[i] = new_bytes(1, count, count);
        kernels->quantize(in, count, inverse, zero, out[i].data);
        floats[i] = new_bytes(1, count * 4, count * 4);
        kernels->dequantize(bytes, count, 1 / inverse, (int32_t)zero,
                            (float *)(void *)floats[i].data);
      }
      expect_equal(out[0], out[1]);
      expect_equal(floats[0], floats[1]);
      if (tested != &vos_int8_kernels_scalar) continue;
      for (size_t i = 0; i < count; i++) {
        const float scaled = in[i] * inverse, shifted = scaled + zero;
        const double value = isnan(in[i]) ? 0 : fmin(fmax(nearbyint((double)shifted), 0), 127);
        if (out[0].data[i] != value)
          fail("%g is %u, expected %g", (double)in[i], out[0].data[i], value);
        if (((const float *)(void *)floats[0].data)[i] != ((float)bytes[i] - zero) * (1 / inverse))
          fail("%u is not dequantised", bytes[i]);
      }
    }
}

// MARK: - Queries and keys

static void compare_affinity(const vos_int8_kernels *tested, size_t rows, size_t columns, size_t depth,
                             int odd) {
  begin("%zu queries, %zu keys of %zu%s", rows, columns, depth, odd ? ", odd values" : "");
  static const float special[] = {0, NAN, INFINITY, -INFINITY, 1e38f, 1e-38f, -1e-31f, 3};
  const size_t stride = depth + random_below(9), bytes = (depth + 3) / 4 * 4;
  const size_t padded = (columns + 15) / 16 * 16;
  float *queries = random_floats(rows * stride, -1, 1), *keys = random_floats(columns * stride, -1, 1);
  for (size_t i = 0; odd && i < columns * stride; i++)
    if (random_below(8) == 0) keys[i] = special[random_below(COUNT(special))];
  for (size_t i = 0; odd && i < rows * stride; i++)
    if (random_below(8) == 0) queries[i] = special[random_below(COUNT(special))];
  if (columns) memset(keys, 0, depth * sizeof *keys);
  byte_matrix query[2], query_scale[2], weights[2], bias[2], scale[2], scores[2];
  for (int i = 0; i < 2; i++) {
    const vos_int8_kernels *kernels = i ? &vos_int8_kernels_scalar : tested;
    query[i] = new_bytes(1, rows * bytes, 1);
    query_scale[i] = new_bytes(1, rows * 4, 1);
    weights[i] = new_bytes(1, padded * bytes, 1);
    bias[i] = new_bytes(1, padded * 4, 1);
    scale[i] = new_bytes(1, padded * 4, 1);
    scores[i] = new_bytes(1, rows * columns * 4, 1);
    kernels->quantize_queries(queries, (ptrdiff_t)stride, rows, depth, query[i].data,
                              (float *)(void *)query_scale[i].data);
    kernels->pack_keys(keys, (ptrdiff_t)stride, columns, depth, (int8_t *)weights[i].data,
                       (int32_t *)(void *)bias[i].data, (float *)(void *)scale[i].data);
    const vos_int8_factor factor = {.weights = (int8_t *)weights[i].data,
                                    .bias = (int32_t *)(void *)bias[i].data,
                                    .scale = (float *)(void *)scale[i].data};
    const vos_int8_segment segment = {query[i].data, (ptrdiff_t)bytes, depth};
    kernels->gemm_to_float(rows, columns, &segment, 1, &factor, (float *)(void *)scores[i].data,
                           (ptrdiff_t)columns);
  }
  expect_equal(query[0], query[1]);
  expect_equal(query_scale[0], query_scale[1]);
  expect_equal(weights[0], weights[1]);
  expect_equal(bias[0], bias[1]);
  expect_equal(scale[0], scale[1]);
  expect_equal(scores[0], scores[1]);
  if (tested != &vos_int8_kernels_scalar) return;
  // The limit holds whatever the keys are.
  const int8_t *w = (const int8_t *)weights[0].data;
  for (size_t n = 0; n < columns; n++)
    for (size_t first = 0; first < bytes; first += 8)
      for (size_t part = 0; part < 4; part += 2) {
        int sum = 0;
        for (size_t i = 0; i < 4; i++) {
          const size_t d = first + part + i % 2 + i / 2 * 4;
          if (d >= bytes) continue;
          const int value = w[(n / 16 * (bytes / 4) * 16 + n % 16) * 4 + d / 4 * 64 + d % 4];
          sum += value < 0 ? -value : value;
        }
        if (sum > VOS_INT8_WEIGHT_SUM) fail("column %zu: |weights| sum to %d", n, sum);
      }
  if (odd) return;
  // Products differ from the exact ones by what rounding to half a unit on both sides makes.
  for (size_t m = 0; m < rows; m++)
    for (size_t n = 0; n < columns; n++) {
      const double unit = (double)((const float *)(void *)query_scale[0].data)[m];
      const double key_unit = (double)((const float *)(void *)scale[0].data)[n];
      double exact = 0, bound = 1e-6;
      for (size_t d = 0; d < depth; d++) {
        const double a = (double)queries[m * stride + d], b = (double)keys[n * stride + d];
        exact += a * b;
        bound += fabs(a) * key_unit / 2 + fabs(b) * unit / 2 + unit * key_unit / 4;
      }
      const double score = unit * (double)((const float *)(void *)scores[0].data)[m * columns + n];
      if (!(fabs(score - exact) <= bound))
        fail("[%zu, %zu] is %g, expected %g +- %g", m, n, score, exact, bound);
    }
}

static void test_affinity_int8(const vos_int8_kernels *tested) {
  static const size_t rows[] = {0, 1, 3, 8}, columns[] = {0, 1, 15, 16, 17, 33, 54};
  static const size_t depths[] = {1, 3, 4, 7, 8, 12, 15, 16, 31, 64};
  for (size_t r = 0; r < COUNT(rows); r++)
    for (size_t c = 0; c < COUNT(columns); c++)
      for (size_t d = 0; d < COUNT(depths); d++)
        for (int odd = 0; odd < 2; odd++)
          compare_affinity(tested, rows[r], columns[c], depths[d], odd);
}

// MARK: - All tables

static void test_dispatch_int8(void) {
  for (int isa = 0; isa < VOS_INT8_COUNT; isa++) {
    const vos_int8_kernels *table = vos_int8_kernels_for((vos_int8_isa)isa);
    begin("instruction set %d", isa);
    if (isa == VOS_INT8_SCALAR && table != &vos_int8_kernels_scalar) fail("no scalar table");
    if (table && table->isa != (vos_int8_isa)isa) fail("its table says %d", table->isa);
  }
  begin("unknown instruction set");
  if (vos_int8_kernels_for((vos_int8_isa)99)) fail("has a table");
}

void test_int8(uint64_t seed) {
  static const struct {
    const char *name;
    void (*function)(const vos_int8_kernels *tested);
  } tests[] = {
    {"gemm", test_gemm_int8},
    {"depthwise", test_depthwise_int8},
    {"upsample2", test_upsample2_int8},
    {"conversions", test_conversions_int8},
    {"affinity", test_affinity_int8},
  };
  begin_test("CPU", "integer dispatch", seed);
  test_dispatch_int8();
  for (int isa = 0; isa < VOS_INT8_COUNT; isa++) {
    const vos_int8_kernels *table = vos_int8_kernels_for((vos_int8_isa)isa);
    if (!table) continue;
    for (size_t i = 0; i < COUNT(tests); i++) {
      begin_test(table->name, tests[i].name, seed);
      tests[i].function(table);
    }
  }
}
