"""Losses of one quantized number, by which surrogates are judged."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable

import tensorflow as tf
import tensorflow_probability as tfp

from tfsq.analysis.sources import Source


class Loss:
    """Base class: an elementwise loss of what zero-center quantization returns.

    A subclass overrides `__call__` with TensorFlow operations, so that it can be differentiated.
    """

    def __call__(self, reconstruction, residual, y):
        """Evaluates the loss.

        Args:
          reconstruction: Q(y - loc) + loc, what the synthesis receives; float64 tensor.
          residual: Q(y - loc), what the likelihood receives; of the same shape.
          y: The latent itself; of the same shape.

        Returns:
          Tensor of the same shape.
        """
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class SquaredError(Loss):
    """(g(reconstruction) - target)^2, the distortion after a decoder.

    Attributes:
      decoder: g, an elementwise function of TensorFlow operations; the identity if None.
      target: A number, or None for the latent itself.
    """

    decoder: Callable | None = None
    target: float | None = None

    def __call__(self, reconstruction, residual, y):
        decoded = reconstruction if self.decoder is None else self.decoder(reconstruction)
        return tf.square(decoded - (y if self.target is None else self.target))


@dataclasses.dataclass(frozen=True)
class Rate(Loss):
    """-log2(F(residual + 1/2) - F(residual - 1/2)), bits under a model density.

    At integers this is the ideal code length of the rounded residual, in between the rate of noisy
    training.

    Attributes:
      model: The density, a source with `loc` 0.

    Raises:
      ValueError: if the model's `loc` is not 0.
    """

    model: Source

    def __post_init__(self):
        if self.model.loc != 0:
            raise ValueError(f"`model` must have loc 0. Received: model={self.model}")

    def __call__(self, reconstruction, residual, y):
        return bits(self.model.distribution, residual)


@dataclasses.dataclass(frozen=True)
class RateDistortion(Loss):
    """rate + lmbda * distortion.

    Attributes:
      rate: The loss of the residual.
      distortion: The loss of the reconstruction.
      lmbda: Weight of the distortion, positive.

    Raises:
      ValueError: if `lmbda` is not positive and finite.
    """

    rate: Loss
    distortion: Loss
    lmbda: float

    def __post_init__(self):
        if not 0.0 < self.lmbda < math.inf:
            raise ValueError(f"`lmbda` must be positive and finite. Received: lmbda={self.lmbda}")

    def __call__(self, reconstruction, residual, y):
        rate = self.rate(reconstruction, residual, y)
        return rate + self.lmbda * self.distortion(reconstruction, residual, y)


def bits(distribution: tfp.distributions.Distribution, residual) -> tf.Tensor:
    """Bits of the unit interval around `residual`, under a density symmetric about zero.

    Args:
      distribution: TFP distribution in float64; its batch shape broadcasts.
      residual: float64 tensor.

    Returns:
      float64 tensor.
    """
    return _bits(distribution, residual)


# A graph, since eagerly it is many small operations. TFP's densities are tensors to it: other
# parameters are not traced again.
@functools.partial(tf.function, reduce_retracing=True)
def _bits(distribution, residual):
    # By symmetry in the upper tail, where the logarithm of the survival function does not cancel.
    distance = tf.abs(residual)
    outside = distribution.log_survival_function(distance + 0.5)
    within = distribution.log_survival_function(distance - 0.5)
    return -tfp.math.log_sub_exp(within, outside) / math.log(2.0)
