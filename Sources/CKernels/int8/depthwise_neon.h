// Depthwise convolution rows, 16 channels at a time. Contract: CKernelsInt8.h; specification:
// scalar.h. Included as products.h is.

VOS_INLINE int16x8_t VOS_NAME(finished)(int16x8_t first, int16x8_t second, const int16_t *bias,
                                        const int16_t *scale, int16x8_t zero) {
  const int16x8_t sum = vaddq_s16(vshrq_n_s16(first, 1), vshrq_n_s16(second, 1));
  return vqaddq_s16(vqrdmulhq_s16(vqaddq_s16(sum, vld1q_s16(bias)), vld1q_s16(scale)), zero);
}

// Channels c … c + 15 of one output.
VOS_INLINE void VOS_NAME(window)(const int K, const uint8_t *const *rows, size_t at, size_t c,
                                 size_t channels, const vos_int8_depthwise *factor, uint8_t *out,
                                 vos_int8_clamp clamp) {
  const int taps = K * K, middle = ((taps + 1) / 2 + 1) / 2 * 2;
  int16x8_t low[2] = {vdupq_n_s16(0), vdupq_n_s16(0)}, high[2] = {low[0], low[0]};
  for (int tap = 0; tap < taps; tap++) {
    const int half = tap >= middle;
    const int8x16_t a =
        vreinterpretq_s8_u8(vld1q_u8(rows[tap / K] + at + (size_t)(tap % K) * channels + c));
    const int8x16x2_t pair =
        vld2q_s8(factor->weights + ((size_t)(tap / 2) * channels + c) * 2);
    const int8x16_t w = pair.val[tap % 2];
    low[half] = vmlal_s8(low[half], vget_low_s8(a), vget_low_s8(w));
    high[half] = vmlal_high_s8(high[half], a, w);
  }
  const int16x8_t zero = vdupq_n_s16(factor->zero_point);
  const int16_t *bias = factor->bias + c, *scale = factor->scale + c;
  const uint8x16_t bytes =
      vcombine_u8(vqmovun_s16(VOS_NAME(finished)(low[0], low[1], bias, scale, zero)),
                  vqmovun_s16(VOS_NAME(finished)(high[0], high[1], bias + 8, scale + 8, zero)));
  vst1q_u8(out + c, vminq_u8(vmaxq_u8(bytes, vdupq_n_u8(clamp.low)), vdupq_n_u8(clamp.high)));
}

VOS_INLINE void VOS_NAME(depthwise_row)(const int K, const uint8_t *const *rows, size_t stride,
                                        size_t width, size_t channels,
                                        const vos_int8_depthwise *factor, uint8_t *out,
                                        vos_int8_clamp clamp) {
  for (size_t x = 0; x < width; x++)
    // The last block overlaps the one before: the same bytes are computed again.
    for (size_t c = 0; c < channels; c += 16)
      VOS_NAME(window)(K, rows, x * stride * channels, c + 16 <= channels ? c : channels - 16,
                       channels, factor, out + x * channels, clamp);
}

static void VOS_NAME(vos_u7s8_depthwise)(const uint8_t *const *rows, size_t kernel, size_t stride,
                                         size_t width, size_t channels,
                                         const vos_int8_depthwise *factor, uint8_t *out,
                                         vos_int8_clamp clamp) {
  assert((kernel == 3 || kernel == 5) && (stride == 1 || stride == 2) && channels >= 1);
  if (channels < 16)
    for (size_t x = 0; x < width; x++)
      vos_int8_depthwise_pixel(rows, kernel, x * stride, channels, factor, out + x * channels,
                               clamp);
  else if (kernel == 3)
    VOS_NAME(depthwise_row)(3, rows, stride, width, channels, factor, out, clamp);
  else
    VOS_NAME(depthwise_row)(5, rows, stride, width, channels, factor, out, clamp);
}
