// Dense products. Contract: CKernels.h; specification: scalar/. Included once per instruction set,
// after common.h, with VOS_GEMM defined: the kernel's name, which has the size of the tile in it.

// A tile is VOS_TILE_VECTORS wide and may span two panels of 16 columns.
#define VOS_PANEL_VECTORS (VOS_PANEL / VOS_LANES)

typedef struct {
  const vos_segment *segments;
  size_t segment_count;
  size_t depth;       // of all segments
  const float *bias;  // or NULL
  const float *addend;
  ptrdiff_t addend_stride;
  float *out;
  ptrdiff_t out_stride;
  vec low, high;
} VOS_NAME(product);

// R rows × V vectors, whose sums stay in registers over all segments; the first `columns` of them
// are written: (V - 1) · VOS_LANES < columns <= V · VOS_LANES.
VOS_INLINE void VOS_NAME(tile)(const int R, const int V, const VOS_NAME(product) *product,
                               ptrdiff_t row, size_t column, size_t columns,
                               const float *weights) {
  const ptrdiff_t panel = (ptrdiff_t)product->depth * VOS_PANEL;
  vec sum[VOS_TILE_ROWS][VOS_TILE_VECTORS];
  VOS_UNROLL for (int r = 0; r < R; r++)
    VOS_UNROLL for (int v = 0; v < V; v++)
      sum[r][v] = product->bias ? v_load(product->bias + column + v * VOS_LANES) : v_set(0);
  for (size_t s = 0; s < product->segment_count; s++) {
    const ptrdiff_t stride = product->segments[s].stride;
    const float *a = product->segments[s].base + row * stride;
    const float *end = a + product->segments[s].depth;
    for (; a < end; a++) {
      vec b[VOS_TILE_VECTORS];
      VOS_UNROLL for (int v = 0; v < V; v++)
        b[v] = v_load(weights + v / VOS_PANEL_VECTORS * panel + v % VOS_PANEL_VECTORS * VOS_LANES);
      VOS_UNROLL for (int r = 0; r < R; r++) {
        const vec x = v_broadcast(a + r * stride);
        VOS_UNROLL for (int v = 0; v < V; v++) sum[r][v] = v_fma(x, b[v], sum[r][v]);
      }
      weights += VOS_PANEL;
    }
  }
  VOS_UNROLL for (int r = 0; r < R; r++) {
    float *out = product->out + (row + r) * product->out_stride + column;
    const float *addend =
        product->addend ? product->addend + (row + r) * product->addend_stride + column : NULL;
    VOS_UNROLL for (int v = 0; v < V; v++) {
      const size_t first = (size_t)v * VOS_LANES, count = columns - first;
      vec x = sum[r][v];
      if (addend) x = v_add(x, VOS_NAME(load_up_to)(addend + first, count));
      VOS_NAME(store_up_to)(out + first, count, v_min(v_max(x, product->low), product->high));
    }
  }
}

// All rows of one strip of at most V vectors.
VOS_INLINE void VOS_NAME(strip)(const int V, const VOS_NAME(product) *product, size_t rows,
                                size_t column, size_t columns, const float *weights) {
  ptrdiff_t m = 0;
  for (; m + VOS_TILE_ROWS <= (ptrdiff_t)rows; m += VOS_TILE_ROWS)
    VOS_NAME(tile)(VOS_TILE_ROWS, V, product, m, column, columns, weights);
  switch ((ptrdiff_t)rows - m) {
#if VOS_TILE_ROWS > 6
    case 8: VOS_NAME(tile)(8, V, product, m, column, columns, weights); break;
    case 7: VOS_NAME(tile)(7, V, product, m, column, columns, weights); break;
    case 6: VOS_NAME(tile)(6, V, product, m, column, columns, weights); break;
#endif
    case 5: VOS_NAME(tile)(5, V, product, m, column, columns, weights); break;
    case 4: VOS_NAME(tile)(4, V, product, m, column, columns, weights); break;
    case 3: VOS_NAME(tile)(3, V, product, m, column, columns, weights); break;
    case 2: VOS_NAME(tile)(2, V, product, m, column, columns, weights); break;
    case 1: VOS_NAME(tile)(1, V, product, m, column, columns, weights); break;
  }
}

