"""Noisy soft rounding (Agustsson and Theis, 2020)."""

from __future__ import annotations

import tensorflow as tf

from tfsq.surrogates._numerics import fraction, with_slope
from tfsq.surrogates._soft_step import (
    centered_step,
    inverse_steepness,
    inverse_step,
    sech_squared,
)


def conditional_mean_of_noisy(y, n, t):
    """s_a^-1(s_a(y) + n - 1/2) + 1/2 and its slope, see `noisy_soft_rounding`.

    Args:
      y: Latent, float32 or float64.
      n: Noise on (-1/2, 1/2) of the same shape and dtype.
      t: Temperature, a scalar of the same dtype.

    Returns:
      (y~, slope), as `with_slope` takes them.
    """
    f = fraction(y)
    # Without the integer part of y, so that the heights are as precise for any y.
    height = centered_step(f, t) + n
    cell = tf.floor(height)
    g = height - cell
    y_tilde = tf.floor(y) + (cell + inverse_step(g, t) + 0.5)
    # s_a'(y) times the slope of the inverse, where one may be 0 and the other beyond all floats.
    return y_tilde, lambda: sech_squared((f - 0.5) / t) * inverse_steepness(g, t)


def noisy_soft_rounding(y, noise, temperature) -> tf.Tensor:
    """Rounds softly, adds noise, and takes the conditional mean; with the exact gradient.

        y~ = s_a^-1(s_a(y) + u - 1/2) + 1/2 = E[y | s_a(y) + u] under a flat prior,  a = 1/t

    with `soft_rounding` for s_a. It tends to rounding as t -> 0. s_a is equivariant under integer
    shifts, so the density of s_a(y) + u at the point whose conditional mean is m is F(m + 1/2) -
    F(m - 1/2), with F the cumulative of y: the noisy likelihood at m. One output serves rate and
    reconstruction.

    The gradient's variance grows like exp(1/t): the expectation of dy~/dy is s_a'(y), but below
    t = 0.06 or so it lies in noise closer to +-1/2 than float32 resolves, where the slope is cut.

    Source: E. Agustsson, L. Theis, "Universally Quantized Neural Compression", NeurIPS 2020,
    https://arxiv.org/abs/2006.09952. t is 1 / alpha there; the paper raises alpha during training,
    for its image models from 1 to 16: t from 1 to 1/16.

    Args:
      y: Floating-point tensor of any shape, the latent.
      noise: Floating-point tensor of the shape of `y`, u ~ Uniform(-1/2, 1/2). Receives no
        gradient.
      temperature: Scalar t, a number, tensor or variable. The result and its gradient are finite
        for t in [1e-6, 1], for float16 latents in [1e-4, 1]; this is not checked. Receives no
        gradient.

    Returns:
      Tensor of the shape and dtype of `y`. The arithmetic is done in at least float32.
    """
    return with_slope(conditional_mean_of_noisy, y, noise, temperature)
