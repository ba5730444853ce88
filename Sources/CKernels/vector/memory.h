// Reading and writing the memory: softmax, top-k, gathering values, packing. Included as gemm.h is.

// e^x to about 1 ulp for -64 <= x <= 88, 0 below: x = n ln 2 + r, a polynomial of degree 6 in r
// (|r| <= ln 2 / 2; coefficients of Cephes' expf).
VOS_INLINE vec VOS_NAME(exponential)(vec x) {
  const vec least = v_set(-64.0f);
  const vec bounded = v_min(v_max(x, least), v_set(88.0f));
  const vec n = v_round(v_mul(bounded, v_set(1.44269504088896341f)));
  vec r = v_fma(n, v_set(-0.693359375f), bounded);
  r = v_fma(n, v_set(2.12194440e-4f), r);
  vec p = v_set(1.9875691500e-4f);
  p = v_fma(p, r, v_set(1.3981999507e-3f));
  p = v_fma(p, r, v_set(8.3334519073e-3f));
  p = v_fma(p, r, v_set(4.1665795894e-2f));
  p = v_fma(p, r, v_set(1.6666665459e-1f));
  p = v_fma(p, r, v_set(5.0000001201e-1f));
  p = v_add(v_fma(v_mul(r, r), p, r), v_set(1));
  return v_where_less(x, least, v_set(0), v_mul(p, v_power_of_two(n)));
}

VOS_INLINE float VOS_NAME(largest)(const float *x, size_t count) {
  vec largest = v_set(-INFINITY);
  size_t i = 0;
  for (; i + VOS_LANES <= count; i += VOS_LANES) largest = v_max(largest, v_load(x + i));
  float result = VOS_NAME(largest_lane)(largest);
  for (; i < count; i++) result = x[i] > result ? x[i] : result;
  return result;
}

VOS_INLINE void VOS_NAME(softmax_row)(float *x, size_t count, float scale) {
  const vec largest = v_set(VOS_NAME(largest)(x, count)), factor = v_set(scale);
  vec total = v_set(0);
  size_t i = 0;
  for (; i + VOS_LANES <= count; i += VOS_LANES) {
    const vec e = VOS_NAME(exponential)(v_mul(v_sub(v_load(x + i), largest), factor));
    v_store(x + i, e);
    total = v_add(total, e);
  }
  float sum = VOS_NAME(sum_lanes)(total);
  const size_t rest = count - i;
  if (rest > 0) {
    float line[VOS_LANES];
    const vec score = VOS_NAME(load_up_to)(x + i, rest);
    v_store(line, VOS_NAME(exponential)(v_mul(v_sub(score, largest), factor)));
    for (size_t j = 0; j < rest; j++) sum += x[i + j] = line[j];
  }
  const float inverse = 1 / sum;
  for (i = 0; i + VOS_LANES <= count; i += VOS_LANES)
    v_store(x + i, v_mul(v_load(x + i), v_set(inverse)));
  for (; i < count; i++) x[i] *= inverse;
}

static void VOS_NAME(vos_f32_softmax)(float *scores, ptrdiff_t stride, size_t rows, size_t count,
                                      float scale) {
  assert(count >= 1 && scale >= 0 && (rows <= 1 || stride >= (ptrdiff_t)count));
  for (size_t m = 0; m < rows; m++)
    VOS_NAME(softmax_row)(scores + (ptrdiff_t)m * stride, count, scale);
}

static void VOS_NAME(vos_f32_subtract_distances)(float *scores, size_t height, size_t width,
                                                 float at_y, float at_x, float factor) {
  enum { block = 128 };  // columns whose penalties are computed once for all rows
  for (size_t first = 0; first < width; first += block) {
    const size_t count = width - first < block ? width - first : block;
    float across[block];
    for (size_t x = 0; x < count; x++) {
      const float step = (float)(first + x) - at_x;
      across[x] = factor * (step * step);
    }
    for (size_t y = 0; y < height; y++) {
      float *row = scores + y * width + first;
      const float down = (float)y - at_y;
      const vec vertical = v_set(factor * (down * down));
      size_t x = 0;
      for (; x + VOS_LANES <= count; x += VOS_LANES)
        v_store(row + x, v_sub(v_load(row + x), v_add(vertical, v_load(across + x))));
      if (x < count) {
        const vec penalty = v_add(vertical, VOS_NAME(load_up_to)(across + x, count - x));
        VOS_NAME(store_up_to)(row + x, count - x,
                              v_sub(VOS_NAME(load_up_to)(row + x, count - x), penalty));
      }
    }
  }
}

