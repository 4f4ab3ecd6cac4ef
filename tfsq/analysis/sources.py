"""Source densities on the line, with what quantization theory needs of them."""

from __future__ import annotations

import abc
import dataclasses
import functools
import math

import numpy as np
import tensorflow_probability as tfp


@dataclasses.dataclass(frozen=True)
class Source(abc.ABC):
    """A symmetric density with a location and a scale; methods take and return float64 arrays.

    Attributes:
      loc: Location, the mean.
      scale: Scale, above 0; what it means depends on the density.

    Raises:
      ValueError: if `loc` is not finite or `scale` not positive and finite.
    """

    loc: float = 0.0
    scale: float = 1.0

    def __post_init__(self):
        if not math.isfinite(self.loc):
            raise ValueError(f"`loc` must be finite. Received: loc={self.loc}")
        if not 0.0 < self.scale < math.inf:
            raise ValueError(f"`scale` must be positive and finite. Received: scale={self.scale}")

    def __str__(self):
        return f"{type(self).__name__}({self.loc:g}, {self.scale:g})"

    @functools.cached_property
    def distribution(self) -> tfp.distributions.Distribution:
        """The TFP distribution, in float64."""
        return self._family(np.float64(self.loc), np.float64(self.scale))

    @functools.cached_property
    def variance(self) -> float:
        """The variance."""
        return float(self.distribution.variance())

    def pdf(self, y) -> np.ndarray:
        """Density at `y`."""
        return self.distribution.prob(np.asarray(y, np.float64)).numpy()

    def cdf(self, y) -> np.ndarray:
        """Cumulative at `y`."""
        return self.distribution.cdf(np.asarray(y, np.float64)).numpy()

    def quantile(self, v) -> np.ndarray:
        """Inverse cumulative at `v` in (0, 1)."""
        return self.distribution.quantile(np.asarray(v, np.float64)).numpy()

    def mass(self, low, high) -> np.ndarray:
        """Probability of [low, high], without cancellation in the upper tail."""
        low, high = np.asarray(low, np.float64), np.asarray(high, np.float64)
        # These densities are symmetric: what lies above is mirrored to below.
        above = low > self.loc
        below = np.where(above, 2 * self.loc - high, low), np.where(above, 2 * self.loc - low, high)
        lower, upper = self.cdf(np.stack(below))
        return upper - lower

    def first_moment(self, low, high) -> np.ndarray:
        """Integral of y p(y) over [low, high]."""
        standard = (
            self._standard_first_moment((np.asarray(edge, np.float64) - self.loc) / self.scale)
            for edge in (high, low)
        )
        return self.loc * self.mass(low, high) + self.scale * np.subtract(*standard)

    def expectation(self, f, ties=()) -> float:
        """E[f(y)] by Gauss-Legendre quadrature between the jumps of `f`.

        Args:
          f: Callable on an array of any shape, smooth but at `ties`.
          ties: Where `f` jumps.

        Returns:
          The expectation.
        """
        grid = self.loc + self.scale * _REACH
        edges = np.unique(np.concatenate([grid, np.asarray(ties, np.float64)]))
        edges = edges[(edges >= grid[0]) & (edges <= grid[-1])]
        half = np.diff(edges)[:, None] / 2
        y = edges[:-1, None] + half * (1 + _NODES)
        return float(np.sum(self.pdf(y) * f(y) * half * _WEIGHTS))

    def ties(self, loc: float = 0.0) -> np.ndarray:
        """The points loc + k + 1/2 that this source reaches.

        Args:
          loc: Center of the quantizer.

        Returns:
          Float64 array.
        """
        low, high = self.loc + self.scale * _REACH[[0, -1]] - loc
        return loc + np.arange(math.floor(low) - 1, math.ceil(high) + 1) + 0.5

    @property
    @abc.abstractmethod
    def _family(self): ...

    @abc.abstractmethod
    def _standard_first_moment(self, x):
        """The integral of y p(y) from -infinity to x, at location 0 and scale 1."""


# In scales from the location: beyond, the heaviest of the tails here has a mass of 1e-18.
_REACH = np.concatenate([np.arange(-42, -4, 2), np.arange(-4, 4, 0.5), np.arange(4, 44, 2)])
# Infinite edges come as this: here exp(-x) underflows.
_FAR = 1e3
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(24)


@dataclasses.dataclass(frozen=True)
class Gaussian(Source):
    """Normal density.

    Example:

    >>> Gaussian(scale=2.0).variance
    4.0

    Attributes:
      loc: Mean.
      scale: Standard deviation, above 0.
    """

    @property
    def _family(self):
        return tfp.distributions.Normal

    def _standard_first_moment(self, x):
        return -np.exp(-np.square(x) / 2) / math.sqrt(2 * math.pi)


@dataclasses.dataclass(frozen=True)
class Laplace(Source):
    """Laplace density exp(-|y - loc| / scale) / (2 scale).

    Attributes:
      loc: Mean.
      scale: Mean absolute deviation b, above 0; the variance is 2 b^2.
    """

    @property
    def _family(self):
        return tfp.distributions.Laplace

    def _standard_first_moment(self, x):
        x = np.minimum(np.abs(x), _FAR)
        return -(1 + x) * np.exp(-x) / 2


@dataclasses.dataclass(frozen=True)
class Logistic(Source):
    """Logistic density, whose cumulative is sigmoid((y - loc) / scale).

    Attributes:
      loc: Mean.
      scale: Scale s, above 0; the variance is (pi s)^2 / 3.
    """

    @property
    def _family(self):
        return tfp.distributions.Logistic

    def _standard_first_moment(self, x):
        # x sigmoid(x) - softplus(x), symmetric in x.
        x = -np.minimum(np.abs(x), _FAR)
        return x * np.exp(x) / (1 + np.exp(x)) - np.log1p(np.exp(x))
