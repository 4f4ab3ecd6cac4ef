"""Layer for additive uniform noise."""

from __future__ import annotations

import tensorflow as tf

from tfsq import surrogates
from tfsq.layers.base import StochasticQuantizer


@tf.keras.saving.register_keras_serializable(package="tfsq")
class AdditiveUniformNoise(StochasticQuantizer):
    """Adds uniform noise while training, rounds otherwise.

    See `tfsq.surrogates.additive_uniform_noise` for the formula and the source.

    Args:
      seed: Integer or None, see `StochasticQuantizer`.
      **kwargs: passed to `tf.keras.layers.Layer`.

    Call arguments:
      y: Floating-point tensor of any shape.
      training: Boolean, whether to add noise or to round.
      noise: Tensor of the shape of `y`, to be used instead of a fresh draw.
    """

    def surrogate(self, y, noise):
        """Returns y + noise; see `Quantizer.surrogate`."""
        return surrogates.additive_uniform_noise(y, noise)
