"""What the surrogates share: dtypes, the fraction of a latent, the custom gradient."""

from __future__ import annotations

from collections.abc import Callable

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


def clipped(x: tf.Tensor, low: float, high: float) -> tf.Tensor:
    """`tf.clip_by_value` in a single pass, without a gradient; of NaN, anything in the range."""
    return tf.raw_ops.ClipByValue(
        t=x, clip_value_min=tf.cast(low, x.dtype), clip_value_max=tf.cast(high, x.dtype)
    )


def finite(x: tf.Tensor) -> tf.Tensor:
    """Puts the largest and the smallest float in the place of infinities."""
    return clipped(x, x.dtype.min, x.dtype.max)


def fraction(y: tf.Tensor) -> tf.Tensor:
    """The fraction y - floor(y), exact but for small negative y, where 1 - f has more digits."""
    # An infinite latent has none: it gets an end of the interval. And what is clipped, TensorFlow
    # does not reorder: y - (floor(y) + 1/2) in the place of fraction(y) - 1/2 would lose digits.
    return clipped(y - finite(tf.floor(y)), 0.0, 1.0)


def with_slope(formula: Callable, y, *parameters) -> tf.Tensor:
    """Applies an elementwise formula whose gradient is given, not derived.

    Args:
      formula: (y, *parameters) -> (y~, slope), on tensors of the arithmetic dtype of `y`. The slope
        is a callable () -> dy~/dy, which is called in the backward pass alone, or None for 1.
      y: Floating-point tensor, the latent.
      *parameters: Tensors or numbers, noise and temperature for instance; they receive no gradient.

    Returns:
      Tensor of the shape and dtype of `y`.
    """

    @tf.custom_gradient
    def surrogate(y, *parameters):
        wide = widen(y)
        y_tilde, slope = formula(wide, *(tf.cast(p, wide.dtype) for p in parameters))

        def grad(dy):
            if slope is not None:
                steepness = slope()
                if y.dtype != wide.dtype:
                    # A slope that float16 cannot hold is as steep as float16 can.
                    steepness = tf.minimum(steepness, tf.cast(y.dtype.max, wide.dtype))
                dy = tf.cast(widen(dy) * steepness, dy.dtype)
            return (dy, *[None] * len(parameters))

        return tf.cast(y_tilde, y.dtype), grad

    y = tf.convert_to_tensor(y)
    # The hint keeps a Python float as precise as the arithmetic.
    hint = arithmetic_dtype(y.dtype)
    return surrogate(y, *(tf.convert_to_tensor(p, dtype_hint=hint) for p in parameters))
