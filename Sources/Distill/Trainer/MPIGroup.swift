// The processes that mpirun started, as Trainer's ProcessGroup. Compiled with the package trait MPI.

#if MPI
import CMPI
import Foundation

/// All processes of an MPI run.
public struct MPIGroup: ProcessGroup {
  /// This process's number, from 0.
  public let rank: Int
  /// Number of processes.
  public let size: Int

  /// Joins the other processes; once per process, from the main thread.
  public init() {
    precondition(vos_mpi_start() == MPI_SUCCESS, "MPI does not start")
    rank = Int(vos_mpi_rank())
    size = Int(vos_mpi_size())
  }

  /// An all-reduce.
  public func sum(_ values: inout [Float]) {
    vos_mpi_sum_float(&values, Int32(values.count))
  }

  /// An all-reduce.
  public func sum(_ values: inout [Double]) {
    vos_mpi_sum_double(&values, Int32(values.count))
  }

  /// Sends the bytes of process 0 to all.
  public func broadcast(_ bytes: UnsafeMutableRawBufferPointer) {
    vos_mpi_broadcast(bytes.baseAddress, Int32(bytes.count))
  }

  /// Ends all processes with status 1.
  public func abort() -> Never {
    vos_mpi_abort(1)
    exit(1)
  }

  /// Finalizes MPI.
  public func leave() { vos_mpi_finish() }
}
#endif
