"""Layer for rounding with the straight-through gradient."""

from __future__ import annotations

import tensorflow as tf

from tfsq import surrogates
from tfsq.layers.base import Quantizer


@tf.keras.saving.register_keras_serializable(package="tfsq")
class StraightThroughRounding(Quantizer):
    """Rounds, while training with the gradient of the identity.

    See `tfsq.surrogates.straight_through_rounding` for the source.

    Args:
      **kwargs: passed to `tf.keras.layers.Layer`.

    Call arguments:
      y: Floating-point tensor of any shape.
      training: Boolean, whether to pass the gradient straight through.
    """

    def surrogate(self, y, noise):
        """Returns round(y); `noise` is None. See `Quantizer.surrogate`."""
        del noise
        return surrogates.straight_through_rounding(y)
