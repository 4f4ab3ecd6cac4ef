"""Ladders of lambdas, and what lies between their rungs."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

from tfsq.layers.checks import as_number, check_positive


class Ladder:
    """Lambdas that one network serves, and the qualities at and between them.

    Quality 1 is the first lambda, quality n the n-th. Between two rungs whatever belongs to a
    quality is interpolated geometrically, lambdas among it.

    Example:

    >>> ladder = Ladder([0.0016, 0.0064, 0.0256])
    >>> round(ladder.lmbda_at(1.5), 4), ladder.middle
    (0.0032, 2.0)

    Args:
      lmbdas: Positive numbers, each larger than the one before; at least two.

    Attributes:
      lmbdas: Tuple of floats.

    Raises:
      ValueError: if `lmbdas` is not as described.
    """

    def __init__(self, lmbdas):
        found = tuple(check_positive("lmbdas", lmbda) for lmbda in lmbdas)
        if len(found) < 2 or any(b <= a for a, b in zip(found, found[1:])):
            raise ValueError(
                "`lmbdas` must be at least two numbers, each larger than the one before. "
                f"Received: lmbdas={tuple(lmbdas)!r}"
            )
        self.lmbdas = found

    def __len__(self):
        return len(self.lmbdas)

    @property
    def middle(self) -> float:
        """The quality in the middle."""
        return (len(self) + 1) / 2

    @property
    def middle_lmbda(self) -> float:
        """The lambda in the middle."""
        return self.lmbda_at(self.middle)

    def lmbda_at(self, quality: float) -> float:
        """Returns the lambda of a quality.

        Args:
          quality: From 1 to the number of rungs.

        Raises:
          ValueError: if it is not.
        """
        quality = self.checked(quality)
        rungs = np.arange(1, len(self) + 1)
        return math.exp(np.interp(quality, rungs, np.log(self.lmbdas)))

    def checked(self, quality) -> float:
        """Returns a quality as a float.

        Args:
          quality: A number.

        Raises:
          ValueError: if it is not from 1 to the number of rungs.
        """
        number = as_number(quality)
        if not 1.0 <= number <= len(self):
            raise ValueError(
                f"`quality` must be a number from 1 to {len(self)}. Received: quality={quality!r}"
            )
        return number

    def on_it(self, quality) -> tf.Tensor:
        """Returns qualities as a tensor.

        Args:
          quality: A number, or a tensor or sequence [count].

        Returns:
          float32 tensor [count], [1] of a number.

        Raises:
          ValueError: if it is a number that is not from 1 to the number of rungs.
          tf.errors.InvalidArgumentError: if one of a tensor is not; at once if eager, when it runs
            if traced, and not at all if compiled by XLA.
        """
        if not tf.is_tensor(quality) and np.ndim(quality) == 0:
            return tf.constant([self.checked(quality)], tf.float32)
        quality = tf.reshape(tf.cast(quality, tf.float32), [-1])
        is_on_it = tf.reduce_all((quality >= 1.0) & (quality <= float(len(self))))
        message = f"`quality` must be from 1 to {len(self)}. Received:"
        with tf.control_dependencies([tf.debugging.Assert(is_on_it, [message, quality])]):
            return tf.identity(quality)

    def lmbdas_at(self, quality) -> tf.Tensor:
        """Returns the lambdas of qualities.

        Args:
          quality: As for `on_it`.

        Returns:
          float32 tensor [count].
        """
        logs = tf.constant(np.log(self.lmbdas), tf.float32)
        return tf.exp(self.between(logs, self.on_it(quality)))

    def between(self, values, quality) -> tf.Tensor:
        """Interpolates linearly between what belongs to the rungs.

        No sum has more than two terms that are not zero, so that the result is the same in whatever
        order it is taken.

        Args:
          values: float32 tensor [rungs, ...].
          quality: float32 tensor [count], from 1 to the number of rungs.

        Returns:
          float32 tensor [count, ...].
        """
        rungs = tf.range(1, len(self) + 1, dtype=tf.float32)
        parts = tf.maximum(0.0, 1.0 - tf.abs(quality[:, tf.newaxis] - rungs))
        # A row for each quality, as wide as what is interpolated.
        parts = tf.reshape(parts, [-1, len(self), *[1] * (values.shape.rank - 1)])
        return tf.reduce_sum(parts * values, axis=1)
