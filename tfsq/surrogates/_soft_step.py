"""The soft step from 0 to 1 that soft rounding takes in each unit interval, and its inverse.

    step(f) = 1/2 + tanh(a (f - 1/2)) / (2 tanh(a / 2)),  0 <= f <= 1,  a = 1/t

With T = tanh(a / 2), 1 - T is computed without cancellation, so that all of this holds for any a.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf


def sech_squared(x):
    """1 / cosh(x)^2, as precise where it is small; zero where the square overflows."""
    e = tf.exp(x)
    return 4.0 / tf.square(e + 1.0 / e)


def centered_step(f, t):
    """The step at the fraction `f`, less 1/2."""
    return tf.tanh((f - 0.5) / t) * (0.5 / tf.tanh(0.5 / t))


def step(f, t):
    """The step at the fraction `f`."""
    return 0.5 + centered_step(f, t)


def step_slope(f, t):
    """The derivative of `step`."""
    return sech_squared((f - 0.5) / t) * (0.5 / (t * tf.tanh(0.5 / t)))


def _both_sides(g, t):
    """1 + T (2 g - 1) and 1 - T (2 g - 1)."""
    e = tf.exp(-1.0 / t)
    height, rest = tf.tanh(0.5 / t), 2.0 * e / (1.0 + e)
    return rest + 2.0 * g * height, rest + 2.0 * (1.0 - g) * height


def inverse_step(g, t):
    """The fraction at which the step has the height `g`."""
    lower, upper = _both_sides(g, t)
    # Where exp(-a) underflows, the logarithm of zero is infinite where it should be -a.
    return tf.clip_by_value(0.5 + 0.5 * t * tf.math.log(lower / upper), 0.0, 1.0)


def inverse_steepness(g, t):
    """sech(a (f - 1/2))^-2 at f = inverse_step(g): the slope of the inverse, but for 2 T t.

    It grows to exp(a) / 4 at the ends, but is no greater than for a height half a float step short
    of them: what lies closer no float can tell.
    """
    lower, upper = _both_sides(g, t)
    resolution = np.finfo(g.dtype.as_numpy_dtype).eps
    return 1.0 / (tf.maximum(lower, resolution) * tf.maximum(upper, resolution))
