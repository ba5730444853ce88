"""Write a PyTorch model's outputs as `vos-cli distill` reads them.

    python export_teacher.py FRAMES MASK.png OUTPUT.safetensors --model module:function [--side 480]
        [--features decoder.pred]

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
    features  F16 [T, K, h', w', C], with --features: what that layer of the model (a torch.nn.Module)
              reads, for the losses on features; name the last layer before the logit

The frames' order is that of their names with runs of digits read as numbers, as `vos-cli` reads a folder;
docs/RECIPES.md describes the layout.
"""
import argparse
import importlib
import os
import re

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
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    save_file(tensors, path + ".part", metadata=metadata)
    os.replace(path + ".part", path)


def propagate(model, frames, mask, objects, side, every=5, tap=None):
    """frames: PIL images; mask: [h, w] labels of the first; tap: list that a hook fills with [1, C, h', w'].

    Yields log-odds [K + 1, H / 4, W / 4] and features [K, h', w', C] (None without a tap) per frame.
    """
    keys, values, previous = [], [], None
    for number, frame in enumerate(frames):
        scale = side / min(frame.size)
        size = [(round(s * scale) + 15) // 16 * 16 for s in frame.size]
        image = torch.from_numpy(np.array(frame.convert("RGB").resize(size, Image.BILINEAR)).copy())
        image = image.permute(2, 0, 1)[None].float() / 255
        key, features = model.encode_key(image)

        def segment():
            """Logits of every object, [K, H, W]."""
            logits = [
                model.segment(features, key, keys, [v[k] for v in values], previous[k][None, None])
                for k in range(len(objects))
            ]
            return torch.cat(logits, 1)[0]

        def remember(current):
            keys.append(key)
            others = current.sum(0)
            values.append([
                model.encode_value(
                    image, features, c[None, None], (others - c).clamp(0, 1)[None, None])
                for c in current
            ])

        if number == 0:
            planes = torch.stack([torch.from_numpy(mask == o).float() for o in objects])[None]
            current = F.interpolate(planes, image.shape[2:], mode="area")[0]
            log_odds = torch.log(torch.cat([1 - current.sum(0, keepdim=True), current]).clamp(1e-4, 1))
            remember(current)
            if tap is not None:
                # The first frame is given; its features are those of predicting it from itself.
                previous = current
                segment()
        else:
            log_odds = aggregate(segment())
            current = torch.softmax(log_odds, 0)[1:]
            if number % every == 0:
                remember(current)
        previous = current
        collected = None
        if tap is not None:
            if len(tap) != len(objects):
                raise SystemExit(
                    f"the layer of --features ran {len(tap)} times for {len(objects)} objects")
            collected = torch.cat(tap).permute(0, 2, 3, 1).numpy()
            tap.clear()
        yield F.avg_pool2d(log_odds[None], 4)[0].numpy(), collected


def natural(name):
    """Sorts frame2 before frame10."""
    return [int(part) if part.isdigit() else part.lower() for part in re.split(r"(\d+)", name)]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("frames")
    parser.add_argument("mask")
    parser.add_argument("output")
    parser.add_argument("--model", required=True, help="module:function that returns the teacher")
    parser.add_argument("--side", type=int, default=480, help="short side of the teacher's input")
    parser.add_argument("--features", metavar="LAYER", help="store what this layer of the model reads")
    arguments = parser.parse_args()
    names = sorted(
        (n for n in os.listdir(arguments.frames)
         if n.lower().endswith((".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm"))
         and not n.startswith(".")),
        key=natural)
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
    first = Image.open(os.path.join(arguments.frames, names[0]))
    if mask.shape != first.size[::-1]:
        parser.error(f"{arguments.mask}: {mask.shape[::-1]} pixels, {names[0]} has {first.size}")
    tap = None
    if arguments.features:
        tap = []
        model.get_submodule(arguments.features).register_forward_pre_hook(
            lambda layer, inputs: tap.append(inputs[0].detach()))
    frames = (Image.open(os.path.join(arguments.frames, n)) for n in names)
    with torch.inference_mode():
        outputs = list(propagate(model, frames, mask, objects, arguments.side, tap=tap))
    log_odds = np.stack([o for o, _ in outputs])
    features = None if tap is None else np.stack([f for _, f in outputs])
    save(arguments.output, log_odds, objects, features)
    shapes = f"log_odds {log_odds.shape}"
    print(f"{arguments.output}: {shapes}" + ("" if features is None else f", features {features.shape}"))


if __name__ == "__main__":
    main()
