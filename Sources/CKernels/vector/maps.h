// Resizing, normalising, soft aggregation and labels. Included as gemm.h is, after memory.h.

// 0.75 near + 0.25 far of up to VOS_LANES floats.
VOS_INLINE vec VOS_NAME(between)(const float *near, const float *far, size_t count) {
  const vec n = VOS_NAME(load_up_to)(near, count), f = VOS_NAME(load_up_to)(far, count);
  return v_fma(f, v_set(0.25f), v_mul(n, v_set(0.75f)));
}

static void VOS_NAME(vos_f32_upsample2)(const float *near, const float *far, size_t width,
                                        size_t channels, float *out) {
  assert(channels >= 1);
  // At the border the neighbour is the pixel itself: 0.75 v + 0.25 v.
  const vec most = v_set(0.75f), least = v_set(0.25f);
  for (size_t x = 0; x < width; x++) {
    const size_t here = x * channels;
    const size_t left = x > 0 ? here - channels : here;
    const size_t right = x + 1 < width ? here + channels : here;
    float *even = out + 2 * here, *odd = even + channels;
    for (size_t c = 0; c < channels; c += VOS_LANES) {
      const size_t count = channels - c;
      const vec v = VOS_NAME(between)(near + here + c, far + here + c, count);
      const vec l = VOS_NAME(between)(near + left + c, far + left + c, count);
      const vec r = VOS_NAME(between)(near + right + c, far + right + c, count);
      VOS_NAME(store_up_to)(even + c, count, v_fma(l, least, v_mul(v, most)));
      VOS_NAME(store_up_to)(odd + c, count, v_fma(r, least, v_mul(v, most)));
    }
  }
}

static void VOS_NAME(vos_f32_max_pool)(const float *const *rows, size_t width, size_t channels,
                                       float *out) {
  assert(rows[0] || rows[1] || rows[2]);
  for (size_t x = 0; x < width; x++)
    for (size_t c = 0; c < channels; c += VOS_LANES) {
      const size_t count = channels - c;
      vec largest = v_set(-INFINITY);
      for (size_t i = 0; i < 3; i++)
        for (size_t j = x > 0 ? 0 : 1; rows[i] && j < 3; j++)
          largest = v_max(largest,
                          VOS_NAME(load_up_to)(rows[i] + (2 * x + j - 1) * channels + c, count));
      VOS_NAME(store_up_to)(out + x * channels + c, count, largest);
    }
}

static void VOS_NAME(vos_f32_normalize)(const float *in, ptrdiff_t in_stride, size_t rows,
                                        size_t channels, float *out, ptrdiff_t out_stride) {
  assert(rows <= 1 || out_stride >= (ptrdiff_t)channels);
  for (size_t m = 0; m < rows; m++) {
    const float *x = in + (ptrdiff_t)m * in_stride;
    float *y = out + (ptrdiff_t)m * out_stride;
    vec squares = v_set(0);
    for (size_t c = 0; c < channels; c += VOS_LANES) {
      const vec v = VOS_NAME(load_up_to)(x + c, channels - c);
      squares = v_fma(v, v, squares);
    }
    const float norm = sqrtf(VOS_NAME(sum_lanes)(squares));
    const vec inverse = v_set(1 / (norm > 1e-12f ? norm : 1e-12f));
    for (size_t c = 0; c < channels; c += VOS_LANES) {
      const vec v = VOS_NAME(load_up_to)(x + c, channels - c);
      VOS_NAME(store_up_to)(y + c, channels - c, v_mul(v, inverse));
    }
  }
}

// MARK: - Separable resizing

// The compiler's own vectors of four: a pixel of three bytes needs no instruction set's.
typedef float VOS_NAME(four) __attribute__((vector_size(16)));
typedef uint8_t VOS_NAME(four_bytes) __attribute__((vector_size(4)));

// `count` = 3 or 4 bytes as floats.
VOS_INLINE VOS_NAME(four) VOS_NAME(from_bytes)(const uint8_t *p, const size_t count) {
  VOS_NAME(four_bytes) bytes = {0};
  memcpy(&bytes, p, count);
  return __builtin_convertvector(bytes, VOS_NAME(four));
}

