// Reading and writing the memory: softmax, top-k, gathering, packing. Called by: main.c.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const size_t counts[] = {1,  2,  3,  4,   5,   7,   8,   9,   15,  16,  17,  23,
                                31, 32, 33, 127, 128, 129, 130, 255, 256, 257, 997, 1024, 1031, 1620,
                                2048, 3240};

typedef enum { flat, equal, few_values, ascending, descending, wide, extreme, score_kinds } kind;
static const char *const kind_names[] = {"within 1",   "equal",       "few values", "ascending",
                                         "descending", "within 1e4", "within 1e30"};

static matrix random_scores(size_t rows, size_t count, size_t stride, kind kind) {
  matrix scores = new_matrix(rows, count, stride);
  const float range = kind == wide ? 1e4f : kind == extreme ? 1e30f : 1;
  const float *values = kind == few_values ? random_integers(rows * count, 1)
                                           : random_floats(rows * count, -range, range);
  for (size_t m = 0; m < rows; m++)
    for (size_t i = 0; i < count; i++) {
      float *score = scores.data + m * stride + i;
      *score = kind == equal        ? -3
               : kind == ascending  ? (float)i / 8
               : kind == descending ? -(float)i / 8
                                    : values[m * count + i];
    }
  return scores;
}

static void expect_distributions(matrix weights) {
  for (size_t m = 0; m < weights.rows; m++) {
    double sum = 0;
    for (size_t i = 0; i < weights.columns; i++) {
      const float w = weights.data[m * weights.stride + i];
      if (fpclassify(w) == FP_SUBNORMAL) fail("[%zu, %zu] is denormal: %g", m, i, (double)w);
      if (!(w >= 0)) fail("[%zu, %zu] is %g", m, i, (double)w);
      sum += (double)w;
    }
    if (weights.columns && !(fabs(sum - 1) <= 1e-5)) fail("row %zu sums to %g", m, sum);
  }
}

void test_softmax(const vos_kernels *tested, const vos_kernels *expected) {
  static const float scales[] = {1, 0.125f, 20};
  for (size_t c = 0; c < COUNT(counts); c++)
    for (kind kind = 0; kind < score_kinds; kind++)
      for (size_t s = 0; s < COUNT(scales); s++) {
        const size_t rows = random_below(4), count = counts[c], stride = count + random_below(9);
        begin("%zu rows of %zu %s, stride %zu, scale %g", rows, count, kind_names[kind], stride,
              (double)scales[s]);
        matrix in = random_scores(rows, count, stride, kind), out[2];
        for (int i = 0; i < 2; i++) {
          out[i] = new_matrix(rows, count, stride);
          copy_elements(in, out[i]);
          (i ? expected : tested)->softmax(out[i].data, (ptrdiff_t)stride, rows, count, scales[s]);
        }
        // Rounding of scale · (s - max), which reaches 64, is magnified by exp.
        expect_near(out[0], out[1], 1e-20, 1e-5);
        expect_distributions(out[0]);
      }
}

void test_subtract_distances(const vos_kernels *tested, const vos_kernels *expected) {
  static const size_t heights[] = {1, 2, 30}, widths[] = {1, 3, 7, 8, 9, 15, 16, 17, 31, 54, 129, 300};
  for (size_t h = 0; h < COUNT(heights); h++)
    for (size_t w = 0; w < COUNT(widths); w++)
      for (int corner = 0; corner < 4; corner++) {
        // The last is between positions and may be beyond them.
        const float beyond = corner == 3 ? -7.375f : 0;
        const float y =
            beyond + (float)(corner == 0 ? 0 : corner == 1 ? heights[h] - 1 : random_below(heights[h]));
        const float x =
            beyond + (float)(corner == 0 ? 0 : corner == 1 ? widths[w] - 1 : random_below(widths[w]));
        begin("%zu x %zu at %g, %g", heights[h], widths[w], (double)y, (double)x);
        const matrix in = random_scores(1, heights[h] * widths[w], heights[h] * widths[w], flat);
        matrix out[2];
        for (int i = 0; i < 2; i++) {
          out[i] = new_matrix(in.rows, in.columns, in.stride);
          copy_elements(in, out[i]);
          (i ? expected : tested)
              ->subtract_distances(out[i].data, heights[h], widths[w], y, x, 0.0137f);
        }
        expect_near(out[0], out[1], 1e-6, 1e-6);
      }
}

// MARK: - Top k

typedef struct {
  uint32_t index;
  float weight;
} choice;

static int by_index(const void *a, const void *b) {
  const uint32_t i = ((const choice *)a)->index, j = ((const choice *)b)->index;
  return (i > j) - (i < j);
}

// Runs a top-k and puts each row's choices in the order of their index.
static void choose(const vos_kernels *kernels, matrix scores, size_t k, float scale,
                   matrix indices, matrix weights) {
  const size_t rows = scores.rows;
  uint32_t *index = allocate(rows * k * sizeof *index);
  float *weight = allocate(rows * k * sizeof *weight);
  choice *choices = allocate(k * sizeof *choices);
  kernels->top_k(scores.data, (ptrdiff_t)scores.stride, rows, scores.columns, k, scale, index,
                 weight);
  for (size_t m = 0; m < rows; m++) {
    for (size_t j = 0; j < k; j++) choices[j] = (choice){index[m * k + j], weight[m * k + j]};
    qsort(choices, k, sizeof *choices, by_index);
    for (size_t j = 0; j < k; j++) {
      indices.data[m * k + j] = (float)choices[j].index;
      weights.data[m * k + j] = choices[j].weight;
    }
  }
}

