// The integer kernels for AVX2. The code is in products.h,
// depthwise_x86.h and maps.h; avx2.h spells the vectors. Called by: dispatch.c.
#if defined(__x86_64__)
#include <assert.h>
#include <string.h>

#include "scalar.h"
#include "tables.h"

#include <immintrin.h>

#define VOS_NAME(kernel) kernel##__avx2
#define VOS_GEMM vos_u7s8_gemm_4x16c4__avx2
#define VOS_GEMM_TO_FLOAT vos_u7s8f32_gemm_4x16c4__avx2

#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)

#include "avx2.h"
#include "products.h"
#include "depthwise_x86.h"
#include "maps.h"

#define VOS_TABLE vos_int8_kernels_avx2
#define VOS_ISA VOS_INT8_AVX2
#define VOS_ISA_NAME "avx2"
#include "table.h"

#pragma clang attribute pop
#endif