static void VOS_NAME(vos_u8_resize_row)(const uint8_t *in, size_t channels, const int32_t *start,
                                        const float *weights, size_t taps, size_t width,
                                        float *out) {
  assert((channels == 1 || channels == 3) && taps >= 1);
  if (channels == 1) {
    for (size_t x = 0; x < width; x++) {
      const uint8_t *p = in + start[x];
      float sum = 0;
      for (size_t j = 0; j < taps; j++) sum += weights[x * taps + j] * p[j];
      out[x] = sum;
    }
    return;
  }
  for (size_t x = 0; x < width; x++, weights += taps) {
    const uint8_t *p = in + 3 * (size_t)start[x];
    // A pixel and the first byte of the next one; the last tap has no next one.
    VOS_NAME(four) sum = {0};
    for (size_t j = 0; j + 1 < taps; j++, p += 3) sum += weights[j] * VOS_NAME(from_bytes)(p, 4);
    sum += weights[taps - 1] * VOS_NAME(from_bytes)(p, 3);
    memcpy(out + 3 * x, &sum, 3 * sizeof(float));
  }
}

static void VOS_NAME(vos_f32_resize_row)(const float *in, const int32_t *start,
                                         const float *weights, size_t taps, size_t width,
                                         float *out) {
  assert(taps >= 1);
  size_t x = 0;
  if (taps == 2) {
    for (; x + VOS_LANES <= width; x += VOS_LANES) {
      float first[VOS_LANES], second[VOS_LANES];
      for (int lane = 0; lane < VOS_LANES; lane++) {
        first[lane] = weights[2 * (x + (size_t)lane)];
        second[lane] = weights[2 * (x + (size_t)lane) + 1];
      }
      const vec a = v_gather(in, start + x), b = v_gather(in + 1, start + x);
      v_store(out + x, v_fma(b, v_load(second), v_mul(a, v_load(first))));
    }
  }
  for (; x < width; x++) {
    float sum = 0;
    for (size_t j = 0; j < taps; j++) sum += weights[x * taps + j] * in[(size_t)start[x] + j];
    out[x] = sum;
  }
}

// `count` <= VOS_LANES floats from `at` on.
VOS_INLINE void VOS_NAME(combine_block)(const float *const *rows, const float *weights, size_t taps,
                                        size_t at, size_t count, float scale, float shift,
                                        float *out) {
  vec sum = v_set(0);
  for (size_t j = 0; j < taps; j++)
    sum = v_fma(VOS_NAME(load_up_to)(rows[j] + at, count), v_set(weights[j]), sum);
  VOS_NAME(store_up_to)(out + at, count, v_fma(sum, v_set(scale), v_set(shift)));
}

static void VOS_NAME(vos_f32_combine_rows)(const float *const *rows, const float *weights,
                                           size_t taps, size_t count, float scale, float shift,
                                           float *out) {
  assert(taps >= 1);
  size_t at = 0;
  for (; at + VOS_LANES <= count; at += VOS_LANES)
    VOS_NAME(combine_block)(rows, weights, taps, at, VOS_LANES, scale, shift, out);
  if (at < count)
    VOS_NAME(combine_block)(rows, weights, taps, at, count - at, scale, shift, out);
}

// MARK: - Masks

// p and q = 1 - p of a logit without cancellation.
VOS_INLINE void VOS_NAME(sigmoid)(vec logit, vec *p, vec *q) {
  const vec e = VOS_NAME(exponential)(v_sub(v_set(0), v_max(logit, v_set(-80))));
  *p = v_div(v_set(1), v_add(v_set(1), e));
  *q = v_mul(e, *p);
}

VOS_INLINE vec VOS_NAME(bounded)(vec p) {
  return v_min(v_max(p, v_set(1e-6f)), v_set(1 - 1e-6f));
}

