// The kernels for arm64. The code is in vector/, shared by all instruction sets; vector/neon.h
// spells the vectors. Called by: dispatch.c.
#if defined(__aarch64__)
#include <assert.h>
#include <math.h>
#include <string.h>

#include "include/CKernels.h"
#include "tables.h"

#define VOS_NAME(kernel) kernel##__neon
#define VOS_GEMM vos_f32_gemm_6x16__neon
#include "vector/neon.h"
#include "vector/common.h"
#include "vector/gemm.h"
#include "vector/depthwise.h"
#include "vector/memory.h"
#include "vector/maps.h"

#define VOS_TABLE vos_kernels_neon
#define VOS_ISA VOS_ISA_NEON
#define VOS_ISA_NAME "neon"
#include "vector/table.h"
#endif
