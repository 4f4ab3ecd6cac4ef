"""Dtype rules shared by the surrogates."""

from __future__ import annotations

import tensorflow as tf


def arithmetic_dtype(dtype) -> tf.DType:
    """Returns the dtype to compute in: `dtype`, but at least float32.

    Rounding needs more integer digits than float16 and bfloat16 have, and a temperature of 1e-4
    more fraction digits.

    Args:
      dtype: A floating-point `tf.DType` or its name.

    Returns:
      tf.float64 for float64, otherwise tf.float32.
    """
    dtype = tf.as_dtype(dtype)
    return dtype if dtype == tf.float64 else tf.float32


def widen(x: tf.Tensor) -> tf.Tensor:
    """Casts `x` to its arithmetic dtype."""
    return tf.cast(x, arithmetic_dtype(x.dtype))
