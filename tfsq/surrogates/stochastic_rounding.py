"""Stochastic rounding (Toderici et al., 2016)."""

from __future__ import annotations

import tensorflow as tf

from tfsq.surrogates._numerics import fraction, with_slope


def stochastic_rounding(y, noise) -> tf.Tensor:
    """Rounds up with the probability of the fraction, with gradient dy~/dy = 1.

        y~ = floor(y) + [u > 1/2 - (y - floor(y))]

    This is round(y + u) but at the ties; E[y~ | y] = y.

    Source: G. Toderici et al., "Variable Rate Image Compression with Recurrent Neural Networks",
    ICLR 2016, https://arxiv.org/abs/1511.06085

    Args:
      y: Floating-point tensor of any shape, the latent.
      noise: Floating-point tensor of the shape of `y`, u ~ Uniform(-1/2, 1/2). Receives no
        gradient.

    Returns:
      Tensor of the shape and dtype of `y`. The arithmetic is done in at least float32.
    """

    def formula(y, u):
        return tf.floor(y) + tf.cast(u > 0.5 - fraction(y), y.dtype), None

    return with_slope(formula, y, noise)
