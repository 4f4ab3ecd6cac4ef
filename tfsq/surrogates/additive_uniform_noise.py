"""Additive uniform noise (Balle et al., 2017)."""

from __future__ import annotations

import tensorflow as tf

from tfsq.surrogates._numerics import with_slope


def additive_uniform_noise(y, noise) -> tf.Tensor:
    """Adds uniform noise: y~ = y + u, with gradient dy~/dy = 1.

    The density of y + u is that of y convolved with the unit box, which interpolates the
    probability masses of round(y).

    Source: J. Balle, V. Laparra, E. P. Simoncelli, "End-to-end Optimized Image Compression",
    ICLR 2017, https://openreview.net/forum?id=rJxdQ3jeg

    Args:
      y: Floating-point tensor of any shape, the latent.
      noise: Floating-point tensor of the shape of `y`, u ~ Uniform(-1/2, 1/2). Receives no
        gradient.

    Returns:
      Tensor of the shape and dtype of `y`. The arithmetic is done in at least float32.
    """
    return with_slope(lambda y, u: (y + u, None), y, noise)
