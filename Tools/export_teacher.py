"""Write a PyTorch model's outputs as `vos-cli distill` reads them.

    python export_teacher.py FRAMES MASK.png OUTPUT.safetensors --model module:function [--side 480]

FRAMES is a folder of images, MASK.png the indexed mask of the first of them. `module:function` names a
function of your own (on the import path) that returns a teacher, an object with a STCN-like interface:

    encode_key(image)                           -> (key, features): whatever the other methods take
    encode_value(image, features, mask, others) -> value of one object
    segment(features, key, memory_keys, memory_values, previous) -> logit [1, 1, H, W] of one object

image: [1, 3, H, W], RGB in 0...1, sides multiples of 16; mask, others, previous: [1, 1, H, W] in 0...1
(one object, the others' sum, the object on the frame before); memory_keys and memory_values: lists with
one entry for each frame in memory, the first frame always, then every fifth.

The file (safetensors), one for each clip, named CLIP.safetensors:
    log_odds  F16 [T, K + 1, h, w]  log-odds after soft aggregation, background first; here h = H / 4
    metadata  format "vos-teacher-outputs", format_version "1", objects "1,2" (the labels in the mask)
`features`, F16 [T, K, h, w, C], the inputs of the model's last layer, may be added for the losses on
features: collect them with a forward hook and pass them to `save`.
"""
import argparse
import importlib
import os

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.numpy import save_file


def aggregate(logits):
    """Soft aggregation (STCN): [K, H, W] logits of objects to [K + 1, H, W] log-odds."""
    p = torch.sigmoid(logits)
    p = torch.cat([torch.prod(1 - p, 0, keepdim=True), p]).clamp(1e-6, 1 - 1e-6)
    return torch.log(p / (1 - p))


def save(path, log_odds, objects, features=None):
    """log_odds: [T, K + 1, h, w]; objects: K labels; features: [T, K, h, w, C] or None."""
    tensors = {"log_odds": np.ascontiguousarray(log_odds, dtype=np.float16)}
    if features is not None:
        tensors["features"] = np.ascontiguousarray(features, dtype=np.float16)
    metadata = {
        "format": "vos-teacher-outputs",
        "format_version": "1",
        "objects": ",".join(str(o) for o in objects),
    }
    save_file(tensors, path + ".part", metadata=metadata)
    os.replace(path + ".part", path)


def propagate(model, frames, mask, objects, side, every=5):
    """frames: PIL images; mask: [h, w] labels of the first. Yields [K + 1, H / 4, W / 4] per frame."""
    keys, values, previous = [], [], None
    for number, frame in enumerate(frames):
        scale = side / min(frame.size)
        size = [(round(s * scale) + 15) // 16 * 16 for s in frame.size]
        image = torch.from_numpy(np.array(frame.convert("RGB").resize(size, Image.BILINEAR)).copy())
        image = image.permute(2, 0, 1)[None].float() / 255
        key, features = model.encode_key(image)
        if number == 0:
            planes = torch.stack([torch.from_numpy(mask == o).float() for o in objects])[None]
            current = F.interpolate(planes, image.shape[2:], mode="area")[0]
            log_odds = torch.log(torch.cat([1 - current.sum(0, keepdim=True), current]).clamp(1e-4, 1))
        else:
            logits = [
                model.segment(features, key, keys, [v[k] for v in values], previous[k][None, None])
                for k in range(len(objects))
            ]
            log_odds = aggregate(torch.cat(logits, 1)[0])
            current = torch.softmax(log_odds, 0)[1:]
        if number % every == 0:
            keys.append(key)
            others = current.sum(0)
            values.append([
                model.encode_value(
                    image, features, c[None, None], (others - c).clamp(0, 1)[None, None])
                for c in current
            ])
        previous = current
        yield F.avg_pool2d(log_odds[None], 4)[0].numpy()


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("frames")
    parser.add_argument("mask")
    parser.add_argument("output")
    parser.add_argument("--model", required=True, help="module:function that returns the teacher")
    parser.add_argument("--side", type=int, default=480, help="short side of the teacher's input")
    arguments = parser.parse_args()
    names = sorted(
        n for n in os.listdir(arguments.frames)
        if n.lower().endswith((".jpg", ".jpeg", ".png", ".bmp", ".webp")))
    if not names:
        parser.error(f"{arguments.frames}: no images")
    mask = np.array(Image.open(arguments.mask))
    if mask.ndim != 2:
        parser.error(f"{arguments.mask}: expected an indexed or grey mask")
    objects = [int(o) for o in np.unique(mask) if 0 < o < 255]
    if not objects:
        parser.error(f"{arguments.mask}: no object")
    module, function = arguments.model.split(":")
    model = getattr(importlib.import_module(module), function)()
    frames = (Image.open(os.path.join(arguments.frames, n)) for n in names)
    with torch.inference_mode():
        outputs = np.stack(list(propagate(model, frames, mask, objects, arguments.side)))
    save(arguments.output, outputs, objects)
    print(f"{arguments.output}: {outputs.shape}")


if __name__ == "__main__":
    main()
