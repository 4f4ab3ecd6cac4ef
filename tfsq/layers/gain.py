"""Quantization steps that are learned, one for each channel and rate."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

from tfsq._keras import NO_AUTOCAST, saving
from tfsq.layers.ladder import Ladder
from tfsq.layers.seeded import Seeded

# Where coding needs them exactly, gains are powers of 2^(1/1024), and are looked up.
_PARTS = 1024
_LARGEST_LOG = 32


@saving.register_keras_serializable(package="tfsq")
class Gain(Seeded):
    """Latents in units of a quantization step that is learned, for each channel and rate.

        y_q = y * gain,    y_hat = Q(y_q) * inverse_gain

    A gain is one over a quantization step, so this is uniform scalar quantization with steps of
    its own for each of a ladder of rates, and every surrogate, the lower bound of a scale, and
    zero-center quantization apply to y_q as they are: in units of the step. Between two rungs gains
    are interpolated geometrically, so that the rate is continuous.

    Gains and inverse gains are powers of two, whose exponents are the weights, and so are positive.
    Gains begin at the square root of lambda over that of the middle of the ladder, which is where
    the theory of high rates has them, and inverse gains at one over that. They are learned apart,
    which `benchmarks/ladder` found better than tied.

    Source: Z. Cui, J. Wang, S. Gao, T. Guo, Y. Feng, B. Bai, "Asymmetric Gained Deep Image
    Compression with Continuous Rate Adaptation", CVPR 2021, there with a prediction of latents that
    have their gain. Networks of tfsq predict latents without it, and multiply prediction and latent
    by the gain alike (our formulation; `benchmarks/ladder` compares them).

    Example:

    >>> gain = Gain([0.0016, 0.0064, 0.0256])
    >>> y = tf.constant([[0.3, 1.2]])
    >>> gain(y, quality=3.0).numpy().round(2)
    array([[0.6, 2.4]], dtype=float32)
    >>> y_hat = gain.inverse(tf.round(gain(y, quality=3.0)), quality=3.0)
    >>> y_hat.numpy().tolist()
    [[0.5, 1.0]]

    Args:
      lmbdas: The lambdas of the ladder: positive, each larger than the one before.
      seed: Of `draw`, see `tfsq.layers.StochasticQuantizer`.
      **kwargs: passed to `tf.keras.layers.Layer`.

    Call arguments:
      inputs: Floating-point tensor [batch, ..., channels].
      quality: 1 is the first rung, 2 the second: a number, or a tensor [batch]. Keras 3 takes
        numbers by keyword alone.

    Returns:
      Tensor of the shape and dtype of `inputs`.

    Raises:
      ValueError: if `lmbdas` is no ladder, or `quality` a number that is not on it.
      tf.errors.InvalidArgumentError: if `quality` is a tensor that is not.
    """

    def __init__(self, lmbdas, seed: int | None = None, **kwargs):
        super().__init__(seed=seed, autocast=False, **kwargs)
        self.ladder = Ladder(lmbdas)

    def build(self, input_shape):
        ratios = np.array(self.ladder.lmbdas) / self.ladder.middle_lmbda
        value = np.tile(0.5 * np.log2(ratios)[:, np.newaxis], (1, input_shape[-1]))
        self.logs, self.inverse_logs = (
            self.add_weight(
                name=name,
                shape=value.shape,
                dtype=tf.float32,
                initializer=tf.constant_initializer(initial),
                **NO_AUTOCAST,
            )
            for name, initial in (("logs", value), ("inverse_logs", -value))
        )
        super().build(input_shape)

    def call(self, inputs, quality):
        """Multiplies with gains; the class docstring has the arguments."""
        return _times(inputs, self.gains(quality)[0])

    def inverse(self, inputs, quality):
        """Multiplies with inverse gains.

        Args:
          inputs: As for `call`, quantized.
          quality: As for `call`.

        Returns:
          Tensor of the shape and dtype of `inputs`.
        """
        return _times(inputs, self.gains(quality)[1])

    def draw(self, count) -> tf.Tensor:
        """Draws rungs of the ladder at random, each with the same probability.

        Args:
          count: How many, an integer or an integer tensor.

        Returns:
          float32 tensor [count] of qualities.
        """
        rungs = len(self.ladder)
        return 1.0 + tf.minimum(tf.floor(rungs * self.uniform([count])), rungs - 1.0)

    def gains(self, quality, exactly: bool = False) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns gains and inverse gains.

        Args:
          quality: As for `call`.
          exactly: Boolean, whether to round them to powers of 2^(1/1024), which are the same on
            every machine, and have no gradient.

        Returns:
          (gains, inverse_gains), float32 tensors [batch, channels]; batch is 1 for one quality.
        """
        quality = self.ladder.on_it(quality)
        power = _exact_power_of_two if exactly else _power_of_two
        gains, inverse_gains = (
            power(self.ladder.between(tf.convert_to_tensor(logs), quality))
            for logs in (self.logs, self.inverse_logs)
        )
        return gains, inverse_gains

    def get_config(self):
        return {**super().get_config(), "lmbdas": list(self.ladder.lmbdas)}


def _times(inputs, factors):
    inputs = tf.convert_to_tensor(inputs)
    factors = tf.reshape(factors, [-1, *[1] * (inputs.shape.rank - 2), inputs.shape[-1]])
    return tf.cast(tf.cast(inputs, tf.float32) * factors, inputs.dtype)


def _power_of_two(logs):
    return tf.exp(math.log(2.0) * logs)


def _exact_power_of_two(logs):
    """Two to a power that is rounded to a multiple of 1/1024, exactly."""
    whole = tf.cast(tf.round(logs * _PARTS), tf.int32)
    whole = tf.clip_by_value(whole, -_LARGEST_LOG * _PARTS, _LARGEST_LOG * _PARTS)
    fractions = tf.constant(np.exp2(np.arange(_PARTS) / _PARTS), tf.float32)
    powers = tf.constant(np.exp2(np.arange(-_LARGEST_LOG, _LARGEST_LOG + 1)), tf.float32)
    exponent = tf.math.floordiv(whole, _PARTS)
    return tf.gather(fractions, whole - exponent * _PARTS) * tf.gather(
        powers, exponent + _LARGEST_LOG
    )
