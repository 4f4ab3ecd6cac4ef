"""Coding tables from probabilities."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable

import numpy as np


def quantized_cdf(pmf: np.ndarray, precision: int) -> np.ndarray:
    """Rounds probabilities to counts out of 2^precision, with the least loss of code length.

    The counts are at least 1 and minimize -sum p log2(count / 2^precision). One more for a symbol
    gains p log(1 + 1 / count), less the larger the count. So counts are optimal where no symbol
    gains more by one more than another loses by one less, and exchanges that gain lead there.

    Example:

    >>> quantized_cdf([0.7, 0.29, 0.01], precision=3).tolist()
    [0, 5, 7, 8]

    Args:
      pmf: Vector of n numbers of at least 0, not all zero. They need not add up to 1.
      precision: Integer, 1 to 16.

    Returns:
      int32 array [n + 1], from 0 to 2^precision.

    Raises:
      ValueError: if `pmf` or `precision` is not as above, or n exceeds 2^precision.
    """
    if precision not in range(1, 17):
        raise ValueError(f"`precision` must be an integer in [1, 16]. Received: {precision}")
    pmf = np.asarray(pmf, np.float64)
    if pmf.ndim != 1 or not 1 <= len(pmf) <= 2**precision:
        raise ValueError(
            f"`pmf` must be a vector of 1 to {2**precision} entries. Received: shape={pmf.shape}"
        )
    if not np.all(np.isfinite(pmf) & (pmf >= 0)) or not np.any(pmf):
        raise ValueError(
            "`pmf` must have finite entries of at least 0, not all zero. "
            f"Received: entries from {pmf.min()} to {pmf.max()}"
        )
    pmf = pmf / pmf.max()  # so that the sum is finite
    counts = np.maximum(np.floor(pmf / pmf.sum() * 2**precision), 1).astype(int).tolist()
    _exchange(pmf.tolist(), counts, 2**precision)
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)


def make_table(pmfs: Iterable[np.ndarray], precision: int, escape: bool = True) -> np.ndarray:
    """Makes the table of the range coder, a row for each of several distributions.

    Args:
      pmfs: Vectors, as of `quantized_cdf`. With an escape the last entry is its probability, that
        of all symbols which have no entry.
      precision: Integer, 1 to 16.
      escape: Whether rows have an escape.

    Returns:
      int32 vector, for each row (precision, or -precision with an escape, then `quantized_cdf`).

    Raises:
      ValueError: if there is no pmf, one of an escape alone, or as `quantized_cdf`.
    """
    rows = [quantized_cdf(pmf, precision) for pmf in pmfs]
    if not rows:
        raise ValueError("`pmfs` must have at least one entry. Received: none")
    if escape and min(map(len, rows)) < 3:
        # Where there is nothing but escapes, TFC's decoder reads zeros past the end for ever.
        raise ValueError("`pmfs` must have two entries each, the escape's behind another's.")
    head = np.array([-precision if escape else precision], np.int32)
    return np.concatenate([part for row in rows for part in (head, row)])


def _exchange(pmf: list[float], counts: list[int], total: int) -> None:
    """Changes counts one by one, until they have the total and the least code length.

    Args:
      pmf: Probabilities.
      counts: As many counts, at least 1; changed in place.
      total: What they are to add up to, at least their number.
    """

    def gain(i: int, count: int) -> float:
        """What symbol i gains by count + 1 in the place of count."""
        return pmf[i] * math.log1p(1 / count)

    # Entries are of counts as they were; those that changed since are passed over.
    gains = [(-gain(i, count), i, count) for i, count in enumerate(counts)]
    losses = [(gain(i, count - 1), i, count) for i, count in enumerate(counts) if count > 1]
    heapq.heapify(gains)
    heapq.heapify(losses)

    def change(i: int, by: int) -> None:
        counts[i] += by
        heapq.heappush(gains, (-gain(i, counts[i]), i, counts[i]))
        if counts[i] > 1:
            heapq.heappush(losses, (gain(i, counts[i] - 1), i, counts[i]))

    def least(heap: list[tuple[float, int, int]]) -> tuple[float, int, int]:
        while heap and counts[heap[0][1]] != heap[0][2]:
            heapq.heappop(heap)
        return heap[0] if heap else (math.inf, -1, 0)

    missing = total - sum(counts)
    while missing:
        change(least(gains if missing > 0 else losses)[1], 1 if missing > 0 else -1)
        missing -= 1 if missing > 0 else -1
    while -least(gains)[0] > least(losses)[0]:
        change(least(gains)[1], 1)
        change(least(losses)[1], -1)
