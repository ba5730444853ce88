// The SIMD kernels of MemoryVOS, behind one table per instruction set.
//
// Called by: Sources/MemoryVOS/Engine, which owns shapes, order, memory and threads. Kernels never
// allocate, never start threads, keep no state, and read and write only what their contract names.
//
// Layout everywhere: rows of pixels, channels innermost ("NHWC", N = 1). Strides are in floats.
// `scalar/` is the specification: simple code that says what every other variant must compute.
#pragma once

#include "CAugment.h"

#include <stddef.h>
#include <stdint.h>

// MARK: - Instruction sets

typedef enum {
  VOS_ISA_SCALAR = 0,
  VOS_ISA_AVX2 = 1,    // AVX2 + FMA
  VOS_ISA_AVX512 = 2,  // AVX-512 F, BW, VL, DQ
  VOS_ISA_NEON = 3,    // arm64 Advanced SIMD
} vos_isa;

#define VOS_PANEL 16   // columns of a weight panel, the same for every instruction set

// MARK: - Types

/// A K-segment of the left factor of a product: pixel m has `depth` consecutive floats at
/// `base + m * stride`. A 1×1 convolution of one tensor is one segment; of a concatenation, one
/// segment per tensor; a k×k convolution is k segments (one per kernel row) of depth k·channels that
/// start at the padded row, with stride = convolution stride · channels.
typedef struct {
  const float *base;
  ptrdiff_t stride;
  size_t depth;
} vos_segment;

/// Bounds of a clamp: (-inf, inf) for none, (0, inf) for ReLU, (0, 6) for ReLU6.
typedef struct {
  float low, high;
} vos_clamp;

