"""What a network loses when its weights and activations have few bits: one table, one command.

    python low_bit_study.py CHECKPOINT --calibrate DAVIS/2016/train --evaluate DAVIS/2016/val --output study
        [--bits 32/32 8/8 8/7 6/6 6/4 4/8] [--sizes 240 360 480] [--recipe qat.json]

--calibrate and --evaluate name a data set in DAVIS's layout as ROOT/YEAR/SET, with :FOLDER behind it where JPEGImages
and Annotations hold another folder than 480p. For each pair of bits (weights /
activations) the checkpoint is quantised after training (`vos-cli quantize`: 8/7 as the kernels compute it,
others simulated) and scored at each size (`vos-cli evaluate`). With --recipe, each pair but 32/32 is also
trained: `vos-cli distill` runs the recipe with 'quantization' set to these bits and 'initial' to CHECKPOINT.
Layers that stay float are those that `vos-cli quantize` chooses for 8/7, the same for all pairs.

What OUTPUT holds already is not made again: start the command anew after an interruption. The table goes to
standard output and to OUTPUT/table.md. Frames/s are given where kernels compute what is measured (32/32, 8/7);
MB are those of the tensors, packed.
"""
import argparse
import json
import os
import re
import subprocess

KERNELS = "8/7"
FLOAT = "32/32"


def run(arguments, log):
    """Runs a command; returns its standard output. Its messages go to the log."""
    with open(log, "a", encoding="utf-8") as messages:
        messages.write(" ".join(arguments) + "\n")
        messages.flush()
        done = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=messages, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(arguments)}: failed, see {log}")
    return done.stdout


def kept(path, make):
    """The text of a file, made by `make` if it is not there."""
    if not os.path.exists(path):
        text = make()
        with open(path + ".part", "w", encoding="utf-8") as file:
            file.write(text)
        os.rename(path + ".part", path)
    with open(path, encoding="utf-8") as file:
        return file.read()


class Study:
    def __init__(self, options):
        self.options = options
        self.log = f"{options.output}/log.txt"
        self.layers = None

    def data(self, place):
        place, _, resolution = place.partition(":")
        root, year, name = place.rsplit("/", 2)
        return root, ["--year", year, "--set", name, "--resolution", resolution or "480p"]

    def quantize(self, checkpoint, bits, name, calibrated):
        """The checkpoint with these bits: its path and the megabytes of its tensors."""
        path = f"{self.options.output}/{name}.safetensors"
        command = [self.options.vos_cli, "quantize", checkpoint, "--output", path]
        if bits != KERNELS:
            command += ["--simulate", bits]
        if calibrated:
            root, rest = self.data(self.options.calibrate)
            command += ["--data", root] + rest
            if self.layers is not None:
                command += ["--float"] + (self.layers or ["none"])
        text = kept(path[:-len("safetensors")] + "txt", lambda: run(command, self.log))
        if self.layers is None:
            self.layers = re.search(r"^float: (.*)$", text, re.M).group(1).split()
            self.layers = [layer for layer in self.layers if layer != "none"]
        size = re.search(r"([0-9.]+) MB", text)
        return path, float(size.group(1))

    def train(self, checkpoint, bits, name):
        """The student that was trained with these bits."""
        weights, activations = (int(part) for part in bits.split("/"))
        with open(self.options.recipe, encoding="utf-8") as file:
            recipe = json.load(file)
        recipe.pop("pretrained", None)
        recipe["initial"] = os.path.abspath(checkpoint)
        recipe["quantization"] = dict(
            recipe.get("quantization", {}), weight_bits=weights, activation_bits=activations,
            float=self.layers)
        folder = os.path.abspath(f"{self.options.output}/{name}")
        # Beside the original: relative paths in it stay right.
        path = f"{os.path.dirname(os.path.abspath(self.options.recipe))}/.{os.getpid()}.json"
        student = f"{folder}/student.safetensors"
        if not os.path.exists(f"{folder}/done"):
            with open(path, "w", encoding="utf-8") as file:
                json.dump(recipe, file)
            try:
                run([self.options.vos_cli, "distill", path, "--output", folder], self.log)
            finally:
                os.remove(path)
            open(f"{folder}/done", "w", encoding="utf-8").close()
        return student

    def evaluate(self, path, name, size):
        """Mean J&F in percent, and frames per second."""
        root, rest = self.data(self.options.evaluate)
        folder = f"{self.options.output}/{name}-{size}"
        command = [
            self.options.vos_cli, "evaluate", "--davis", root, "--checkpoint", path, "--size", str(size),
            "--output", folder, "--json", "--sequences", "1", "--protocol", self.options.protocol] + rest
        result = json.loads(kept(folder + ".json", lambda: run(command, self.log)))
        return 100 * result["results"][0]["global"]["J&F-Mean"], result["speed"]["framesPerSecond"]

    def table(self):
        options = self.options
        sizes = options.sizes
        head = ["weights / activations", "trained so", "MB"] + [f"J&F {s}" for s in sizes]
        head += [f"frames/s {s}" for s in sizes]
        lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
        # The kernels' pair first: it chooses the layers that stay float.
        rows = {}
        for bits in sorted(options.bits, key=lambda bits: bits != KERNELS):
            for trained in [False, True]:
                if trained and (options.recipe is None or bits == FLOAT):
                    continue
                name = bits.replace("/", "-") + ("-trained" if trained else "")
                checkpoint = self.train(options.checkpoint, bits, name) if trained else options.checkpoint
                if bits == FLOAT:
                    path, size = checkpoint, os.path.getsize(checkpoint) / 1e6
                else:
                    path, size = self.quantize(checkpoint, bits, name, calibrated=not trained)
                scores = [self.evaluate(path, name, side) for side in sizes]
                cells = [bits, "yes" if trained else "no", f"{size:.2f}"]
                cells += [f"{score:.1f}" for score, _ in scores]
                cells += [f"{speed:.1f}" if bits in (FLOAT, KERNELS) else "" for _, speed in scores]
                rows[bits, trained] = "| " + " | ".join(cells) + " |"
                print(rows[bits, trained], flush=True)
        for bits in options.bits:
            lines += [rows[bits, trained] for trained in [False, True] if (bits, trained) in rows]
        return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("--calibrate", required=True, metavar="ROOT/YEAR/SET[:FOLDER]")
    parser.add_argument("--evaluate", required=True, metavar="ROOT/YEAR/SET[:FOLDER]")
    parser.add_argument("--output", required=True)
    parser.add_argument("--bits", nargs="+", default=[FLOAT, "8/8", KERNELS, "6/6", "6/4", "4/8"])
    parser.add_argument("--sizes", nargs="+", type=int, default=[240, 360, 480])
    parser.add_argument("--recipe", help="a training recipe with a teacher")
    parser.add_argument("--protocol", default="davis2016")
    parser.add_argument("--vos-cli", default="vos-cli")
    options = parser.parse_args()
    os.makedirs(options.output, exist_ok=True)
    table = Study(options).table()
    with open(f"{options.output}/table.md", "w", encoding="utf-8") as file:
        file.write(table)
    print("\n" + table, end="")


if __name__ == "__main__":
    main()