// MARK: - Top k

// The plain way: a heap whose root is the entry to leave next: the smallest score, of equals the
// latest.
VOS_INLINE int VOS_NAME(leaves_before)(const float *weight, const uint32_t *index, size_t a,
                                       size_t b) {
  return weight[a] < weight[b] || (weight[a] == weight[b] && index[a] > index[b]);
}

static void VOS_NAME(sink)(float *weight, uint32_t *index, size_t count, size_t at) {
  for (;;) {
    size_t least = at;
    for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < count; child++)
      if (VOS_NAME(leaves_before)(weight, index, child, least)) least = child;
    if (least == at) return;
    const float w = weight[at];
    const uint32_t i = index[at];
    weight[at] = weight[least], index[at] = index[least];
    weight[least] = w, index[least] = i;
    at = least;
  }
}

static void VOS_NAME(top_k_by_heap)(const float *x, size_t count, size_t k, uint32_t *index,
                                    float *weight) {
  vec limit = v_set(-INFINITY);
  size_t kept = 0;
  for (size_t i = 0; i < count; i += VOS_LANES) {
    const size_t lanes = count - i < VOS_LANES ? count - i : VOS_LANES;
    uint32_t candidates = (1u << lanes) - 1;
    if (lanes == VOS_LANES) candidates &= v_not_less(v_load(x + i), limit);
    while (candidates) {
      const size_t at = i + (size_t)__builtin_ctz(candidates);
      candidates &= candidates - 1;
      if (kept < k) {
        if (!(x[at] >= -INFINITY)) continue;
        weight[kept] = x[at], index[kept] = (uint32_t)at;
        if (++kept < k) continue;
        for (size_t j = k / 2; j-- > 0;) VOS_NAME(sink)(weight, index, k, j);
      } else if (x[at] > weight[0]) {
        weight[0] = x[at], index[0] = (uint32_t)at;
        VOS_NAME(sink)(weight, index, k, 0);
      }
      limit = v_set(kept < k ? -INFINITY : weight[0]);
    }
  }
  // Only scores that are not numbers leave places: no weight means anything then, but every index
  // must name a value.
  for (; kept < k; kept++) weight[kept] = NAN, index[kept] = 0;
}

// The fast way: one pass takes the maximum of each group of scores, those that lie the number of
// groups apart; a bound that k groups reach is a lower bound of the k-th largest score; only groups
// that reach it are looked into, and of the few scores there that do, the k largest are found by
// counting.
#define VOS_FOLDED (128 / VOS_LANES)  // vectors of maxima that the bound is sought in
#define VOS_CANDIDATES 512            // the fast way gives up beyond
#define VOS_FAST_K 128

// Bisection: at least k of the lanes of `groups` reach the result. A few more than k cost less than
// more steps.
VOS_INLINE float VOS_NAME(bound)(const vec *groups, size_t k) {
  vec smallest = groups[0], largest = groups[0];
  for (size_t g = 1; g < VOS_FOLDED; g++) {
    smallest = v_min(smallest, groups[g]);
    largest = v_max(largest, groups[g]);
  }
  float low = -VOS_NAME(largest_lane)(v_sub(v_set(0), smallest));
  float high = VOS_NAME(largest_lane)(largest);
  for (int step = 0; step < 12; step++) {
    const float middle = 0.5f * low + 0.5f * high;
    size_t total = 0;
    for (size_t g = 0; g < VOS_FOLDED; g++)
      total += (size_t)__builtin_popcount(v_not_less(groups[g], v_set(middle)));
    if (total < k) {
      high = middle;
      continue;
    }
    low = middle;
    if (total <= k + k / 8) break;
  }
  return low;
}

