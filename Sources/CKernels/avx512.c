// The kernels for AVX-512. The code is in vector/, shared by all instruction sets; vector/avx512.h
// spells the vectors. Called by: dispatch.c.
#if defined(__x86_64__)
#include <assert.h>
#include <math.h>
#include <string.h>

#include "include/CKernels.h"
#include "tables.h"

#include <immintrin.h>
#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma"))), apply_to = function)

#define VOS_NAME(kernel) kernel##__avx512
#define VOS_GEMM vos_f32_gemm_9x32__avx512
#include "vector/avx512.h"
#include "vector/common.h"
#include "vector/gemm.h"
#include "vector/depthwise.h"
#include "vector/memory.h"
#include "vector/maps.h"

#define VOS_TABLE vos_kernels_avx512
#define VOS_ISA VOS_ISA_AVX512
#define VOS_ISA_NAME "avx512"
#include "vector/table.h"

#pragma clang attribute pop
#endif
