"""Soft rounding (Agustsson and Theis, 2020)."""

from __future__ import annotations

import tensorflow as tf

from tfsq.surrogates._numerics import fraction, with_slope
from tfsq.surrogates._soft_step import inverse_steepness, inverse_step, step, step_slope


def soft_rounding(y, temperature) -> tf.Tensor:
    """Rounds softly, with the exact gradient.

        s_a(y) = m + tanh(a (y - m)) / (2 tanh(a / 2)),  m = floor(y) + 1/2,  a = 1/t

    It is the identity at integers and ties for any t, and tends to rounding as t -> 0. At t = 1 it
    is close to the identity (a -> 0), not equal to it. Deterministic and invertible: what a
    network learns to undo, it trains without quantization.

    Source: E. Agustsson, L. Theis, "Universally Quantized Neural Compression", NeurIPS 2020,
    https://arxiv.org/abs/2006.09952. t is 1 / alpha there; the paper raises alpha during training,
    for its image models from 1 to 16: t from 1 to 1/16.

    Args:
      y: Floating-point tensor of any shape, the latent.
      temperature: Scalar t, a number, tensor or variable. The result and its gradient are finite
        for t in [1e-6, 1], for float16 latents in [1e-4, 1]; this is not checked. Receives no
        gradient.

    Returns:
      Tensor of the shape and dtype of `y`. The arithmetic is done in at least float32.
    """

    def formula(y, t):
        f = fraction(y)
        return tf.floor(y) + step(f, t), lambda: step_slope(f, t)

    return with_slope(formula, y, temperature)


def _inverse(z, t):
    g = fraction(z)
    y = tf.floor(z) + inverse_step(g, t)
    return y, lambda: 2.0 * t * tf.tanh(0.5 / t) * inverse_steepness(g, t)


def soft_rounding_inverse(z, temperature) -> tf.Tensor:
    """Inverts `soft_rounding`, with the exact gradient.

        y = m + atanh(2 tanh(a / 2) (z - m)) / a,  m = floor(z) + 1/2,  a = 1/t

    At the integers the slope is sinh(a) / a. It is cut where that exceeds what half a float step
    resolves, in float32 below t = 0.06 and in float64 below 0.027, and so finite for any t.

    Args:
      z: Floating-point tensor of any shape, a soft-rounded latent.
      temperature: Scalar t, see `soft_rounding`.

    Returns:
      Tensor of the shape and dtype of `z`. The arithmetic is done in at least float32.
    """
    return with_slope(_inverse, z, temperature)


def soft_rounding_conditional_mean(z, temperature) -> tf.Tensor:
    """E[y | s_a(y) + u = z] for uniform u and a flat prior: s_a^-1(z - 1/2) + 1/2.

    Source and gradient as in `soft_rounding_inverse`.

    Args:
      z: Floating-point tensor of any shape, a soft-rounded latent plus noise.
      temperature: Scalar t, see `soft_rounding`.

    Returns:
      Tensor of the shape and dtype of `z`. The arithmetic is done in at least float32.
    """

    def formula(z, t):
        y, slope = _inverse(z - 0.5, t)
        return y + 0.5, slope

    return with_slope(formula, z, temperature)
