"""Generalized divisive normalization whose parameters Keras saves."""

from __future__ import annotations

import tensorflow as tf
import tensorflow_compression as tfc


@tf.custom_gradient
def _divided(x, gamma, beta):
    """X / (beta + |x| gamma), on rows of channels."""
    magnitude = tf.abs(x)
    norm = tf.nn.bias_add(tf.matmul(magnitude, gamma), beta)
    y = x / norm

    def grad(dy):
        direct = dy / norm
        return _gradients(x, magnitude, gamma, direct, -direct * y)

    return y, grad


@tf.custom_gradient
def _multiplied(x, gamma, beta):
    """X * (beta + |x| gamma), on rows of channels."""
    magnitude = tf.abs(x)
    norm = tf.nn.bias_add(tf.matmul(magnitude, gamma), beta)
    return x * norm, lambda dy: _gradients(x, magnitude, gamma, dy * norm, dy * x)


def _gradients(x, magnitude, gamma, direct, dnorm):
    """Those of x, gamma and beta, in fewer steps than TensorFlow's own."""
    dx = direct + tf.sign(x) * tf.matmul(dnorm, gamma, transpose_b=True)
    if gamma.dtype.size < tf.float32.size:
        # Sums over all rows, for which half precision has too few digits.
        magnitude, dnorm = (tf.cast(rows, tf.float32) for rows in (magnitude, dnorm))
    dgamma = tf.matmul(magnitude, dnorm, transpose_a=True)
    dbeta = tf.reduce_sum(dnorm, axis=0)
    return dx, tf.cast(dgamma, gamma.dtype), tf.cast(dbeta, gamma.dtype)


@tf.keras.saving.register_keras_serializable(package="tfsq")
class GDN(tfc.GDN):
    """TFC's GDN, y_i = x_i / (beta_i + sum_j gamma_ij |x_j|), or its inverse, a product.

    TFC keeps beta and gamma in `tf.Module` objects, which `.keras` and weight files drop without
    an error. Here the same variables are weights of the layer itself.

    Source: J. Balle, V. Laparra, E. P. Simoncelli, "Density Modeling of Images Using a
    Generalized Normalization Transformation", ICLR 2016, https://arxiv.org/abs/1511.06281; with
    the exponents of N. Johnston et al., "Computationally Efficient Neural Image Compression",
    2019, https://arxiv.org/abs/1912.08771

    Args:
      inverse: Boolean, whether to multiply instead of dividing.
      name: Name of the layer.
      dtype: Dtype or policy of the layer.
      trainable: Boolean, whether beta and gamma are trained.

    Call arguments:
      inputs: Floating-point tensor [batch, height, width, channels].

    Returns:
      Tensor of the shape of `inputs`.
    """

    def __init__(self, inverse: bool = False, name=None, dtype=None, trainable: bool = True):
        super().__init__(inverse=inverse, name=name, dtype=dtype, trainable=trainable)

    def build(self, input_shape):
        super().build(input_shape)
        self._reparameterized = [self.beta_parameter.variable, self.gamma_parameter.variable]

    def call(self, inputs):
        # TFC's own `call` branches on tensors, which Keras cannot trace for a SavedModel.
        rows = tf.reshape(inputs, [-1, inputs.shape[-1]])
        gamma, beta = tf.convert_to_tensor(self.gamma), tf.convert_to_tensor(self.beta)
        normalized = (_multiplied if self.inverse else _divided)(rows, gamma, beta)
        return tf.reshape(normalized, tf.shape(inputs))

    def get_config(self):
        # Not TFC's own: after building, that one would contain the parameters.
        return {**tf.keras.layers.Layer.get_config(self), "inverse": self.inverse}
