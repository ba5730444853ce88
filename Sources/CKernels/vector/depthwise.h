// Depthwise convolution rows. Contract: CKernels.h; specification: scalar/. Included as gemm.h is.

// U neighbouring outputs × `count` <= VOS_LANES channels. Outputs share inputs and weights: each is
// loaded once.
VOS_INLINE void VOS_NAME(window)(const int K, const int S, const int U, const float *const *rows,
                                 size_t at, size_t channels, size_t count, const float *weights,
                                 const float *bias, float *out, vec low, vec high) {
  enum { widest_window = 3 * 2 + 5 };
  vec sum[4];
  VOS_UNROLL for (int u = 0; u < U; u++) sum[u] = VOS_NAME(load_up_to)(bias, count);
  VOS_UNROLL for (int i = 0; i < K; i++) {
    vec in[widest_window];
    VOS_UNROLL for (int x = 0; x < (U - 1) * S + K; x++)
      in[x] = VOS_NAME(load_up_to)(rows[i] + at + x * channels, count);
    VOS_UNROLL for (int j = 0; j < K; j++) {
      const vec w = VOS_NAME(load_up_to)(weights + (i * K + j) * channels, count);
      VOS_UNROLL for (int u = 0; u < U; u++) sum[u] = v_fma(in[u * S + j], w, sum[u]);
    }
  }
  VOS_UNROLL for (int u = 0; u < U; u++)
    VOS_NAME(store_up_to)(out + u * channels, count, v_min(v_max(sum[u], low), high));
}

// All channels of U outputs.
VOS_INLINE void VOS_NAME(windows)(const int K, const int S, const int U, const float *const *rows,
                                  size_t at, size_t channels, const float *weights,
                                  const float *bias, float *out, vec low, vec high) {
  size_t c = 0;
  for (; c + VOS_LANES <= channels; c += VOS_LANES)
    VOS_NAME(window)(K, S, U, rows, at + c, channels, VOS_LANES, weights + c, bias + c, out + c,
                     low, high);
  if (c < channels)
    VOS_NAME(window)(K, S, U, rows, at + c, channels, channels - c, weights + c, bias + c, out + c,
                     low, high);
}

VOS_INLINE void VOS_NAME(depthwise_row)(const int K, const int S, const float *const *rows,
                                        size_t width, size_t channels, const float *weights,
                                        const float *bias, float *out, vos_clamp clamp) {
  const vec low = v_set(clamp.low), high = v_set(clamp.high);
  size_t x = 0;
  for (; x + 4 <= width; x += 4)
    VOS_NAME(windows)(K, S, 4, rows, x * S * channels, channels, weights, bias, out + x * channels,
                      low, high);
  for (; x < width; x++)
    VOS_NAME(windows)(K, S, 1, rows, x * S * channels, channels, weights, bias, out + x * channels,
                      low, high);
}

static void VOS_NAME(vos_f32_depthwise)(const float *const *rows, size_t kernel, size_t stride,
                                        size_t width, size_t channels, const float *weights,
                                        const float *bias, float *out, vos_clamp clamp) {
  assert((kernel == 3 || kernel == 5) && (stride == 1 || stride == 2) && channels >= 1);
  if (kernel == 3 && stride == 1)
    VOS_NAME(depthwise_row)(3, 1, rows, width, channels, weights, bias, out, clamp);
  else if (kernel == 3)
    VOS_NAME(depthwise_row)(3, 2, rows, width, channels, weights, bias, out, clamp);
  else if (stride == 1)
    VOS_NAME(depthwise_row)(5, 1, rows, width, channels, weights, bias, out, clamp);
  else
    VOS_NAME(depthwise_row)(5, 2, rows, width, channels, weights, bias, out, clamp);
}

static void VOS_NAME(vos_f32_depthwise_dilated)(const float *const *rows, size_t kernel,
                                                size_t dilation, size_t width, size_t channels,
                                                const float *weights, const float *bias,
                                                float *out, vos_clamp clamp) {
  assert(kernel >= 1 && dilation >= 1 && channels >= 1);
  const vec low = v_set(clamp.low), high = v_set(clamp.high);
  for (size_t x = 0; x < width; x++)
    for (size_t c = 0; c < channels; c += VOS_LANES) {
      const size_t count = channels - c;
      vec sum = VOS_NAME(load_up_to)(bias + c, count);
      for (size_t i = 0; i < kernel; i++)
        for (size_t j = 0; j < kernel; j++)
          sum = v_fma(VOS_NAME(load_up_to)(rows[i] + (x + j * dilation) * channels + c, count),
                      VOS_NAME(load_up_to)(weights + (i * kernel + j) * channels + c, count), sum);
      VOS_NAME(store_up_to)(out + x * channels + c, count, v_min(v_max(sum, low), high));
    }
}
