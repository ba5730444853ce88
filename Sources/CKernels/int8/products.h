// Dense products. Contract: CKernelsInt8.h; specification: scalar.c. Included once per instruction
// set, after its vector header, which spells the vectors (q_…) and the size of a tile.

#define VOS_INLINE static inline __attribute__((always_inline))
#define VOS_UNROLL _Pragma("clang loop unroll(full)")
#define Q_PANEL 16
#define Q_PANEL_VECTORS (Q_PANEL / Q_LANES)
#define Q_GROUP_BYTES (Q_PANEL * 4)
#define Q_TILE_COLUMNS (Q_TILE_VECTORS * Q_LANES)
#define Q_BLOCK_ROWS 48  // whole tiles of 4, 6 and 8 rows

typedef struct {
  const vos_int8_segment *segments;
  size_t segment_count;
  size_t groups;  // of all segments
  const vos_int8_factor *factor;
  const uint8_t *addend;  // or NULL
  ptrdiff_t addend_stride;
  uint8_t *out;         // either this
  float *float_out;     // or this
  ptrdiff_t out_stride;
  vos_int8_clamp clamp;
} VOS_NAME(product);

// The sums of R rows × V vectors of columns. `segments`: the product's, or a copy of its only one.
VOS_INLINE void VOS_NAME(sums)(const int R, const int V, const VOS_NAME(product) *product,
                               const vos_int8_segment *segments, size_t count, ptrdiff_t row,
                               size_t column, const int8_t *weights,
                               q_int sum[][Q_TILE_VECTORS]) {
  const ptrdiff_t panel = (ptrdiff_t)product->groups * Q_GROUP_BYTES;
  VOS_UNROLL for (int r = 0; r < R; r++)
    VOS_UNROLL for (int v = 0; v < V; v++)
      sum[r][v] = q_load_int(product->factor->bias + column + v * Q_LANES);
  for (size_t s = 0; s < count; s++) {
    const ptrdiff_t stride = segments[s].stride;
    const uint8_t *a = segments[s].base + row * stride;
    size_t left = (segments[s].depth + 3) / 4;
    for (; left >= 2; left -= 2) {
      q_bytes b[2][Q_TILE_VECTORS];
      VOS_UNROLL for (int v = 0; v < V; v++) {
        const int8_t *w = weights + v / Q_PANEL_VECTORS * panel + v % Q_PANEL_VECTORS * Q_LANES * 4;
        b[0][v] = q_load_weights(w);
        b[1][v] = q_load_weights(w + Q_GROUP_BYTES);
      }
      VOS_UNROLL for (int r = 0; r < R; r++) {
        const q_bytes x = q_broadcast(a + r * stride), y = q_broadcast(a + r * stride + 4);
        VOS_UNROLL for (int v = 0; v < V; v++)
          sum[r][v] = q_dot_twice(sum[r][v], x, b[0][v], y, b[1][v]);
      }
      a += 8;
      weights += 2 * Q_GROUP_BYTES;
    }
    if (left) {
      q_bytes b[Q_TILE_VECTORS];
      VOS_UNROLL for (int v = 0; v < V; v++)
        b[v] = q_load_weights(weights + v / Q_PANEL_VECTORS * panel +
                              v % Q_PANEL_VECTORS * Q_LANES * 4);
      VOS_UNROLL for (int r = 0; r < R; r++) {
        const q_bytes x = q_broadcast(a + r * stride);
        VOS_UNROLL for (int v = 0; v < V; v++) sum[r][v] = q_dot(sum[r][v], x, b[v]);
      }
      weights += Q_GROUP_BYTES;
    }
  }
}

// The sums of R rows × V vectors: the first `columns` as floats, or all as words, a line of
// Q_TILE_COLUMNS for each row. Where a vector of floats ends beyond the columns, rows go through a
// buffer. (V - 1) · Q_LANES < columns <= V · Q_LANES.
VOS_INLINE void VOS_NAME(tile)(const int R, const int V, const int to_float,
                               const VOS_NAME(product) *product, const vos_int8_segment *segments,
                               size_t count, ptrdiff_t row, size_t column, size_t columns,
                               const int8_t *weights, int16_t *words) {
  q_int sum[Q_TILE_ROWS][Q_TILE_VECTORS];
  VOS_NAME(sums)(R, V, product, segments, count, row, column, weights, sum);
  if (!to_float) {
    const q_shift shift = q_set_shift(product->factor->shift);
    VOS_UNROLL for (int r = 0; r < R; r++)
      q_store_words(words + r * Q_TILE_COLUMNS, q_narrow(V, sum[r], shift));
    return;
  }
  const int is_whole = columns == (size_t)V * Q_LANES;
  float lines[Q_TILE_ROWS * Q_TILE_COLUMNS];
  float *out = product->float_out + row * product->out_stride + (ptrdiff_t)column;
  float *to = is_whole ? out : lines;
  const ptrdiff_t step = is_whole ? product->out_stride : Q_TILE_COLUMNS;
  VOS_UNROLL for (int v = 0; v < V; v++) {
    const q_float scale = q_load_float(product->factor->scale + column + v * Q_LANES);
    VOS_UNROLL for (int r = 0; r < R; r++)
      q_store_float(to + r * step + v * Q_LANES, q_mul(q_to_float(sum[r][v]), scale));
  }
  if (is_whole) return;
  for (int r = 0; r < R; r++)
    memcpy(out + r * product->out_stride, lines + r * Q_TILE_COLUMNS, columns * sizeof *lines);
}

