"""Refusals of tensors' values, in graphs as in eager calls."""

from __future__ import annotations

import tensorflow as tf


def refuse_unless(condition, message: str, received) -> list:
    """Raises if `condition` is false, now if eager, when it runs if traced.

    Args:
      condition: Boolean scalar tensor.
      message: What is required.
      received: Tensor, what was received instead.

    Returns:
      A list of control dependencies, empty if eager.

    Raises:
      tf.errors.InvalidArgumentError: if `condition` is false.
    """
    if not tf.executing_eagerly():
        return [tf.debugging.Assert(condition, [message, received])]
    if not condition:
        raise tf.errors.InvalidArgumentError(None, None, f"{message} {received.numpy()}")
    return []
