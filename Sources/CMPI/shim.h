// Open MPI for Distill's MPIGroup: its handles are macros, which Swift cannot see.
#include <mpi.h>

static inline int vos_mpi_start(void) {
  int provided = 0;
  return MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided);
}

static inline int vos_mpi_rank(void) {
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  return rank;
}

static inline int vos_mpi_size(void) {
  int size = 1;
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  return size;
}

static inline void vos_mpi_sum_float(float *values, int count) {
  MPI_Allreduce(MPI_IN_PLACE, values, count, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
}

static inline void vos_mpi_sum_double(double *values, int count) {
  MPI_Allreduce(MPI_IN_PLACE, values, count, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
}

static inline void vos_mpi_broadcast(void *bytes, int count) {
  MPI_Bcast(bytes, count, MPI_BYTE, 0, MPI_COMM_WORLD);
}

static inline void vos_mpi_finish(void) { MPI_Finalize(); }

static inline void vos_mpi_abort(int status) { MPI_Abort(MPI_COMM_WORLD, status); }
