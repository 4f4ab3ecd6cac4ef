"""(h) The transposed convolution at the end of a synthesis, against that of Keras."""

from __future__ import annotations

import tensorflow as tf

from benchmarks.speed.layers import step_of
from benchmarks.speed.timing import in_turns, rows_of, timed
from tfsq.architectures.upsampling import Conv2DTranspose

# Batch, height, width, channels and outputs: to pixels, and to what other layers of a network have.
CASES = (
    (1, 256, 384, 128, 3),
    (8, 64, 64, 128, 3),
    (2, 64, 64, 32, 3),
    (1, 128, 192, 128, 128),
    (8, 16, 16, 128, 128),
    (8, 2, 2, 192, 288),
)


def forward_of(layer, x):
    """The layer alone, as a decoder has it."""
    call = tf.function(layer)
    return lambda: call(x)[:1, :1, :1].numpy()


def measure(_) -> list[dict]:
    """Rows for all sizes, forward and with gradients."""
    rows = []
    for *shape, outputs in CASES:
        x = tf.random.stateless_normal(shape, [0, 1])
        layers = {
            "tfsq": Conv2DTranspose(outputs),
            "keras": tf.keras.layers.Conv2DTranspose(outputs, 5, 2, padding="same"),
        }
        for direction, way_of in (("forward", forward_of), ("and backward", step_of)):
            ways = {name: timed(way_of(layer, x)) for name, layer in layers.items()}
            keys = {
                "input": "x".join(map(str, shape)),
                "outputs": outputs,
                "direction": direction,
            }
            rows += rows_of(in_turns(ways), "tfsq", **keys)
    return rows
