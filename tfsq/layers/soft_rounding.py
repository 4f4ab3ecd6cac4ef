"""Layer for soft rounding."""

from __future__ import annotations

from tfsq import surrogates
from tfsq.layers.base import AnnealedQuantizer
from tfsq.layers.registry import register


@register("soft")
class SoftRounding(AnnealedQuantizer):
    """Rounds softly while training, hard otherwise.

    See `tfsq.surrogates.soft_rounding` for the formula and the source.

    Args:
      temperature: Initial temperature, in (0, 1]. `tfsq.callbacks.TemperatureCallback` lowers it.
      **kwargs: `hard`, `name` and the like, passed to `Quantizer`.

    Call arguments:
      y: Floating-point tensor of any shape.
      training: Boolean, whether to use the surrogate or to round.
    """

    def surrogate(self, y, noise):
        """Returns s_a(y) at the present temperature. See `Quantizer.surrogate`."""
        del noise
        return surrogates.soft_rounding(y, self.temperature)
