// Resizing, normalising, soft aggregation and labels. Included as gemm.h is, after memory.h.

static void VOS_NAME(vos_f32_upsample2)(const float *near, const float *far, size_t width,
                                        size_t channels, float *out) {
  // At the border the neighbour is the pixel itself: 0.75 v + 0.25 v.
  const vec most = v_set(0.75f), least = v_set(0.25f);
  for (size_t x = 0; x < width; x++) {
    const size_t here = x * channels;
    const size_t left = x > 0 ? here - channels : here;
    const size_t right = x + 1 < width ? here + channels : here;
    float *even = out + 2 * here, *odd = even + channels;
    size_t c = 0;
    for (; c + VOS_LANES <= channels; c += VOS_LANES) {
      const vec v = v_fma(v_load(far + here + c), least, v_mul(v_load(near + here + c), most));
      const vec l = v_fma(v_load(far + left + c), least, v_mul(v_load(near + left + c), most));
      const vec r = v_fma(v_load(far + right + c), least, v_mul(v_load(near + right + c), most));
      v_store(even + c, v_fma(l, least, v_mul(v, most)));
      v_store(odd + c, v_fma(r, least, v_mul(v, most)));
    }
    for (; c < channels; c++) {
      const float v = 0.75f * near[here + c] + 0.25f * far[here + c];
      const float l = 0.75f * near[left + c] + 0.25f * far[left + c];
      const float r = 0.75f * near[right + c] + 0.25f * far[right + c];
      even[c] = 0.75f * v + 0.25f * l;
      odd[c] = 0.75f * v + 0.25f * r;
    }
  }
}

static void VOS_NAME(vos_f32_normalize)(const float *in, ptrdiff_t in_stride, size_t rows,
                                        size_t channels, float *out, ptrdiff_t out_stride) {
  for (size_t m = 0; m < rows; m++) {
    const float *x = in + (ptrdiff_t)m * in_stride;
    float *y = out + (ptrdiff_t)m * out_stride;
    vec squares = v_set(0);
    size_t c = 0;
    for (; c + VOS_LANES <= channels; c += VOS_LANES) {
      const vec v = v_load(x + c);
      squares = v_fma(v, v, squares);
    }
    float sum = VOS_NAME(sum_lanes)(squares);
    for (; c < channels; c++) sum += x[c] * x[c];
    const float norm = sqrtf(sum);
    const float inverse = 1 / (norm > 1e-12f ? norm : 1e-12f);
    for (c = 0; c + VOS_LANES <= channels; c += VOS_LANES)
      v_store(y + c, v_mul(v_load(x + c), v_set(inverse)));
    for (; c < channels; c++) y[c] = x[c] * inverse;
  }
}

// MARK: - Separable resizing

static void VOS_NAME(vos_u8_resize_row)(const uint8_t *in, size_t channels, const int32_t *start,
                                        const float *weights, size_t taps, size_t width,
                                        float *out) {
  assert(channels == 1 || channels == 3);
  // Neighbouring outputs read scattered inputs: three sums at a time beat a gather of bytes.
  if (channels == 1) {
    for (size_t x = 0; x < width; x++) {
      const uint8_t *p = in + start[x];
      float sum = 0;
      for (size_t j = 0; j < taps; j++) sum += weights[x * taps + j] * p[j];
      out[x] = sum;
    }
    return;
  }
  for (size_t x = 0; x < width; x++) {
    const uint8_t *p = in + 3 * (size_t)start[x];
    float red = 0, green = 0, blue = 0;
    for (size_t j = 0; j < taps; j++, p += 3) {
      const float w = weights[x * taps + j];
      red += w * p[0], green += w * p[1], blue += w * p[2];
    }
    out[3 * x] = red, out[3 * x + 1] = green, out[3 * x + 2] = blue;
  }
}

