#include "CKernels.h"
const vos_kernels *vos_kernels_for(vos_isa isa) { (void)isa; return NULL; }
uint64_t vos_flush_denormals(void) { return 0; }
void vos_restore_denormals(uint64_t control) { (void)control; }
