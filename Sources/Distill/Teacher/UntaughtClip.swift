// The clips that a teacher is to watch: which frames, which of them are stored, and whose masks are given
// when. Teaching reads them.

import Foundation
import MemoryVOS

/// One clip before a teacher has seen it.
struct UntaughtClip {
  /// A frame of it.
  struct Item {
    let picture: PictureReference
    /// The mask file of this frame, where there is one.
    let mask: String?
    /// Whether the teacher's outputs for it are wanted.
    let isStored: Bool
  }

  /// Reads a clip's frames in order; a video is opened once.
  final class Reader {
    private var video: (any FrameSource)?

    func frame(_ item: Item) throws(MediaError) -> Frame {
      switch item.picture {
      case .file: return try PictureStore.decode(item.picture)
      case .video(let path, _):
        let source: any FrameSource
        if let video { source = video } else { source = try Media.openFrames(path) }
        video = source
        guard let next = try source.next() else {
          throw MediaError(path: path, problem: "the video ended early")
        }
        return next.frame
      case .decoded(let frame, _): return frame
      }
    }
  }

  /// The name of its file of outputs.
  let name: String
  let items: [Item]
  /// Size of its frames.
  let frameSize: FrameSize
  /// The objects of the first mask that holds any.
  let firstObjects: [ObjectID]
  /// Whether objects may appear after the first frame (YouTube-VOS).
  private let objectsAppear: Bool

  /// Checks that the mask to begin with fits the frames and holds an object.
  private init(name: String, items: [Item], objectsAppear: Bool) throws(TrainingError) {
    self.name = name
    self.items = items
    self.objectsAppear = objectsAppear
    let masked = items.filter { $0.mask != nil }
    guard let start = masked.first, let path = start.mask else {
      throw TrainingError(name, "no frame of this clip has a mask")
    }
    var mask = try Self.mask(path)
    do { frameSize = try PictureStore.size(of: start.picture, expected: mask.size) } catch {
      throw TrainingError("\(error)")
    }
    guard mask.size == frameSize else {
      throw TrainingError(path, "a mask of \(mask.size) for frames of \(frameSize)")
    }
    for item in masked.dropFirst() where objectsAppear && mask.objects.isEmpty {
      if let path = item.mask { mask = try Self.mask(path) }
    }
    firstObjects = mask.objects
    guard !firstObjects.isEmpty else {
      throw TrainingError(path, "the mask holds no object, every pixel is 0 or 255")
    }
  }

  /// Frames whose outputs are stored.
  var storedCount: Int { items.count { $0.isStored } }

  /// All clips of a data set.
  static func find(_ options: Teaching.Options) throws(TrainingError) -> [UntaughtClip] {
    var data = options.data
    if data.kind == .taught { data.outputs = options.output }
    if let problem = data.problem { throw TrainingError(problem) }
    let files = DatasetFiles(root: data.path)
    try files.requireFolder(files.root)
    var clips: [UntaughtClip] = []
    switch data.kind {
    case .davis, .youTubeVOS:
      let folders = try files.labelledFolders(data)
      for name in try files.clipNames(data) where !data.holdOut.contains(name) {
        clips.append(
          try labelled(
            name, files, frames: "\(folders.frames)/\(name)", masks: "\(folders.masks)/\(name)",
            objectsAppear: data.kind == .youTubeVOS))
      }
    case .taught:
      guard !options.masks.isEmpty else {
        throw TrainingError("a taught set needs 'masks', a folder with CLIP.png for each clip")
      }
      for clip in try files.unlabelledClips(besides: options.output) {
        let mask = "\(options.masks)/\(clip.name).png"
        guard FileManager.default.fileExists(atPath: mask) else {
          throw TrainingError(clip.path, "no mask of its first frame; expected \(mask)")
        }
        clips.append(
          try UntaughtClip(
            name: clip.name,
            items: clip.pictures.enumerated().map {
              Item(picture: $1, mask: $0 == 0 ? mask : nil, isStored: true)
            }, objectsAppear: false))
      }
    case .stills, .oxfordPets, .clothingCoParsing, .coco:
      throw TrainingError(
        data.path,
        "a \(data.kind.rawValue) set has no frames to track: its samples are set in motion anew each "
          + "time; teach them live, with 'teacher' in the recipe of `vos-cli distill`")
    }
    guard !clips.isEmpty else { throw TrainingError(data.path, "no clips in this set") }
    return clips
  }

  private static func labelled(
    _ name: String, _ files: DatasetFiles, frames: String, masks: String, objectsAppear: Bool
  ) throws(TrainingError) -> UntaughtClip {
    try files.requireFolder(frames)
    try files.requireFolder(masks)
    let known = Set(try files.entries(masks).filter { $0.hasSuffix(".png") })
    var items: [Item] = []
    for picture in try files.pictures(frames) {
      let mask = files.stem(picture) + ".png"
      let hasMask = known.contains(mask)
      items.append(
        Item(
          picture: .file("\(frames)/\(picture)"), mask: hasMask ? "\(masks)/\(mask)" : nil,
          isStored: hasMask))
    }
    return try UntaughtClip(name: name, items: items, objectsAppear: objectsAppear)
  }

  private static func mask(_ path: String) throws(TrainingError) -> LabelMap {
    do {
      var map = try MaskFile.read(path, role: .truth)
      for index in map.labels.indices where map.labels[index] == 255 { map.labels[index] = 0 }
      return map
    } catch { throw TrainingError("\(error)") }
  }

  /// The objects that are given in it, in ascending order.
  func objects() throws(TrainingError) -> [ObjectID] {
    guard objectsAppear else { return firstObjects }
    var objects = Set<ObjectID>()
    for item in items {
      if let path = item.mask { objects.formUnion(try Self.mask(path).objects) }
    }
    return objects.sorted()
  }

  /// The mask to give on a frame: the first one whole, later ones for objects that are new in them.
  func given(_ item: Item, known: inout Set<ObjectID>) throws(TrainingError) -> LabelMap? {
    guard let path = item.mask, known.isEmpty || objectsAppear else { return nil }
    var map = try Self.mask(path)
    let new = map.objects.filter { !known.contains($0) }
    guard !new.isEmpty else { return nil }
    for index in map.labels.indices {
      if let id = ObjectID(map.labels[index]), known.contains(id) { map.labels[index] = 0 }
    }
    known.formUnion(new)
    return map
  }
}
