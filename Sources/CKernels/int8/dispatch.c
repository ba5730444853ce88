// Which integer kernels this CPU can run. Called by: Sources/MemoryVOS/Engine, once per process.
#include "tables.h"

#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

#if defined(__aarch64__)
static int has_dot_product(void) {
#if defined(__linux__)
  return (getauxval(AT_HWCAP) >> 20 & 1) != 0;  // HWCAP_ASIMDDP
#elif defined(__APPLE__)
  return 1;  // every arm64 Mac
#else
  return 0;
#endif
}
#endif

const vos_int8_kernels *vos_int8_kernels_for(vos_int8_isa isa) {
  switch (isa) {
    case VOS_INT8_SCALAR:
      return &vos_int8_kernels_scalar;
#if defined(__x86_64__)
    case VOS_INT8_AVX2:
      return __builtin_cpu_supports("avx2") ? &vos_int8_kernels_avx2 : 0;
    case VOS_INT8_AVXVNNI:
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("avxvnni")
                 ? &vos_int8_kernels_avxvnni
                 : 0;
    case VOS_INT8_AVX512VNNI:
      return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                     __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
                     __builtin_cpu_supports("avx512vnni")
                 ? &vos_int8_kernels_avx512vnni
                 : 0;
#elif defined(__aarch64__)
    case VOS_INT8_NEON:
      return &vos_int8_kernels_neon;
    case VOS_INT8_NEONDOT:
      return has_dot_product() ? &vos_int8_kernels_neondot : 0;
#endif
    default:
      return 0;
  }
}
