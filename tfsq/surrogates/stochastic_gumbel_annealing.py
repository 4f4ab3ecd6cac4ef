"""Stochastic Gumbel annealing (Yang et al., 2020)."""

from __future__ import annotations

import math

import tensorflow as tf

from tfsq.surrogates._numerics import with_slope
from tfsq.surrogates._rounding_odds import atanh_margin, nearest_and_distance, off_zero

# Yang et al. keep distances this far from 1, where atanh is infinite.
_ATANH_GAP = 1e-5


# Each logit l gives, for the distance n to the nearest neighbor, the margin l(n) - l(1 - n) and its
# steepness, -d/dn of that.
def _atanh(n, sharpness):
    del sharpness
    gap = tf.maximum(n, tf.cast(_ATANH_GAP, n.dtype))
    far = tf.where(n > _ATANH_GAP, 1.0 / (gap * (2.0 - gap)), tf.zeros_like(n))
    return atanh_margin(n, gap), far + 1.0 / (1.0 - tf.square(n))


def _linear(n, sharpness):
    del sharpness
    n = off_zero(n)
    return tf.math.log1p((1.0 - 2.0 * n) / n), 1.0 / (n * (1.0 - n))


def _cosine(n, sharpness):
    del sharpness
    n = off_zero(n)
    # cos(pi n / 2) / sin(pi n / 2) - 1, without a cancellation at n = 1/2.
    excess = math.sqrt(2.0) * tf.sin(math.pi * (0.5 - n) / 2.0) / tf.sin(math.pi * n / 2.0)
    return 2.0 * tf.math.log1p(excess), 2.0 * math.pi / tf.sin(math.pi * n)


def _sigmoid(n, sharpness):
    margin, steepness = _linear(n, sharpness)
    return sharpness * margin, sharpness * steepness


_LOGITS = {"atanh": _atanh, "linear": _linear, "cosine": _cosine, "sigmoid": _sigmoid}


def check_logits(logits: str, sharpness: float) -> None:
    """Raises ValueError unless `logits` names logits of SGA and `sharpness` is positive."""
    if logits not in _LOGITS:
        raise ValueError(f"`logits` must be one of {sorted(_LOGITS)}. Received: logits={logits!r}")
    if not 0.0 < sharpness < math.inf:
        raise ValueError(f"`sharpness` must be positive. Received: sharpness={sharpness}")


def stochastic_gumbel_annealing(
    y, noise, temperature, logits: str = "atanh", sharpness: float = 2.3
) -> tf.Tensor:
    """Mixes floor and ceiling with Gumbel-softmax weights; with the exact gradient.

        y~ = w . (floor(y), ceil(y)),  w = softmax((l(d) / t + g) / t)

    d are the distances to floor and ceiling, g standard Gumbel noise, and l one of

        "atanh"    -atanh(d), with d at most 1 - 1e-5
        "linear"   log(1 - d)
        "cosine"   log(cos(pi d / 2)^2)
        "sigmoid"  log(sigmoid(-k logit(d))), k the `sharpness`; k = 1 is "linear"

    At t = 1 y~ still lies anywhere between floor and ceiling.

    Source: Y. Yang, R. Bamler, S. Mandt, "Improving Inference for Neural Image Compression",
    NeurIPS 2020, https://arxiv.org/abs/2006.04240 (atanh); Y. Perugachi-Diaz, A. Gansekoele,
    S. Bhulai, "Robustly Overfitting Latents for Flexible Neural Image Compression", 2023,
    https://arxiv.org/abs/2401.17789 (the others; k is a there). t is the papers' tau, which enters
    twice, with the schedule tau = min(0.5, exp(-0.001 (step - 700))) over 2000 steps.

    Args:
      y: Floating-point tensor of any shape, the latent.
      noise: Floating-point tensor of the shape of `y` and a trailing axis of 2, standard Gumbel, in
        the order (floor, ceiling). Receives no gradient.
      temperature: Scalar t, a number, tensor or variable. The result and its gradient are finite
        for t in [1e-6, 1], for float16 latents in [1e-4, 1]; this is not checked. Receives no
        gradient.
      logits: One of the names above.
      sharpness: k of the sigmoid logits, positive; of no effect on the others.

    Returns:
      Tensor of the shape and dtype of `y`. The arithmetic is done in at least float32.

    Raises:
      ValueError: if `logits` is not one of the names above, or `sharpness` not positive.
    """
    check_logits(logits, sharpness)

    def formula(y, g, t):
        nearest, direction, n = nearest_and_distance(y)
        margin, steepness = _LOGITS[logits](n, sharpness)
        advantage = direction * (g[..., 0] - g[..., 1])
        odds = (margin / t + advantage) / t
        # An integer is its own floor and ceiling, whatever the weights.
        far = tf.where(n > 0.0, tf.sigmoid(-odds), tf.zeros_like(n))

        def slope():
            # In this order: the weights underflow where 1 / t^2 and the steepness are great.
            return far * tf.sigmoid(odds) * steepness / t / t

        return nearest + direction * far, slope

    return with_slope(formula, y, noise, temperature)
