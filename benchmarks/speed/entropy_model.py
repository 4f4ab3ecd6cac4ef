"""(b) A training call of the Gaussian conditional against TFC's model of the same design."""

from __future__ import annotations

import tensorflow as tf
import tensorflow_compression as tfc

import tfsq
from benchmarks.speed.networks_of_tfc import NUM_SCALES, scale_of
from benchmarks.speed.timing import in_turns, rows_of, timed

SHAPES = ((8, 4, 4, 192), (8, 8, 8, 192), (1, 32, 48, 192), (8, 32, 48, 192))


def step_of(entropy_model, shape):
    """Bits of a latent and their gradients."""
    y = tf.random.stateless_normal(shape, [0, 1]) * 3.0
    indexes = tf.random.stateless_uniform(shape, [0, 2], 0.0, NUM_SCALES - 1.0)
    loc = tf.random.stateless_normal(shape, [0, 3])

    @tf.function
    def step(y, indexes, loc):
        with tf.GradientTape() as tape:
            tape.watch([y, indexes, loc])
            y_hat, bits = entropy_model(y, indexes, loc)
            loss = tf.reduce_sum(tf.square(y_hat)) + tf.reduce_sum(bits)
        return tape.gradient(loss, [y, indexes, loc])

    return lambda: step(y, indexes, loc)[0].numpy().flat[0]


def measure(_) -> list[dict]:
    """Rows for all shapes."""
    theirs = tfc.LocationScaleIndexedEntropyModel(
        tfc.NoisyNormal, NUM_SCALES, scale_of, coding_rank=3, compression=False
    )
    layer = tfsq.layers.AdditiveUniformNoise()
    ours = tfsq.entropy_models.LowerBoundedGaussianConditional(
        coding_rank=3, rate_quantizer=layer, reconstruction_quantizer=layer
    )
    rows = []
    for shape in SHAPES:
        elements = int(tf.reduce_prod(shape))
        ways = {
            "tfsq": timed(
                step_of(lambda y, i, loc: ours(y, scale_of(i), loc, training=True), shape)
            ),
            "tfc": timed(step_of(lambda y, i, loc: theirs(y, i, loc, training=True), shape)),
        }
        rows += rows_of(in_turns(ways), "tfsq", shape="x".join(map(str, shape)), elements=elements)
    return rows
