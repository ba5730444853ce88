// The one owner of threads. Plans, memory read and resizing share out work through `parallelFor`.

import CKernels
import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// A fixed set of threads that run the iterations of a loop; the caller's thread works too.
///
/// Never nested: an iteration must not call `parallelFor`. Iterations are handed out one by one, so
/// uneven ones balance, and the caller waits for iterations, not for threads: one that sleeps or is
/// kept from its core by another process delays nothing that it has not begun. Who waits spins for
/// some microseconds, because loops are short and the next one follows at once, then sleeps: a thread
/// that is woken gets its core back sooner than one that yielded it to another process.
package final class ThreadPool: @unchecked Sendable {
  // Safe: `job` is written while no iteration is open or unfinished. It is read only by who has just
  // taken an iteration from `open` (which the caller stored after `job`), and until that iteration is
  // counted in `finished` the caller neither returns nor writes.

  /// Threads that work in a loop, the caller's included.
  package let threadCount: Int

  private typealias Body = (_ iteration: Int, _ worker: Int) -> Void
  private struct Job {
    var body: Body
    var count: Int
  }

  private var job: Job?
  /// Iterations that nobody has taken yet.
  private let open = Atomic<Int>(0)
  private let finished = Atomic<Int>(0)
  private let stopping = Atomic<Bool>(false)
  private let asleep = Atomic<Int>(0)
  private let callerIsAsleep = Atomic<Bool>(false)
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let wakeUp = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private let oneFinished = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private var threads: [pthread_t] = []

  private static let spins = 4_000

  /// A pool of `threadCount` threads (at least 1), by default one per core that is online.
  package init(threadCount: Int? = nil) {
    self.threadCount = max(1, threadCount ?? Self.coreCount)
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(wakeUp, nil)
    pthread_cond_init(oneFinished, nil)
    for worker in 1..<max(1, self.threadCount) {
      let start = Unmanaged.passRetained(WorkerStart(pool: self, worker: worker))
      var thread = pthread_t()
      let status = pthread_create(
        &thread, nil,
        { argument in
          guard let argument else { return nil }
          let start = Unmanaged<WorkerStart>.fromOpaque(argument).takeRetainedValue()
          let (pool, worker) = (start.pool, start.worker)
          pool.takeUnretainedValue().runWorker(worker)
          return nil
        }, start.toOpaque())
      precondition(status == 0, "cannot start a thread (error \(status))")
      threads.append(thread)
    }
  }

  deinit {
    stopping.store(true, ordering: .releasing)
    signal(wakeUp)
    for thread in threads { pthread_join(thread, nil) }
    pthread_mutex_destroy(mutex)
    pthread_cond_destroy(wakeUp)
    pthread_cond_destroy(oneFinished)
    mutex.deallocate()
    wakeUp.deallocate()
    oneFinished.deallocate()
  }

  /// Cores that this process may run on.
  package static var coreCount: Int { Int(vos_core_count()) }

  /// Runs `body(iteration, worker)` for 0 ..< `count`, each once, `worker` in 0 ..< `threadCount`.
  ///
  /// Denormal numbers are flushed to zero meanwhile, in every thread. Returns when all are done.
  package func parallelFor(_ count: Int, _ body: (_ iteration: Int, _ worker: Int) -> Void) {
    guard count > 0 else { return }
    let control = vos_flush_denormals()
    defer { vos_restore_denormals(control) }
    if threadCount == 1 || count == 1 {
      for iteration in 0..<count { body(iteration, 0) }
      return
    }
    withoutActuallyEscaping(body) { body in
      job = Job(body: body, count: count)
      finished.store(0, ordering: .relaxed)
      open.store(count, ordering: .sequentiallyConsistent)
      if asleep.load(ordering: .sequentiallyConsistent) > 0 { signal(wakeUp) }
      takeIterations(worker: 0)
      waitUntilFinished(count)
      job = nil
    }
  }

  /// Runs iterations, first to last, until none is open.
  private func takeIterations(worker: Int) {
    var left = open.load(ordering: .acquiring)
    while left > 0 {
      let (taken, seen) = open.compareExchange(
        expected: left, desired: left - 1, ordering: .acquiringAndReleasing)
      guard taken else {
        left = seen
        continue
      }
      run(openBefore: left, worker: worker)
      finished.add(1, ordering: .sequentiallyConsistent)
      if callerIsAsleep.load(ordering: .sequentiallyConsistent) { signal(oneFinished) }
      left = open.load(ordering: .acquiring)
    }
  }

  // Not inlined: every reference to the body is gone before the iteration counts as finished.
  @inline(never)
  private func run(openBefore left: Int, worker: Int) {
    guard let job else { preconditionFailure("an iteration of no loop") }
    job.body(job.count - left, worker)
  }

  private func runWorker(_ worker: Int) {
    _ = vos_flush_denormals()
    while true {
      waitForWork()
      if stopping.load(ordering: .acquiring) { return }
      takeIterations(worker: worker)
    }
  }

  private var hasWork: Bool {
    open.load(ordering: .sequentiallyConsistent) > 0 || stopping.load(ordering: .acquiring)
  }

  private func waitForWork() {
    for _ in 0..<Self.spins {
      if hasWork { return }
      vos_spin_hint()
    }
    pthread_mutex_lock(mutex)
    asleep.add(1, ordering: .sequentiallyConsistent)
    while !hasWork { pthread_cond_wait(wakeUp, mutex) }
    asleep.subtract(1, ordering: .sequentiallyConsistent)
    pthread_mutex_unlock(mutex)
  }

  private func waitUntilFinished(_ count: Int) {
    for _ in 0..<Self.spins {
      if finished.load(ordering: .acquiring) == count { return }
      vos_spin_hint()
    }
    pthread_mutex_lock(mutex)
    callerIsAsleep.store(true, ordering: .sequentiallyConsistent)
    while finished.load(ordering: .sequentiallyConsistent) < count {
      pthread_cond_wait(oneFinished, mutex)
    }
    callerIsAsleep.store(false, ordering: .sequentiallyConsistent)
    pthread_mutex_unlock(mutex)
  }

  private func signal(_ condition: UnsafeMutablePointer<pthread_cond_t>) {
    pthread_mutex_lock(mutex)
    pthread_cond_broadcast(condition)
    pthread_mutex_unlock(mutex)
  }
}

/// What a new thread is told.
///
/// The pool is unretained: it joins its threads before it dies.
private final class WorkerStart {
  let pool: Unmanaged<ThreadPool>
  let worker: Int

  init(pool: ThreadPool, worker: Int) {
    self.pool = .passUnretained(pool)
    self.worker = worker
  }
}
