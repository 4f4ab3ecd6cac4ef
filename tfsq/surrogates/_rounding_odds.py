"""The odds of the nearest integer against the other neighbor, for surrogates that draw or mix.

Everything is a function of n, the distance from y to the nearest of floor and ceil: floating point
computes it without an error, and what is written in n neither cancels at the ties (n = 1/2) nor
overflows at the integers (n = 0).
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf


def nearest_and_distance(y):
    """The nearest of floor(y) and ceil(y), the direction of the other (1 or -1), and n."""
    nearest = tf.round(y)
    # An infinite latent is its own nearest integer.
    offset = tf.where(tf.math.is_finite(y), y - nearest, tf.zeros_like(y))
    return nearest, tf.where(offset >= 0.0, tf.ones_like(y), -tf.ones_like(y)), tf.abs(offset)


def off_zero(n):
    """`n`, no less than what can be squared and inverted."""
    return tf.maximum(n, np.sqrt(np.finfo(n.dtype.as_numpy_dtype).tiny))


def atanh_margin(n, gap):
    """atanh(d) - atanh(n) for the other neighbor's distance d = 1 - gap, that is 1 - n or less."""
    return 0.5 * tf.math.log1p(2.0 * (1.0 - gap - n) / (gap * (1.0 + n)))
