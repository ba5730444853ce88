// The kernels for NEON. The code is in vector/, shared by all instruction sets; vector/neon.h spells the vectors.
#if defined(__aarch64__)
#include <assert.h>
#include <math.h>
#include <string.h>

#include "include/CKernels.h"
#include "tables.h"

#define VOS_NAME(kernel) kernel##__neon
#include "vector/neon.h"

#include "vector/gemm.h"

#include "vector/depthwise.h"

#include "vector/memory.h"

#include "vector/maps.h"

#define VOS_TABLE vos_kernels_neon
#define VOS_ISA VOS_ISA_NEON
#define VOS_ISA_NAME "neon"
#include "vector/table.h"
#endif
