"""Which strided convolutions of bfloat16 this TensorFlow computes wrongly on this processor.

    python -m benchmarks.platforms.strided_bfloat16

Compares each with the same one in float32, for inputs of many heights and widths. Writes
`results/platforms/strided_bfloat16.txt`. With `TF_ENABLE_ONEDNN_OPTS=0`, oneDNN takes no part.
"""

from __future__ import annotations

import itertools
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

RESULT = pathlib.Path("results/platforms/strided_bfloat16.txt")
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
    onednn = os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1")
    lines = [
        f"TensorFlow {tf.__version__}, TF_ENABLE_ONEDNN_OPTS={onednn}, stride {STRIDES}, inputs of "
        f"heights {HEIGHTS} and widths {WIDTHS}"
    ]
    for size in KERNELS:
        sizes = list(itertools.product(HEIGHTS, WIDTHS))
        wrong = [f"{h}x{w}" for h, w in sizes if not is_right(h, w, size)]
        lines.append(f"{size}x{size}: {len(wrong)} of {len(sizes)} wrong {' '.join(wrong)}".strip())
    RESULT.write_text("\n".join(lines) + "\n")
    print(RESULT.read_text(), end="")


if __name__ == "__main__":
    main()
