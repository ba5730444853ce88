// The integer kernels for arm64 with dot products. The code is in products.h,
// depthwise_neon.h and maps.h; neon.h spells the vectors. Called by: dispatch.c.
#if defined(__aarch64__)
#include <assert.h>
#include <string.h>

#include "scalar.h"
#include "tables.h"

#include <arm_neon.h>

#define VOS_DOT_PRODUCT
#define VOS_NAME(kernel) kernel##__neondot
#define VOS_GEMM vos_u7s8_gemm_4x16c4__neondot
#define VOS_GEMM_TO_FLOAT vos_u7s8f32_gemm_4x16c4__neondot

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("dotprod"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("arch=armv8.2-a+dotprod")
#endif

#include "neon.h"
#include "products.h"
#include "depthwise_neon.h"
#include "maps.h"

#define VOS_TABLE vos_int8_kernels_neondot
#define VOS_ISA VOS_INT8_NEONDOT
#define VOS_ISA_NAME "neondot"
#include "table.h"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
