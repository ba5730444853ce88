// Dense products and depthwise convolution, swept over the edges of every tile. Called by: main.c.
#include <math.h>

#include "check.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static vos_clamp random_clamp(void) {
  static const vos_clamp clamps[] = {{-INFINITY, INFINITY}, {0, INFINITY}, {0, 6}};
  return clamps[random_below(COUNT(clamps))];
}

// MARK: - gemm

enum { max_segments = 5 };

typedef struct {
  size_t rows, columns, segment_count;
  size_t depths[max_segments];
  int exact;  // integers, for which every variant must give the same bits
} product;

static void compare_gemm(const vos_kernels *tested, const vos_kernels *expected, product p) {
  enum { no_addend, separate_addend, added_in_place, addend_kinds };
  const int kind = (int)random_below(addend_kinds), biased = random_below(4) > 0;
  const size_t out_stride = p.columns + (random_below(2) ? 0 : 1 + random_below(20));
  const size_t padded_columns = (p.columns + 15) / 16 * 16;
  begin("%zu x %zu, depths %zu %zu %zu %zu %zu, %s, out stride %zu, %s bias, addend %d", p.rows,
        p.columns, p.depths[0], p.depths[1], p.depths[2], p.depths[3], p.depths[4],
        p.exact ? "integers" : "floats", out_stride, biased ? "with" : "no", kind);

  vos_segment segments[max_segments];
  size_t depth = 0;
  for (size_t s = 0; s < p.segment_count; s++) {
    const size_t own = p.depths[s];
    // Less than the depth: windows of neighbouring pixels overlap, as in a k×k convolution.
    const size_t stride = random_below(3) ? own + random_below(7) : (own + 2) / 3;
    const size_t extent = p.rows && own ? (p.rows - 1) * stride + own : 0;
    segments[s] = (vos_segment){
      .base = p.exact ? random_integers(extent, 1) : random_floats(extent, -1, 1),
      .stride = (ptrdiff_t)stride,
      .depth = own,
    };
    depth += own;
  }
  float *weights = p.exact ? random_integers(depth * padded_columns, 1)
                           : random_floats(depth * padded_columns, -1, 1);
  for (size_t panel = 0; panel < padded_columns / 16; panel++)
    for (size_t k = 0; k < depth; k++)
      for (size_t n = 0; n < 16; n++)
        if (panel * 16 + n >= p.columns) weights[(panel * depth + k) * 16 + n] = 0;
  const float *bias = biased ? random_integers(padded_columns, 1) : NULL;
  matrix addend = new_matrix(p.rows, p.columns, p.columns + random_below(5));
  const float *values = random_integers(p.rows * p.columns, 1);
  copy_elements((matrix){(float *)values, p.rows, p.columns, p.columns}, addend);
  const vos_clamp clamp = random_clamp();

  matrix out[2];
  for (int i = 0; i < 2; i++) {
    out[i] = new_matrix(p.rows, p.columns, out_stride);
    if (kind == added_in_place) copy_elements(addend, out[i]);
    const matrix added = kind == added_in_place ? out[i] : addend;
    (i ? expected : tested)
        ->gemm(p.rows, p.columns, segments, p.segment_count, weights, bias,
               kind == no_addend ? NULL : added.data, (ptrdiff_t)added.stride, out[i].data,
               (ptrdiff_t)out_stride, clamp);
  }
  // Every factor is within ±1, so that the sum of |a·b| is at most the depth (about depth / 4).
  expect_near(out[0], out[1], p.exact ? 0 : 1e-6 * (double)(depth + 8), 0);
}

