"""Whole tracking steps of vos-cli and of ONNX Runtime on the same network, in turn, in one run.

    pip install numpy onnxruntime
    python Benchmarks/compare_onnxruntime.py STEP.onnx [--checkpoint Checkpoints/recipes/vos-mobile-base.safetensors]
        [--vos-cli .build/release/vos-cli] [--threads 2] [--rounds 5]

STEP.onnx holds one step at 480x864 with one object and two memory frames (inputs image, memory_key,
memory_value, previous), read with a full softmax; vos-cli is asked for the same (--top-k 0), and for
its default of the 30 best. Every round runs each once; the medians and the ratio over rounds are
printed. Machines drift: only ratios within a run count.
"""
import argparse, json, statistics, subprocess, time
import numpy as np, onnxruntime as ort

a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
a.add_argument("onnx"); a.add_argument("--vos-cli", default=".build/release/vos-cli")
a.add_argument("--checkpoint", default="Checkpoints/recipes/vos-mobile-base.safetensors")
a.add_argument("--threads", type=int, default=2); a.add_argument("--rounds", type=int, default=5)
a = a.parse_args()

options = ort.SessionOptions(); options.intra_op_num_threads = a.threads
random, n = np.random.default_rng(0), 2 * 30 * 54
key = random.normal(size=(1, 64, n)).astype("f")
feed = {"image": random.uniform(-1, 1, (1, 3, 480, 864)).astype("f"),
        "memory_key": key / np.linalg.norm(key, axis=1, keepdims=True),   # unit length: no denormals in the softmax
        "memory_value": random.normal(size=(1, 128, n)).astype("f"),
        "previous": random.random((1, 1, 480, 864)).astype("f")}


def onnxruntime():
    # A session of its own each time: idle threads of a live one spin and would slow the other engine.
    session = ort.InferenceSession(a.onnx, options, providers=["CPUExecutionProvider"])
    times = []
    for i in range(18):
        start = time.perf_counter(); session.run(None, feed); times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times[3:])


def vos(top_k):
    command = [a.vos_cli, "benchmark", "--json", "--checkpoint", a.checkpoint, "--size", "480x864", "--top-k", str(top_k), "--threads", str(a.threads)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["step"]["median_ms"]


rounds = []
for i in range(a.rounds):
    # ONNX Runtime before and after, so that a drift of the machine meets both.
    before, full, best, after = onnxruntime(), vos(0), vos(30), onnxruntime()
    rounds.append(((before + after) / 2, full, best))
    print(f"round {i + 1}: ONNX Runtime {rounds[-1][0]:6.1f} ms   vos-cli all {full:6.1f} ms   vos-cli top 30 {best:6.1f} ms", flush=True)
reference, full, best = (statistics.median(column) for column in zip(*rounds))
print(f"median: ONNX Runtime {ort.__version__} {reference:.1f} ms; vos-cli {full:.1f} ms (all), {best:.1f} ms (top 30); {a.threads} threads")
print(f"ONNX Runtime / vos-cli: {statistics.median(r / f for r, f, _ in rounds):.2f} (all), {statistics.median(r / b for r, _, b in rounds):.2f} (top 30)")
