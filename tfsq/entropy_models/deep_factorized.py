"""The deep factorized density: a network of few weights that is the cumulative of each channel."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf


def shapes_and_initial_values(channels: int, num_filters: Sequence[int], init_scale: float) -> list:
    """Returns (name, shape, initializer) of each weight, biases first, then factors, matrices.

    The density begins about `init_scale` wide. The last bias would shift all channels alike, and
    the median is kept at zero, so there is none.

    Args:
      channels: How many densities.
      num_filters: Widths of the hidden layers.
      init_scale: Initial width of the densities.
    """
    widths = [1, *num_filters, 1]
    factor = init_scale ** (1 / (len(num_filters) + 1))
    hidden = range(len(num_filters))

    def kernel_of_width(outputs):
        # The inverse of the softplus that makes it positive.
        return tf.keras.initializers.Constant(float(np.log(np.expm1(1 / factor / outputs))))

    biases = [
        (f"bias_{i}", (channels, widths[i + 1], 1), tf.keras.initializers.RandomUniform(-0.5, 0.5))
        for i in hidden
    ]
    factors = [(f"factor_{i}", (channels, widths[i + 1], 1), "zeros") for i in hidden]
    matrices = [
        (f"matrix_{i}", (channels, widths[i + 1], widths[i]), kernel_of_width(widths[i + 1]))
        for i in range(len(widths) - 1)
    ]
    return biases + factors + matrices


@dataclasses.dataclass(frozen=True)
class DeepFactorized:
    """Densities on the line, one for each channel, whose medians are zero.

    Source: appendix 6.1 of J. Balle, D. Minnen et al., "Variational Image Compression with a
    Scale Hyperprior", ICLR 2018, https://openreview.net/forum?id=rkcQFMZRb

    Attributes:
      biases: Those of the hidden layers, [channels, width, 1] each.
      factors: Likewise, how far a hidden layer is from linear before `tanh`.
      matrices: [channels, outputs, inputs] each, before `softplus`.
    """

    biases: Sequence[Any]
    factors: Sequence[Any]
    matrices: Sequence[Any]

    @classmethod
    def of(cls, weights: Sequence, dtype=tf.float32) -> DeepFactorized:
        """Returns the densities of weights, in the order of `shapes_and_initial_values`.

        Args:
          weights: Variables or tensors.
          dtype: What to compute in.
        """
        values = [tf.cast(tf.convert_to_tensor(weight), dtype) for weight in weights]
        hidden = (len(values) - 1) // 3
        return cls(values[:hidden], values[hidden : 2 * hidden], values[2 * hidden :])

    def logits(self, x) -> tf.Tensor:
        """Returns the logit of the cumulative, which is zero at zero.

        Args:
          x: Tensor [..., channels] of the dtype of the weights.
        """
        channels = self.matrices[0].shape[0]
        rows = tf.transpose(tf.reshape(x, [-1, 1, channels]), [2, 1, 0])
        # Zero, which gives the median, is one more row.
        rows = tf.pad(rows, [[0, 0], [0, 0], [0, 1]])
        for i, matrix in enumerate(self.matrices):
            rows = tf.matmul(tf.nn.softplus(matrix), rows)
            if i < len(self.biases):
                rows += self.biases[i]
                rows += tf.tanh(self.factors[i]) * tf.tanh(rows)
        found = rows[..., :-1] - rows[..., -1:]
        return tf.reshape(tf.transpose(found, [2, 1, 0]), tf.shape(x))

    def bits(self, x) -> tf.Tensor:
        """Returns the code length of a value under a density convolved with the unit box.

            bits = -log2(F(x + 1/2) - F(x - 1/2))

        Args:
          x: As for `logits`.
        """
        above, below = tf.unstack(self.logits(tf.stack([x + 0.5, x - 0.5])))
        # On the right the two survival functions are subtracted, on the left the cumulatives: the
        # smaller pair, which does not cancel. Survival is the cumulative of the negated logit.
        on_the_right = above > 0.0
        big = tf.math.log_sigmoid(tf.where(on_the_right, -below, above))
        small = tf.math.log_sigmoid(tf.where(on_the_right, -above, below))
        return -(big + tf.math.log1p(-tf.exp(small - big))) / tf.math.log(tf.cast(2.0, x.dtype))
