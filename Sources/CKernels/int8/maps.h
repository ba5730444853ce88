// Enlarging and converting. Contract: CKernelsInt8.h; specification: scalar.c. Included as products.h
// is; plain loops over channels, which the compiler turns into this instruction set's vectors.

static void VOS_NAME(vos_u7_upsample2)(const uint8_t *near, const uint8_t *far, size_t width,
                                       size_t channels, uint8_t *out) {
  for (size_t x = 0; x < width; x++) {
    const size_t here = x * channels, left = x > 0 ? here - channels : here,
                 right = x + 1 < width ? here + channels : here;
    uint8_t *even = out + 2 * here, *odd = even + channels;
    for (size_t c = 0; c < channels; c++) {
      const unsigned v = 3u * (3u * near[here + c] + far[here + c]) + 8u;
      const unsigned l = 3u * near[left + c] + far[left + c];
      const unsigned r = 3u * near[right + c] + far[right + c];
      even[c] = (uint8_t)((uint16_t)(v + l) >> 4);
      odd[c] = (uint8_t)((uint16_t)(v + r) >> 4);
    }
  }
}

static void VOS_NAME(vos_f32u7_quantize)(const float *in, size_t count, float inverse_scale,
                                         float zero_point, uint8_t *out) {
  size_t i = 0;
  const q_float factor = q_set(inverse_scale), zero = q_set(zero_point);
  const size_t block = Q_TILE_COLUMNS;
  for (; i + block <= count; i += block) {
    q_int rounded[Q_TILE_VECTORS];
    VOS_UNROLL for (int v = 0; v < Q_TILE_VECTORS; v++)
      rounded[v] =
          q_round(q_limited(q_add(q_mul(q_load_float(in + i + v * Q_LANES), factor), zero)));
    q_store_bytes(out + i, rounded);
  }
  for (; i < count; i++) out[i] = vos_int8_quantized(in[i], inverse_scale, zero_point);
}

static void VOS_NAME(vos_u7f32_dequantize)(const uint8_t *in, size_t count, float scale,
                                           int32_t zero_point, float *out) {
  for (size_t i = 0; i < count; i++) out[i] = (float)(in[i] - zero_point) * scale;
}

static void VOS_NAME(vos_f32u7_quantize_queries)(const float *in, ptrdiff_t stride, size_t rows,
                                                 size_t depth, uint8_t *out, float *scale) {
  for (size_t r = 0; r < rows; r++)
    scale[r] = vos_int8_query(in + (ptrdiff_t)r * stride, depth, out + r * ((depth + 3) / 4 * 4));
}

static void VOS_NAME(vos_f32s8_pack_keys)(const float *in, ptrdiff_t stride, size_t columns,
                                          size_t depth, int8_t *weights, int32_t *bias,
                                          float *scale) {
  vos_int8_pack_keys(in, stride, columns, depth, weights, bias, scale);
}
