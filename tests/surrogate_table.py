"""One row per surrogate; the shared property tests run over all rows.

The oracles are written in NumPy from the formulas of the documentation, not from the code.
"""

from __future__ import annotations

import dataclasses
from typing import Callable

import numpy as np

from tfsq import layers, surrogates


@dataclasses.dataclass(frozen=True)
class Row:
    """A surrogate, its layer, and what must hold for it.

    Attributes:
      name: Name of the test case.
      function: (y, noise, temperature) -> y~.
      layer: (**kwargs) -> layer.
      oracle: NumPy (y, u, t) -> y~.
      slope: NumPy (y, u, t) -> dy~/dy.
      noisy: Whether it takes noise.
      annealed: Whether it has a temperature.
      at_one: NumPy (y, u) -> y~ at temperature 1, where there is a simpler formula.
    """

    name: str
    function: Callable
    layer: Callable
    oracle: Callable
    slope: Callable
    noisy: bool = True
    annealed: bool = False
    at_one: Callable | None = None

    def __str__(self):
        return self.name

    def make_layer(self, temperature=1.0, seed=None, **kwargs):
        """Builds the layer, with those of the arguments that it has."""
        if self.annealed:
            kwargs["temperature"] = temperature
        if self.noisy:
            kwargs["seed"] = seed
        return self.layer(**kwargs)


def ones(y, u, t):
    return np.ones_like(y)


def staircase(y, t):
    floor = np.floor(y)
    return floor + np.clip((y - floor - 0.5) / t + 0.5, 0, 1)


def staircase_slope(y, u, t):
    inside = np.abs(y - np.floor(y) - 0.5) <= t / 2
    return np.where(inside, 1 / t, np.zeros_like(y))


SUA_FORMS = {
    "dithered": (lambda y, u, t: np.round(y + t * u) - t * u, lambda y, u: np.round(y + u) - u),
    "additive": (lambda y, u, t: staircase(y, t) + t * u, lambda y, u: y + u),
    "rounding": (lambda y, u, t: np.round(y + t * u), lambda y, u: np.round(y + u)),
}


def _sua_row(form, gradient):
    oracle, at_one = SUA_FORMS[form]
    return Row(
        name=f"sua-{form}-{gradient}",
        function=lambda y, u, t: surrogates.stochastic_uniform_annealing(
            y, u, t, form=form, gradient=gradient
        ),
        layer=lambda **kwargs: layers.StochasticUniformAnnealing(
            form=form, gradient=gradient, **kwargs
        ),
        oracle=oracle,
        slope=ones if gradient == "straight_through" else staircase_slope,
        annealed=True,
        at_one=at_one,
    )


ROWS = [
    Row(
        name="aun",
        function=lambda y, u, t: surrogates.additive_uniform_noise(y, u),
        layer=layers.AdditiveUniformNoise,
        oracle=lambda y, u, t: y + u,
        slope=ones,
    ),
    Row(
        name="ste",
        function=lambda y, u, t: surrogates.straight_through_rounding(y),
        layer=layers.StraightThroughRounding,
        oracle=lambda y, u, t: np.round(y),
        slope=ones,
        noisy=False,
    ),
    *(
        _sua_row(form, gradient)
        for form in SUA_FORMS
        for gradient in ("straight_through", "expected")
    ),
]