static void VOS_NAME(vos_f32_resize_row)(const float *in, const int32_t *start,
                                         const float *weights, size_t taps, size_t width,
                                         float *out) {
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

static void VOS_NAME(vos_f32_combine_rows)(const float *const *rows, const float *weights,
                                           size_t taps, size_t count, float scale, float shift,
                                           float *out) {
  size_t i = 0;
  for (; i + VOS_LANES <= count; i += VOS_LANES) {
    vec sum = v_set(0);
    for (size_t j = 0; j < taps; j++) sum = v_fma(v_load(rows[j] + i), v_set(weights[j]), sum);
    v_store(out + i, v_fma(sum, v_set(scale), v_set(shift)));
  }
  for (; i < count; i++) {
    float sum = 0;
    for (size_t j = 0; j < taps; j++) sum += weights[j] * rows[j][i];
    out[i] = sum * scale + shift;
  }
}

// MARK: - Masks

// The softmax over log(p / (1 - p)) is each odds p / (1 - p) divided by their sum. p and q = 1 - p
// are computed without cancellation, and so is 1 - prod(q) = sum over k of p_k · prod_{j<k} q_j.
VOS_INLINE vec VOS_NAME(odds)(vec p, vec q) {
  const vec low = v_set(1e-6f), high = v_set(1 - 1e-6f);
  return v_div(v_min(v_max(p, low), high), v_min(v_max(q, low), high));
}

// `count` <= VOS_LANES pixels from `at` on.
VOS_INLINE void VOS_NAME(aggregate_block)(const float *const *logits, size_t objects, size_t at,
                                          size_t count, float *const *probabilities) {
  const vec zero = v_set(0), one = v_set(1);
  vec none = one, some = zero, total = zero;  // none, some: of the objects seen so far
  for (size_t k = 0; k < objects; k++) {
    const vec logit = VOS_NAME(load_up_to)(logits[k] + at, count);
    const vec e = VOS_NAME(exponential)(v_sub(zero, v_max(logit, v_set(-80))));
    const vec p = v_div(one, v_add(one, e)), q = v_mul(e, p);
    some = v_fma(none, p, some);
    none = v_mul(none, q);
    const vec odds = VOS_NAME(odds)(p, q);
    VOS_NAME(store_up_to)(probabilities[k + 1] + at, count, odds);
    total = v_add(total, odds);
  }
  const vec odds = VOS_NAME(odds)(none, some);
  const vec inverse = v_div(one, v_add(total, odds));
  VOS_NAME(store_up_to)(probabilities[0] + at, count, v_mul(odds, inverse));
  for (size_t k = 1; k <= objects; k++) {
    const vec odds = VOS_NAME(load_up_to)(probabilities[k] + at, count);
    VOS_NAME(store_up_to)(probabilities[k] + at, count, v_mul(odds, inverse));
  }
}

static void VOS_NAME(vos_f32_aggregate)(const float *const *logits, size_t objects, size_t count,
                                        float *const *probabilities) {
  size_t at = 0;
  for (; at + VOS_LANES <= count; at += VOS_LANES)
    VOS_NAME(aggregate_block)(logits, objects, at, VOS_LANES, probabilities);
  if (at < count) VOS_NAME(aggregate_block)(logits, objects, at, count - at, probabilities);
}

static void VOS_NAME(vos_f32_argmax)(const float *const *planes, size_t plane_count, size_t count,
                                     const uint8_t *ids, uint8_t *labels) {
  assert(plane_count >= 1);
  size_t i = 0;
  for (; i + VOS_LANES <= count; i += VOS_LANES) {
    vec best = v_load(planes[0] + i);
    uint8_t chosen[VOS_LANES];
    memset(chosen, ids[0], sizeof chosen);
    for (size_t k = 1; k < plane_count; k++) {
      const vec plane = v_load(planes[k] + i);
      uint32_t larger = ~v_not_less(best, plane) & ((1u << VOS_LANES) - 1);
      best = v_max(best, plane);
      for (; larger; larger &= larger - 1) chosen[__builtin_ctz(larger)] = ids[k];
    }
    memcpy(labels + i, chosen, sizeof chosen);
  }
  for (; i < count; i++) {
    size_t best = 0;
    for (size_t k = 1; k < plane_count; k++)
      if (planes[k][i] > planes[best][i]) best = k;
    labels[i] = ids[best];
  }
}