// Words into bytes: `rows` rows from `row` on.
VOS_INLINE void VOS_NAME(finish)(const int V, const int is_added, const VOS_NAME(product) *product,
                                 ptrdiff_t row, ptrdiff_t rows, size_t column, size_t columns,
                                 const int16_t *words) {
  const q_words multiplier = q_load_multipliers(V, product->factor->multiplier + column);
  const q_words addend_multiplier = q_set_words(product->factor->addend_multiplier);
  const int is_whole = columns == (size_t)V * Q_LANES;
  const ptrdiff_t stride = product->out_stride, addend_stride = product->addend_stride;
  uint8_t *out = product->out + row * stride + (ptrdiff_t)column;
  const uint8_t *addend =
      is_added ? product->addend + row * addend_stride + (ptrdiff_t)column : NULL;
  ptrdiff_t r = 0;
  for (; is_whole && r + 2 <= rows; r += 2)
    q_finish(2, V, is_added, words + r * Q_TILE_COLUMNS, multiplier,
             is_added ? addend + r * addend_stride : NULL, addend_stride, addend_multiplier,
             out + r * stride, stride, product->clamp);
  for (; r < rows; r++) {
    uint8_t line[Q_TILE_COLUMNS] = {0};
    if (is_added) memcpy(line, addend + r * addend_stride, columns);
    q_finish(1, V, is_added, words + r * Q_TILE_COLUMNS, multiplier, line, 0, addend_multiplier,
             line, 0, product->clamp);
    memcpy(out + r * stride, line, columns);
  }
}

#define VOS_TILE(R)                                                                        \
  VOS_NAME(tile)(R, V, to_float, product, segments, count, m, column, columns, weights, line)
#define VOS_ROWS_CASE(R) \
  case R: VOS_TILE(R); break;

// All rows of one strip of at most V vectors. Products and what becomes of their sums take turns of
// Q_BLOCK_ROWS rows: one after the other in each tile, they would wait for each other.
VOS_INLINE void VOS_NAME(strip)(const int V, const int to_float, const VOS_NAME(product) *product,
                                const vos_int8_segment *segments, size_t count, size_t rows,
                                size_t column, size_t columns, const int8_t *weights) {
  int16_t words[Q_BLOCK_ROWS * Q_TILE_COLUMNS];
  for (ptrdiff_t first = 0; first < (ptrdiff_t)rows; first += Q_BLOCK_ROWS) {
    const ptrdiff_t rest = (ptrdiff_t)rows - first;
    const ptrdiff_t end = first + (rest < Q_BLOCK_ROWS ? rest : Q_BLOCK_ROWS);
    ptrdiff_t m = first;
    int16_t *line = words;
    for (; m + Q_TILE_ROWS <= end; m += Q_TILE_ROWS, line += Q_TILE_ROWS * Q_TILE_COLUMNS)
      VOS_TILE(Q_TILE_ROWS);
    switch (end - m) {
#if Q_TILE_ROWS > 6
      VOS_ROWS_CASE(7)
      VOS_ROWS_CASE(6)
#endif
#if Q_TILE_ROWS > 4
      VOS_ROWS_CASE(5)
      VOS_ROWS_CASE(4)
#endif
      VOS_ROWS_CASE(3)
      VOS_ROWS_CASE(2)
      VOS_ROWS_CASE(1)
    }
    if (to_float) continue;
    if (product->addend)
      VOS_NAME(finish)(V, 1, product, first, end - first, column, columns, words);
    else
      VOS_NAME(finish)(V, 0, product, first, end - first, column, columns, words);
  }
}

// One column into floats: R rows' sums along the depth, each in its own vector. The last convolution
// has one column.
#define Q_VECTOR_BYTES (Q_LANES * 4)
#define Q_DOT_BYTES 1024

