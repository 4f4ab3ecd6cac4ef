"""Stochastic uniform annealing, our formulation."""

from __future__ import annotations

import tensorflow as tf

from tfsq.surrogates._numerics import clipped, finite, fraction, with_slope


def _staircase(y, t):
    """The conditional mean h_t(y): risers of width t around the ties."""
    return tf.floor(y) + clipped((fraction(y) - 0.5) / t + 0.5, 0.0, 1.0)


def _staircase_slope(y, t):
    # `<=` and not `<`: at t = 1 the risers touch, and the slope is 1 at the integers too.
    inside = tf.abs(fraction(y) - 0.5) <= t / 2
    return tf.where(inside, 1 / t, tf.zeros_like(y))


def _hard_and_step(y, noise):
    """round(y), and the steps from there to round(y + noise): -1, 0 or 1."""
    # From a finite integer it is infinitely far to an infinite latent, as it should be.
    hard = finite(tf.round(y))
    # The sum y + noise might be carried onto a tie that it stays short of; here, ties stay.
    return hard, tf.round((y - hard) + noise)


def _dithered(y, u, t):
    hard, step = _hard_and_step(y, t * u)
    return hard + (step - t * u)


def _rounded(y, u, t):
    hard, step = _hard_and_step(y, t * u)
    return hard + step


_FORMS = {
    "dithered": _dithered,
    "additive": lambda y, u, t: _staircase(y, t) + t * u,
    "rounding": _rounded,
}

_SLOPES = {
    "straight_through": lambda y, t: None,
    "expected": lambda y, t: lambda: _staircase_slope(y, t),
}


def check_form_and_gradient(form: str, gradient: str) -> None:
    """Raises ValueError unless `form` and `gradient` name a form and a gradient of SUA."""
    for name, value, known in (("form", form, _FORMS), ("gradient", gradient, _SLOPES)):
        if value not in known:
            raise ValueError(f"`{name}` must be one of {sorted(known)}. Received: {name}={value!r}")


def stochastic_uniform_annealing(
    y, noise, temperature, form: str = "dithered", gradient: str = "straight_through"
) -> tf.Tensor:
    """Quantizes with uniform noise whose width, the temperature t, is annealed to zero.

    Our formulation of the stochastic uniform annealing that H. Zhang, L. Li, D. Liu describe in
    "On Uniform Scalar Quantization for Learned Image Compression", 2023,
    https://arxiv.org/abs/2309.17051. The three forms share the conditional mean

        E[y~ | y] = h_t(y) = floor(y) + clip((y - floor(y) - 1/2) / t + 1/2, 0, 1),

    a staircase whose risers have width t; h_1 is the identity and h_0 is rounding:

        "dithered"  y~ = round(y + t u) - t u    at t = 1: universal quantization
        "additive"  y~ = h_t(y) + t u            at t = 1: additive uniform noise
        "rounding"  y~ = round(y + t u)          at t = 1: stochastic rounding

    In every form |y~ - round(y)| <= t/2 wherever y is further than t/2 from a tie. The gradient
    is

        "straight_through"  dy~/dy = 1
        "expected"          dy~/dy = h_t'(y), that is 1/t inside a riser and 0 outside.

    Args:
      y: Floating-point tensor of any shape, the latent.
      noise: Floating-point tensor of the shape of `y`, u ~ Uniform(-1/2, 1/2). Receives no
        gradient.
      temperature: Scalar t, a number, tensor or variable. The result and its gradient are finite
        for t in [1e-6, 1], for float16 latents in [1e-4, 1]; this is not checked. Receives no
        gradient.
      form: "dithered", "additive" or "rounding".
      gradient: "straight_through" or "expected".

    Returns:
      Tensor of the shape and dtype of `y`. The arithmetic is done in at least float32.

    Raises:
      ValueError: if `form` or `gradient` is not one of the names above.
    """
    check_form_and_gradient(form, gradient)

    def formula(y, u, t):
        return _FORMS[form](y, u, t), _SLOPES[gradient](y, t)

    return with_slope(formula, y, noise, temperature)
