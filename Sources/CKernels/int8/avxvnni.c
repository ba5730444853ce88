// The integer kernels for AVX2 with VEX-coded VNNI. The code is in products.h,
// depthwise_x86.h and maps.h; avx2.h spells the vectors. Called by: dispatch.c.
#if defined(__x86_64__)
#include <assert.h>
#include <string.h>

#include "scalar.h"
#include "tables.h"

#include <immintrin.h>

#define VOS_VNNI
#define VOS_NAME(kernel) kernel##__avxvnni
#define VOS_GEMM vos_u7s8_gemm_6x16c4__avxvnni
#define VOS_GEMM_TO_FLOAT vos_u7s8f32_gemm_6x16c4__avxvnni

#pragma clang attribute push(__attribute__((target("avx2,avxvnni"))), apply_to = function)

#include "avx2.h"
#include "products.h"
#include "depthwise_x86.h"
#include "maps.h"

#define VOS_TABLE vos_int8_kernels_avxvnni
#define VOS_ISA VOS_INT8_AVXVNNI
#define VOS_ISA_NAME "avxvnni"
#include "table.h"

#pragma clang attribute pop
#endif
