"""The train-test mismatch: how far a surrogate is from rounding."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import tensorflow as tf

from tfsq.analysis import losses
from tfsq.analysis.measurement import estimate, name_of, prepared, temperature_of
from tfsq.analysis.results import Result
from tfsq.analysis.sources import Gaussian, Source


@dataclasses.dataclass(frozen=True)
class Mismatch(Result):
    """What `mismatch` measures; each with its standard error.

    Attributes:
      surrogate: Name of the surrogate.
      temperature: Its temperature, None if it has none.
      source: Law of the latent.
      loss: E[l(y~)] - E[l(round y)].
      loss_error: Standard error of `loss`.
      to_rounding: E[(y~ - round y)^2].
      to_rounding_error: Standard error of `to_rounding`.
      to_latent: E[(y~ - y)^2].
      to_latent_error: Standard error of `to_latent`.
    """

    surrogate: str
    temperature: float | None
    source: str
    loss: float
    loss_error: float
    to_rounding: float
    to_rounding_error: float
    to_latent: float
    to_latent_error: float


def mismatch(
    surrogate,
    temperature: float | None,
    source: Source,
    loss: losses.Loss,
    seed: int = 0,
    log2_points: int = 14,
) -> Mismatch:
    """Measures how far a surrogate and its loss are from rounding and the hard loss.

    Example:

    >>> result = mismatch("aun", None, Gaussian(), losses.SquaredError())
    >>> print(f"{result.to_rounding:.3f} {result.to_latent:.3f}")
    0.167 0.083

    Args:
      surrogate: Quantizer layer, or what `tfsq.layers.get` takes.
      temperature: In (0, 1]; None keeps the layer's own, or is for a layer without one.
      source: Law of the latent.
      loss: Loss of the quantized latent.
      seed: Seed of the randomized quasi-Monte Carlo points.
      log2_points: Points in each of 8 replicates, as a power of two.

    Returns:
      A `Mismatch`.

    Raises:
      ValueError: if there is no such surrogate, or it has no temperature but one is given.
    """
    layer = prepared(surrogate, temperature)

    def statistics(y, noise):
        y_tilde, hard = layer(y, training=True, noise=noise), tf.round(y)
        excess = loss(y_tilde, y_tilde, y) - loss(hard, hard, y)
        averaged = (excess, (y_tilde - hard) ** 2, (y_tilde - y) ** 2)
        return [np.mean(values, axis=1) for values in averaged]

    values, errors = estimate(source, layer, seed, log2_points, statistics)
    pairs = np.stack([values, errors], 1).ravel().tolist()
    return Mismatch(name_of(layer), temperature_of(layer), str(source), *pairs)


@dataclasses.dataclass(frozen=True)
class RateMismatch(Result):
    """What `rate_mismatch` measures, in bits.

    Attributes:
      surrogate: Name of the surrogate.
      temperature: Its temperature, None if it has none.
      source: True law of the residual.
      scale: Predicted scale.
      bound: Lower bound of the scale.
      training_rate: E[-log2 p~(Q(r))], what training sees.
      training_rate_error: Its standard error.
      hard_rate: E[-log2 P(round r)], the ideal code length.
      gap: training_rate - hard_rate.
    """

    surrogate: str
    temperature: float | None
    source: str
    scale: float
    bound: float
    training_rate: float
    training_rate_error: float
    hard_rate: float
    gap: float


def rate_mismatch(
    surrogate,
    temperature: float | None,
    source: Source,
    scale: float,
    bound: float,
    seed: int = 0,
    log2_points: int = 14,
) -> RateMismatch:
    """Measures how far the rate of training is from that of coding, under a Gaussian model.

    The model is N(0, max(scale, bound)^2) convolved with the unit box.

    Args:
      surrogate: Quantizer layer of the rate path, or what `tfsq.layers.get` takes.
      temperature: In (0, 1]; None keeps the layer's own, or is for a layer without one.
      source: True law of the residual, the latent minus its predicted mean.
      scale: Predicted scale, positive.
      bound: Lower bound of the scale, at least 0.
      seed: Seed of the randomized quasi-Monte Carlo points.
      log2_points: Points in each of 8 replicates, as a power of two.

    Returns:
      A `RateMismatch`.

    Raises:
      ValueError: if a number is out of its range, or the surrogate has no temperature but one is
        given.
    """
    if not 0.0 <= bound < math.inf:
        raise ValueError(f"`bound` must be at least 0 and finite. Received: bound={bound}")
    if not 0.0 < scale < math.inf:
        raise ValueError(f"`scale` must be positive and finite. Received: scale={scale}")
    layer = prepared(surrogate, temperature)
    model = Gaussian(scale=max(scale, bound))

    def statistics(y, noise):
        y_tilde = layer(y, training=True, noise=noise)
        return [np.mean(losses.bits(model.distribution, y_tilde), axis=1)]

    (training,), (error,) = estimate(source, layer, seed, log2_points, statistics)
    ties = source.ties()
    symbols = ties[1:] - 0.5
    mass = source.mass(ties[:-1], ties[1:])
    # What never happens costs nothing, however long its code would be.
    happens = mass > 0.0
    lengths = losses.bits(model.distribution, tf.constant(symbols[happens])).numpy()
    hard = float(np.sum(mass[happens] * lengths))
    return RateMismatch(
        name_of(layer),
        temperature_of(layer),
        str(source),
        float(scale),
        float(bound),
        float(training),
        float(error),
        hard,
        float(training) - hard,
    )
