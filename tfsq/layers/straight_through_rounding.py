"""Layer for rounding with the straight-through gradient."""

from __future__ import annotations

from tfsq import surrogates
from tfsq.layers.base import Quantizer
from tfsq.layers.registry import register


@register("ste")
class StraightThroughRounding(Quantizer):
    """Rounds, while training with the gradient of the identity.

    See `tfsq.surrogates.straight_through_rounding` for the formula and the source.

    Args:
      **kwargs: `hard`, `name` and the like, passed to `Quantizer`.

    Call arguments:
      y: Floating-point tensor of any shape.
      training: Boolean, whether to use the surrogate or to round.
    """

    def surrogate(self, y, noise):
        """Returns round(y). See `Quantizer.surrogate`."""
        del noise
        return surrogates.straight_through_rounding(y)
