"""Muon: steps of equal size in all directions of a convolution's kernel."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import tensorflow as tf

from tfsq._keras import Adam, saving

# Jordan's quintic: with it, singular values from 0.002 to 1 end between 0.68 and 1.21.
_ITERATIONS, _COEFFICIENTS = 5, (3.4445, -4.7750, 2.0315)
_TINY = 1e-12
# Outputs that are orthogonal to each other. With all 384 of a hyper synthesis of 192 latents, its
# update would be a large part of a training step on a processor.
_BLOCK = 64


def orthogonalize(matrix: tf.Tensor) -> tf.Tensor:
    """Moves the singular values of matrices towards 1, and keeps their singular vectors.

    Five steps of a Newton-Schulz iteration, products of matrices alone. Singular values of more
    than a 500th of the Frobenius norm end between 0.68 and 1.21, smaller ones below.

    Args:
      matrix: Shape (..., m, n), a floating dtype.

    Returns:
      The same shape and dtype; zeros where the matrix is zero.
    """
    a, b, c = _COEFFICIENTS
    is_wide = matrix.shape[-2] < matrix.shape[-1]
    x = tf.linalg.matrix_transpose(matrix) if is_wide else matrix
    x = x / (tf.norm(x, axis=(-2, -1), keepdims=True) + _TINY)
    for _ in range(_ITERATIONS):
        gram = tf.matmul(x, x, transpose_a=True)
        x = a * x + tf.matmul(x, b * gram + c * tf.matmul(gram, gram))
    return tf.linalg.matrix_transpose(x) if is_wide else x


def _orthogonal(kernel: tf.Tensor) -> tf.Tensor:
    """A kernel whose blocks of outputs are orthogonal, of a root mean square of about 1."""
    outputs = kernel.shape[-1]
    blocks = -(-outputs // _BLOCK)
    # Columns of zeros stay zero.
    matrix = tf.pad(tf.reshape(kernel, (-1, outputs)), ((0, 0), (0, -outputs % blocks)))
    parts = orthogonalize(tf.stack(tf.split(matrix, blocks, axis=1)))
    whole = tf.concat(tf.unstack(parts), axis=1)[:, :outputs]
    return math.sqrt(max(parts.shape[1:])) * tf.reshape(whole, kernel.shape)


@saving.register_keras_serializable(package="tfsq")
class Muon(Adam):
    """Adam, with orthogonal updates for the kernels of convolutions.

    Adam sees each weight on its own. The gradients of a transform agree in a few directions, along
    which all steps of Adam go. Muon makes the update of a kernel, as a matrix of (height * width *
    inputs, outputs), orthogonal: all directions are learned at the same pace. Jordan et al., "Muon:
    An optimizer for hidden layers in neural networks" (2024); the size of the update is that of Liu
    et al., "Muon is Scalable for LLM Training" (2025), equation 4:

        m <- beta m + (1 - beta) g,    n = beta m + (1 - beta) g
        w <- w - learning_rate * rms_rate * sqrt(max(rows, columns)) * orthogonalize(n)

    Kernels of many outputs are taken in blocks of at most 64 of them, which costs less.

    Weights that are not kernels of rank 4, and those that `excluded` names, are Adam's. So is the
    state, where second moments of kernels are not used: a run of one goes on with the other.

    Args:
      learning_rate: A number or a schedule, for both.
      momentum: beta, in [0, 1).
      rms_rate: Root of the mean square of a kernel's update, over `learning_rate`; positive.
      excluded: Regular expressions; a kernel in whose name one is found is Adam's. By default those
        of shortcuts, which begin as a DCT: their small entries are meant to stay small.
      name: Of the optimizer.
      **kwargs: As for `tf.keras.optimizers.Adam`.

    Raises:
      ValueError: if `momentum` or `rms_rate` is out of its range, or `excluded` a single string.

    >>> from tfsq import architectures
    >>> model = architectures.FactorizedPrior(4, 6)
    >>> model.compile(Muon(2e-3, epsilon=1e-5, global_clipnorm=1.0), lmbda=0.01)
    """

    def __init__(
        self,
        learning_rate=2e-3,
        momentum: float = 0.95,
        rms_rate: float = 0.1,
        excluded: Sequence[str] = ("shortcut",),
        name: str = "Muon",
        **kwargs,
    ):
        if not 0.0 <= momentum < 1.0:
            raise ValueError(f"`momentum` must be in [0, 1). Received: {momentum}")
        if not 0.0 < rms_rate < math.inf:
            raise ValueError(f"`rms_rate` must be positive and finite. Received: {rms_rate}")
        if isinstance(excluded, str):
            raise ValueError(f"`excluded` must be a sequence of strings. Received: {excluded!r}")
        super().__init__(learning_rate, name=name, **kwargs)
        self.momentum = momentum
        self.rms_rate = rms_rate
        self.excluded = tuple(excluded)

    def is_orthogonal(self, variable) -> bool:
        """Whether the updates of a weight are orthogonal.

        Args:
          variable: A weight.
        """
        return len(variable.shape) == 4 and not any(
            re.search(pattern, self.path_of(variable)) for pattern in self.excluded
        )

    def update_one(self, gradient, variable, learning_rate):
        if not self.is_orthogonal(variable):
            super().update_one(gradient, variable, learning_rate)
            return
        mean = self.momentum_of(variable)
        mean.assign(self.momentum * mean + (1.0 - self.momentum) * gradient)
        ahead = self.momentum * mean + (1.0 - self.momentum) * gradient
        size = self.rms_rate * tf.cast(learning_rate, variable.dtype)
        variable.assign_sub(size * _orthogonal(ahead))

    def get_config(self):
        """The arguments of the constructor; see `tf.keras.optimizers.Optimizer`."""
        own = {name: getattr(self, name) for name in ("momentum", "rms_rate", "excluded")}
        return {**super().get_config(), **own}