static void compare_top_k(const vos_kernels *tested, const vos_kernels *expected, size_t count,
                          size_t k, kind kind) {
  const size_t rows = 1 + random_below(3), stride = count + random_below(9);
  const float scale = random_below(2) ? 1 : 0.125f;
  begin("%zu of %zu %s, %zu rows, stride %zu", k, count, kind_names[kind], rows, stride);
  matrix padded = random_scores(rows, count, stride, kind), index[2], weight[2];
  const size_t extent = (rows - 1) * stride + count;
  matrix scores = {allocate(extent * sizeof(float)), rows, count, stride};
  memcpy(scores.data, padded.data, extent * sizeof(float));
  for (int i = 0; i < 2; i++) {
    index[i] = new_matrix(rows, k, k);
    weight[i] = new_matrix(rows, k, k);
    choose(i ? expected : tested, scores, k, scale, index[i], weight[i]);
  }
  expect_near(index[0], index[1], 0, 0);
  expect_near(weight[0], weight[1], 1e-20, 1e-5);
  expect_distributions(weight[0]);
}

// Scores that are not finite come from hostile weights only; `gather` must still stay in bounds.
static void require_valid_index(const vos_kernels *tested, size_t count, size_t k, int share) {
  begin("%zu of %zu, NaN or infinite: %d of 8", k, count, share);
  float *scores = random_floats(count, -1, 1);
  for (size_t i = 0; i < count; i++)
    if ((int)random_below(8) < share)
      scores[i] = random_below(3) ? NAN : random_below(2) ? INFINITY : -INFINITY;
  uint32_t *index = allocate(k * sizeof *index);
  float *weight = allocate(k * sizeof *weight);
  memset(index, 0xff, k * sizeof *index);
  tested->top_k(scores, 0, 1, count, k, 1, index, weight);
  for (size_t j = 0; j < k; j++)
    if (index[j] >= count) fail("index %u of %zu scores", index[j], count);
}

void test_top_k(const vos_kernels *tested, const vos_kernels *expected) {
  for (size_t c = 0; c < COUNT(counts); c++) {
    const size_t ks[] = {1, 2, 3, 5, 16, 29, 30, 31, 64, 127, 128, 129, counts[c] - 1, counts[c]};
    for (size_t i = 0; i < COUNT(ks); i++) {
      if (ks[i] < 1 || ks[i] > counts[c] || (counts[c] > 300 && ks[i] > 130)) continue;
      for (kind kind = 0; kind < score_kinds; kind++)
        compare_top_k(tested, expected, counts[c], ks[i], kind);
      for (int share = 1; share <= 8; share += 7)
        require_valid_index(tested, counts[c], ks[i], share);
    }
  }
}

// MARK: - Values

void test_gather(const vos_kernels *tested, const vos_kernels *expected) {
  static const size_t ks[] = {0, 1, 2, 7, 30}, value_counts[] = {1, 5, 40};
  static const size_t channels[] = {1, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 128};
  for (size_t i = 0; i < COUNT(ks); i++)
    for (size_t v = 0; v < COUNT(value_counts); v++)
      for (size_t c = 0; c < COUNT(channels); c++)
        for (size_t rows = 0; rows < 4; rows++) {
          const size_t k = ks[i], value_count = value_counts[v];
          const size_t stride = channels[c] + random_below(9);
          begin("%zu rows, %zu of %zu values, %zu channels, stride %zu", rows, k, value_count,
                channels[c], stride);
          uint32_t *index = allocate(rows * k * sizeof *index);
          for (size_t j = 0; j < rows * k; j++) index[j] = (uint32_t)random_below(value_count);
          const float *weight = random_integers(rows * k, 0.125f);
          const float *values = random_integers((channels[c] + 15) / 16 * 16 * value_count, 1);
          matrix out[2];
          for (int side = 0; side < 2; side++) {
            out[side] = new_matrix(rows, channels[c], stride);
            (side ? expected : tested)
                ->gather(index, weight, rows, k, values, value_count, channels[c], out[side].data,
                         (ptrdiff_t)stride);
          }
          expect_near(out[0], out[1], 0, 0);
        }
}

void test_packing(const vos_kernels *tested, const vos_kernels *expected) {
  static const size_t sizes[] = {0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 48, 53};
  for (size_t r = 0; r < COUNT(sizes); r++)
    for (size_t c = 0; c < COUNT(sizes); c++)
      for (int transposing = 0; transposing < 2; transposing++) {
        const size_t rows = sizes[r], columns = sizes[c], stride = columns + random_below(9);
        begin("%zu x %zu, stride %zu, as %s", rows, columns, stride,
              transposing ? "columns" : "rows");
        const float *in = random_floats(rows ? (rows - 1) * stride + columns : 0, -1, 1);
        const size_t lines = transposing ? (rows + 15) / 16 * columns : (columns + 15) / 16 * rows;
        matrix out[2];
        for (int side = 0; side < 2; side++) {
          const vos_kernels *kernels = side ? expected : tested;
          out[side] = new_matrix(lines, 16, 16);
          (transposing ? kernels->pack_columns : kernels->pack_rows)(in, (ptrdiff_t)stride, rows,
                                                                     columns, out[side].data);
        }
        expect_near(out[0], out[1], 0, 0);
      }
}
