"""Tables of probabilities for the range coder.

They are computed once, in double precision, and are weights from then on: whoever decodes reads
them, and computes none.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import tensorflow as tf
from scipy import special

from tfsq.entropy_models.deep_factorized import DeepFactorized
from tfsq.range_coder.tables import make_table

# Of a tail: beyond any table, and more exactly than the integer that it is rounded to needs.
_FARTHEST, _NEAREST = 2.0**20, 2.0**-20


@functools.lru_cache(maxsize=32)
def gaussian_tables(
    scales: tuple[float, ...], tail_mass: float, precision: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the tables of zero-mean Gaussians, rounded to integers.

    Args:
      scales: Their standard deviations.
      tail_mass: Probability that is left to the escape code, in (0, 1).
      precision: Bits of the quantized probabilities.

    Returns:
      (table, offsets): int32 vectors, the rows of the range coder one after the other, and the
      integer that each row begins with.
    """
    last = np.ceil(np.array(scales) * -special.ndtri(tail_mass / 2)).astype(np.int64)

    def log_odds(x):
        # As logits of the cumulative, which tell small tails from none.
        z = x / np.array(scales)[np.newaxis]
        return special.log_ndtr(z) - special.log_ndtr(-z)

    return _tables(log_odds, -last, last, precision)


def density_tables(weights, tail_mass: float, precision: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the tables of deep factorized densities, rounded to integers.

    Args:
      weights: As for `DeepFactorized.of`.
      tail_mass: Probability that is left to the escape code, in (0, 1).
      precision: Bits of the quantized probabilities.

    Returns:
      As `gaussian_tables`.
    """
    density = DeepFactorized.of(weights, tf.float64)
    channels = density.matrices[0].shape[0]

    def logits(x):
        return density.logits(tf.constant(x, tf.float64)).numpy()

    tail = special.logit(tail_mass / 2)
    tails = _where(logits, np.tile([[tail], [-tail]], [1, channels]))
    first, last = np.floor(tails[0]).astype(np.int64), np.ceil(tails[1]).astype(np.int64)
    return _tables(logits, first, last, precision)


def _where(increasing: Callable, targets: np.ndarray) -> np.ndarray:
    """Where increasing functions have the values of a row of targets, each row, by bisection."""
    size = 1.0
    while size < _FARTHEST and np.any(
        (increasing(np.full_like(targets, -size)) > targets)
        | (increasing(np.full_like(targets, size)) < targets)
    ):
        size *= 2.0
    low, high = np.full_like(targets, -size), np.full_like(targets, size)
    while size > _NEAREST:
        size /= 2.0
        middle = (low + high) / 2
        is_above = increasing(middle) > targets
        low, high = np.where(is_above, low, middle), np.where(is_above, middle, high)
    return high


def _tables(logits, first, last, precision: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows from first to last, and an escape, of no more entries than there are counts."""
    most = 2 ** (precision - 1) - 1
    first, last = np.maximum(first, -most), np.minimum(last, most)
    edges = first - 0.5 + np.arange(np.max(last - first) + 2)[:, np.newaxis]
    found = logits(edges)
    above, below = found[1:], found[:-1]
    # The pair of cumulatives, or of survival functions, that does not cancel.
    sign = np.where(above > 0, -1.0, 1.0)
    pmf = np.abs(special.expit(sign * above) - special.expit(sign * below))
    lengths = last - first + 1
    rows = [pmf[:length, i] for i, length in enumerate(lengths)]
    rows = [np.append(row, max(0.0, 1.0 - np.sum(row))) for row in rows]
    return make_table(rows, precision), first.astype(np.int32)