// Moves the k largest of n candidates, which are padded to whole vectors with -inf, to `best`; their
// indices to the front. Returns how many came: others than k when equal ones compete for the last
// places.
VOS_INLINE size_t VOS_NAME(keep_largest)(const float *score, uint32_t *at, size_t n, size_t k,
                                         float *best) {
  size_t kept = 0;
  for (size_t i = 0; i < n; i += VOS_LANES) {
    const vec own = v_load(score + i), one = v_set(1), none = v_set(0);
    vec rank[2] = {none, none};  // scores that are not less, itself among them
    for (size_t j = 0; j < n; j += 2)
      VOS_UNROLL for (size_t l = 0; l < 2; l++)
        rank[l] = v_add(rank[l], v_where_less(v_broadcast(score + j + l), own, none, one));
    const uint32_t stay = v_not_less(v_set((float)k), v_add(rank[0], rank[1]));
    for (size_t lane = 0; lane < VOS_LANES && i + lane < n; lane++) {
      best[kept] = score[i + lane];
      at[kept] = at[i + lane];
      kept += stay >> lane & 1;
    }
  }
  return kept;
}

// Whether it succeeded: not with too many candidates, equal ones, or NaN. With G groups, count >= G.
VOS_INLINE int VOS_NAME(top_k_by_groups)(const size_t G, const float *x, size_t count, size_t k,
                                         uint32_t *index, float *weight) {
  enum { wide = 8 };
  const size_t B = G / VOS_LANES, whole = count / G * G;
  vec groups[1024 / VOS_LANES], folded[VOS_FOLDED];
  for (size_t b = 0; b < B; b += wide) {
    vec largest[wide];
    VOS_UNROLL for (size_t l = 0; l < wide; l++) largest[l] = v_load(x + (b + l) * VOS_LANES);
    for (size_t i = b * VOS_LANES + G; i < whole; i += G)
      VOS_UNROLL for (size_t l = 0; l < wide; l++)
        largest[l] = v_max(largest[l], v_load(x + i + l * VOS_LANES));
    VOS_UNROLL for (size_t l = 0; l < wide; l++) groups[b + l] = largest[l];
  }
  size_t vectors_end = whole;
  for (size_t b = 0; vectors_end + VOS_LANES <= count; b++, vectors_end += VOS_LANES)
    groups[b] = v_max(groups[b], v_load(x + vectors_end));
  for (size_t g = 0; g < VOS_FOLDED; g++) {
    folded[g] = groups[g];
    for (size_t b = g + VOS_FOLDED; b < B; b += VOS_FOLDED) folded[g] = v_max(folded[g], groups[b]);
  }
  const float bound = VOS_NAME(bound)(folded, k);
  const vec limit = v_set(bound);
  float score[VOS_CANDIDATES + VOS_LANES], best[VOS_CANDIDATES + VOS_LANES];
  uint32_t at[VOS_CANDIDATES + VOS_LANES];
  size_t n = 0;
  for (size_t first = 0; first < G; first += 64) {
    uint64_t reaching = 0;  // one bit for each group: few loops, of which few end unforeseen
    VOS_UNROLL for (size_t l = 0; l < 64 / VOS_LANES; l++)
      reaching |= (uint64_t)v_not_less(groups[first / VOS_LANES + l], limit) << l * VOS_LANES;
    for (; reaching; reaching &= reaching - 1) {
      if (n + count / G + VOS_LANES + 2 > VOS_CANDIDATES) return 0;
      for (size_t i = first + (size_t)__builtin_ctzll(reaching); i < vectors_end; i += G) {
        score[n] = x[i], at[n] = (uint32_t)i;
        n += x[i] >= bound;
      }
    }
  }
  if (n + 2 * VOS_LANES > VOS_CANDIDATES) return 0;
  for (size_t i = vectors_end; i < count; i++) {
    score[n] = x[i], at[n] = (uint32_t)i;
    n += x[i] >= bound;
  }
  if (n < k) return 0;
  for (size_t i = n; i < n + VOS_LANES; i++) score[i] = -INFINITY;
  if (VOS_NAME(keep_largest)(score, at, n, k, best) != k) return 0;
  memcpy(weight, best, k * sizeof *weight);
  memcpy(index, at, k * sizeof *index);
  return 1;
}

