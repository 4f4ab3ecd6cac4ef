"""Layer for additive uniform noise."""

from __future__ import annotations

from tfsq import surrogates
from tfsq.layers.base import StochasticQuantizer
from tfsq.layers.registry import register


@register("aun")
class AdditiveUniformNoise(StochasticQuantizer):
    """Adds uniform noise while training, rounds otherwise.

    See `tfsq.surrogates.additive_uniform_noise` for the formula and the source.

    Args:
      seed: Integer or None, see `StochasticQuantizer`.
      **kwargs: `hard`, `name` and the like, passed to `Quantizer`.

    Call arguments:
      y: Floating-point tensor of any shape.
      training: Boolean, whether to use the surrogate or to round.
      noise: Tensor of the shape of `y`, to be used instead of a fresh draw.
    """

    def surrogate(self, y, noise):
        """Returns y + noise. See `Quantizer.surrogate`."""
        return surrogates.additive_uniform_noise(y, noise)
