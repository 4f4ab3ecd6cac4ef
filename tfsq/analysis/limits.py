"""What no scalar codec, and no codec at all, can beat on a memoryless source."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from tfsq.analysis.results import Result
from tfsq.analysis.sources import Source

# Of the Lagrangian, from one iteration to the next.
_TOLERANCE = 1e-8
# Lloyd's steps are short: longer ones converge in half the iterations.
_RELAXATION = 1.9
# What lies further out is left to the outermost cells.
_TAIL = 1e-10
# The kernel between all points of the grid is a dense matrix.
_MOST_POINTS = 8000
_MOST_ITERATIONS = 20_000
# Steps of the grid, in standard deviations of the error and in scales of the source.
_STEP_OF_ERROR, _STEP_OF_SOURCE = 0.15, 0.1


@dataclasses.dataclass(frozen=True)
class Limit(Result):
    """A point of a rate-distortion curve: the minimum of rate + lmbda * distortion.

    Attributes:
      kind: "scalar quantizer" or "Shannon".
      source: The source.
      lmbda: Weight of the distortion.
      lagrangian: rate + lmbda * distortion.
      rate: Bits per sample.
      distortion: Mean squared error, in the units of the source.
    """

    kind: str
    source: str
    lmbda: float
    lagrangian: float
    rate: float
    distortion: float


def _check_lmbda(lmbda):
    if not 0.0 < lmbda < math.inf:
        raise ValueError(f"`lmbda` must be positive and finite. Received: lmbda={lmbda}")


def _rate(mass):
    return float(-np.sum(mass * np.log2(mass)))


def _lloyd(source, lmbda, thresholds):
    """Alternates between codewords, code lengths and thresholds until nothing improves."""
    previous, relaxation = math.inf, _RELAXATION
    while True:
        edges = np.concatenate([[-np.inf], thresholds, [np.inf]])
        mass = source.mass(edges[:-1], edges[1:])
        kept = mass > 1e-300
        low, high, mass = edges[:-1][kept], edges[1:][kept], mass[kept]
        codewords = source.first_moment(low, high) / mass
        lengths = -np.log2(mass)
        # E[(y - c)^2] = E[y^2] - sum of mass * c^2, about the mean.
        spread = np.sum(mass * np.square(codewords - source.loc))
        distortion = max(source.variance - float(spread), 0.0)
        rate = _rate(mass)
        lagrangian = rate + lmbda * distortion
        if relaxation > 1 and lagrangian > previous:
            relaxation = 1.0
        elif not previous - lagrangian > _TOLERANCE:
            return lagrangian, rate, distortion
        previous = lagrangian
        gaps = np.diff(codewords)
        tilt = np.diff(lengths) / (2 * lmbda * gaps)
        target = (codewords[1:] + codewords[:-1]) / 2 + tilt
        # The edges of a cell that has become empty are one.
        current = high[:-1]
        thresholds = current + relaxation * (target - current)
        # A cell whose thresholds cross is empty: nothing is coded with it.
        thresholds = np.unique(np.maximum.accumulate(thresholds))


def scalar_quantizer_limit(source: Source, lmbda: float) -> Limit:
    """The best entropy-constrained scalar quantizer: min of H(Q(y)) + lmbda E[(y - Q(y))^2].

    Lloyd's algorithm with code lengths (P. A. Chou, T. Lookabaugh, R. M. Gray, "Entropy-constrained
    Vector Quantization", IEEE Transactions on Acoustics, Speech and Signal Processing 37(1), 1989),
    from uniform quantizers of several steps with a codeword or a threshold in the middle, and the
    quantizer of one cell.

    Example:

    >>> from tfsq.analysis import Laplace
    >>> print(f"{scalar_quantizer_limit(Laplace(), lmbda=15.0).lagrangian:.4f}")
    3.5474

    Args:
      source: The source.
      lmbda: Weight of the squared error against bits, positive.

    Returns:
      The best `Limit` found.

    Raises:
      ValueError: if `lmbda` is not positive and finite.
    """
    _check_lmbda(lmbda)
    best = (lmbda * source.variance, 0.0, source.variance)
    high_rate_step = math.sqrt(6 / (lmbda * math.log(2)))
    reach = source.loc - float(source.quantile(_TAIL))
    for step in (high_rate_step, 1.5 * high_rate_step):
        count = math.ceil(reach / step)
        for offset in (0.0, 0.5):
            thresholds = source.loc + step * (np.arange(-count, count + 1) + 0.5 - offset)
            best = min(best, _lloyd(source, lmbda, thresholds))
    return Limit("scalar quantizer", str(source), lmbda, *best)


def rate_distortion_bound(source: Source, lmbda: float) -> Limit:
    """Shannon's bound: min of I(y; y^) + lmbda E[(y - y^)^2] over all channels.

    Blahut and Arimoto's algorithm on a grid (R. E. Blahut, "Computation of Channel Capacity and
    Rate-Distortion Functions", IEEE Transactions on Information Theory 18(4), 1972), on the
    conditional form of the convex problem in the law of y^.

    Args:
      source: The source.
      lmbda: Weight of the squared error against bits, positive.

    Returns:
      The `Limit`; the Lagrangian is within 3e-3 bits of the bound.

    Raises:
      ValueError: if `lmbda` is not positive and finite, or so large that the grid would not fit.
      RuntimeError: if the iteration does not converge.
    """
    _check_lmbda(lmbda)
    reach = -source.quantile(1e-7) + source.loc
    error_at_high_rate = math.sqrt(1 / (2 * lmbda * math.log(2)))
    step = min(_STEP_OF_ERROR * error_at_high_rate, _STEP_OF_SOURCE * source.scale)
    edges = source.loc + np.linspace(-reach, reach, 2 * math.ceil(reach / step))
    if len(edges) > _MOST_POINTS:
        raise ValueError(
            f"`lmbda` needs a grid of more than {_MOST_POINTS} points. Received: lmbda={lmbda}"
        )
    y = (edges[1:] + edges[:-1]) / 2
    p = source.mass(edges[:-1], edges[1:])
    p /= p.sum()
    error = np.square(y[:, None] - y)
    kernel = np.exp2(-lmbda * error)
    q = np.full_like(p, 1 / len(p))
    for _ in range(_MOST_ITERATIONS):
        normalizer = kernel @ q
        gain = (p / normalizer) @ kernel
        # The Lagrangian is within log2(max gain) of its minimum.
        if math.log2(gain.max()) < 2e-3:
            break
        q = q * gain
    else:
        raise RuntimeError(f"No convergence in {_MOST_ITERATIONS} iterations for {source}, {lmbda}")
    normalizer = kernel @ q
    channel = kernel * q / normalizer[:, None]
    distortion = float(p @ np.sum(channel * error, axis=1))
    lagrangian = float(-p @ np.log2(normalizer))
    # Saying nothing is a code too, and at low rate the iteration stops just short of it.
    if lagrangian >= lmbda * source.variance:
        return Limit("Shannon", str(source), lmbda, lmbda * source.variance, 0.0, source.variance)
    rate = lagrangian - lmbda * distortion
    return Limit("Shannon", str(source), lmbda, lagrangian, rate, distortion)
