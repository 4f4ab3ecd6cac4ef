"""Generalized divisive normalization whose parameters Keras saves."""

from __future__ import annotations

import math

import tensorflow as tf

from tfsq._keras import saving
from tfsq.entropy_models.bounds import lower_bound

# Added to beta and gamma under the root, so that a value of zero has a gradient.
_PEDESTAL = 2.0**-36
_SMALLEST_BETA = 1e-6


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


class _SquareRoots(tf.keras.initializers.Initializer):
    """What beta or gamma are the squares of, less a pedestal.

    Args:
      initializer: Of beta or gamma.
    """

    def __init__(self, initializer):
        self._initializer = initializer

    def __call__(self, shape, dtype=None, **kwargs):
        return tf.sqrt(self._initializer(shape, dtype) + _PEDESTAL)


@saving.register_keras_serializable(package="tfsq")
class GDN(tf.keras.layers.Layer):
    """Generalized divisive normalization, y_i = x_i / (beta_i + sum_j gamma_ij |x_j|).

    Its inverse is a product. The weights are square roots of beta and gamma plus a pedestal, so
    that steps are small where values are, as in `tfc.GDN`, which keeps them in `tf.Module` objects:
    `.keras` and weight files drop those without an error.

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
      inputs: Floating-point tensor [..., channels]; the number of channels must be known.

    Returns:
      Tensor of the shape of `inputs`.
    """

    def __init__(self, inverse: bool = False, name=None, dtype=None, trainable: bool = True):
        super().__init__(name=name, dtype=dtype, trainable=trainable)
        self.inverse = bool(inverse)

    def build(self, input_shape):
        channels = input_shape[-1]
        if channels is None:
            raise ValueError(
                f"The last dimension of `inputs` must be known. Received: shape={input_shape}"
            )
        beta, gamma = tf.keras.initializers.Ones(), tf.keras.initializers.Identity(0.1)
        self._reparameterized = [
            self.add_weight(name=name, shape=shape, initializer=_SquareRoots(initializer))
            for name, shape, initializer in (
                ("reparam_beta", (channels,), beta),
                ("reparam_gamma", (channels, channels), gamma),
            )
        ]
        # Checkpoints of Keras 3 find what has a name of its own, those of before the list.
        self.reparam_beta, self.reparam_gamma = self._reparameterized
        super().build(input_shape)

    @property
    def beta(self) -> tf.Tensor:
        """At least 1e-6, [channels]."""
        return _squared(self._reparameterized[0], _SMALLEST_BETA)

    @property
    def gamma(self) -> tf.Tensor:
        """At least 0, [inputs, outputs]."""
        return _squared(self._reparameterized[1], 0.0)

    def call(self, inputs):
        rows = tf.reshape(inputs, [-1, inputs.shape[-1]])
        beta, gamma = (tf.cast(value, rows.dtype) for value in (self.beta, self.gamma))
        normalized = (_multiplied if self.inverse else _divided)(rows, gamma, beta)
        return tf.reshape(normalized, tf.shape(inputs))

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "inverse": self.inverse}


def _squared(weight, smallest: float) -> tf.Tensor:
    root = lower_bound(tf.convert_to_tensor(weight), math.sqrt(smallest + _PEDESTAL))
    return tf.square(root) - tf.cast(_PEDESTAL, root.dtype)
