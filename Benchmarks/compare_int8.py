"""Whole tracking steps in int8: vos-cli, ONNX Runtime and OpenVINO on the same network, in turn, in one run.

    pip install numpy onnx onnxruntime openvino nncf
    python Benchmarks/compare_int8.py STEP.onnx INT8.safetensors [--float FLOAT.safetensors]
        [--vos-cli .build/release/vos-cli] [--threads 2] [--rounds 5]

STEP.onnx holds one step at 480x864 with one object and two memory frames in float32 (inputs image,
memory_key, memory_value, previous). It is quantised here: for ONNX Runtime statically with QDQ nodes
(int8 weights per channel, uint8 activations), for OpenVINO with NNCF, or, where NNCF is missing, by
running the QDQ model, which OpenVINO executes in int8 too. Both peers read the memory with a full
softmax; vos-cli is asked for the same (--top-k 0) and for its default, the 30 best. Calibration data
are random: times do not depend on them. Every round runs each once; the medians and the ratios over
rounds are printed. Machines drift: only ratios within a run count. What is not installed is left out.
"""
import argparse, json, logging, os, statistics, subprocess, sys, tempfile, time
import numpy as np

a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
a.add_argument("onnx"); a.add_argument("int8"); a.add_argument("--float", dest="floats")
a.add_argument("--vos-cli", default=".build/release/vos-cli")
a.add_argument("--threads", type=int, default=2); a.add_argument("--rounds", type=int, default=5)
a = a.parse_args()

random, n = np.random.default_rng(0), 2 * 30 * 54
key = random.normal(size=(1, 64, n)).astype("f")
feed = {"image": random.uniform(-1, 1, (1, 3, 480, 864)).astype("f"),
        "memory_key": key / np.linalg.norm(key, axis=1, keepdims=True),   # unit length: no denormals in the softmax
        "memory_value": random.normal(size=(1, 128, n)).astype("f"),
        "previous": random.random((1, 1, 480, 864)).astype("f")}


def optional(name):
    try:
        return __import__(name, fromlist=["_"])
    except ImportError as error:
        print(f"{name} is not installed ({error}); left out: pip install {name.split('.')[0]}")


def median_ms(run):
    times = []
    for i in range(18):
        start = time.perf_counter(); run(); times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times[3:])


def quantized_onnx(folder):
    """STEP.onnx with QDQ nodes; None without the packages."""
    quantization = optional("onnxruntime.quantization")   # needs onnx as well
    if not quantization: return None

    class Reader(quantization.CalibrationDataReader):
        def __init__(self): self.left = iter([feed, feed])
        def get_next(self): return next(self.left, None)

    path = os.path.join(folder, "step-int8.onnx")
    logging.disable(logging.WARNING)
    quantization.quantize_static(a.onnx, path, Reader(), quant_format=quantization.QuantFormat.QDQ, per_channel=True,
                                 activation_type=quantization.QuantType.QUInt8, weight_type=quantization.QuantType.QInt8)
    return path


# Sessions are made anew each time: idle threads of a live one spin and would slow the others.
def onnxruntime(module, path):
    options = module.SessionOptions(); options.intra_op_num_threads = a.threads; options.log_severity_level = 3
    session = module.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return median_ms(lambda: session.run(None, feed))


def openvino(module, model):
    compiled = module.Core().compile_model(model, "CPU", {
        "PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": a.threads, "INFERENCE_PRECISION_HINT": "f32"})
    request = compiled.create_infer_request()
    return median_ms(lambda: request.infer(feed))


def vos(checkpoint, top_k):
    command = [a.vos_cli, "benchmark", "--json", "--size", "480x864", "--checkpoint", checkpoint,
               "--top-k", str(top_k), "--threads", str(a.threads)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["step"]["median_ms"]


ours = {"vos-cli int8, all": lambda: vos(a.int8, 0), "vos-cli int8, top 30": lambda: vos(a.int8, 30)}
if a.floats: ours["vos-cli float, top 30"] = lambda: vos(a.floats, 30)
peers = {}
ort, ov = optional("onnxruntime"), optional("openvino")
if ort: ort.set_default_logger_severity(3)   # else a line for every constant that quantisation leaves over
with tempfile.TemporaryDirectory() as folder:
    qdq = quantized_onnx(folder) if ort else None
    if qdq: peers[f"ONNX Runtime {ort.__version__} int8 (QDQ)"] = lambda: onnxruntime(ort, qdq)
    if ov:
        nncf = optional("nncf")
        if nncf:
            model = nncf.quantize(ov.Core().read_model(a.onnx), nncf.Dataset([feed] * 4), subset_size=4)
            peers[f"OpenVINO {ov.__version__.split('-')[0]} int8 (NNCF)"] = lambda: openvino(ov, model)
        elif qdq:
            peers[f"OpenVINO {ov.__version__.split('-')[0]} int8 (QDQ)"] = lambda: openvino(ov, qdq)
    if not peers: sys.exit("no other engine to compare with")
    times = {name: [] for name in {**peers, **ours}}
    for i in range(a.rounds):
        for name, run in {**peers, **ours}.items(): times[name].append(run())
        print(f"round {i + 1}: " + "   ".join(f"{name} {t[-1]:.1f} ms" for name, t in times.items()), flush=True)

print(f"\nmedian of {a.rounds} rounds, {a.threads} threads")
for name, t in times.items(): print(f"{name:36s} {statistics.median(t):7.1f} ms")
for peer in [*peers, *list(ours)[2:]]:
    ratios = {name: statistics.median(p / o for p, o in zip(times[peer], times[name])) for name in list(ours)[:2]}
    print(f"{peer} / " + ", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items()))
