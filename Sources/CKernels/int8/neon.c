// The integer kernels for arm64. The code is in products.h,
// depthwise_neon.h and maps.h; neon.h spells the vectors. Called by: dispatch.c.
#if defined(__aarch64__)
#include <assert.h>
#include <string.h>

#include "scalar.h"
#include "tables.h"

#define VOS_NAME(kernel) kernel##__neon
#define VOS_GEMM vos_u7s8_gemm_4x16c4__neon
#define VOS_GEMM_TO_FLOAT vos_u7s8f32_gemm_4x16c4__neon

#include "neon.h"
#include "products.h"
#include "depthwise_neon.h"
#include "maps.h"

#define VOS_TABLE vos_int8_kernels_neon
#define VOS_ISA VOS_INT8_NEON
#define VOS_ISA_NAME "neon"
#include "table.h"
#endif
