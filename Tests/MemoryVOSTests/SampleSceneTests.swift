import MemoryVOS
import Testing

@Suite struct SampleSceneTests {
  static let small = FrameSize(width: 86, height: 48)

  private func area(_ labels: LabelMap, _ label: UInt8) -> Int {
    labels.labels.count { $0 == label }
  }

  @Test(arguments: SampleScene.Name.allCases)
  func isAFunctionOfItsArguments(_ name: SampleScene.Name) {
    let one = SampleScene(named: name, size: Self.small, frameCount: 9)
    let two = SampleScene(named: name, size: Self.small, frameCount: 9)
    let other = SampleScene(named: name, size: Self.small, frameCount: 9, seed: 2)
    let later = one.frame(at: 8)
    for index in [4, 0, 8] {
      let (a, b) = (one.frame(at: index), two.frame(at: index))
      #expect(a.frame.pixels == b.frame.pixels && a.labels == b.labels)
      #expect(a.frame.size == Self.small && a.labels.size == Self.small)
      #expect(a.frame.pixels != other.frame(at: index).frame.pixels)
    }
    #expect(one.frame(at: 0).frame.pixels != later.frame.pixels)
  }

  @Test(arguments: SampleScene.Name.allCases)
  func bothObjectsAreSeenAtFirstAndNothingElse(_ name: SampleScene.Name) {
    let labels = SampleScene(named: name, size: Self.small).frame(at: 0).labels
    #expect(labels.objects.map(\.rawValue) == [1, 2])
    #expect(area(labels, 1) > Self.small.area / 50 && area(labels, 2) > Self.small.area / 100)
    #expect(area(labels, 0) > Self.small.area / 2)
  }

  /// A picture three times as large has the same labels at the same centres.
  @Test(arguments: SampleScene.Name.allCases)
  func labelsAreThoseOfThePixelCentres(_ name: SampleScene.Name) {
    let (w, h) = (Self.small.width, Self.small.height)
    let coarse = SampleScene(named: name, size: Self.small, frameCount: 5)
    let fine = SampleScene(
      named: name, size: FrameSize(width: 3 * w, height: 3 * h), frameCount: 5)
    for index in [0, 3] {
      let (a, b) = (coarse.frame(at: index).labels.labels, fine.frame(at: index).labels.labels)
      let different = (0..<w * h).count {
        a[$0] != b[(3 * ($0 / w) + 1) * 3 * w + 3 * ($0 % w) + 1]
      }
      #expect(different <= 2, "frame \(index): \(different) pixels")
    }
  }

  @Test func objectsLeaveAndReturn() {
    let scene = SampleScene(named: .leaveReturn, size: Self.small, frameCount: 24)
    let areas = (0..<24).map { index in
      let labels = scene.frame(at: index).labels
      return [area(labels, 1), area(labels, 2)]
    }
    for object in 0..<2 {
      let absent = areas.indices.filter { areas[$0][object] == 0 }
      #expect(absent.count >= 4, "object \(object + 1) is away for \(absent.count) frames")
      #expect(areas[0][object] > 0 && areas[23][object] > areas[0][object] / 2)
    }
  }

  @Test func ballPassesInFrontAndTrunkInFrontOfAll() {
    let scene = SampleScene(named: .standard, size: Self.small, frameCount: 24)
    let areas = (0..<24).map { area(scene.frame(at: $0).labels, 1) }
    let least = areas.min() ?? 0
    #expect(least > 0 && least * 10 < areas[0] * 9, "the animal is occluded: \(areas)")
  }

  @Test func cutChangesThePictureAtOnce() {
    func changes(_ name: SampleScene.Name) -> [Int] {
      let scene = SampleScene(named: name, size: Self.small, frameCount: 16)
      var previous = scene.frame(at: 0).frame.pixels
      return (1..<16).map { index in
        let pixels = scene.frame(at: index).frame.pixels
        defer { previous = pixels }
        return zip(pixels, previous).reduce(0) { $0 + abs(Int($1.0) - Int($1.1)) }
      }
    }
    let cut = changes(.hardCut)
    let rest = cut.enumerated().filter { $0.offset != 7 }.map(\.element)
    #expect(cut[7] * 4 > 5 * (rest.max() ?? 0), "\(cut)")
    let fast = changes(.fastCamera).reduce(0, +)
    let calm = changes(.standard).reduce(0, +)
    #expect(fast > calm + calm / 2, "\(fast) against \(calm)")
  }

  @Test(arguments: [(1, 1), (1, 40), (40, 1), (17, 13), (100, 99)])
  func oddSizes(_ width: Int, _ height: Int) {
    let size = FrameSize(width: width, height: height)
    for name in SampleScene.Name.allCases {
      let scene = SampleScene(named: name, size: size, frameCount: 2)
      #expect(scene.frame(at: 1).frame.pixels.count == 3 * width * height)
    }
  }

  @Test func framesOutsideTheSceneTrap() async {
    await #expect(processExitsWith: .failure) {
      let size = FrameSize(width: 8, height: 8)
      _ = SampleScene(named: .standard, size: size, frameCount: 3).frame(at: 3)
    }
  }
}
