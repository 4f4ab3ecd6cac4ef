"""BD-rate: the mean difference of rate between two codecs at equal PSNR."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tfsq._extras import import_extra

# Two would interpolate; four are usual, and keep a single point from deciding the mean.
MIN_BD_RATE_POINTS = 4
"""How many points a curve needs for a BD-rate."""


def _words(points: np.ndarray) -> str:
    return " and then ".join(str(tuple(point)) for point in np.round(points, 4).tolist())


def _ascending(points, name: str) -> np.ndarray:
    """The points as a float64 array [n, 2] in ascending order, or ValueError."""
    points = np.asarray(points, np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < MIN_BD_RATE_POINTS:
        raise ValueError(
            f"`{name}` must be at least {MIN_BD_RATE_POINTS} points (rate, PSNR). "
            f"Received: shape={points.shape}"
        )
    serve = np.isfinite(points).all(1) & (points[:, 0] > 0)
    if not serve.all():
        raise ValueError(
            f"`{name}` must be finite, with positive rates. Received: {_words(points[~serve])}"
        )
    points = points[np.argsort(points[:, 0])]
    rises = np.diff(points, axis=0).min(1) > 0
    if not rises.all():
        first = int(np.argmin(rises))
        raise ValueError(
            f"`{name}` must rise in PSNR wherever it rises in rate, with no rate twice. "
            f"Received: (rate, PSNR) of {_words(points[first : first + 2])}"
        )
    return points


def shared_psnr(
    anchor: Sequence[tuple[float, float]], test: Sequence[tuple[float, float]]
) -> tuple[float, float]:
    """Returns the range of PSNR that two curves share, lowest and highest, in dB.

    Args:
      anchor: See `bd_rate`.
      test: See `bd_rate`.

    Raises:
      ValueError: if a curve is not as `bd_rate` wants it, or if they share no range.
    """
    psnr = [_ascending(anchor, "anchor")[:, 1], _ascending(test, "test")[:, 1]]
    low, high = float(max(p[0] for p in psnr)), float(min(p[-1] for p in psnr))
    if low >= high:
        spans = " and ".join(f"{p[0]:.2f} to {p[-1]:.2f} dB" for p in psnr)
        raise ValueError(f"`anchor` and `test` must share a range of PSNR. Received: {spans}")
    return low, high


def bd_rate(anchor: Sequence[tuple[float, float]], test: Sequence[tuple[float, float]]) -> float:
    """Computes how much more a codec spends than another for the same PSNR, on average.

    Both curves are interpolated as log rate over PSNR, by piecewise cubic Hermite polynomials
    through all of their points. The mean of the difference is taken over the range of PSNR that
    both reach, see `shared_psnr`; what a curve does outside of it does not count, so a small shared
    range says little about the rest.

    Args:
      anchor: At least four points (rate in bits per pixel, PSNR in dB), in any order. PSNR must
        rise with the rate.
      test: Such points of the codec in question.

    Returns:
      The difference in percent of the anchor's rate: -50 where `test` needs half of it.

    Raises:
      ValueError: if a curve is not as described, or if they share no range of PSNR.
      ImportError: if the package bjontegaard is not installed.
    """
    bjontegaard = import_extra("bjontegaard", "BD-rates")
    shared_psnr(anchor, test)
    columns = [*_ascending(anchor, "anchor").T, *_ascending(test, "test").T]
    # The range is ours to check: by default, the package warns unless it is 75 % of the union.
    return float(
        bjontegaard.bd_rate(*columns, method="pchip", require_matching_points=False, min_overlap=0)
    )
