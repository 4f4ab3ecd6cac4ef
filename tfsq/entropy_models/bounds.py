"""Bounds whose gradient leads back to where a value is allowed."""

from __future__ import annotations

import tensorflow as tf


def lower_bound(x, bound: float) -> tf.Tensor:
    """Returns max(x, bound); the gradient passes where x may be, or would be raised.

    Source: the bound on scales in TFC's example models, `tfc.lower_bound` with
    "identity_if_towards".

    Args:
      x: Floating-point tensor of any shape.
      bound: The smallest value.

    Returns:
      Tensor of the shape and dtype of `x`.
    """

    @tf.custom_gradient
    def bounded(x):
        smallest = tf.cast(bound, x.dtype)
        return tf.maximum(x, smallest), lambda dy: tf.where((x >= smallest) | (dy < 0), dy, 0)

    return bounded(tf.convert_to_tensor(x))


def upper_bound(x, bound: float) -> tf.Tensor:
    """Returns min(x, bound); the gradient passes where x may be, or would be lowered.

    Args:
      x: Floating-point tensor of any shape.
      bound: The largest value.

    Returns:
      Tensor of the shape and dtype of `x`.
    """
    return -lower_bound(-tf.convert_to_tensor(x), -bound)
