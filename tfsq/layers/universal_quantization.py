"""Layer for universal quantization."""

from __future__ import annotations

import tensorflow as tf

from tfsq import surrogates
from tfsq.layers.base import StochasticQuantizer
from tfsq.layers.registry import register


@register("uq")
class UniversalQuantization(StochasticQuantizer):
    """Quantizes with a subtracted dither while training, rounds otherwise.

    See `tfsq.surrogates.universal_quantization` for the formula and the source.

    Args:
      shared_offset: Whether the elements of an example, those of one index of the first axis, share
        one offset u.
      seed: Integer or None, see `StochasticQuantizer`.
      **kwargs: `hard`, `name` and the like, passed to `Quantizer`.

    Call arguments:
      y: Floating-point tensor of any shape.
      training: Boolean, whether to use the surrogate or to round.
      noise: Tensor of the shape of `y`, to be used instead of a fresh draw.
    """

    def __init__(self, shared_offset: bool = False, seed: int | None = None, **kwargs):
        super().__init__(seed=seed, **kwargs)
        self.shared_offset = bool(shared_offset)

    def sample_noise(self, shape, dtype=tf.float32):
        """Draws one u for each element, or for each example; see `Quantizer.sample_noise`."""
        if not self.shared_offset:
            return super().sample_noise(shape, dtype)
        shape = tf.convert_to_tensor(shape, tf.int32)
        offsets = super().sample_noise(tf.concat([shape[:1], tf.ones_like(shape[1:])], 0), dtype)
        return tf.broadcast_to(offsets, shape)

    def surrogate(self, y, noise):
        """Returns round(y + noise) - noise. See `Quantizer.surrogate`."""
        return surrogates.universal_quantization(y, noise)

    def get_config(self):
        return {**super().get_config(), "shared_offset": self.shared_offset}
