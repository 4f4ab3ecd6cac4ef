"""A convolution that sees only what the decoder already knows."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfsq._keras import saving
from tfsq.architectures.exact import exact_parameters, on_grid

_SIZE = 5
_CENTER = _SIZE // 2


def causal_taps() -> list[tuple[int, int]]:
    """(row, column) offsets of the 12 positions before the center in raster order."""
    offsets = range(-_CENTER, _CENTER + 1)
    return [(row, column) for row in offsets for column in offsets if (row, column) < (0, 0)]


def checkerboard_taps() -> list[tuple[int, int]]:
    """(row, column) offsets of the 12 positions of the other color of a checkerboard."""
    offsets = range(-_CENTER, _CENTER + 1)
    return [(row, column) for row in offsets for column in offsets if (row + column) % 2]


@saving.register_keras_serializable(package="tfsq")
class MaskedConvolution(tf.keras.layers.Conv2D):
    """A 5x5 convolution whose kernel is masked.

    Args:
      filters: Channels of the output.
      taps: (row, column) offsets from the center, of what is not masked.
      **kwargs: `name` and the like, passed to `tf.keras.layers.Conv2D`.

    Call arguments:
      inputs: Floating-point tensor [batch, height, width, channels].

    Returns:
      Tensor [batch, height, width, filters].
    """

    def __init__(self, filters: int, taps, **kwargs):
        super().__init__(
            filters, _SIZE, padding="same", **{"data_format": "channels_last", **kwargs}
        )
        self.taps = tuple((int(row), int(column)) for row, column in taps)
        mask = np.zeros([_SIZE, _SIZE, 1, 1], np.float32)
        for row, column in self.taps:
            mask[row + _CENTER, column + _CENTER] = 1.0
        self._mask = mask

    def convolution_op(self, inputs, kernel):
        # As a tensor it has the dtype of the computation, not that of the variable.
        kernel = tf.convert_to_tensor(kernel)
        return super().convolution_op(inputs, kernel * tf.cast(self._mask, kernel.dtype))

    def exactly_at_one_position(self):
        """Returns what evaluates the convolution where the neighbors of a position are known.

        Returns:
          Function from a tensor [..., len(taps) * channels], the inputs at `taps` in their order,
          to a float64 tensor [..., filters]: what `exactly` this layer gives.
        """
        kernel, bias = exact_parameters(self)
        places = [(row + _CENTER, column + _CENTER) for row, column in self.taps]
        kernel = tf.reshape(tf.gather_nd(kernel, places), [-1, self.filters])
        return lambda neighbors: on_grid(tf.tensordot(on_grid(neighbors), kernel, 1) + bias)

    def get_config(self):
        config = {**super().get_config(), "taps": self.taps}
        for fixed in ("kernel_size", "padding"):
            del config[fixed]
        return config
