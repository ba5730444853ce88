import MemoryVOS
struct ScoreReport {
  let scores: [ResultScore]
  let folders: [String]
  let truth: TruthSet
  let comparison: ScoreComparison?
  let images: String?
  func write(to path: String) throws {}
}
