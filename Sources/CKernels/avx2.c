// The kernels for AVX2 and FMA. The code is in vector/, shared by all instruction sets;
// vector/avx2.h spells the vectors. Called by: dispatch.c.
#if defined(__x86_64__)
#include <assert.h>
#include <math.h>
#include <string.h>

#include "include/CKernels.h"
#include "tables.h"

#include <immintrin.h>
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)

#define VOS_NAME(kernel) kernel##__avx2
#define VOS_GEMM vos_f32_gemm_6x16__avx2
#include "vector/avx2.h"
#include "vector/common.h"
#include "vector/gemm.h"
#include "vector/depthwise.h"
#include "vector/memory.h"
#include "vector/maps.h"

#define VOS_TABLE vos_kernels_avx2
#define VOS_ISA VOS_ISA_AVX2
#define VOS_ISA_NAME "avx2"
#include "vector/table.h"

#pragma clang attribute pop
#endif
