"""One row per surrogate; the shared property tests run over all rows.

The oracles are written in NumPy from the formulas of the documentation, not from the code, and get
arrays of extended precision.
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
      oracle: NumPy (y, noise, t) -> y~.
      slope: NumPy (y, noise, t) -> dy~/dy.
      noise: "uniform", "gumbel" (with a trailing axis of 2) or None.
      annealed: Whether it has a temperature.
      pathwise: Whether dy~/dy is the derivative of y~ at a given noise.
      risers: Whether |y~ - round(y)| <= t/2 wherever y is further than t/2 from a tie.
      at_one: NumPy (y, noise) -> y~ at temperature 1, where there is a simpler formula.
    """

    name: str
    function: Callable
    layer: Callable
    oracle: Callable
    slope: Callable
    noise: str | None = "uniform"
    annealed: bool = False
    pathwise: bool = False
    risers: bool = False
    at_one: Callable | None = None

    def __str__(self):
        return self.name

    @property
    def noise_axes(self):
        """The axes of the noise after those of the latent."""
        return (2,) if self.noise == "gumbel" else ()

    def draw(self, rng, shape):
        """Draws noise for a latent of this shape, not at the very ends of its range."""
        v = rng.uniform(0.002, 0.998, (*shape, *self.noise_axes))
        return -np.log(-np.log(v)) if self.noise == "gumbel" else v - 0.5

    def make_layer(self, temperature=1.0, seed=None, **kwargs):
        """Builds the layer, with those of the arguments that it has."""
        if self.annealed:
            kwargs["temperature"] = temperature
        if self.noise:
            kwargs["seed"] = seed
        return self.layer(**kwargs)


def ones(y, u, t):
    return np.ones_like(y)


def fraction(y):
    return y - np.floor(y)


def staircase(y, t):
    return np.floor(y) + np.clip((fraction(y) - 0.5) / t + 0.5, 0, 1)


def staircase_slope(y, u, t):
    return np.where(np.abs(fraction(y) - 0.5) <= t / 2, 1 / t, np.zeros_like(y))


def soft_round(y, t):
    return np.floor(y) + 0.5 + np.tanh((fraction(y) - 0.5) / t) / (2 * np.tanh(0.5 / t))


def soft_round_slope(y, t):
    with np.errstate(over="ignore"):
        return 1 / (2 * t * np.tanh(0.5 / t) * np.cosh((fraction(y) - 0.5) / t) ** 2)


def soft_round_inverse(z, t):
    with np.errstate(divide="ignore"):
        return np.floor(z) + 0.5 + t * np.arctanh(2 * np.tanh(0.5 / t) * (fraction(z) - 0.5))


def noisy_soft_round(y, n, t):
    return soft_round_inverse(soft_round(y, t) + n - 0.5, t) + 0.5


def noisy_soft_round_slope(y, n, t):
    """s'(y) times the derivative of the inverse."""
    height = np.tanh(0.5 / t)
    of_inverse = (
        2 * t * height / (1 - (2 * height * (fraction(soft_round(y, t) + n - 0.5) - 0.5)) ** 2)
    )
    return soft_round_slope(y, t) * of_inverse


def kumaraswamy(u, k=2.0):
    b = (2**k * (k - 1) + 1) / k
    return (1 - (0.5 - u) ** (1 / b)) ** (1 / k) - 0.5


def annealed_round(y, u, t):
    f = fraction(y)
    with np.errstate(divide="ignore", over="ignore"):
        p = 1 / (1 + np.exp(-(np.arctanh(f) - np.arctanh(1 - f)) / t))
    return np.floor(y) + (u > 0.5 - p)


# l(d) and l'(d).
GUMBEL_LOGITS = {
    "atanh": (
        lambda d: -np.arctanh(np.minimum(d, 1 - np.longdouble("1e-5"))),
        lambda d: np.where(d < 1 - 1e-5, -1, 0) / (1 - np.minimum(d, 1 - 1e-6) ** 2),
    ),
    "linear": (lambda d: np.log(1 - d), lambda d: -1 / (1 - d)),
    "cosine": (
        lambda d: np.log(np.cos(np.pi * d / 2) ** 2),
        lambda d: -np.pi * np.tan(np.pi * d / 2),
    ),
    "sigmoid": (
        lambda d: -np.log1p((d / (1 - d)) ** 2.3),
        lambda d: -2.3 * (d / (1 - d)) ** 2.3 / (1 + (d / (1 - d)) ** 2.3) / (d * (1 - d)),
    ),
}


