// Enlarging, normalizing, resizing, soft aggregation and labels. Called by: main.c.
#include <math.h>
#include <string.h>

#include "check.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

void test_upsample2(const vos_kernels *tested, const vos_kernels *expected) {
  static const size_t widths[] = {0, 1, 2, 3, 5, 8};
  for (size_t w = 0; w < COUNT(widths); w++)
    for (size_t channels = 1; channels <= 40; channels++)
      for (int border = 0; border < 2; border++) {
        begin("width %zu, %zu channels, %s", widths[w], channels, border ? "border" : "inside");
        const size_t extent = widths[w] * channels;
        const float *near = random_integers(extent, 16);  // 16 · 3/4 · 3/4 is integral
        const float *far = border ? near : random_integers(extent, 16);
        matrix out[2];
        for (int i = 0; i < 2; i++) {
          out[i] = new_matrix(2 * widths[w], channels, channels);
          (i ? expected : tested)->upsample2(near, far, widths[w], channels, out[i].data);
        }
        expect_near(out[0], out[1], 0, 0);
      }
}

void test_max_pool(const vos_kernels *tested, const vos_kernels *expected) {
  static const size_t widths[] = {0, 1, 2, 3, 8};
  for (size_t w = 0; w < COUNT(widths); w++)
    for (size_t channels = 1; channels <= 40; channels++)
      for (int missing = -1; missing < 3; missing++) {
        begin("width %zu, %zu channels, without row %d", widths[w], channels, missing);
        const float *rows[3];
        for (int i = 0; i < 3; i++)
          rows[i] = i == missing ? NULL : random_floats(2 * widths[w] * channels, -2, -1);
        matrix out[2];
        for (int i = 0; i < 2; i++) {
          out[i] = new_matrix(widths[w], channels, channels);
          (i ? expected : tested)->max_pool(rows, widths[w], channels, out[i].data);
        }
        expect_near(out[0], out[1], 0, 0);
      }
}

void test_normalize(const vos_kernels *tested, const vos_kernels *expected) {
  static const float ranges[] = {0, 1e-20f, 1e-13f, 1, 1e10f};
  for (size_t channels = 1; channels <= 70; channels++)
    for (size_t r = 0; r < COUNT(ranges); r++) {
      const size_t rows = random_below(5);
      const size_t in_stride = channels + random_below(9), out_stride = channels + random_below(9);
      begin("%zu rows of %zu channels within %g, strides %zu and %zu", rows, channels,
            (double)ranges[r], in_stride, out_stride);
      const float *in =
          random_floats(rows ? (rows - 1) * in_stride + channels : 0, -ranges[r], ranges[r]);
      matrix out[2];
      for (int i = 0; i < 2; i++) {
        out[i] = new_matrix(rows, channels, out_stride);
        (i ? expected : tested)
            ->normalize(in, (ptrdiff_t)in_stride, rows, channels, out[i].data,
                        (ptrdiff_t)out_stride);
      }
      expect_near(out[0], out[1], 0, 1e-6 * (1 + sqrt((double)channels)));
    }
}

// MARK: - Resizing

// First inputs of windows of `taps` in a row of `in_width`; the last window ends with the row.
static const int32_t *window_starts(size_t width, size_t taps, size_t in_width) {
  int32_t *start = allocate(width * sizeof *start);
  for (size_t x = 0; x < width; x++) start[x] = (int32_t)random_below(in_width - taps + 1);
  if (width) start[width - 1] = (int32_t)(in_width - taps);
  return start;
}

void test_resize(const vos_kernels *tested, const vos_kernels *expected) {
  static const size_t widths[] = {0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33};
  enum { one_float, grey_bytes, rgb_bytes, sources };
  for (size_t w = 0; w < COUNT(widths); w++)
    for (size_t taps = 1; taps <= 13; taps++)
      for (size_t spare = 0; spare < 3; spare++)
        for (int source = 0; source < sources; source++) {
          const size_t width = widths[w], in_width = taps + spare * spare * 5;
          const size_t channels = source == rgb_bytes ? 3 : 1;
          begin("%zu from %zu, %zu taps, %zu channels of %s", width, in_width, taps, channels,
                source == one_float ? "floats" : "bytes");
          const int32_t *start = window_starts(width, taps, in_width);
          const float *weights = random_integers(width * taps, 0.125f);
          const float *floats = random_integers(in_width, 1);
          uint8_t *bytes = allocate(in_width * channels);
          for (size_t i = 0; i < in_width * channels; i++) bytes[i] = (uint8_t)random_below(256);
          matrix out[2];
          for (int i = 0; i < 2; i++) {
            const vos_kernels *kernels = i ? expected : tested;
            out[i] = new_matrix(width, channels, channels);
            if (source == one_float)
              kernels->resize_row(floats, start, weights, taps, width, out[i].data);
            else
              kernels->resize_row_u8(bytes, channels, start, weights, taps, width, out[i].data);
          }
          expect_near(out[0], out[1], 0, 0);
        }
}