static void VOS_NAME(top_k_row)(const float *x, size_t count, size_t k, uint32_t *index,
                                float *weight) {
  int is_done = 0;
  if (k <= VOS_FAST_K && count >= 1024)
    is_done = VOS_NAME(top_k_by_groups)(1024, x, count, k, index, weight);
  else if (k <= VOS_FAST_K && count >= 128)
    is_done = VOS_NAME(top_k_by_groups)(128, x, count, k, index, weight);
  if (!is_done) VOS_NAME(top_k_by_heap)(x, count, k, index, weight);
}

static void VOS_NAME(vos_f32_top_k)(const float *scores, ptrdiff_t stride, size_t rows,
                                    size_t count, size_t k, float scale, uint32_t *index,
                                    float *weight) {
  assert(k >= 1 && k <= count && count <= UINT32_MAX && scale >= 0);
  assert(rows <= 1 || stride >= (ptrdiff_t)count);
  for (size_t m = 0; m < rows; m++) {
    VOS_NAME(top_k_row)(scores + (ptrdiff_t)m * stride, count, k, index + m * k, weight + m * k);
    VOS_NAME(softmax_row)(weight + m * k, k, scale);
  }
}

// MARK: - Values

static void VOS_NAME(vos_f32_gather)(const uint32_t *index, const float *weight, size_t rows,
                                     size_t k, const float *values, size_t value_count,
                                     size_t channels, float *out, ptrdiff_t out_stride) {
  assert(rows <= 1 || out_stride >= (ptrdiff_t)channels);
  for (size_t m = 0; m < rows; m++) {
    const uint32_t *at = index + m * k;
    const float *w = weight + m * k;
    float *row = out + (ptrdiff_t)m * out_stride;
    for (size_t first = 0; first < channels; first += VOS_PANEL) {
      const float *panel = values + first * value_count;
      vec sum[VOS_PANEL_VECTORS];
      VOS_UNROLL for (int v = 0; v < VOS_PANEL_VECTORS; v++) sum[v] = v_set(0);
      for (size_t j = 0; j < k; j++) {
        assert(at[j] < value_count);
        const vec x = v_broadcast(w + j);
        const float *value = panel + (size_t)at[j] * VOS_PANEL;
        VOS_UNROLL for (int v = 0; v < VOS_PANEL_VECTORS; v++)
          sum[v] = v_fma(x, v_load(value + v * VOS_LANES), sum[v]);
      }
      VOS_UNROLL for (int v = 0; v < VOS_PANEL_VECTORS; v++) {
        const size_t c = first + v * VOS_LANES;
        if (c < channels) VOS_NAME(store_up_to)(row + c, channels - c, sum[v]);
      }
    }
  }
}

static void VOS_NAME(vos_f32_pack_columns)(const float *in, ptrdiff_t stride, size_t rows,
                                           size_t depth, float *out) {
  for (size_t first = 0; first < rows; first += VOS_PANEL) {
    float *panel = out + first * depth;
    const size_t left = rows - first < VOS_PANEL ? rows - first : VOS_PANEL;
    for (size_t lane = 0; lane < left; lane++) {
      const float *row = in + (ptrdiff_t)(first + lane) * stride;
      for (size_t d = 0; d < depth; d++) panel[d * VOS_PANEL + lane] = row[d];
    }
    for (size_t lane = left; lane < VOS_PANEL; lane++)
      for (size_t d = 0; d < depth; d++) panel[d * VOS_PANEL + lane] = 0;
  }
}

static void VOS_NAME(vos_f32_pack_rows)(const float *in, ptrdiff_t stride, size_t rows,
                                        size_t columns, float *out) {
  for (size_t first = 0; first < columns; first += VOS_PANEL) {
    const size_t left = columns - first < VOS_PANEL ? columns - first : VOS_PANEL;
    for (size_t row = 0; row < rows; row++) {
      float *line = out + first * rows + row * VOS_PANEL;
      memcpy(line, in + (ptrdiff_t)row * stride + first, left * sizeof(float));
      memset(line + left, 0, (VOS_PANEL - left) * sizeof(float));
    }
  }
}
