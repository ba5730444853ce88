// The training tables that the instruction-set files define. Called by: dispatch.c.
#pragma once

#include "../include/CKernelsTraining.h"

extern const vos_training_kernels vos_training_kernels_scalar;
#if defined(__x86_64__)
extern const vos_training_kernels vos_training_kernels_avx2;
#endif
