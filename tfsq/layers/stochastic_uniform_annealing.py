"""Layer for stochastic uniform annealing."""

from __future__ import annotations

from tfsq import surrogates
from tfsq.layers.base import AnnealedQuantizer, StochasticQuantizer
from tfsq.layers.registry import register
from tfsq.surrogates.stochastic_uniform_annealing import check_form_and_gradient


@register("sua")
class StochasticUniformAnnealing(AnnealedQuantizer, StochasticQuantizer):
    """Quantizes with annealed uniform noise while training, rounds otherwise.

    Our formulation; see `tfsq.surrogates.stochastic_uniform_annealing` for the forms, the
    gradients and the source. `tfsq.callbacks.TemperatureCallback` lowers the temperature.

    Args:
      temperature: Initial temperature, in (0, 1].
      form: "dithered", "additive" or "rounding".
      gradient: "straight_through" or "expected".
      seed: Integer or None, see `StochasticQuantizer`.
      **kwargs: `hard`, `name` and the like, passed to `Quantizer`.

    Call arguments:
      y: Floating-point tensor of any shape.
      training: Boolean, whether to use the surrogate or to round.
      noise: Tensor of the shape of `y`, to be used instead of a fresh draw.

    Raises:
      ValueError: if an argument is not one of the above.
    """

    def __init__(
        self,
        temperature: float = 1.0,
        form: str = "dithered",
        gradient: str = "straight_through",
        seed: int | None = None,
        **kwargs,
    ):
        check_form_and_gradient(form, gradient)
        super().__init__(temperature=temperature, seed=seed, **kwargs)
        self.form = form
        self.gradient = gradient

    def surrogate(self, y, noise):
        """Returns SUA at the present temperature; see `Quantizer.surrogate`."""
        return surrogates.stochastic_uniform_annealing(
            y, noise, self.temperature, form=self.form, gradient=self.gradient
        )

    def get_config(self):
        return {**super().get_config(), "form": self.form, "gradient": self.gradient}
