"""Which strided convolutions of bfloat16 this TensorFlow computes wrongly on this processor.

    python -m benchmarks.platforms.strided_bfloat16

Compares each with the same one in float32, for inputs of many heights and widths. Writes a row
for each kernel to `results/platforms/strided_bfloat16.csv`, in the place of those of the same
TensorFlow and setting; with `TF_ENABLE_ONEDNN_OPTS=0`, oneDNN takes no part.
"""

from __future__ import annotations

import itertools
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

from benchmarks import rows as tables

RESULT = pathlib.Path("results/platforms/strided_bfloat16.csv")
HEIGHTS, WIDTHS = (1, 2, 4, 6, 8, 14, 16, 32, 64), (1, 2, 3, 4, 8, 16, 32)
CHANNELS, KERNELS, STRIDES = 32, (3, 5), 2
# Bfloat16 has 8 bits, and sums here are of a few hundred products.
TOLERANCE = 0.05


def is_right(height: int, width: int, size: int) -> bool:
    """Whether a convolution agrees with float32, relative to the largest output."""
    x = tf.random.stateless_normal([1, height, width, CHANNELS], [0, 1])
    kernel = tf.random.stateless_normal([size, size, CHANNELS, CHANNELS], [0, 2])
    found, expected = (
        tf.cast(tf.nn.conv2d(tf.cast(x, dtype), tf.cast(kernel, dtype), STRIDES, "SAME"), "float32")
        for dtype in (tf.bfloat16, tf.float32)
    )
    error = tf.reduce_max(tf.abs(found - expected)) / tf.reduce_max(tf.abs(expected))
    return bool(np.isfinite(error) and error < TOLERANCE)


def main() -> None:
    """Tries all sizes, and writes those that are wrong."""
    setting = {
        "tensorflow": tf.__version__,
        "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1"),
        "amx": str("amx_bf16" in pathlib.Path("/proc/cpuinfo").read_text()),
    }
    others = [row for row in tables.read(RESULT) if not setting.items() <= row.items()]
    found = []
    for size in KERNELS:
        sizes = list(itertools.product(HEIGHTS, WIDTHS))
        wrong = [f"{h}x{w}" for h, w in sizes if not is_right(h, w, size)]
        counts = {"kernel": size, "tried": len(sizes), "wrong": len(wrong)}
        found.append({**setting, **counts, "heights_and_widths": " ".join(wrong)})
    tables.write([*others, *found], RESULT)
    print(*found, sep="\n")


if __name__ == "__main__":
    main()
