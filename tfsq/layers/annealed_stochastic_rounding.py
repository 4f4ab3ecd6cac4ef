"""Layer for annealed stochastic rounding."""

from __future__ import annotations

from tfsq import surrogates
from tfsq.layers.base import AnnealedQuantizer, StochasticQuantizer
from tfsq.layers.registry import register


@register("sra")
class AnnealedStochasticRounding(AnnealedQuantizer, StochasticQuantizer):
    """Rounds up or down with annealed probabilities while training, to the nearest otherwise.

    See `tfsq.surrogates.annealed_stochastic_rounding` for the formula and the source.

    Args:
      temperature: Initial temperature, in (0, 1]. `tfsq.callbacks.TemperatureCallback` lowers it.
      seed: Integer or None, see `StochasticQuantizer`.
      **kwargs: `hard`, `name` and the like, passed to `Quantizer`.

    Call arguments:
      y: Floating-point tensor of any shape.
      training: Boolean, whether to use the surrogate or to round.
      noise: Tensor of the shape of `y`, to be used instead of a fresh draw.
    """

    def surrogate(self, y, noise):
        """Returns floor or ceiling of y. See `Quantizer.surrogate`."""
        return surrogates.annealed_stochastic_rounding(y, noise, self.temperature)
