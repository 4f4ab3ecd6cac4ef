"""Checks of arguments, and errors that name what was received."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf


def check_integer(name: str, value, least: int, most: int | None = None) -> int:
    """Returns `value` as an integer.

    Args:
      name: The argument to name in the error.
      value: A number.
      least: Its smallest value.
      most: Its largest value; None if there is none.

    Raises:
      ValueError: if `value` is not an integer from `least` to `most`.
    """
    is_integer = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not is_integer or value < least or (most is not None and value > most):
        wanted = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise ValueError(f"`{name}` must be an integer {wanted}. Received: {name}={value!r}")
    return int(value)


def check_integers(name: str, values, least: int) -> tuple[int, ...]:
    """Returns `values` as integers.

    Args:
      name: The argument to name in the error.
      values: A sequence of numbers.
      least: Their smallest value.

    Raises:
      ValueError: if `values` is no sequence of integers of at least `least`.
    """
    try:
        return tuple(check_integer(name, value, least) for value in values)
    except (TypeError, ValueError):
        raise ValueError(
            f"`{name}` must be a sequence of integers of at least {least}. "
            f"Received: {name}={values!r}"
        ) from None


def check_positive(name: str, value) -> float:
    """Returns `value` as a float.

    Args:
      name: The argument to name in the error.
      value: A number.

    Raises:
      ValueError: if `value` is not positive and finite in float32.
    """
    number = as_number(value)
    if not is_positive(number):
        raise ValueError(
            f"`{name}` must be positive and finite in float32. Received: {name}={value!r}"
        )
    return number


def check_temperature(value, name: str = "temperature") -> float:
    """Returns `value` as a float.

    Args:
      value: A number.
      name: The argument to name in the error.

    Raises:
      ValueError: if `value` is not in (0, 1].
    """
    number = as_number(value)
    if not (is_positive(number) and number <= 1.0):
        raise ValueError(f"`{name}` must be in (0, 1]. Received: {name}={value!r}")
    return number


def is_positive(number: float) -> bool:
    """Whether float32 makes a positive and finite number of it, not a zero."""
    return 0.0 < number <= tf.float32.max and bool(np.float32(number) > 0.0)


def as_number(value) -> float:
    """Returns `value` as a float, NaN if it is not a number, or is a text that reads as one."""
    if isinstance(value, (str, bytes)):
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def checked_latent(y, layer_name: str) -> tf.Tensor:
    """Returns `y` as a tensor.

    Args:
      y: A tensor or array.
      layer_name: The layer to name in the error.

    Raises:
      TypeError: if `y` is not floating-point.
    """
    y = tf.convert_to_tensor(y)
    if not y.dtype.is_floating:
        raise TypeError(
            f"The latent must be floating-point for layer {layer_name!r}. "
            f"Received: dtype={y.dtype.name}"
        )
    return y
