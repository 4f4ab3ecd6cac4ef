"""(c) Training steps at the papers' size, batches of 8, Adam, against TFC and CompressAI."""

from __future__ import annotations

import tensorflow as tf

import tfsq
from benchmarks.speed.networks_of_tfc import Hyperprior
from benchmarks.speed.timing import in_turns, rows_of, timed

NUM_FILTERS, NUM_LATENTS, BATCH = 128, 192, 8
NETWORKS = ("ScaleHyperprior", "MeanScaleHyperprior")
SIZES = (64, 128)


def step_of(model, size):
    """A training step on a batch of random pixels."""
    images = tf.random.stateless_uniform([BATCH, size, size, 3], [0, 1], 0, 256, tf.int32)
    images = tf.cast(images, tf.uint8)
    step = tf.function(model.train_step)
    return lambda: step(images)["loss"].numpy()


def ours_of(network):
    """Our network, as `TrainingSettings` has it."""
    layer = tfsq.layers.AdditiveUniformNoise()
    model = getattr(tfsq.architectures, network)(
        NUM_FILTERS, NUM_LATENTS, rate_quantizer=layer, reconstruction_quantizer=layer
    )
    model.compile(tf.keras.optimizers.Adam(1e-4, global_clipnorm=1.0), lmbda=0.01)
    return model


def theirs_of(network):
    """TFC's design."""
    model = Hyperprior(NUM_FILTERS, NUM_LATENTS, network == "MeanScaleHyperprior")
    model.compile(tf.keras.optimizers.Adam(1e-4, global_clipnorm=1.0))
    return model


def measure(compressai) -> list[dict]:
    """Rows for both networks and sizes."""
    rows = []
    for network in NETWORKS:
        for size in SIZES:
            ways = {
                "tfsq": timed(step_of(ours_of(network), size)),
                "tfc": timed(step_of(theirs_of(network), size)),
                **compressai.ways("training", network, size),
            }
            rows += rows_of(in_turns(ways), "tfsq", network=network, crop=size)
    return rows