void test_gemm(const vos_kernels *tested, const vos_kernels *expected) {
  // The edges of 6 × 16, 9 × 32 and 6 × 16 (NEON) tiles, primes, and the network's 54.
  static const size_t rows[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 17, 18, 19, 54};
  static const size_t columns[] = {0,  1,  3,  4,  5,  7,  8,  9,  11, 12, 13, 15,
                                   16, 17, 24, 31, 32, 33, 40, 47, 48, 49, 64, 65};
  static const struct {
    size_t count, depths[max_segments];
  } depths[] = {
    {0, {0}},          {1, {0}},       {1, {1}},       {1, {2}},        {1, {7}},
    {1, {8}},          {1, {9}},       {1, {16}},      {2, {1, 3}},     {2, {33, 17}},
    {3, {27, 27, 27}}, {3, {5, 0, 11}}, {4, {4, 1, 1, 4}}, {5, {1, 3, 5, 7, 9}},
  };
  for (size_t r = 0; r < COUNT(rows); r++)
    for (size_t c = 0; c < COUNT(columns); c++)
      for (size_t d = 0; d < COUNT(depths); d++) {
        product p = {rows[r], columns[c], depths[d].count, {0}, random_below(4) > 0};
        for (size_t s = 0; s < p.segment_count; s++) p.depths[s] = depths[d].depths[s];
        compare_gemm(tested, expected, p);
      }
  // Deep ones: those of the network, and around the limit of the one-column path.
  static const size_t deep[][3] = {
    {19, 3240, 128}, {13, 1620, 24}, {7, 864, 64},  {9, 499, 17},  {10, 512, 33}, {6, 513, 16},
    {5, 1021, 1},    {5, 1023, 1},   {5, 1024, 1},  {5, 1025, 1},  {3, 2053, 1},  {11, 1025, 40},
    {54, 64, 1620},  {27, 225, 128}, {432, 27, 32}, {216, 288, 1}, {216, 40, 48}, {12, 97, 97},
  };
  for (size_t i = 0; i < COUNT(deep); i++)
    for (int exact = 0; exact < 2; exact++) {
      const size_t first = deep[i][1] / 3 | 1;
      compare_gemm(tested, expected, (product){deep[i][0], deep[i][2], 1, {deep[i][1]}, exact});
      compare_gemm(tested, expected,
                   (product){deep[i][0], deep[i][2], 2, {first, deep[i][1] - first}, exact});
    }
}

// MARK: - Depthwise

void test_depthwise(const vos_kernels *tested, const vos_kernels *expected) {
  static const size_t widths[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 16, 17};
  for (size_t channels = 1; channels <= 40; channels++)
    for (size_t variant = 0; variant < 4; variant++)
      for (size_t w = 0; w < COUNT(widths); w++) {
        const size_t kernel = variant & 1 ? 5 : 3, stride = variant & 2 ? 2 : 1;
        const size_t width = widths[w];
        const int exact = random_below(4) > 0;
        begin("%zu x %zu stride %zu, width %zu, %zu channels, %s", kernel, kernel, stride, width,
              channels, exact ? "integers" : "floats");
        const size_t extent = width ? ((width - 1) * stride + kernel) * channels : 0;
        const float *rows[5];
        for (size_t i = 0; i < kernel; i++)
          rows[i] = exact ? random_integers(extent, 1) : random_floats(extent, -1, 1);
        const size_t taps = kernel * kernel;
        const float *weights =
            exact ? random_integers(taps * channels, 1) : random_floats(taps * channels, -1, 1);
        const float *bias = random_integers(channels, 1);
        const vos_clamp clamp = random_clamp();
        matrix out[2];
        for (int i = 0; i < 2; i++) {
          out[i] = new_matrix(width, channels, channels);
          (i ? expected : tested)
              ->depthwise(rows, kernel, stride, width, channels, weights, bias, out[i].data, clamp);
        }
        expect_near(out[0], out[1], exact ? 0 : 1e-6 * (double)(taps + 4), 0);
      }
}

void test_dilated(const vos_kernels *tested, const vos_kernels *expected) {
  static const size_t widths[] = {0, 1, 2, 3, 5, 8, 13};
  static const size_t dilations[] = {1, 2, 3, 6, 13};
  for (size_t channels = 1; channels <= 40; channels++)
    for (size_t w = 0; w < COUNT(widths); w++)
      for (size_t d = 0; d < COUNT(dilations); d++) {
        const size_t width = widths[w], kernel = random_below(4) ? 3 : 5;
        begin("%zu x %zu dilated by %zu, width %zu, %zu channels", kernel, kernel, dilations[d],
              width, channels);
        const size_t extent = width ? (width + (kernel - 1) * dilations[d]) * channels : 0;
        const float *rows[5];
        for (size_t i = 0; i < kernel; i++) rows[i] = random_integers(extent, 1);
        const float *weights = random_integers(kernel * kernel * channels, 1);
        const float *bias = random_integers(channels, 1);
        const vos_clamp clamp = random_clamp();
        matrix out[2];
        for (int i = 0; i < 2; i++) {
          out[i] = new_matrix(width, channels, channels);
          (i ? expected : tested)
              ->depthwise_dilated(rows, kernel, dilations[d], width, channels, weights, bias,
                                  out[i].data, clamp);
        }
        expect_near(out[0], out[1], 0, 0);
      }
}
