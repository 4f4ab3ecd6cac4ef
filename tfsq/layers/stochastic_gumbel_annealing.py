"""Layer for stochastic Gumbel annealing."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfsq import surrogates
from tfsq.layers.base import AnnealedQuantizer, StochasticQuantizer
from tfsq.layers.registry import register
from tfsq.surrogates.stochastic_gumbel_annealing import check_logits


@register("sga")
class StochasticGumbelAnnealing(AnnealedQuantizer, StochasticQuantizer):
    """Mixes floor and ceiling at random while training, rounds otherwise.

    See `tfsq.surrogates.stochastic_gumbel_annealing` for the formula and the source.

    Args:
      temperature: Initial temperature, in (0, 1]. `tfsq.callbacks.TemperatureCallback` lowers it.
      logits: "atanh", "linear", "cosine" or "sigmoid".
      sharpness: k of the sigmoid logits, positive.
      seed: Integer or None, see `StochasticQuantizer`.
      **kwargs: `hard`, `name` and the like, passed to `Quantizer`.

    Call arguments:
      y: Floating-point tensor of any shape.
      training: Boolean, whether to use the surrogate or to round.
      noise: Standard Gumbel noise of the shape of `y` and a trailing axis of 2, to be used instead
        of a fresh draw.

    Raises:
      ValueError: if an argument is not one of the above.
    """

    noise_axes = (2,)

    def __init__(
        self,
        temperature: float = 1.0,
        logits: str = "atanh",
        sharpness: float = 2.3,
        seed: int | None = None,
        **kwargs,
    ):
        check_logits(logits, sharpness)
        super().__init__(temperature=temperature, seed=seed, **kwargs)
        self.logits = logits
        self.sharpness = float(sharpness)

    def noise_quantile(self, v):
        """Standard Gumbel: -log(-log(v)); see `StochasticQuantizer.noise_quantile`."""
        # A random number may be exactly zero.
        v = tf.maximum(v, tf.cast(np.finfo(np.float32).tiny, v.dtype))
        return -tf.math.log(-tf.math.log(v))

    def surrogate(self, y, noise):
        """Returns a point between floor and ceiling of y. See `Quantizer.surrogate`."""
        return surrogates.stochastic_gumbel_annealing(
            y, noise, self.temperature, logits=self.logits, sharpness=self.sharpness
        )

    def get_config(self):
        return {**super().get_config(), "logits": self.logits, "sharpness": self.sharpness}
