"""Differentiable soft quantization (Gong et al., 2019)."""

from __future__ import annotations

import tensorflow as tf

from tfsq.surrogates._numerics import fraction, with_slope
from tfsq.surrogates._soft_step import step_slope


def differentiable_soft_quantization(y, temperature) -> tf.Tensor:
    """Rounds half to even, with the gradient of soft rounding: dy~/dy = s_a'(y), a = 1/t.

        s_a'(y) = a / (2 tanh(a / 2) cosh(a (y - m))^2),  m = floor(y) + 1/2

    The forward pass is rounding at every temperature; t moves the gradient alone, which is near 1
    at t = 1.

    Source: R. Gong et al., "Differentiable Soft Quantization", ICCV 2019,
    https://arxiv.org/abs/1908.05033, where 1/t is k and learned; in compression, with a fixed
    steepness: K. Tsubota, K. Aizawa, 2023, https://arxiv.org/abs/2303.00587

    Args:
      y: Floating-point tensor of any shape, the latent.
      temperature: Scalar t, a number, tensor or variable. The result and its gradient are finite
        for t in [1e-6, 1], for float16 latents in [1e-4, 1]; this is not checked. Receives no
        gradient.

    Returns:
      Tensor of the shape and dtype of `y`. The arithmetic is done in at least float32.
    """

    def formula(y, t):
        return tf.round(y), lambda: step_slope(fraction(y), t)

    return with_slope(formula, y, temperature)
