"""The scales that have a coding table."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

from tfsq.entropy_models.bounds import lower_bound, upper_bound
from tfsq.layers.checks import as_number, check_integer, is_positive

# Steps of the table in log scale. A scale is then at most e = 0.065 from the nearest entry, which
# costs a Gaussian e^2 nats: less than 0.007 bit a symbol.
_LARGEST_LOG_STEP = 0.13
LARGEST_SCALE = 256.0


def check_scale_bounds(lower_bound, upper_bound=LARGEST_SCALE) -> None:
    """Checks the bounds of a table of scales.

    Args:
      lower_bound: Smallest scale.
      upper_bound: Largest scale.

    Raises:
      ValueError: if they are not positive and finite in float32, or not in this order.
    """
    lower, upper = as_number(lower_bound), as_number(upper_bound)
    if not (is_positive(lower) and is_positive(upper) and lower < upper):
        raise ValueError(
            "`scale_lower_bound` and `scale_upper_bound` must satisfy "
            "0 < scale_lower_bound < scale_upper_bound < inf in float32. Received: "
            f"scale_lower_bound={lower_bound!r}, scale_upper_bound={upper_bound!r}"
        )


class ScaleTable:
    """Scales that are log-spaced between two bounds, and which of them codes a given scale.

    Args:
      lower_bound: Smallest scale, above 0.
      upper_bound: Largest scale.
      num_scales: How many there are; more where the steps would be too large.

    Attributes:
      scales: float64 array [number of scales].
      thresholds: Scales at which the nearest entry changes, half-way in log scale, float64.

    Raises:
      ValueError: if the bounds are not in this order, or `num_scales` is less than 2.
    """

    def __init__(self, lower_bound: float, upper_bound: float, num_scales: int):
        check_scale_bounds(lower_bound, upper_bound)
        num_scales = check_integer("num_scales", num_scales, 2)
        self.lower_bound, self.upper_bound = float(lower_bound), float(upper_bound)
        log_range = math.log(self.upper_bound / self.lower_bound)
        self.num_scales = max(num_scales, math.ceil(log_range / _LARGEST_LOG_STEP) + 1)
        self._log_step = log_range / (self.num_scales - 1)
        steps = np.arange(self.num_scales)
        self.scales = self.lower_bound * np.exp(steps * self._log_step)
        self.thresholds = self.lower_bound * np.exp((steps[:-1] + 0.5) * self._log_step)

    def bounded(self, scale):
        """Returns `scale` within the bounds; the gradient passes where it leads towards them.

        Args:
          scale: float32 tensor.
        """
        return upper_bound(lower_bound(scale, self.lower_bound), self.upper_bound)

    def indexes(self, scale):
        """Returns the index of the nearest entry in log scale, int32; comparisons are exact.

        Args:
          scale: Floating-point tensor.
        """
        thresholds = tf.constant(self.thresholds, tf.float64)
        indexes = tf.searchsorted(thresholds, tf.reshape(tf.cast(scale, tf.float64), [-1]))
        return tf.reshape(indexes, tf.shape(scale))

    def place_of(self, scale):
        """Returns where between entries a scale is, float32; not the same on every machine.

        Args:
          scale: Positive float32 tensor, or a number.
        """
        return tf.math.log(scale / self.lower_bound) / self._log_step

    def scale_of(self, indexes):
        """Returns the float32 scales of entries.

        Args:
          indexes: Integer tensor.
        """
        return self.lower_bound * tf.exp(tf.cast(indexes, tf.float32) * self._log_step)
