"""A large latent, strip by strip of its rows: predictions of all of it at once take much memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import tensorflow as tf

# Positions of the hyper-latent in a strip: 4 megapixels. In one piece, 54 megapixels take 1.7 GB
# more with 256 latents.
POSITIONS = 1024


@dataclasses.dataclass(frozen=True)
class Span:
    """Rows or columns that are computed together: their own, and those that they see.

    Attributes:
      start: The first of its own; like the others an integer or a scalar int32 tensor.
      end: The one behind the last of its own.
      first: The first that it sees.
      last: The one behind the last that it sees.
    """

    start: Any
    end: Any
    first: Any
    last: Any

    def own(self, stride: int = 1) -> slice:
        """Returns its own, in the whole.

        Args:
          stride: Rows for each row of what is sliced.
        """
        return slice(self.start // stride, self.end // stride)

    def seen(self, stride: int = 1) -> slice:
        """Returns those that it sees, in the whole.

        Args:
          stride: As for `own`.
        """
        return slice(self.first // stride, self.last // stride)

    def inner(self, stride: int = 1) -> slice:
        """Returns its own, among those that it sees.

        Args:
          stride: As for `own`.
        """
        return slice((self.start - self.first) // stride, (self.end - self.first) // stride)


def in_strips(
    code: Callable, state, hyper_size, ratio: int, halo: int, outputs: list[tuple]
) -> tuple:
    """Goes through the strips of a latent, from top to bottom.

    Args:
      code: Function from (state, rows of the latent as a `Span`) to (state, tensors), each [batch,
        rows of the strip, columns, channels].
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
        of_hyper = (start, end, tf.maximum(start - halo, 0), tf.minimum(end + halo, rows))
        state, found = code(state, Span(*(ratio * row for row in of_hyper)))
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
