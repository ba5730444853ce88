// swift-tools-version: 6.2

import PackageDescription

let swiftSettings: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("InternalImportsByDefault"),
]

let package = Package(
  name: "MemoryVOS",
  products: [
    .library(name: "MemoryVOS", targets: ["MemoryVOS"]),
    .library(name: "Distill", targets: ["Distill"]),
    .executable(name: "vos-cli", targets: ["vos-cli"]),
  ],
  traits: [
    .trait(
      name: "MPI", description: "Data-parallel training over Open MPI: libopenmpi-dev, openmpi-bin."
    )
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0")
  ],
  targets: [
    // MARK: - C boundary
    .systemLibrary(
      name: "COpenBLAS", pkgConfig: "openblas", providers: [.apt(["libopenblas-dev"])]),
    .systemLibrary(
      name: "CLibAV", pkgConfig: "libavformat",
      providers: [.apt(["libavformat-dev", "libavcodec-dev", "libswscale-dev"])]),
    .systemLibrary(name: "CTIFF", pkgConfig: "libtiff-4", providers: [.apt(["libtiff-dev"])]),
    .systemLibrary(
      name: "CArchive", pkgConfig: "libarchive", providers: [.apt(["libarchive-dev"])]),
    .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
    .systemLibrary(name: "CMPI", pkgConfig: "ompi-c", providers: [.apt(["libopenmpi-dev"])]),
    .target(name: "CPNG", linkerSettings: [.linkedLibrary("png16")]),
    .target(
      name: "CKernels",
      cSettings: [
        .define("NDEBUG", .when(configuration: .release)),
        .treatAllWarnings(as: .error),
      ]),

    // MARK: - Library
    .target(
      name: "MemoryVOS",
      dependencies: ["CKernels", "COpenBLAS", "CLibAV", "CPNG", "CTIFF", "CArchive"],
      swiftSettings: swiftSettings,
      linkerSettings: [.linkedLibrary("m", .when(platforms: [.linux]))]),

    // MARK: - Tools
    .target(
      name: "Distill",
      dependencies: [
        "MemoryVOS", "CKernels", "COpenBLAS", "CZlib",
        .target(name: "CMPI", condition: .when(traits: ["MPI"])),
      ],
      swiftSettings: swiftSettings),
    .executableTarget(
      name: "vos-cli",
      dependencies: [
        "MemoryVOS", "Distill",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: swiftSettings),

    // MARK: - Tests
    .target(
      name: "TestSupport", dependencies: ["MemoryVOS"], path: "Tests/TestSupport",
      swiftSettings: swiftSettings),
    .testTarget(
      name: "MemoryVOSTests", dependencies: ["MemoryVOS", "CKernels", "COpenBLAS", "TestSupport"],
      swiftSettings: swiftSettings),
    .testTarget(
      name: "DistillTests", dependencies: ["Distill", "MemoryVOS", "CKernels", "TestSupport"],
      swiftSettings: swiftSettings),
    .testTarget(
      name: "CLITests",
      dependencies: [
        "vos-cli", "MemoryVOS", "Distill", "TestSupport",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: swiftSettings),
  ],
  swiftLanguageModes: [.v6],
  cLanguageStandard: .c11
)
