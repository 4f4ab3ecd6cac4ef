"""Layer for stochastic rounding."""

from __future__ import annotations

from tfsq import surrogates
from tfsq.layers.base import StochasticQuantizer
from tfsq.layers.registry import register


@register("sr")
class StochasticRounding(StochasticQuantizer):
    """Rounds up or down at random while training, to the nearest otherwise.

    See `tfsq.surrogates.stochastic_rounding` for the formula and the source.

    Args:
      seed: Integer or None, see `StochasticQuantizer`.
      **kwargs: `hard`, `name` and the like, passed to `Quantizer`.

    Call arguments:
      y: Floating-point tensor of any shape.
      training: Boolean, whether to use the surrogate or to round.
      noise: Tensor of the shape of `y`, to be used instead of a fresh draw.
    """

    def surrogate(self, y, noise):
        """Returns floor or ceiling of y. See `Quantizer.surrogate`."""
        return surrogates.stochastic_rounding(y, noise)
