"""The factorized prior (Balle et al., 2017)."""

from __future__ import annotations

import tensorflow as tf

from tfsq._keras import saving
from tfsq.architectures.base import LATENT, CompressionModel, unchecked
from tfsq.entropy_models import FactorizedEntropyModel


@saving.register_keras_serializable(package="tfsq")
class FactorizedPrior(CompressionModel):
    """Factorized prior: every channel of the latent has a learned density of its own.

        image -> analysis -> y -> quantize -> y_hat -> synthesis -> reconstruction

    Source: J. Balle, V. Laparra, E. P. Simoncelli, "End-to-end Optimized Image Compression",
    ICLR 2017, https://openreview.net/forum?id=rJxdQ3jeg, with the transforms and the density of
    the factorized baseline of the scale hyperprior's paper (2018).

    Example:

    >>> model = FactorizedPrior(num_filters=8, num_latents=12)
    >>> x_hat, bits = model(tf.zeros([1, 70, 50, 3], tf.uint8), training=False)
    >>> x_hat.shape, sorted(bits)
    (TensorShape([1, 70, 50, 3]), ['latent'])

    Args:
      *args: Those of `CompressionModel`.
      **kwargs: Those of `CompressionModel`.
    """

    size_multiple = 16
    latent_stride = 16
    halo = 64
    parts = (LATENT,)
    encoder = ("analysis",)

    def build_parts(self, entropy_model_arguments):
        self.build_transforms()
        self.latent_model = FactorizedEntropyModel(name="latent_model", **entropy_model_arguments)
        self.latent_model.build((None, None, None, self.num_latents))

    def latents_of(self, y):
        return {LATENT: y}

    def estimate(self, latents, training=False, quality=None):
        y, gains = latents[LATENT], self.gains_at(quality, training)
        y_hat, bits = self.latent_model(gains.in_steps(y), training=training)
        return {LATENT: gains.from_steps(y_hat, dtype=y.dtype)}, {LATENT: bits}

    def encode(self, latents, quality=None):
        gains = self.gains_at(quality)
        strings, y_hat = self.latent_model.encode(gains.in_steps(latents[LATENT]))
        y_hat = gains.from_steps(y_hat)
        return {LATENT: strings}, {LATENT: tf.cast(y_hat, self.compute_dtype)}

    def decode(self, strings, size, check=unchecked, quality=None):
        y_hat = self.latent_model.decompress(strings[LATENT], size // self.size_multiple)
        y_hat = self.gains_at(quality).from_steps(y_hat)
        return {LATENT: check(LATENT, tf.cast(y_hat, self.compute_dtype))}
