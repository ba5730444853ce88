// Whether this process trains alone or is one of those that mpirun started.

import Distill
import Foundation

/// The processes of `vos-cli train` and `distill`.
enum TrainingProcesses {
  /// The group that mpirun made, or this process alone.
  ///
  /// - Throws: `CommandFailure` under mpirun when this build has no MPI: every process would train
  ///   the same on its own.
  static func join() throws -> any ProcessGroup {
    let environment = ProcessInfo.processInfo.environment
    let count = environment["OMPI_COMM_WORLD_SIZE"].flatMap { Int($0) } ?? 1
    guard count > 1 else { return SingleProcess() }
    #if MPI
    return MPIGroup()
    #else
    throw CommandFailure(
      "mpirun started \(count) processes, but this vos-cli was built without MPI; "
        + "build it with `make build-mpi`")
    #endif
  }

  /// Runs `work` in the group; an error in one process ends them all.
  static func run(_ work: (any ProcessGroup) throws -> Void) throws {
    let group = try join()
    do {
      try work(group)
    } catch  where group.size > 1 {
      FileHandle.standardError.write(Data("Error: process \(group.rank): \(error)\n".utf8))
      group.abort()
    }
    group.leave()
  }
}
