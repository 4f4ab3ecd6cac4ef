"""Layer for differentiable soft quantization."""

from __future__ import annotations

from tfsq import surrogates
from tfsq.layers.base import AnnealedQuantizer
from tfsq.layers.registry import register


@register("dsq")
class DifferentiableSoftQuantization(AnnealedQuantizer):
    """Rounds, while training with the gradient of soft rounding.

    See `tfsq.surrogates.differentiable_soft_quantization` for the formula and the source.

    Args:
      temperature: Initial temperature, in (0, 1]. `tfsq.callbacks.TemperatureCallback` lowers it.
      **kwargs: `hard`, `name` and the like, passed to `Quantizer`.

    Call arguments:
      y: Floating-point tensor of any shape.
      training: Boolean, whether to use the surrogate or to round.
    """

    def surrogate(self, y, noise):
        """Returns round(y) with its soft gradient. See `Quantizer.surrogate`."""
        del noise
        return surrogates.differentiable_soft_quantization(y, self.temperature)