void test_combine(const vos_kernels *tested, const vos_kernels *expected) {
  for (size_t count = 0; count <= 40; count++)
    for (size_t taps = 1; taps <= 9; taps += 1 + taps / 3) {
      begin("%zu rows of %zu", taps, count);
      const float *rows[9];
      for (size_t j = 0; j < taps; j++) rows[j] = random_integers(count, 1);
      const float *weights = random_integers(taps, 0.125f);
      matrix out[2];
      for (int i = 0; i < 2; i++) {
        out[i] = new_matrix(1, count, count + 1);
        (i ? expected : tested)->combine_rows(rows, weights, taps, count, 0.25f, -3, out[i].data);
      }
      expect_near(out[0], out[1], 0, 0);
    }
}

// MARK: - Masks

static void compare_aggregate(const vos_kernels *tested, const vos_kernels *expected,
                              size_t objects, size_t count, float range) {
  begin("%zu objects, %zu pixels, logits within %g", objects, count, (double)range);
  const float *logits[9];
  for (size_t k = 0; k < objects; k++) logits[k] = random_floats(count, -range, range);
  matrix out[2];
  for (int i = 0; i < 2; i++) {
    float *planes[10];
    out[i] = new_matrix(objects + 1, count, count + 1);
    for (size_t k = 0; k <= objects; k++) planes[k] = out[i].data + k * (count + 1);
    (i ? expected : tested)->aggregate(logits, objects, count, planes);
  }
  // About 20 roundings between a logit and a probability, none with cancellation.
  expect_near(out[0], out[1], 0, 2e-6 * (double)(objects + 4));
  for (size_t i = 0; i < count; i++) {
    double sum = 0;
    for (size_t k = 0; k <= objects; k++) sum += (double)out[0].data[k * (count + 1) + i];
    if (!(fabs(sum - 1) <= 1e-5)) fail("pixel %zu sums to %g", i, sum);
  }
}

void test_aggregate(const vos_kernels *tested, const vos_kernels *expected) {
  static const size_t counts[] = {0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 67};
  static const float ranges[] = {0, 1, 12, 17, 80, 100, 1e4f};
  for (size_t objects = 1; objects <= 9; objects++)
    for (size_t c = 0; c < COUNT(counts); c++)
      for (size_t r = 0; r < COUNT(ranges); r++)
        compare_aggregate(tested, expected, objects, counts[c], ranges[r]);
}

void test_argmax(const vos_kernels *tested, const vos_kernels *expected) {
  for (size_t plane_count = 1; plane_count <= 10; plane_count++)
    for (size_t count = 0; count <= 70; count++)
      for (int tied = 0; tied < 2; tied++) {
        enum { guard = 32 };
        begin("%zu planes of %zu %s", plane_count, count, tied ? "with ties" : "");
        const float *planes[10];
        uint8_t *ids = allocate(plane_count);
        for (size_t k = 0; k < plane_count; k++) {
          planes[k] = tied ? random_integers(count, 0.25f) : random_floats(count, -1, 1);
          ids[k] = (uint8_t)random_below(256);
        }
        uint8_t *labels[2];
        for (int i = 0; i < 2; i++) {
          labels[i] = allocate(count + 2 * guard);
          memset(labels[i], 0xa5, count + 2 * guard);
          (i ? expected : tested)->argmax(planes, plane_count, count, ids, labels[i] + guard);
        }
        for (size_t i = 0; i < count + 2 * guard; i++)
          if (labels[0][i] != labels[1][i])
            fail("label %td is %d, expected %d", (ptrdiff_t)(i - guard), labels[0][i],
                 labels[1][i]);
      }
}
