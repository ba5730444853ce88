// One window of a depthwise convolution over the channels of one vector. Contract: CKernelsInt8.h;
// specification: scalar.h. Included by depthwise_x86.h once for each width, with D(op) defined, the
// intrinsic of that width, and D_CHANNELS, D_VECTOR, D_LOAD, D_STORE and D_HALVES.

#define D_NAME_(name, channels) VOS_NAME(name##_##channels)
#define D_NAME__(name, channels) D_NAME_(name, channels)
#define D_NAME(name) D_NAME__(name, D_CHANNELS)

// Unpacking two rows of bytes pairs their channels within lanes of 16 bytes, and packing the two
// halves of the results undoes it: low holds the first eight channels of each lane, high the others.
typedef struct {
  D_VECTOR low, high;
} D_NAME(halves);

// Two bytes for each channel.
VOS_INLINE D_NAME(halves) D_NAME(load_halves)(const void *p) {
  D_NAME(halves) result;
  D_HALVES(p, result.low, result.high);
  return result;
}

VOS_INLINE D_VECTOR D_NAME(finished)(D_VECTOR first, D_VECTOR second, D_VECTOR bias, D_VECTOR scale,
                                     D_VECTOR zero) {
  const D_VECTOR sum = D(add_epi16)(D(srai_epi16)(first, 1), D(srai_epi16)(second, 1));
  return D(adds_epi16)(D(mulhrs_epi16)(D(adds_epi16)(sum, bias), scale), zero);
}

// U <= 2 neighbouring outputs × channels c … c + D_CHANNELS - 1.
VOS_INLINE void D_NAME(window)(const int K, const int S, const int U, const uint8_t *const *rows,
                               size_t at, size_t c, size_t channels,
                               const vos_int8_depthwise *factor, uint8_t *out,
                               vos_int8_clamp clamp) {
  const int taps = K * K, pairs = (taps + 1) / 2;
  D_NAME(halves) sum[2][2];
  VOS_UNROLL for (int half = 0; half < 2; half++) {
    const int begin = half ? (pairs + 1) / 2 : 0, end = half ? pairs : (pairs + 1) / 2;
    VOS_UNROLL for (int p = begin; p < end; p++) {
      const D_NAME(halves) w = D_NAME(load_halves)(factor->weights + 2 * ((size_t)p * channels + c));
      // The last tap has no partner: it is its own, and the weight is zero.
      const int a = 2 * p, b = 2 * p + 1 < taps ? 2 * p + 1 : a;
      const uint8_t *first = rows[a / K] + at + (size_t)(a % K) * channels + c;
      const uint8_t *second = rows[b / K] + at + (size_t)(b % K) * channels + c;
      VOS_UNROLL for (int u = 0; u < U; u++) {
        const size_t pixel = (size_t)(u * S) * channels;
        const D_VECTOR x = D_LOAD(first + pixel), y = D_LOAD(second + pixel);
        const D_VECTOR low = D(maddubs_epi16)(D(unpacklo_epi8)(x, y), w.low);
        const D_VECTOR high = D(maddubs_epi16)(D(unpackhi_epi8)(x, y), w.high);
        if (p == begin) {
          sum[half][u] = (D_NAME(halves)){low, high};
        } else {
          sum[half][u].low = D(add_epi16)(sum[half][u].low, low);
          sum[half][u].high = D(add_epi16)(sum[half][u].high, high);
        }
      }
    }
  }
  const D_NAME(halves) bias = D_NAME(load_halves)(factor->bias + c);
  const D_NAME(halves) scale = D_NAME(load_halves)(factor->scale + c);
  const D_VECTOR zero = D(set1_epi16)(factor->zero_point);
  const D_VECTOR least = D(set1_epi8)((char)clamp.low), most = D(set1_epi8)((char)clamp.high);
  VOS_UNROLL for (int u = 0; u < U; u++) {
    const D_VECTOR low =
        D_NAME(finished)(sum[0][u].low, sum[1][u].low, bias.low, scale.low, zero);
    const D_VECTOR high =
        D_NAME(finished)(sum[0][u].high, sum[1][u].high, bias.high, scale.high, zero);
    const D_VECTOR bytes = D(packus_epi16)(low, high);
    D_STORE(out + (size_t)u * channels + c, D(min_epu8)(D(max_epu8)(bytes, least), most));
  }
}

#undef D_NAME_
#undef D_NAME__
#undef D_NAME
#undef D
#undef D_CHANNELS
#undef D_VECTOR
#undef D_LOAD
#undef D_STORE
#undef D_HALVES