// One column: dot products of R rows, vectorised along the depth, each with its own sum so that none
// waits for another. The last convolution has one column.
#define VOS_DOT_DEPTH 1024

VOS_INLINE void VOS_NAME(dot_rows)(const int R, const VOS_NAME(product) *product, ptrdiff_t row,
                                   const float *w, float low, float high) {
  vec sum[4];
  float rest[4];
  VOS_UNROLL for (int r = 0; r < R; r++) {
    sum[r] = v_set(0);
    rest[r] = product->bias ? product->bias[0] : 0;
  }
  for (size_t s = 0; s < product->segment_count; s++) {
    const size_t depth = product->segments[s].depth;
    const ptrdiff_t stride = product->segments[s].stride;
    const float *a = product->segments[s].base + row * stride;
    size_t k = 0;
    for (; k + VOS_LANES <= depth; k += VOS_LANES) {
      const vec b = v_load(w + k);
      VOS_UNROLL for (int r = 0; r < R; r++) sum[r] = v_fma(v_load(a + r * stride + k), b, sum[r]);
    }
    for (; k < depth; k++)
      VOS_UNROLL for (int r = 0; r < R; r++) rest[r] += a[r * stride + (ptrdiff_t)k] * w[k];
    w += depth;
  }
  VOS_UNROLL for (int r = 0; r < R; r++) {
    float lanes[VOS_LANES], x = rest[r];
    v_store(lanes, sum[r]);
    for (int lane = 0; lane < VOS_LANES; lane++) x += lanes[lane];
    if (product->addend) x += product->addend[(row + r) * product->addend_stride];
    x = x > low ? x : low;
    product->out[(row + r) * product->out_stride] = x < high ? x : high;
  }
}

static void VOS_NAME(dot)(const VOS_NAME(product) *product, size_t rows, const float *weights) {
  float line[VOS_DOT_DEPTH], low[VOS_LANES], high[VOS_LANES];
  for (size_t k = 0; k < product->depth; k++) line[k] = weights[k * VOS_PANEL];
  v_store(low, product->low);
  v_store(high, product->high);
  ptrdiff_t m = 0;
  for (; m + 4 <= (ptrdiff_t)rows; m += 4)
    VOS_NAME(dot_rows)(4, product, m, line, low[0], high[0]);
  for (; m < (ptrdiff_t)rows; m++) VOS_NAME(dot_rows)(1, product, m, line, low[0], high[0]);
}

static void VOS_GEMM(size_t rows, size_t columns, const vos_segment *segments,
                     size_t segment_count, const float *weights, const float *bias,
                     const float *addend, ptrdiff_t addend_stride, float *out,
                     ptrdiff_t out_stride, vos_clamp clamp) {
  assert(rows <= 1 || out_stride >= (ptrdiff_t)columns);
  assert(rows <= 1 || !addend || addend_stride >= (ptrdiff_t)columns);
  VOS_NAME(product) product = {
      .segments = segments, .segment_count = segment_count, .bias = bias, .addend = addend,
      .addend_stride = addend_stride, .out = out, .out_stride = out_stride,
      .low = v_set(clamp.low), .high = v_set(clamp.high),
  };
  for (size_t s = 0; s < segment_count; s++) product.depth += segments[s].depth;
  if (columns == 1 && product.depth <= VOS_DOT_DEPTH) {
    VOS_NAME(dot)(&product, rows, weights);
    return;
  }
  const size_t widest = VOS_TILE_VECTORS * VOS_LANES;
  for (size_t column = 0; column < columns; column += widest) {
    const size_t left = columns - column < widest ? columns - column : widest;
    const float *panel = weights + column * product.depth;
    // The last strip computes no vector in which there is no column.
    switch ((left + VOS_LANES - 1) / VOS_LANES) {
#if VOS_TILE_VECTORS > 2
      case 4: VOS_NAME(strip)(4, &product, rows, column, left, panel); break;
      case 3: VOS_NAME(strip)(3, &product, rows, column, left, panel); break;
#endif
      case 2: VOS_NAME(strip)(2, &product, rows, column, left, panel); break;
      case 1: VOS_NAME(strip)(1, &product, rows, column, left, panel); break;
    }
  }
}
