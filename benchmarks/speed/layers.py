"""(a) Each quantizer layer, forward and backward, against its nearest TFC operation."""

from __future__ import annotations

import tensorflow as tf
import tensorflow_compression as tfc
import tensorflow_probability as tfp

import tfsq
from benchmarks.speed.timing import in_turns, rows_of, timed

SIZES = (10**4, 10**5, 10**6, 10**7)
TEMPERATURE = 0.3
# The layer, and what comes nearest to it.
NEAREST = {
    "aun": "tfc perturb_and_apply",
    "ste": "tfc round_st",
    "soft": "tfc soft_round",
    "unsr": "tfc soft_round_conditional_mean",
    "sga": "tfp RelaxedOneHotCategorical",
}


def additive_noise(y):
    """What every training loop can write."""
    return y + tf.random.uniform(tf.shape(y), -0.5, 0.5)


def perturb(y):
    """TFC's additive noise."""
    return tfc.perturb_and_apply(tf.identity, y, expected_grads=False)[0]


def soft_round(y):
    """TFC's soft rounding."""
    return tfc.soft_round(y, 1.0 / TEMPERATURE)


def soft_round_conditional_mean(y):
    """TFC's noisy soft rounding."""
    return tfc.soft_round_conditional_mean(additive_noise(soft_round(y)), 1.0 / TEMPERATURE)


def gumbel_annealing(y):
    """SGA as Yang et al. (2020) write it, with TFP's distribution."""
    floor = tf.floor(y)
    fraction = tf.clip_by_value(y - floor, 1e-5, 1.0 - 1e-5)
    logits = -tf.stack([tf.atanh(fraction), tf.atanh(1.0 - fraction)], -1) / TEMPERATURE
    sample = tfp.distributions.RelaxedOneHotCategorical(TEMPERATURE, logits=logits).sample()
    return tf.reduce_sum(tf.stack([floor, floor + 1.0], -1) * sample, -1)


OTHERS = {
    "noise by hand": additive_noise,
    "tfc perturb_and_apply": perturb,
    "tfc round_st": tfc.round_st,
    "tfc soft_round": soft_round,
    "tfc soft_round_conditional_mean": soft_round_conditional_mean,
    "tfp RelaxedOneHotCategorical": gumbel_annealing,
}


def layer_of(name: str):
    """A layer as a function of the latent."""
    layer = tfsq.layers.get(name)
    if isinstance(layer, tfsq.layers.AnnealedQuantizer):
        layer.temperature = TEMPERATURE
    return lambda y: layer(y, training=True)


def step_of(function, y):
    """Forward and backward, to the input and to weights, where the function has any."""

    @tf.function
    def step(y):
        with tf.GradientTape() as tape:
            tape.watch(y)
            loss = tf.reduce_sum(tf.square(function(y)))
        return tape.gradient(loss, [y, *tape.watched_variables()])

    return lambda: step(y)[0].numpy()[:1]


def measure(_) -> list[dict]:
    """Rows for all layers and sizes."""
    rows = []
    for size in SIZES:
        y = tf.random.stateless_normal([size], [0, 1]) * 3.0
        ways = {name: timed(step_of(function, y)) for name, function in OTHERS.items()}
        for name in tfsq.layers.names():
            ways[name] = timed(step_of(layer_of(name), y))
        found = in_turns(ways)
        for name in tfsq.layers.names():
            others = dict.fromkeys([name, NEAREST.get(name, "noise by hand"), "noise by hand"])
            rows += rows_of({way: found[way] for way in others}, name, layer=name, elements=size)
    return rows
