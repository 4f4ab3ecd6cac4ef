"""Rounding with the straight-through gradient (Bengio et al., 2013; Theis et al., 2017)."""

from __future__ import annotations

import tensorflow as tf

from tfsq.surrogates._numerics import with_slope


def straight_through_rounding(y) -> tf.Tensor:
    """Rounds half to even: y~ = round(y), with gradient dy~/dy = 1.

    Source: Y. Bengio, N. Leonard, A. Courville, "Estimating or Propagating Gradients Through
    Stochastic Neurons for Conditional Computation", 2013, https://arxiv.org/abs/1308.3432; in
    compression: L. Theis et al., "Lossy Image Compression with Compressive Autoencoders",
    ICLR 2017, https://arxiv.org/abs/1703.00395

    Args:
      y: Floating-point tensor of any shape, the latent.

    Returns:
      Tensor of the shape and dtype of `y`. NaN and infinities stay what they are.
    """
    return with_slope(lambda y: (tf.round(y), None), y)
