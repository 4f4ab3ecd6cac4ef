"""Hyperpriors of TFC's public layers with their defaults, in the design of its `bmshj2018.py`."""

from __future__ import annotations

import math

import tensorflow as tf
import tensorflow_compression as tfc

NUM_SCALES, SMALLEST_SCALE, LARGEST_SCALE = 64, 0.11, 256.0


def scale_of(index):
    """The scale of an index, equally spaced in log scale."""
    factor = math.log(LARGEST_SCALE / SMALLEST_SCALE) / (NUM_SCALES - 1.0)
    return tf.exp(math.log(SMALLEST_SCALE) + factor * index)


def _down(filters, size=5, strides=2, **kwargs):
    kwargs = {"use_bias": True, **kwargs}
    return tfc.SignalConv2D(
        filters, (size, size), corr=True, strides_down=strides, padding="same_zeros", **kwargs
    )


def _up(filters, size=5, strides=2, **kwargs):
    return tfc.SignalConv2D(
        filters,
        (size, size),
        corr=False,
        strides_up=strides,
        padding="same_zeros",
        use_bias=True,
        **kwargs,
    )


class Hyperprior(tf.keras.Model):
    """The scale hyperprior, or with `predicts_means` the mean-scale hyperprior.

    Args:
      num_filters: Channels of the hidden layers.
      num_latents: Channels of the latent.
      predicts_means: Whether the hyper-synthesis predicts means, too.
      lmbda: Weight of the squared error.
    """

    def __init__(self, num_filters, num_latents, predicts_means, lmbda=0.01):
        super().__init__()
        n, m = num_filters, num_latents
        self.lmbda, self.predicts_means, self.num_filters = lmbda, predicts_means, n
        relu = tf.nn.leaky_relu if predicts_means else tf.nn.relu
        gdn, inverse = tfc.GDN, lambda: tfc.GDN(inverse=True)
        self.analysis = tf.keras.Sequential(
            [*(_down(n, activation=gdn()) for _ in range(3)), _down(m)]
        )
        self.synthesis = tf.keras.Sequential(
            [*(_up(n, activation=inverse()) for _ in range(3)), _up(3)]
        )
        self.hyper_analysis = tf.keras.Sequential(
            [
                _down(n, 3, 1, activation=relu),
                _down(n, activation=relu),
                _down(n, use_bias=False),
            ]
        )
        widths = (m, m * 3 // 2, 2 * m) if predicts_means else (n, n, m)
        self.hyper_synthesis = tf.keras.Sequential(
            [
                _up(widths[0], activation=relu, kernel_parameter="variable"),
                _up(widths[1], activation=relu, kernel_parameter="variable"),
                _up(widths[2], 3, 1, kernel_parameter="variable"),
            ]
        )
        self.prior = tfc.NoisyDeepFactorized(batch_shape=(n,))

    def build_entropy_models(self, compression):
        """The two entropy models, for training or for coding."""
        latent = tfc.LocationScaleIndexedEntropyModel(
            tfc.NoisyNormal, NUM_SCALES, scale_of, coding_rank=3, compression=compression
        )
        hyper_latent = tfc.ContinuousBatchedEntropyModel(
            self.prior, coding_rank=3, compression=compression
        )
        return latent, hyper_latent

    def predicted(self, z_hat):
        """Indexes and means of the latent."""
        parameters = self.hyper_synthesis(z_hat)
        if self.predicts_means:
            return tf.split(parameters, 2, -1)
        return parameters, tf.zeros_like(parameters)

    def hyper(self, y):
        """The hyper-latent."""
        return self.hyper_analysis(y if self.predicts_means else tf.abs(y))

    def call(self, image, training):
        """Loss, as TFC's script has it."""
        latent, hyper_latent = self.build_entropy_models(compression=False)
        x = tf.cast(image, tf.float32)
        y = self.analysis(x / 255.0)
        z_hat, hyper_bits = hyper_latent(self.hyper(y), training=training)
        y_hat, bits = latent(y, *self.predicted(z_hat), training=training)
        x_hat = self.synthesis(y_hat) * 255.0
        pixels = tf.cast(tf.reduce_prod(tf.shape(x)[:-1]), tf.float32)
        bpp = (tf.reduce_sum(bits) + tf.reduce_sum(hyper_bits)) / pixels
        return bpp + self.lmbda * tf.reduce_mean(tf.math.squared_difference(x, x_hat))

    def train_step(self, image):
        """A step of `fit`."""
        with tf.GradientTape() as tape:
            loss = self(image, training=True)
        self.optimizer.minimize(loss, self.trainable_variables, tape=tape)
        return {"loss": loss}


class Codec:
    """What TFC's script exports, as functions of one image, whole and split.

    Args:
      model: A `Hyperprior` that was called.
    """

    def __init__(self, model):
        self.model = model
        self.latent, self.hyper_latent = model.build_entropy_models(compression=True)
        self.transform = tf.function(self._transform)
        self.encode = tf.function(self._encode)
        self.decode = tf.function(self._decode)
        self.synthesis = tf.function(lambda y_hat: self.model.synthesis(y_hat) * 255.0)
        self.compress = tf.function(lambda image: self._encode(*self._transform(image)))

        def decompress(strings, shape):
            x_hat = self.model.synthesis(self._decode(strings, shape)) * 255.0
            return tf.saturate_cast(tf.round(x_hat), tf.uint8)

        self.decompress = tf.function(decompress)

    def _transform(self, image):
        y = self.model.analysis(tf.cast(image, tf.float32)[tf.newaxis] / 255.0)
        return y, self.model.hyper(y)

    def _encode(self, y, z):
        z_hat = self.hyper_latent.quantize(z)
        return (
            self.latent.compress(y, *self.model.predicted(z_hat)),
            self.hyper_latent.compress(z),
        )

    def _decode(self, strings, shape):
        z_hat = self.hyper_latent.decompress(strings[1], shape)
        return self.latent.decompress(strings[0], *self.model.predicted(z_hat))
