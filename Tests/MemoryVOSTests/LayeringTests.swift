// The arrows between folders: C modules are touched in one place each, and nothing looks upward.

import Foundation
import Testing

@Suite struct LayeringTests {
  private static let sources = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().appending(path: "Sources")

  /// Which folders may import what is not everybody's.
  private static let allowed: [String: [String]] = [
    "CLibAV": ["MemoryVOS/Media"],
    "CTIFF": ["MemoryVOS/Media"],
    "CPNG": ["MemoryVOS/Media"],
    "CArchive": ["MemoryVOS/Media", "MemoryVOS/Evaluation"],
    "COpenBLAS": ["MemoryVOS/Engine", "Distill"],
    "CKernels": [
      "MemoryVOS/Engine", "MemoryVOS/Memory", "MemoryVOS/Frame", "MemoryVOS/Tracking", "Distill",
    ],
    "ArgumentParser": ["vos-cli"],
    "Distill": ["vos-cli"],
    "MemoryVOS": ["Distill", "vos-cli"],
  ]

  @Test func modulesAreImportedOnlyWhereTheyBelong() throws {
    let files = FileManager.default.enumerator(at: Self.sources, includingPropertiesForKeys: nil)
    var read = 0
    while let file = files?.nextObject() as? URL {
      guard file.pathExtension == "swift" else { continue }
      read += 1
      let path = file.path.replacing(Self.sources.path + "/", with: "")
      for line in try String(contentsOf: file, encoding: .utf8).split(separator: "\n") {
        let words = line.split(separator: " ")
        guard let at = words.firstIndex(of: "import"), at <= 1, at + 1 < words.count else {
          continue
        }
        let module = String(words[at + 1])
        guard let folders = Self.allowed[module] else { continue }
        #expect(folders.contains { path.hasPrefix($0 + "/") }, "\(path) imports \(module)")
      }
    }
    #expect(read > 50, "the sources were found")
  }
}
