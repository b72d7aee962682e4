#!/usr/bin/env python3
"""Our blocks beside those of ggml: the same bytes for Q8_0, Q4_0 and Q5_0 (the same error where ties are many), errors within 1 % for Q4_K.

usage: beside_ggml.py QUANTIZE_ROWS LIBGGML_BASE.so
"""
import ctypes
import subprocess
import sys

import numpy as np

# ggml.h: the type's number, elements and bytes of a block.
TYPES = {"Q8_0": (8, 32, 34), "Q4_0": (2, 32, 18), "Q5_0": (6, 32, 22), "Q4_K": (12, 256, 144)}
EXACT = {"Q8_0", "Q4_0", "Q5_0"}
COLS = 4096
ROWS = 128


class Ggml:
    """ggml_quantize_chunk and the way back, as llama-quantize calls them."""

    class Traits(ctypes.Structure):
        _fields_ = [("name", ctypes.c_char_p), ("block", ctypes.c_int64), ("interleaved", ctypes.c_int64),
                    ("bytes", ctypes.c_size_t), ("quantized", ctypes.c_bool),
                    ("to_float", ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)),
                    ("from_float_ref", ctypes.c_void_p)]

    def __init__(self, path):
        self.library = ctypes.CDLL(path)
        self.library.ggml_quantize_chunk.restype = ctypes.c_size_t
        self.library.ggml_get_type_traits.restype = ctypes.POINTER(self.Traits)

    def encode(self, name, values):
        number, block, size = TYPES[name]
        out = np.zeros(values.size // block * size, np.uint8)
        self.library.ggml_quantize_chunk(
            ctypes.c_int(number), values.ctypes.data_as(ctypes.c_void_p), out.ctypes.data_as(ctypes.c_void_p),
            ctypes.c_int64(0), ctypes.c_int64(values.shape[0]), ctypes.c_int64(values.shape[1]), None)
        return out

    def decode(self, name, blocks, count):
        traits = self.library.ggml_get_type_traits(ctypes.c_int(TYPES[name][0])).contents
        assert traits.name.decode().upper() == name and traits.bytes == TYPES[name][2]
        out = np.zeros(count, np.float32)
        traits.to_float(blocks.ctypes.data, out.ctypes.data, count)
        return out


def samples():
    """Rows as weights have them, and worse."""
    rng = np.random.default_rng(20261126)
    normal = rng.standard_normal((ROWS, COLS)).astype(np.float32)
    yield "normal", normal * np.float32(0.02)
    yield "heavy tails", (rng.standard_t(3, (ROWS, COLS)) * 0.01).astype(np.float32)
    yield "bfloat16", (normal.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)
    yield "one sign", np.abs(normal) + np.float32(1)
    yield "sparse", normal * (rng.random((ROWS, COLS)) < 0.1).astype(np.float32)
    yield "rows of all sizes", normal * np.exp(rng.uniform(-12, 3, (ROWS, 1))).astype(np.float32)
    flat = np.zeros((ROWS, COLS), np.float32)
    flat[1::2] = np.float32(-0.25)
    yield "constants", flat


def errors(values, back):
    """Root mean square, plain and with Q4_K's weights."""
    x = values.reshape(-1, 32).astype(np.float64)
    wrong = (x - back.reshape(-1, 32).astype(np.float64)) ** 2
    weights = np.abs(x) + np.sqrt((x ** 2).mean(axis=1, keepdims=True))
    return np.sqrt(wrong.mean()), np.sqrt((wrong * weights).sum() / max(weights.sum(), 1e-30))


def main():
    program, ggml = sys.argv[1], Ggml(sys.argv[2])
    failures = 0
    for label, values in samples():
        values = np.ascontiguousarray(values)
        for name in TYPES:
            ours = np.frombuffer(subprocess.run([program, name], input=values.tobytes(), check=True,
                                                stdout=subprocess.PIPE).stdout, np.uint8).copy()
            theirs = ggml.encode(name, values)
            mine = errors(values, ggml.decode(name, ours, values.size))
            peer = errors(values, ggml.decode(name, theirs, values.size))
            same = ours.size == theirs.size and bool((ours == theirs).all())
            good = same if name in EXACT else mine[1] <= peer[1] * 1.01 + 1e-12
            failures += not good
            print(f"{name} {label}: RMSE {mine[0]:.4g} (ggml {peer[0]:.4g}), weighted {mine[1]:.4g} "
                  f"(ggml {peer[1]:.4g}){', same bytes' if same else ''}{'' if good else '  FAILED'}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
