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

// MARK: - Top k

// A heap whose root is the entry to leave next: the smallest score, of equals the latest.
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

// A lower bound of the k-th largest score: the largest scores of k out of 128 disjoint groups reach
// it (a group: one lane of every 128 / VOS_LANES-th vector). Most scores then fail one compare.
#define VOS_GROUPS 128
#define VOS_GROUP_VECTORS (VOS_GROUPS / VOS_LANES)

static float VOS_NAME(threshold)(const float *x, size_t count, size_t k) {
  if (count < VOS_GROUPS || k > VOS_GROUPS) return -INFINITY;
  vec groups[VOS_GROUP_VECTORS];
  vec smallest = v_set(INFINITY), largest = v_set(-INFINITY);
  for (size_t g = 0; g < VOS_GROUP_VECTORS; g++) {
    groups[g] = v_load(x + g * VOS_LANES);
    for (size_t i = VOS_GROUPS + g * VOS_LANES; i + VOS_LANES <= count; i += VOS_GROUPS)
      groups[g] = v_max(groups[g], v_load(x + i));
    smallest = v_min(smallest, groups[g]);
    largest = v_max(largest, groups[g]);
  }
  // Bisection: at least k groups reach `low`. A few more than k cost less than more steps.
  float low = -VOS_NAME(largest_lane)(v_sub(v_set(0), smallest));
  float high = VOS_NAME(largest_lane)(largest);
  for (int step = 0; step < 12; step++) {
    const float middle = 0.5f * low + 0.5f * high;
    vec reached = v_set(0);
    for (size_t g = 0; g < VOS_GROUP_VECTORS; g++)
      reached = v_add(reached, v_where_less(groups[g], v_set(middle), v_set(0), v_set(1)));
    const size_t total = (size_t)VOS_NAME(sum_lanes)(reached);
    if (total < k) {
      high = middle;
      continue;
    }
    low = middle;
    if (total <= k + k / 8) break;
  }
  return low;
}

static void VOS_NAME(top_k_row)(const float *x, size_t count, size_t k, uint32_t *index,
                                float *weight) {
  const float bound = VOS_NAME(threshold)(x, count, k);
  vec limit = v_set(bound);
  size_t kept = 0;
  for (size_t i = 0; i < count; i += VOS_LANES) {
    const size_t lanes = count - i < VOS_LANES ? count - i : VOS_LANES;
    uint32_t candidates = (1u << lanes) - 1;
    if (lanes == VOS_LANES) candidates &= v_not_less(v_load(x + i), limit);
    while (candidates) {
      const size_t at = i + (size_t)__builtin_ctz(candidates);
      candidates &= candidates - 1;
      if (kept < k) {
        if (!(x[at] >= bound)) continue;
        weight[kept] = x[at], index[kept] = (uint32_t)at;
        if (++kept < k) continue;
        for (size_t j = k / 2; j-- > 0;) VOS_NAME(sink)(weight, index, k, j);
      } else if (x[at] > weight[0]) {
        weight[0] = x[at], index[0] = (uint32_t)at;
        VOS_NAME(sink)(weight, index, k, 0);
      }
      limit = v_set(kept < k ? bound : weight[0]);
    }
  }
  // Only scores that are not numbers leave places: no weight means anything then, but every index
  // must name a value.
  for (; kept < k; kept++) weight[kept] = NAN, index[kept] = 0;
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
