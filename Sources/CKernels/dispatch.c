// Which kernels this CPU can run, and the denormal switch of its floating-point unit.
// Called by: Sources/MemoryVOS/Engine, once per process (tables) and once per worker (denormals).
#if defined(__linux__)
#define _GNU_SOURCE
#include <sched.h>
#endif
#include <unistd.h>
#include "include/CKernels.h"
#include "tables.h"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

// `__builtin_cpu_supports` asks the CPU and, through xgetbv, whether the OS saves the registers.
const vos_kernels *vos_kernels_for(vos_isa isa) {
  switch (isa) {
    case VOS_ISA_SCALAR:
      return &vos_kernels_scalar;
#if defined(__x86_64__)
    case VOS_ISA_AVX2:
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? &vos_kernels_avx2
                                                                             : NULL;
    case VOS_ISA_AVX512:
      return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                     __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
                     __builtin_cpu_supports("fma")
                 ? &vos_kernels_avx512
                 : NULL;
#elif defined(__aarch64__)
    case VOS_ISA_NEON:
      return &vos_kernels_neon;
#endif
    default:
      return NULL;
  }
}

#if defined(__x86_64__)

// MXCSR bit 15 flushes results (FTZ), bit 6 reads denormal operands as zero (DAZ).
uint64_t vos_flush_denormals(void) {
  const unsigned control = _mm_getcsr();
  _mm_setcsr(control | 0x8040u);
  return control;
}

void vos_restore_denormals(uint64_t control) { _mm_setcsr((unsigned)control); }

#elif defined(__aarch64__)

// FPCR bit 24 (FZ) does both for single precision.
uint64_t vos_flush_denormals(void) {
  uint64_t control;
  __asm__ volatile("mrs %0, fpcr" : "=r"(control));
  __asm__ volatile("msr fpcr, %0" : : "r"(control | (UINT64_C(1) << 24)));
  return control;
}

void vos_restore_denormals(uint64_t control) {
  __asm__ volatile("msr fpcr, %0" : : "r"(control));
}

#else

uint64_t vos_flush_denormals(void) { return 0; }

void vos_restore_denormals(uint64_t control) { (void)control; }

#endif

int vos_core_count(void) {
#if defined(__linux__)
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) return CPU_COUNT(&allowed);
#endif
  long online = sysconf(_SC_NPROCESSORS_ONLN);
  return online > 0 ? (int)online : 1;
}
