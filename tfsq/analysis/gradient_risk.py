"""Bias and variance of a surrogate's gradient, against that of the loss after rounding."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import tensorflow as tf

from tfsq.analysis.losses import Loss
from tfsq.analysis.measurement import (
    Resolution,
    estimate,
    name_of,
    prepared,
    temperature_of,
)
from tfsq.analysis.results import Result
from tfsq.analysis.sources import Source
from tfsq.layers import ZeroCenterQuantization

_WRT = ("location", "loc")


@dataclasses.dataclass(frozen=True)
class GradientRisk(Result):
    """What `gradient_risk` measures.

    Attributes:
      surrogate: Name of the surrogate.
      temperature: Its temperature, None if it has none.
      source: Law of the latent.
      wrt: "location" of the latent, or "loc", the predicted mean.
      stop_gradient: "partial" or "none".
      hard_gradient: The gradient of the loss after rounding, exact.
      bias: Mean of the surrogate's gradient minus `hard_gradient`.
      bias_error: Standard error of `bias`; infinite, as that of the variance, where a few samples
        make up the second moment, so that neither number is resolved.
      variance: Variance of the gradient of one sample.
      variance_error: Standard error of `variance`.
    """

    surrogate: str
    temperature: float | None
    source: str
    wrt: str
    stop_gradient: str
    hard_gradient: float
    bias: float
    bias_error: float
    variance: float
    variance_error: float

    @property
    def risk(self) -> float:
        """bias^2 + variance."""
        return self.bias**2 + self.variance


def _check_wrt(wrt):
    if wrt not in _WRT:
        raise ValueError(f"`wrt` must be one of {_WRT}. Received: wrt={wrt!r}")


def hard_gradient(source: Source, loss: Loss, wrt: str = "location", loc: float = 0.0) -> float:
    """The exact gradient of the expected loss after rounding.

    With respect to the location of the latent, raising it carries probability over the ties:

        d/dtheta E[l] = sum_k p(loc + k + 1/2) (l(k + 1) - l(k)),

    which is the sum over k of l(k) (p(loc + k - 1/2) - p(loc + k + 1/2)), in closed form. With
    respect to the mean, `loc`, it is minus that, plus the expectation of the derivative of l in the
    reconstruction, by quadrature.

    Args:
      source: Law of the latent.
      loss: Loss of the quantized latent.
      wrt: "location" or "loc".
      loc: The predicted mean, on which quantization is centered.

    Returns:
      The gradient.

    Raises:
      ValueError: if `wrt` is not one of the above.
    """
    _check_wrt(wrt)
    if not math.isfinite(loc):
        raise ValueError(f"`loc` must be finite. Received: loc={loc}")
    ties = source.ties(loc)
    below, at = tf.constant(np.round(ties - loc - 0.5)), tf.constant(ties)
    step = loss(below + 1 + loc, below + 1, at) - loss(below + loc, below, at)
    # A loss may be infinite where the density is zero.
    p = source.pdf(ties)
    by_location = float(np.sum(p[p > 0] * step.numpy()[p > 0]))
    if wrt == "location":
        return by_location

    def slope(y):
        residual = tf.round(tf.constant(y - loc))
        reconstruction = residual + loc
        with tf.GradientTape() as tape:
            tape.watch(reconstruction)
            value = loss(reconstruction, residual, tf.constant(y))
        gradient = tape.gradient(value, reconstruction, unconnected_gradients="zero")
        return gradient.numpy()

    return source.expectation(slope, ties) - by_location


def gradient_risk(
    surrogate,
    temperature: float | None,
    source: Source,
    loss: Loss,
    wrt: str = "location",
    stop_gradient: str = "partial",
    loc: float = 0.0,
    seed: int = 0,
    log2_points: int = 14,
) -> GradientRisk:
    """Measures bias and variance of the gradient that zero-center quantization gives.

    The gradient is that of `tfsq.layers.ZeroCenterQuantization` itself, one sample at a time. With
    `loc=0` and `wrt="location"` that is the gradient of the surrogate.

    Args:
      surrogate: Quantizer layer, or what `tfsq.layers.get` takes.
      temperature: In (0, 1]; None keeps the layer's own, or is for a layer without one.
      source: Law of the latent.
      loss: Loss of the quantized latent.
      wrt: "location" of the latent, or "loc", the predicted mean.
      stop_gradient: "partial" or "none".
      loc: The predicted mean.
      seed: Seed of the randomized quasi-Monte Carlo points.
      log2_points: Points in each of 8 replicates, as a power of two.

    Returns:
      A `GradientRisk`.

    Raises:
      ValueError: if an argument is not one of the above, or the surrogate has no temperature but
        one is given.
    """
    _check_wrt(wrt)
    layer = prepared(surrogate, temperature)
    zero_center = ZeroCenterQuantization(layer, stop_gradient=stop_gradient)
    exact = hard_gradient(source, loss, wrt, loc)
    resolved = Resolution()

    def statistics(y, noise):
        center = tf.fill(tf.shape(y), tf.constant(loc, y.dtype))
        variable = y if wrt == "location" else center
        with tf.GradientTape() as tape:
            tape.watch(variable)
            reconstruction, residual = zero_center(y, center, training=True, noise=noise)
            # The latent that a loss compares with does not move with the location.
            value = loss(reconstruction, residual, tf.stop_gradient(y))
        gradient = tape.gradient(value, variable, unconnected_gradients="zero").numpy()
        resolved.add(gradient)
        return [np.mean(gradient, axis=1) - exact, np.var(gradient, axis=1)]

    (bias, variance), errors = estimate(source, layer, seed, log2_points, statistics)
    bias_error, variance_error = errors if resolved else (math.inf, math.inf)
    return GradientRisk(
        name_of(layer),
        temperature_of(layer),
        str(source),
        wrt,
        stop_gradient,
        exact,
        float(bias),
        float(bias_error),
        float(variance),
        float(variance_error),
    )