def gumbel_weight(y, g, t, logits):
    """The weight of the ceiling, and its derivative."""
    log_weight, derivative = GUMBEL_LOGITS[logits]
    # An integer is its own floor and ceiling.
    down = np.clip(fraction(y), 1e-12, 1 - 1e-12)
    inside = fraction(y) > 0
    odds = ((log_weight(1 - down) - log_weight(down)) / t + g[..., 1] - g[..., 0]) / t
    with np.errstate(over="ignore"):
        weight, rest = 1 / (1 + np.exp(-odds)), 1 / (1 + np.exp(odds))
    slope = weight * rest * -(derivative(1 - down) + derivative(down)) / t**2
    return np.where(inside, weight, 0), np.where(inside, slope, 0)


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
        pathwise=(form, gradient) == ("additive", "expected"),
        risers=True,
        at_one=at_one,
    )


def _sga_row(logits):
    return Row(
        name=f"sga-{logits}",
        function=lambda y, g, t: surrogates.stochastic_gumbel_annealing(y, g, t, logits=logits),
        layer=lambda **kwargs: layers.StochasticGumbelAnnealing(logits=logits, **kwargs),
        oracle=lambda y, g, t: np.floor(y) + gumbel_weight(y, g, t, logits)[0],
        slope=lambda y, g, t: gumbel_weight(y, g, t, logits)[1],
        noise="gumbel",
        annealed=True,
        pathwise=True,
    )


ROWS = [
    Row(
        name="aun",
        function=lambda y, u, t: surrogates.additive_uniform_noise(y, u),
        layer=layers.AdditiveUniformNoise,
        oracle=lambda y, u, t: y + u,
        slope=ones,
        pathwise=True,
    ),
    Row(
        name="ste",
        function=lambda y, u, t: surrogates.straight_through_rounding(y),
        layer=layers.StraightThroughRounding,
        oracle=lambda y, u, t: np.round(y),
        slope=ones,
        noise=None,
    ),
    *(
        Row(
            name=f"uq-{name}",
            function=lambda y, u, t: surrogates.universal_quantization(y, u),
            layer=lambda shared=shared, **kwargs: layers.UniversalQuantization(
                shared_offset=shared, **kwargs
            ),
            oracle=lambda y, u, t: np.round(y + u) - u,
            slope=ones,
        )
        for name, shared in (("own", False), ("shared", True))
    ),
    Row(
        name="sr",
        function=lambda y, u, t: surrogates.stochastic_rounding(y, u),
        layer=layers.StochasticRounding,
        oracle=lambda y, u, t: np.floor(y) + (u > 0.5 - fraction(y)),
        slope=ones,
    ),
    Row(
        name="sra",
        function=surrogates.annealed_stochastic_rounding,
        layer=layers.AnnealedStochasticRounding,
        oracle=annealed_round,
        slope=ones,
        annealed=True,
    ),
    Row(
        name="soft",
        function=lambda y, u, t: surrogates.soft_rounding(y, t),
        layer=layers.SoftRounding,
        oracle=lambda y, u, t: soft_round(y, t),
        slope=lambda y, u, t: soft_round_slope(y, t),
        noise=None,
        annealed=True,
        pathwise=True,
    ),
    Row(
        name="dsq",
        function=lambda y, u, t: surrogates.differentiable_soft_quantization(y, t),
        layer=layers.DifferentiableSoftQuantization,
        oracle=lambda y, u, t: np.round(y),
        slope=lambda y, u, t: soft_round_slope(y, t),
        noise=None,
        annealed=True,
    ),
    Row(
        name="unsr",
        function=surrogates.noisy_soft_rounding,
        layer=layers.NoisySoftRounding,
        oracle=noisy_soft_round,
        slope=noisy_soft_round_slope,
        annealed=True,
        pathwise=True,
    ),
    *(_sga_row(logits) for logits in GUMBEL_LOGITS),
    Row(
        name="c3",
        function=lambda y, u, t: surrogates.kumaraswamy_soft_rounding(y, u, t, shape=2.0),
        layer=layers.KumaraswamySoftRounding,
        oracle=lambda y, u, t: noisy_soft_round(y, kumaraswamy(u), t),
        slope=lambda y, u, t: noisy_soft_round_slope(y, kumaraswamy(u), t),
        annealed=True,
        pathwise=True,
    ),
    *(
        _sua_row(form, gradient)
        for form in SUA_FORMS
        for gradient in ("straight_through", "expected")
    ),
]
