// The integer tables that the instruction-set files define. Called by: dispatch.c, and the C tests.
#pragma once

#include "../include/CKernelsInt8.h"

extern const vos_int8_kernels vos_int8_kernels_scalar;
#if defined(__x86_64__)
extern const vos_int8_kernels vos_int8_kernels_avx2;
extern const vos_int8_kernels vos_int8_kernels_avxvnni;
extern const vos_int8_kernels vos_int8_kernels_avx512vnni;
#endif
#if defined(__aarch64__)
extern const vos_int8_kernels vos_int8_kernels_neon;
extern const vos_int8_kernels vos_int8_kernels_neondot;
#endif
