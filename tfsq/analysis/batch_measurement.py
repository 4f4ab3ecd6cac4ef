"""Latents of a real model, and what is measured on them."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfsq.analysis import losses
from tfsq.analysis.measurement import Resolution, prepared

_DRAWS = 8
# The average over the elements of a batch needs fewer.
_RATE_DRAWS = 2
_SHIFT = 0.1


@dataclasses.dataclass(frozen=True)
class LatentBatch:
    """Latents of a real model with their predictions.

    Attributes:
      latents: y, float array [batch, ..., channels].
      locs: Predicted means, of the same shape.
      scales: Predicted scales before any bound, positive, of the same shape.
      loss: Callable on a float32 tensor of that shape, the quantized latents, that returns the
        scalar loss of the reconstruction: the distortion after the model's synthesis.

    Raises:
      ValueError: if the shapes differ, or a number is not finite or a scale not positive.
    """

    latents: np.ndarray
    locs: np.ndarray
    scales: np.ndarray
    loss: Callable

    def __post_init__(self):
        for name in ("latents", "locs", "scales"):
            array = np.asarray(getattr(self, name), np.float64)
            object.__setattr__(self, name, array)
            if array.shape != self.latents.shape or array.ndim < 2:
                raise ValueError(
                    f"`{name}` must have the shape of `latents`, [batch, ..., channels]. Received: "
                    f"shape={array.shape}, latents.shape={self.latents.shape}"
                )
            if not np.isfinite(array).all():
                raise ValueError(f"`{name}` must be finite.")
        if not (self.scales > 0).all():
            raise ValueError(f"`scales` must be positive. Received a {self.scales.min()}")

    @property
    def residuals(self) -> np.ndarray:
        """The latents minus their predicted means."""
        return self.latents - self.locs

    @functools.cached_property
    def hard_gradients(self) -> np.ndarray:
        """Central differences of the hard loss under a shift of 0.1 of each channel's latents."""

        def hard_loss(shift):
            shifted = np.round(self.residuals + shift) + self.locs
            return float(self.loss(tf.constant(shifted, tf.float32)))

        shifts = _SHIFT * np.eye(self.latents.shape[-1])
        return np.array([(hard_loss(s) - hard_loss(-s)) / (2 * _SHIFT) for s in shifts])


class BatchMeasurement:
    """What `recommend` needs of a batch of real latents.

    Args:
      batch: The `LatentBatch`.
      seed: Seed of the noise.
    """

    def __init__(self, batch, seed):
        self.batch, self.seed = batch, seed
        self.residuals, self.locs = tf.constant(batch.residuals), tf.constant(batch.locs)

    def mismatch_and_risk(self, layer):
        """Mismatch, and the risk of the gradient in the shifts of the channels."""
        hard = tf.round(self.residuals)
        gradients, distances = [], []
        layer, resolved = prepared(layer, None, self.seed), Resolution()
        for _ in range(_DRAWS):
            with tf.GradientTape() as tape:
                tape.watch(self.residuals)
                y_tilde = layer(self.residuals, training=True)
                value = self.batch.loss(tf.cast(y_tilde + self.locs, tf.float32))
            gradient = tape.gradient(value, self.residuals).numpy()
            resolved.add(gradient)
            gradients.append(gradient.reshape(-1, gradient.shape[-1]).sum(0))
            distances.append(float(tf.reduce_mean((y_tilde - hard) ** 2)))
        bias = np.mean(gradients, 0) - self.batch.hard_gradients
        variance = np.var(gradients, 0, ddof=1)
        # The square of an average of draws exceeds that of the mean by the variance of the average.
        squared_bias = max(0.0, float(np.sum(bias**2 - variance / _DRAWS)))
        risk = squared_bias + float(np.sum(variance)) if resolved else math.inf
        return float(np.mean(distances)), risk

    def rates(self, layer, bound):
        """Bits per latent in training and after rounding, with scales of at least `bound`."""
        scales = np.maximum(self.batch.scales, bound)
        model = tfp.distributions.Normal(tf.zeros_like(scales), scales)
        layer = prepared(layer, None, self.seed)
        noisy = [layer(self.residuals, training=True) for _ in range(_RATE_DRAWS)]
        hard, *training = (
            float(tf.reduce_mean(losses.bits(model, value)))
            for value in (tf.round(self.residuals), *noisy)
        )
        return float(np.mean(training)), hard
