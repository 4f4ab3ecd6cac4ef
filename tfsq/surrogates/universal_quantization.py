"""Universal quantization (Ziv, 1985)."""

from __future__ import annotations

import tensorflow as tf

from tfsq.surrogates._numerics import with_slope


def universal_quantization(y, noise) -> tf.Tensor:
    """Quantizes with a subtracted dither: y~ = round(y + u) - u, with gradient dy~/dy = 1.

    y~ - y is uniform on (-1/2, 1/2) whatever y is, as with additive noise; one offset u may be
    shared by the elements of an example.

    Source: J. Ziv, "On Universal Quantization", IEEE Transactions on Information Theory 31(3),
    1985; in learned compression: Y. Choi, M. El-Khamy, J. Lee, "Variable Rate Deep Image
    Compression with a Conditional Autoencoder", ICCV 2019, https://arxiv.org/abs/1909.04802, and
    E. Agustsson, L. Theis, "Universally Quantized Neural Compression", NeurIPS 2020,
    https://arxiv.org/abs/2006.09952

    Args:
      y: Floating-point tensor of any shape, the latent.
      noise: Floating-point tensor of the shape of `y`, u ~ Uniform(-1/2, 1/2). Receives no
        gradient.

    Returns:
      Tensor of the shape and dtype of `y`. The arithmetic is done in at least float32.
    """
    return with_slope(lambda y, u: (tf.round(y + u) - u, None), y, noise)
