"""Annealed stochastic rounding (Tsubota and Aizawa, 2023)."""

from __future__ import annotations

import tensorflow as tf

from tfsq.surrogates._numerics import with_slope
from tfsq.surrogates._rounding_odds import atanh_margin, nearest_and_distance, off_zero


def annealed_stochastic_rounding(y, noise, temperature) -> tf.Tensor:
    """Rounds up or down with probabilities that sharpen, with gradient dy~/dy = 1.

        y~ = floor(y) + [u > 1/2 - p],  p = sigmoid((atanh(y - floor(y)) - atanh(ceil(y) - y)) / t)

    p is the weight of the ceiling under softmax(-atanh(d) / t), d the distances to floor and
    ceiling. At t = 1 it is near the fraction y - floor(y), not equal to it.

    Source: K. Tsubota, K. Aizawa, "Comprehensive Comparisons of Uniform Quantization in Deep Image
    Compression", IEEE Access, 2023, https://arxiv.org/abs/2303.00587. t is the paper's temperature
    of the same softmax as in stochastic Gumbel annealing, lowered exponentially as there.

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

    def formula(y, u, t):
        nearest, direction, n = nearest_and_distance(y)
        n = off_zero(n)
        probability = tf.sigmoid(-atanh_margin(n, gap=n) / t)
        # The same event for either neighbor: of the large noise up, of the small noise down.
        moves = direction * u > 0.5 - probability
        return nearest + direction * tf.cast(moves, y.dtype), None

    return with_slope(formula, y, noise, temperature)
