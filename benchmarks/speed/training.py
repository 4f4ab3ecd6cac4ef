"""(c) Training steps at the papers' size, batches of 8, Adam, against TFC and CompressAI."""

from __future__ import annotations

import tensorflow as tf

import tfsq
from benchmarks.speed.networks_of_tfc import Hyperprior
from benchmarks.speed.timing import in_turns, rows_of, timed

NUM_FILTERS, NUM_LATENTS, BATCH = 128, 192, 8
NETWORKS = ("ScaleHyperprior", "MeanScaleHyperprior")
SIZES = (64, 128)


def step_of(model, size, batch=BATCH):
    """A training step on a batch of random pixels."""
    images = tf.random.stateless_uniform([batch, size, size, 3], [0, 1], 0, 256, tf.int32)
    images = tf.cast(images, tf.uint8)
    step = tf.function(model.train_step)
    return lambda: step(images)["loss"].numpy()


def ours_of(network, num_filters=NUM_FILTERS, num_latents=NUM_LATENTS):
    """Our network, with its default quantizers, as `quantizers` has them."""
    model = getattr(tfsq.architectures, network)(num_filters, num_latents)
    model.compile(tf.keras.optimizers.Adam(1e-4, global_clipnorm=1.0), lmbda=0.01)
    return model


def theirs_of(network):
    """TFC's design."""
    model = Hyperprior(NUM_FILTERS, NUM_LATENTS, network == "MeanScaleHyperprior")
    model.compile(tf.keras.optimizers.Adam(1e-4, global_clipnorm=1.0))
    return model


def quantizers(size):
    """What SUA for the reconstruction and additive noise for the rate cost in such a step."""
    rate, reconstruction = tfsq.layers.get("aun"), tfsq.layers.get("sua", temperature=0.5)
    shapes = (
        [BATCH, size // 16, size // 16, NUM_LATENTS],
        [BATCH, size // 64, size // 64, NUM_FILTERS],
    )
    latents = [tf.random.stateless_normal(shape, [0, 1]) for shape in shapes]

    @tf.function
    def step(*latents):
        with tf.GradientTape() as tape:
            tape.watch(latents)
            # Squared, as otherwise no gradient would depend on what was quantized.
            loss = tf.add_n(
                [
                    tf.reduce_sum(tf.square(layer(y, training=True)))
                    for y in latents
                    for layer in (rate, reconstruction)
                ]
            )
        return tape.gradient(loss, latents)

    return lambda: step(*latents)[0].numpy()


def measure(compressai) -> list[dict]:
    """Rows for both networks and sizes."""
    rows = []
    for network in NETWORKS:
        for size in SIZES:
            ways = {
                "tfsq": timed(step_of(ours_of(network), size)),
                "tfc": timed(step_of(theirs_of(network), size)),
                **compressai.ways("training", network, size),
                "quantizers of tfsq": timed(quantizers(size)),
            }
            rows += rows_of(in_turns(ways), "tfsq", network=network, crop=size)
    return rows