VOS_INLINE void VOS_NAME(dot_rows)(const int R, const VOS_NAME(product) *product, ptrdiff_t row,
                                   const int8_t *line) {
  q_int sum[4];
  VOS_UNROLL for (int r = 0; r < R; r++) sum[r] = q_zero();
  for (size_t s = 0; s < product->segment_count; s++) {
    const ptrdiff_t stride = product->segments[s].stride;
    const uint8_t *a = product->segments[s].base + row * stride;
    size_t left = product->segments[s].depth;
    for (; left >= Q_VECTOR_BYTES; left -= Q_VECTOR_BYTES) {
      const q_bytes w = q_load_weights(line);
      VOS_UNROLL for (int r = 0; r < R; r++) sum[r] = q_dot(sum[r], q_load_bytes(a + r * stride), w);
      a += Q_VECTOR_BYTES;
      line += Q_VECTOR_BYTES;
    }
    if (left) {
      uint8_t rest[4][Q_VECTOR_BYTES] = {{0}};
      for (int r = 0; r < R; r++) memcpy(rest[r], a + r * stride, left);
      const q_bytes w = q_load_weights(line);
      VOS_UNROLL for (int r = 0; r < R; r++) sum[r] = q_dot(sum[r], q_load_bytes(rest[r]), w);
      line += Q_VECTOR_BYTES;
    }
  }
  VOS_UNROLL for (int r = 0; r < R; r++)
    product->float_out[(row + r) * product->out_stride] =
        (float)(product->factor->bias[0] + q_sum_lanes(sum[r])) * product->factor->scale[0];
}

// Whether the weights of the column fit the line that they are put side by side in.
static int VOS_NAME(dot)(const VOS_NAME(product) *product, size_t rows) {
  int8_t line[Q_DOT_BYTES] = {0};
  const int8_t *w = product->factor->weights;
  size_t end = 0;
  for (size_t s = 0; s < product->segment_count; s++) {
    const size_t depth = product->segments[s].depth;
    if (depth > Q_DOT_BYTES - Q_VECTOR_BYTES - end) return 0;
    for (size_t k = 0; k < depth; k++) line[end + k] = w[k / 4 * Q_GROUP_BYTES + k % 4];
    w += (depth + 3) / 4 * Q_GROUP_BYTES;
    end += (depth + Q_VECTOR_BYTES - 1) / Q_VECTOR_BYTES * Q_VECTOR_BYTES;
  }
  ptrdiff_t m = 0;
  for (; m + 4 <= (ptrdiff_t)rows; m += 4) VOS_NAME(dot_rows)(4, product, m, line);
  for (; m < (ptrdiff_t)rows; m++) VOS_NAME(dot_rows)(1, product, m, line);
  return 1;
}

#define VOS_STRIP(V) \
  VOS_NAME(strip)(V, to_float, product, segments, count, rows, column, left, panel)

VOS_INLINE void VOS_NAME(strips)(const int to_float, const VOS_NAME(product) *product,
                                 const vos_int8_segment *segments, size_t count, size_t rows,
                                 size_t columns) {
  const size_t widest = Q_TILE_COLUMNS;
  for (size_t column = 0; column < columns; column += widest) {
    const size_t left = columns - column < widest ? columns - column : widest;
    const int8_t *panel = product->factor->weights + column * product->groups * 4;
    // The last strip computes no vector in which there is no column.
    switch ((left + Q_LANES - 1) / Q_LANES) {
#if Q_TILE_VECTORS > 2
      case 4: VOS_STRIP(4); break;
      case 3: VOS_STRIP(3); break;
#endif
      case 2: VOS_STRIP(2); break;
      case 1: VOS_STRIP(1); break;
    }
  }
}

VOS_INLINE void VOS_NAME(multiply)(const int to_float, VOS_NAME(product) *product, size_t rows,
                                   size_t columns) {
  assert(rows <= 1 || product->out_stride >= (ptrdiff_t)columns);
  for (size_t s = 0; s < product->segment_count; s++)
    product->groups += (product->segments[s].depth + 3) / 4;
  if (product->segment_count == 1) {
    const vos_int8_segment only = product->segments[0];
    VOS_NAME(strips)(to_float, product, &only, 1, rows, columns);
  } else {
    VOS_NAME(strips)(to_float, product, product->segments, product->segment_count, rows, columns);
  }
}

static void VOS_GEMM(size_t rows, size_t columns, const vos_int8_segment *segments,
                     size_t segment_count, const vos_int8_factor *factor, const uint8_t *addend,
                     ptrdiff_t addend_stride, uint8_t *out, ptrdiff_t out_stride,
                     vos_int8_clamp clamp) {
  assert(clamp.low <= clamp.high && clamp.high <= VOS_INT8_HIGHEST);
  assert(factor->shift >= 0 && factor->shift < 32 && factor->addend_multiplier >= 0);
  VOS_NAME(product) product = {
      .segments = segments, .segment_count = segment_count, .factor = factor, .addend = addend,
      .addend_stride = addend_stride, .out = out, .out_stride = out_stride, .clamp = clamp,
  };
  VOS_NAME(multiply)(0, &product, rows, columns);
}

static void VOS_GEMM_TO_FLOAT(size_t rows, size_t columns, const vos_int8_segment *segments,
                              size_t segment_count, const vos_int8_factor *factor, float *out,
                              ptrdiff_t out_stride) {
  VOS_NAME(product) product = {
      .segments = segments, .segment_count = segment_count, .factor = factor, .float_out = out,
      .out_stride = out_stride,
  };
  if (columns == 1 && VOS_NAME(dot)(&product, rows)) return;
  VOS_NAME(multiply)(1, &product, rows, columns);
}
