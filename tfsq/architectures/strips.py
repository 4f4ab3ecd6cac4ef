"""A large latent, strip by strip of its rows: predictions of all of it at once take much memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import tensorflow as tf

# Positions of the hyper-latent in a strip: 4 megapixels. In one piece, 54 megapixels take 1.7 GB
# more with 256 latents.
POSITIONS = 1024


@dataclasses.dataclass(frozen=True)
class Strip:
    """Rows of a hyper-latent, and of the latent that is predicted from it.

    Attributes:
      start: The first row of its own, in the hyper-latent; like the others a scalar int32 tensor.
      end: The row behind the last one of its own.
      first: The first row that its predictions see.
      last: The row behind the last one that they see.
      ratio: Rows of the latent for each of the hyper-latent.
    """

    start: tf.Tensor
    end: tf.Tensor
    first: tf.Tensor
    last: tf.Tensor
    ratio: int

    def seen(self, hyper_latent):
        """Returns what its predictions see.

        Args:
          hyper_latent: Tensor [batch, rows, ...], the whole.
        """
        return hyper_latent[:, self.first : self.last]

    def of_seen(self, predicted):
        """Returns its own of what was predicted from `seen`.

        Args:
          predicted: Tensor [batch, ratio * rows that are seen, ...].
        """
        start, end = self.start - self.first, self.end - self.first
        return predicted[:, self.ratio * start : self.ratio * end]

    def of_latent(self, latent):
        """Returns its own of a latent.

        Args:
          latent: Tensor [batch, ratio * rows, ...], the whole.
        """
        return latent[:, self.ratio * self.start : self.ratio * self.end]


def in_strips(
    code: Callable, state, hyper_size, ratio: int, halo: int, outputs: list[tuple]
) -> tuple:
    """Goes through the strips of a latent, from top to bottom.

    Args:
      code: Function from (state, `Strip`) to (state, tensors), each [batch, rows of the strip in
        the latent, columns, channels].
      state: A tensor, before the first strip.
      hyper_size: int32 tensor, rows and columns of the hyper-latent.
      ratio: Rows of the latent for each of the hyper-latent.
      halo: Rows of the hyper-latent on each side of a strip that its predictions see.
      outputs: dtype and number of channels of each of the tensors.

    Returns:
      (state, tensors): after the last strip, and the tensors of all of them, one below the other.
    """
    rows, columns = tf.unstack(hyper_size)
    height = tf.maximum(POSITIONS // columns, 1)
    count = (rows + height - 1) // height

    def code_one(i, state, arrays):
        start = i * height
        end = tf.minimum(start + height, rows)
        seen = tf.maximum(start - halo, 0), tf.minimum(end + halo, rows)
        state, found = code(state, Strip(start, end, *seen, ratio))
        written = zip(arrays, found)
        return i + 1, state, [array.write(i, _rows_first(x)) for array, x in written]

    arrays = [
        tf.TensorArray(dtype, count, infer_shape=False, element_shape=[None, None, None, channels])
        for dtype, channels in outputs
    ]
    _, state, arrays = tf.while_loop(
        lambda i, *_: i < count,
        code_one,
        (0, state, arrays),
        # A coder's state is a string that grows, or a handle: its shape is not known here.
        (tf.TensorShape([]), tf.TensorShape(None), [tf.TensorShape(None)] * len(arrays)),
        parallel_iterations=1,
    )
    return state, [_rows_first(array.concat()) for array in arrays]


def _rows_first(x):
    """Exchanges batch and rows, which costs nothing where the batch is one image."""
    return tf.transpose(x, [1, 0, 2, 3])
