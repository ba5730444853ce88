// The integer kernels for AVX-512 with VNNI. The code is in products.h,
// depthwise_x86.h and maps.h; avx512.h spells the vectors. Called by: dispatch.c.
#if defined(__x86_64__)
#include <assert.h>
#include <string.h>

#include "scalar.h"
#include "tables.h"

#include <immintrin.h>

#define VOS_NAME(kernel) kernel##__avx512vnni
#define VOS_GEMM vos_u7s8_gemm_8x32c4__avx512vnni
#define VOS_GEMM_TO_FLOAT vos_u7s8f32_gemm_8x32c4__avx512vnni

#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2"))), apply_to = function)

#include "avx512.h"
#include "products.h"
#include "depthwise_x86.h"
#include "maps.h"

#define VOS_TABLE vos_int8_kernels_avx512vnni
#define VOS_ISA VOS_INT8_AVX512VNNI
#define VOS_ISA_NAME "avx512vnni"
#include "table.h"

#pragma clang attribute pop
#endif