typedef struct {
  vos_isa isa;
  const char *name;  // "scalar", "avx2", "avx512", "neon"

  /// out[m, n] = clamp(sum over segments s, depth k: A_s[m, k] · W[k, n] + bias[n] + addend[m, n])
  /// m < rows, n < columns. `weights`: ceil(columns / 16) panels, each [total depth][16], columns
  /// beyond `columns` zero. bias: [columns] padded to a multiple of 16, or NULL for none. addend: or
  /// NULL; may be equal to out (same stride), but no other overlap. Writes exactly `columns` floats
  /// per row. out_stride >= columns.
  void (*gemm)(size_t rows, size_t columns, const vos_segment *segments, size_t segment_count,
               const float *weights, const float *bias, const float *addend,
               ptrdiff_t addend_stride, float *out, ptrdiff_t out_stride, vos_clamp clamp);

  /// One output row of a k×k depthwise convolution, k = 3 or 5, stride 1 or 2:
  /// out[x, c] = clamp(bias[c] + sum over i, j < k: rows[i][(x·stride + j) · channels + c] · weights[(i·k + j) · channels + c])
  /// rows: k pointers to padded rows of (width - 1)·stride + k pixels. Any number of channels.
  void (*depthwise)(const float *const *rows, size_t kernel, size_t stride, size_t width,
                    size_t channels, const float *weights, const float *bias, float *out,
                    vos_clamp clamp);

  /// The same at stride 1 with taps that are `dilation` pixels apart:
  /// out[x, c] = clamp(bias[c] + sum over i, j < k: rows[i][(x + j·dilation) · channels + c] · weights[(i·k + j) · channels + c])
  /// rows: k pointers to padded rows of width + (k - 1)·dilation pixels.
  void (*depthwise_dilated)(const float *const *rows, size_t kernel, size_t dilation, size_t width,
                            size_t channels, const float *weights, const float *bias, float *out,
                            vos_clamp clamp);

  /// One output row of the maximum over 3×3 pixels at stride 2, of those inside the map:
  /// out[x, c] = max over i, j < 3, rows[i] not NULL, 2x + j > 0: rows[i][(2x + j - 1) · channels + c]
  /// rows: 3 pointers to unpadded rows of 2·width pixels, NULL outside the map; not all NULL.
  void (*max_pool)(const float *const *rows, size_t width, size_t channels, float *out);

  /// One row of a bilinear ×2 enlargement with half-pixel centres (align_corners = false):
  /// v(x) = near[x]·0.75 + far[x]·0.25 (near, far: the two source rows, [width, channels]; equal at
  /// the border); out[2x] = 0.75 v(x) + 0.25 v(x-1), out[2x+1] = 0.75 v(x) + 0.25 v(x+1), edges clamped.
  /// out: [2·width, channels].
  void (*upsample2)(const float *near, const float *far, size_t width, size_t channels, float *out);

  /// Divides each of `rows` vectors of `channels` floats by max(its L2 norm, 1e-12).
  void (*normalize)(const float *in, ptrdiff_t in_stride, size_t rows, size_t channels, float *out,
                    ptrdiff_t out_stride);

  /// scores[y, x] -= factor · ((y - at_y)² + (x - at_x)²), all of one query at (at_y, at_x) with the
  /// height × width positions of a frame, or between or beyond them. Exact at whole positions with sides of
  /// at most 4096; otherwise squares are rounded.
  void (*subtract_distances)(float *scores, size_t height, size_t width, float at_y, float at_x,
                             float factor);

  /// Softmax in place over each of `rows` rows of `count` scores: exp(scale·(s - max)) / sum.
  /// No denormals in the result: exponentials below e^-64 become 0.
  void (*softmax)(float *scores, ptrdiff_t stride, size_t rows, size_t count, float scale);

  /// For each of `rows` rows the `k` largest of `count` scores (k <= count), in any order; among
  /// equal ones the earlier. index: [rows, k], weight: [rows, k] = softmax of scale·score over them.
  /// 1 <= k <= count. With scores that are NaN the choice is undefined, but every index is < count.
  void (*top_k)(const float *scores, ptrdiff_t stride, size_t rows, size_t count, size_t k,
                float scale, uint32_t *index, float *weight);

  /// out[m, c] = sum over j < k: weight[m, j] · value(index[m, j])[c]. Values are in the panel layout
  /// of `gemm` (value i of channel c at (c / 16 · value_count + i) · 16 + c % 16).
  void (*gather)(const uint32_t *index, const float *weight, size_t rows, size_t k,
                 const float *values, size_t value_count, size_t channels, float *out,
                 ptrdiff_t out_stride);

  /// Writes rows of `columns` floats into columns-of-16 panels: panel p of `out` holds
  /// [depth][16] with out[p][d][l] = in[(16p + l)·stride + d], zero beyond `rows`. That is, `rows`
  /// vectors of `depth` floats become the columns of a right factor for `gemm` (memory keys).
  void (*pack_columns)(const float *in, ptrdiff_t stride, size_t rows, size_t depth, float *out);

  /// The same without transposing: out[p][r][l] = in[r·stride + 16p + l], zero beyond `columns`.
  /// `rows` vectors become the rows of a right factor for `gemm` (memory values).
  void (*pack_rows)(const float *in, ptrdiff_t stride, size_t rows, size_t columns, float *out);

  /// Horizontal pass of a separable resize of one row: out[x, c] = sum over j < taps:
  /// weights[x·taps + j] · in[(start[x] + j)·channels + c]; channels 1 or 3. `in` holds bytes.
  void (*resize_row_u8)(const uint8_t *in, size_t channels, const int32_t *start,
                        const float *weights, size_t taps, size_t width, float *out);
  /// The same from floats, one channel.
  void (*resize_row)(const float *in, const int32_t *start, const float *weights, size_t taps,
                     size_t width, float *out);
  /// Vertical pass: out[i] = (sum over j < taps: weights[j] · rows[j][i]) · scale + shift, i < count.
  void (*combine_rows)(const float *const *rows, const float *weights, size_t taps, size_t count,
                       float scale, float shift, float *out);

  /// Soft aggregation of `objects` logit planes (STCN; DESIGN.md section 4), for `count` pixels:
  /// p_k = sigmoid(logit_k), p_0 = prod(1 - p_k), all clamped to [1e-6, 1 - 1e-6], then softmax over
  /// their logits. logits[k], probabilities[k]: planes; probabilities[0] is background, so there are
  /// objects + 1 of them.
  void (*aggregate)(const float *const *logits, size_t objects, size_t count,
                    float *const *probabilities);

  /// labels[i] = ids[argmax over k: planes[k][i]], the first of equals; i < count.
  void (*argmax)(const float *const *planes, size_t plane_count, size_t count, const uint8_t *ids,
                 uint8_t *labels);
} vos_kernels;

/// The table of one instruction set, or NULL when this build or this CPU (or its OS) lacks it.
const vos_kernels *vos_kernels_for(vos_isa isa);

/// Denormals to zero in the calling thread; returns the previous control word for `restore`.
uint64_t vos_flush_denormals(void);
void vos_restore_denormals(uint64_t control);

/// Cores that this process may run on (taskset and mpirun leave it some), at least 1.
int vos_core_count(void);

/// Tells the core that this thread spins in a short wait.
static inline void vos_spin_hint(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

#include "CKernelsTraining.h"  // after the types it uses: this is the module's umbrella header
#include "CKernelsInt8.h"
