// Depthwise convolution rows. Contract: CKernels.h; specification: scalar/. Included as gemm.h is.

// U neighbouring outputs × V vectors of channels; a weight is loaded once for all U.
VOS_INLINE void VOS_NAME(window)(const int K, const int U, const int V, const float *const *rows,
                                 size_t at, size_t step, size_t channels, const float *weights,
                                 const float *bias, float *out, vec low, vec high) {
  vec sum[4][2];
  VOS_UNROLL for (int u = 0; u < U; u++)
    VOS_UNROLL for (int v = 0; v < V; v++) sum[u][v] = v_load(bias + v * VOS_LANES);
  VOS_UNROLL for (int i = 0; i < K; i++) {
    const float *in = rows[i] + at;
    VOS_UNROLL for (int j = 0; j < K; j++) {
      vec w[2];
      VOS_UNROLL for (int v = 0; v < V; v++)
        w[v] = v_load(weights + (size_t)(i * K + j) * channels + v * VOS_LANES);
      VOS_UNROLL for (int u = 0; u < U; u++)
        VOS_UNROLL for (int v = 0; v < V; v++)
          sum[u][v] = v_fma(v_load(in + u * step + j * channels + v * VOS_LANES), w[v], sum[u][v]);
    }
  }
  VOS_UNROLL for (int u = 0; u < U; u++)
    VOS_UNROLL for (int v = 0; v < V; v++)
      v_store(out + u * channels + v * VOS_LANES, v_min(v_max(sum[u][v], low), high));
}

VOS_INLINE void VOS_NAME(depthwise_row)(const int K, const float *const *rows, size_t stride,
                                        size_t width, size_t channels, const float *weights,
                                        const float *bias, float *out, vos_clamp clamp) {
  const vec low = v_set(clamp.low), high = v_set(clamp.high);
  const size_t step = stride * channels;
  size_t c = 0;
#define VOS_CHANNELS(V)                                                                        \
  for (; c + V * VOS_LANES <= channels; c += V * VOS_LANES) {                                  \
    size_t x = 0;                                                                              \
    for (; x + 4 <= width; x += 4)                                                             \
      VOS_NAME(window)(K, 4, V, rows, x * step + c, step, channels, weights + c, bias + c,     \
                       out + x * channels + c, low, high);                                     \
    for (; x < width; x++)                                                                     \
      VOS_NAME(window)(K, 1, V, rows, x * step + c, step, channels, weights + c, bias + c,     \
                       out + x * channels + c, low, high);                                     \
  }
  VOS_CHANNELS(2)
  VOS_CHANNELS(1)
#undef VOS_CHANNELS
  for (; c < channels; c++)
    for (size_t x = 0; x < width; x++) {
      float sum = bias[c];
      for (int i = 0; i < K; i++)
        for (int j = 0; j < K; j++)
          sum += rows[i][x * step + j * channels + c] * weights[(size_t)(i * K + j) * channels + c];
      sum = sum > clamp.low ? sum : clamp.low;
      out[x * channels + c] = sum < clamp.high ? sum : clamp.high;
    }
}

static void VOS_NAME(vos_f32_depthwise)(const float *const *rows, size_t kernel, size_t stride,
                                        size_t width, size_t channels, const float *weights,
                                        const float *bias, float *out, vos_clamp clamp) {
  assert(kernel == 3 || kernel == 5);
  if (kernel == 3)
    VOS_NAME(depthwise_row)(3, rows, stride, width, channels, weights, bias, out, clamp);
  else
    VOS_NAME(depthwise_row)(5, rows, stride, width, channels, weights, bias, out, clamp);
}
