// The kernels in 16 portable lanes: the code paths of AVX-512 (tile shapes, remainders, groups) on
// any CPU. Only the spelling of the intrinsics in vector/avx512.h is not covered by it.
#include <assert.h>
#include <math.h>
#include <string.h>

#include "check.h"

#define VOS_NAME(kernel) kernel##__portable16
#define VOS_GEMM vos_f32_gemm_9x32__portable16
#include "../../Sources/CKernels/vector/portable16.h"
#include "../../Sources/CKernels/vector/common.h"
#include "../../Sources/CKernels/vector/gemm.h"
#include "../../Sources/CKernels/vector/depthwise.h"
#include "../../Sources/CKernels/vector/memory.h"
#include "../../Sources/CKernels/vector/maps.h"

#define VOS_TABLE vos_kernels_portable16
#define VOS_ISA VOS_ISA_AVX512
#define VOS_ISA_NAME "portable16"
#include "../../Sources/CKernels/vector/table.h"
