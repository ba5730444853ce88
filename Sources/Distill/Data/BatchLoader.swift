// Batches made ahead of time in background threads. Trainer asks for them in order.

import Foundation

/// Makes batches in threads of its own and keeps a bounded number of them ready.
///
/// The order and content of batches do not depend on the threads.
public final class BatchLoader: @unchecked Sendable {
  // Safe: everything mutable is used under `condition`.

  /// Makes the batch of a step.
  public typealias Make = @Sendable (_ step: Int) throws(TrainingError) -> TrainingBatch

  private let make: Make
  private let steps: Range<Int>
  private let capacity: Int
  private let condition = NSCondition()
  private var ready: [Int: Result<TrainingBatch, TrainingError>] = [:]
  private var nextToMake: Int
  private var nextToTake: Int
  private var isStopped = false
  private var working = 0
  private var secondsWaited = 0.0

  /// Starts making the batches of `steps`.
  ///
  /// - Parameters:
  ///   - steps: the steps whose batches are made, in this order.
  ///   - threads: background threads, at least 1.
  ///   - capacity: batches that are ready or being made at most, at least 1.
  ///   - make: makes the batch of a step; called from the threads.
  public init(steps: Range<Int>, threads: Int = 1, capacity: Int = 4, make: @escaping Make) {
    precondition(threads >= 1 && capacity >= 1, "\(threads) threads, \(capacity) batches")
    self.make = make
    self.steps = steps
    self.capacity = capacity
    nextToMake = steps.lowerBound
    nextToTake = steps.lowerBound
    working = threads
    for _ in 0..<threads {
      let thread = Thread { [self] in work() }
      thread.name = "batches"
      thread.stackSize = 2 << 20
      thread.start()
    }
  }

  /// The next batch in order, or `nil` after the last; waits until it is made.
  ///
  /// - Throws: what making this batch threw.
  public func next() throws(TrainingError) -> TrainingBatch? {
    condition.lock()
    defer { condition.unlock() }
    guard steps.contains(nextToTake), !isStopped else { return nil }
    let start = ContinuousClock.now
    while ready[nextToTake] == nil { condition.wait() }
    secondsWaited += (ContinuousClock.now - start) / .seconds(1)
    let result = ready.removeValue(forKey: nextToTake)
    nextToTake += 1
    condition.broadcast()
    return try result?.get()
  }

  /// Seconds that `next()` has waited for batches in total.
  public var waitedSeconds: Double { condition.withLock { secondsWaited } }

  /// Ends the threads and waits for them; batches that are ready are dropped.
  ///
  /// Must be called before the loader is let go, or its threads keep it and wait for ever.
  public func stop() {
    condition.lock()
    isStopped = true
    condition.broadcast()
    while working > 0 { condition.wait() }
    ready = [:]
    condition.unlock()
  }

  private func work() {
    condition.lock()
    while true {
      while !isStopped, nextToMake < steps.upperBound, nextToMake >= nextToTake + capacity {
        condition.wait()
      }
      guard !isStopped, nextToMake < steps.upperBound else { break }
      let step = nextToMake
      nextToMake += 1
      condition.unlock()
      let result: Result<TrainingBatch, TrainingError>
      do { result = .success(try make(step)) } catch { result = .failure(error) }
      condition.lock()
      ready[step] = result
      condition.broadcast()
    }
    working -= 1
    condition.broadcast()
    condition.unlock()
  }
}
