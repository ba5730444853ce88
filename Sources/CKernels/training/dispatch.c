// Which training kernels a CPU gets. Called by: Sources/Distill, once.
#include "tables.h"

const vos_training_kernels *vos_training_kernels_for(vos_isa isa) {
#if defined(__x86_64__)
  // AVX-512 machines run the AVX2 variants too.
  if (isa == VOS_ISA_AVX2 || isa == VOS_ISA_AVX512) return &vos_training_kernels_avx2;
#endif
  (void)isa;
  return &vos_training_kernels_scalar;
}
