// The tables that the instruction-set files define. Called by: dispatch.c, and the C tests.
#pragma once

#include "include/CKernels.h"

extern const vos_kernels vos_kernels_scalar;
#if defined(__x86_64__)
extern const vos_kernels vos_kernels_avx2;
extern const vos_kernels vos_kernels_avx512;
#endif
#if defined(__aarch64__)
extern const vos_kernels vos_kernels_neon;
#endif