// The softmax over log(p / (1 - p)) is each odds p / (1 - p) divided by their sum, and
// 1 - prod(q) = sum over k of p_k · prod_{j<k} q_j. `count` <= VOS_LANES pixels from `at` on.
VOS_INLINE void VOS_NAME(aggregate_block)(const float *const *logits, size_t objects, size_t at,
                                          size_t count, float *const *probabilities) {
  const vec one = v_set(1);
  vec none = one, some = v_set(0), total = v_set(0);  // none, some: of the objects seen so far
  for (size_t k = 0; k < objects; k++) {
    vec p, q;
    VOS_NAME(sigmoid)(VOS_NAME(load_up_to)(logits[k] + at, count), &p, &q);
    some = v_fma(none, p, some);
    none = v_mul(none, q);
    const vec odds = v_div(VOS_NAME(bounded)(p), VOS_NAME(bounded)(q));
    VOS_NAME(store_up_to)(probabilities[k + 1] + at, count, odds);
    total = v_add(total, odds);
  }
  const vec odds = v_div(VOS_NAME(bounded)(none), VOS_NAME(bounded)(some));
  const vec inverse = v_div(one, v_add(total, odds));
  VOS_NAME(store_up_to)(probabilities[0] + at, count, v_mul(odds, inverse));
  for (size_t k = 1; k <= objects; k++) {
    const vec odds = VOS_NAME(load_up_to)(probabilities[k] + at, count);
    VOS_NAME(store_up_to)(probabilities[k] + at, count, v_mul(odds, inverse));
  }
}

// With one object the background's odds are the inverse of its own: p² and q² over their sum.
VOS_INLINE void VOS_NAME(aggregate_pair)(const float *logit, size_t count, float *background,
                                         float *object) {
  vec p, q;
  VOS_NAME(sigmoid)(VOS_NAME(load_up_to)(logit, count), &p, &q);
  p = VOS_NAME(bounded)(p), q = VOS_NAME(bounded)(q);
  p = v_mul(p, p), q = v_mul(q, q);
  const vec inverse = v_div(v_set(1), v_add(p, q));
  VOS_NAME(store_up_to)(background, count, v_mul(q, inverse));
  VOS_NAME(store_up_to)(object, count, v_mul(p, inverse));
}

VOS_INLINE void VOS_NAME(aggregate_up_to)(const float *const *logits, size_t objects, size_t at,
                                          size_t count, float *const *probabilities) {
  if (objects == 1)
    VOS_NAME(aggregate_pair)(logits[0] + at, count, probabilities[0] + at, probabilities[1] + at);
  else
    VOS_NAME(aggregate_block)(logits, objects, at, count, probabilities);
}

static void VOS_NAME(vos_f32_aggregate)(const float *const *logits, size_t objects, size_t count,
                                        float *const *probabilities) {
  assert(objects >= 1);
  size_t at = 0;
  for (; at + VOS_LANES <= count; at += VOS_LANES)
    VOS_NAME(aggregate_up_to)(logits, objects, at, VOS_LANES, probabilities);
  if (at < count) VOS_NAME(aggregate_up_to)(logits, objects, at, count - at, probabilities);
}

static void VOS_NAME(vos_f32_argmax)(const float *const *planes, size_t plane_count, size_t count,
                                     const uint8_t *ids, uint8_t *labels) {
  assert(plane_count >= 1);
  for (size_t i = 0; i < count; i += VOS_LANES) {
    const size_t left = count - i < VOS_LANES ? count - i : VOS_LANES;
    vec best = VOS_NAME(load_up_to)(planes[0] + i, left), chosen = v_set(ids[0]);
    for (size_t k = 1; k < plane_count; k++) {
      const vec plane = VOS_NAME(load_up_to)(planes[k] + i, left);
      chosen = v_where_less(best, plane, v_set(ids[k]), chosen);
      best = v_where_less(best, plane, plane, best);
    }
    float line[VOS_LANES];
    uint8_t bytes[VOS_LANES];
    v_store(line, chosen);
    for (int lane = 0; lane < VOS_LANES; lane++) bytes[lane] = (uint8_t)line[lane];
    memcpy(labels + i, bytes, left);
  }
}
