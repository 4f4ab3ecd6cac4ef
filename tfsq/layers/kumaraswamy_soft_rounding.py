"""Layer for soft rounding with Kumaraswamy noise."""

from __future__ import annotations

from typing import ClassVar

import tensorflow as tf

from tfsq import surrogates
from tfsq.layers.base import AnnealedQuantizer, StochasticQuantizer
from tfsq.layers.checks import as_number
from tfsq.layers.registry import register

_LARGEST_SHAPE = 16.0


def _check_shape(value, name):
    number = as_number(value)
    if not 1.0 <= number <= _LARGEST_SHAPE:
        raise ValueError(
            f"`{name}` must be in [1, {_LARGEST_SHAPE:.0f}]. Received: {name}={value!r}"
        )
    return number


@register("c3")
class KumaraswamySoftRounding(AnnealedQuantizer, StochasticQuantizer):
    """Rounds softly with gathered noise in between while training, hard otherwise.

    See `tfsq.surrogates.kumaraswamy_soft_rounding` for the formula and the source.

    Args:
      temperature: Initial temperature, in (0, 1]. `tfsq.callbacks.TemperatureCallback` lowers it.
      shape: Initial shape k of the noise, in [1, 16]: 1 is uniform noise, more gathers it at zero.
        A second `TemperatureCallback`, with `attribute="shape"`, lowers it.
      seed: Integer or None, see `StochasticQuantizer`.
      **kwargs: `hard`, `name` and the like, passed to `Quantizer`.

    Call arguments:
      y: Floating-point tensor of any shape.
      training: Boolean, whether to use the surrogate or to round.
      noise: Tensor of the shape of `y`, to be used instead of a fresh draw.

    Raises:
      ValueError: if `temperature` is not in (0, 1] or `shape` not in [1, 16].
    """

    annealed_attributes: ClassVar[dict] = {
        **AnnealedQuantizer.annealed_attributes,
        "shape": _check_shape,
    }

    def __init__(
        self, temperature: float = 1.0, shape: float = 2.0, seed: int | None = None, **kwargs
    ):
        super().__init__(temperature=temperature, seed=seed, **kwargs)
        self._shape = self._add_annealed("shape", shape)

    @property
    def shape(self) -> tf.Variable:
        """The noise's shape k, a float32 scalar variable; assigning a number to it is checked."""
        return self._shape

    @shape.setter
    def shape(self, value):
        self._assign_annealed("shape", value)

    def surrogate(self, y, noise):
        """Returns the soft-rounded y. See `Quantizer.surrogate`."""
        return surrogates.kumaraswamy_soft_rounding(y, noise, self.temperature, self.shape)
