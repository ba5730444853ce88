// Frames of image folders and TIFF stacks. Media.openFrames makes them.

import Foundation

/// A folder of images as a video: natural order (frame2 before frame10), each with its own name.
///
/// Files with other endings, hidden files and folders are passed over. Images of more than 8 bits
/// have their contrast scaled by one map for the whole clip (`ContrastScale`).
public final class ImageFolderReader: FrameSource {
  /// Size of every image.
  public let size: FrameSize
  /// Number of images.
  public var frameCount: Int? { files.count }
  /// Always.
  public let isSeekable = true

  private let files: [String]
  private let decoder = ImageDecoder()
  private var contrast: ContrastScale?
  private var position = 0
  /// The image that was decoded to learn the size.
  private var first: DecodedImage?

  /// Lists a folder and decodes its first image.
  ///
  /// - Throws: `MediaError` when the folder holds no image, two images of one stem, or images that
  ///   cannot be decoded.
  public convenience init(_ folder: String) throws(MediaError) {
    try self.init(files: ImageFolderReader.images(in: folder))
  }

  /// The given images, in their order; at least one.
  init(files: [String]) throws(MediaError) {
    self.files = files
    let image = try decoder.decode(files[0])
    size = image.size
    first = image
    if case .deep = image { contrast = try measureContrast() }
  }

  /// Paths of the images in a folder, in natural order.
  static func images(in folder: String) throws(MediaError) -> [String] {
    let names: [String]
    do {
      names = try FileManager.default.contentsOfDirectory(atPath: folder)
    } catch {
      throw MediaError(path: folder, problem: "this folder cannot be listed; check its rights")
    }
    let images = names.filter { name in
      !name.hasPrefix(".")
        && ImageDecoder.extensions.contains((name as NSString).pathExtension.lowercased())
    }.sorted(by: NaturalOrder.precedes)
    guard !images.isEmpty else {
      let found = names.isEmpty ? "an empty folder" : "\(names.count) files and no image"
      throw MediaError(
        path: folder, problem: "expected images (jpg, png, tif, webp, bmp …), found \(found)")
    }
    var known: [String: String] = [:]
    for name in images {
      if let other = known.updateValue(name, forKey: stem(name)) {
        throw MediaError(
          path: folder,
          problem: "\(other) and \(name) would give masks of one name; move one of them away")
      }
    }
    let prefix = folder.hasSuffix("/") ? folder : folder + "/"
    return images.map { prefix + $0 }
  }

  /// The next image, or `nil` behind the last one.
  ///
  /// - Throws: `MediaError` when an image cannot be decoded or has another size than the first one.
  public func next() throws(MediaError) -> SourceFrame? {
    guard position < files.count else { return nil }
    let path = files[position]
    let image: DecodedImage
    if position == 0, let first {
      image = first
    } else {
      image = try decoder.decode(path)
    }
    first = nil
    guard image.size == size else {
      throw MediaError(
        path: path,
        problem: "frame \(position) is \(image.size), the first image "
          + "(\((files[0] as NSString).lastPathComponent)) is \(size); all need one size")
    }
    defer { position += 1 }
    return SourceFrame(
      index: position, frame: try flatten(image), stem: ImageFolderReader.stem(path), seconds: nil)
  }

  /// Makes `next()` return image `index`; traps when it is negative.
  public func seek(to index: Int) throws(MediaError) {
    precondition(index >= 0, "frame \(index)")
    position = index
  }

  private static func stem(_ path: String) -> String {
    ((path as NSString).lastPathComponent as NSString).deletingPathExtension
  }

  private func flatten(_ image: DecodedImage) throws(MediaError) -> Frame {
    switch image {
    case .frame(let frame): return frame
    case .deep(let deep):
      // A deep image among 8-bit ones.
      if let contrast { return contrast.frame(deep) }
      let scale = try measureContrast()
      contrast = scale
      return scale.frame(deep)
    }
  }

  private func measureContrast() throws(MediaError) -> ContrastScale {
    let sampled = ContrastScale.frames(of: files.count)
    var values: [Float] = []
    for index in sampled {
      guard case .deep(let deep) = try decoder.decode(files[index]) else { continue }
      values += ContrastScale.values(of: deep, frameCount: sampled.count)
    }
    return ContrastScale(values: values)
  }
}

/// The pages of one TIFF file as a video, named 00000, 00001, … .
///
/// Every full page is a frame, also planes of several channels. Pages of more than 8 bits have
/// their contrast scaled by one map for the whole stack (`ContrastScale`).
public final class TIFFStackReader: FrameSource {
  /// Size of every page.
  public let size: FrameSize
  /// Number of pages.
  public var frameCount: Int? { file.pageCount }
  /// Always.
  public let isSeekable = true
  /// Pages that the file promises and that are not there.
  public var lostFrames: Int { file.missingPages }

  private let file: TIFFFile
  private var contrast: ContrastScale?
  private var position = 0

  /// Lists a file's pages and decodes the first one.
  ///
  /// - Throws: `MediaError` when the file is no TIFF or its first page cannot be decoded.
  public init(_ path: String) throws(MediaError) {
    file = try TIFFFile(path)
    let image = try file.read(page: 0)
    size = image.size
    guard case .deep = image else { return }
    let sampled = ContrastScale.frames(of: file.pageCount)
    var values: [Float] = []
    for page in sampled {
      guard case .deep(let deep) = try file.read(page: page) else { continue }
      values += ContrastScale.values(of: deep, frameCount: sampled.count)
    }
    contrast = ContrastScale(values: values)
  }

  /// The next page, or `nil` behind the last one.
  ///
  /// - Throws: `MediaError` when a page is damaged or has another size than the first one.
  public func next() throws(MediaError) -> SourceFrame? {
    guard position < file.pageCount else { return nil }
    let image = try file.read(page: position)
    guard image.size == size else {
      throw MediaError(
        path: file.path,
        problem: "frame \(position) is \(image.size), the frames before it are \(size); "
          + "all pages need one size")
    }
    let frame: Frame
    switch image {
    case .frame(let read): frame = read
    case .deep(let deep):
      let scale = contrast ?? ContrastScale(values: ContrastScale.values(of: deep, frameCount: 1))
      contrast = scale
      frame = scale.frame(deep)
    }
    defer { position += 1 }
    return SourceFrame(
      index: position, frame: frame, stem: Media.stem(ofFrame: position), seconds: nil)
  }

  /// Makes `next()` return page `index`; traps when it is negative.
  public func seek(to index: Int) throws(MediaError) {
    precondition(index >= 0, "frame \(index)")
    position = index
  }
}
