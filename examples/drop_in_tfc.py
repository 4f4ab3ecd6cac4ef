"""Drop-in: a training loop in the style of TFC, in which only the entropy model changes.

Run it as it is for tfsq's entropy model, with `--tfc` for TFC's own. What differs is the
constructor, and that tfsq takes scales where TFC takes indexes into a table of scales.
"""

from __future__ import annotations

import math
import sys

import tensorflow as tf
import tensorflow_compression as tfc

import tfsq

NUM_SCALES, LOWER, UPPER = 64, 0.11, 256.0


def scale_of(index):
    """TFC's table: scales that are log-spaced between the bounds."""
    step = math.log(UPPER / LOWER) / (NUM_SCALES - 1)
    return tf.exp(math.log(LOWER) + step * index)


def tfc_entropy_model():
    """TFC's entropy model, and what its calls take: indexes."""
    model = tfc.LocationScaleIndexedEntropyModel(
        tfc.NoisyNormal, NUM_SCALES, scale_of, coding_rank=1, compression=True
    )
    return model, lambda index: index


def tfsq_entropy_model():
    """Tfsq's entropy model, and what its calls take: scales."""
    model = tfsq.entropy_models.LowerBoundedGaussianConditional(coding_rank=1, compression=True)
    return model, scale_of


def main(make_entropy_model=tfsq_entropy_model, steps: int = 500) -> float:
    """Trains a linear transform code for a correlated source; returns its loss."""
    tf.keras.utils.set_random_seed(0)
    mixing = tf.random.stateless_normal([8, 8], (1, 1))
    entropy_model, argument = make_entropy_model()
    analysis, synthesis = tf.keras.layers.Dense(8), tf.keras.layers.Dense(8)
    analysis.build([None, 8])
    synthesis.build([None, 8])
    index = tf.Variable(tf.fill([8], 20.0))
    loc = tf.Variable(tf.zeros([8]))
    variables = [*analysis.trainable_variables, *synthesis.trainable_variables, index, loc]
    optimizer = tf.keras.optimizers.Adam(1e-2)

    def parameters(y):
        return argument(tf.broadcast_to(index, tf.shape(y))), tf.broadcast_to(loc, tf.shape(y))

    @tf.function
    def train_step():
        x = tf.random.normal([256, 8]) @ mixing
        with tf.GradientTape() as tape:
            y = analysis(x)
            y_hat, bits = entropy_model(y, *parameters(y), training=True)
            distortion = tf.reduce_sum((x - synthesis(y_hat)) ** 2, axis=-1)
            loss = tf.reduce_mean(bits + 3.0 * distortion)
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
        return loss

    for _ in range(steps):
        loss = train_step()

    y = analysis(tf.random.normal([4, 8]) @ mixing)
    strings = entropy_model.compress(y, *parameters(y))
    decoded = entropy_model.decompress(strings, *parameters(y))
    tf.debugging.assert_equal(decoded, entropy_model.quantize(y, parameters(y)[1]))
    print(f"loss {float(loss):.3f}, strings of {[len(s) for s in strings.numpy()]} bytes")
    return float(loss)


if __name__ == "__main__":
    main(tfc_entropy_model if "--tfc" in sys.argv else tfsq_entropy_model)
