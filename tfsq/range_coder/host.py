"""The backend that needs only NumPy: eager at once, in graphs by `tf.numpy_function`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Callable

import numpy as np
import tensorflow as tf

from tfsq.range_coder import strings as coder


def start_encoding(batch_shape, table):
    """As `tfsq.range_coder.start_encoding`, like all functions of this module."""
    # What the graph knows of the shape, by an operation that will not run.
    shape = None if tf.executing_eagerly() else tf.fill(batch_shape, False).shape
    return _run(coder.start_encoding, [batch_shape, table], [tf.string], [shape])[0]


def encode(state, table, indexes, symbols):
    """Appends a piece."""
    return _run(coder.encode, [state, table, indexes, symbols], [tf.string], [state.shape])[0]


def finish_encoding(state):
    """Returns the strings."""
    return _run(coder.finish_encoding, [state], [tf.string], [state.shape])[0]


def start_decoding(strings, table, count):
    """Opens strings."""
    del count
    return _run(coder.start_decoding, [strings, table], [tf.string], [strings.shape])[0]


def decode(state, table, indexes):
    """Reads a piece."""
    shapes = [state.shape, indexes.shape]
    return tuple(_run(coder.decode, [state, table, indexes], [tf.string, tf.int32], shapes))


def finish_decoding(state, strings):
    """Checks the ends of the strings."""
    del strings
    return _run(coder.finish_decoding, [state], [tf.bool], [state.shape])[0]


def _run(
    function: Callable,
    inputs: Sequence[tf.Tensor],
    dtypes: Sequence[tf.DType],
    shapes: Sequence[tf.TensorShape | None],
) -> list[tf.Tensor]:
    """Runs a function on arrays, now or in the graph.

    Args:
      function: Takes an array for each of `inputs` and returns one, or a tuple, for `dtypes`. It
        raises ValueError for what is not valid.
      inputs: Tensors of strings or int32.
      dtypes: Of what it returns.
      shapes: Of what it returns, as far as known.

    Returns:
      A list of tensors.

    Raises:
      tf.errors.InvalidArgumentError: if the function raises ValueError, when it runs.
    """
    kinds = [object if tensor.dtype == tf.string else np.int32 for tensor in inputs]

    def on_arrays(*arrays):
        # A string that stands alone comes as bytes.
        return function(*(np.asarray(array, kind) for array, kind in zip(arrays, kinds)))

    if tf.executing_eagerly():
        try:
            outputs = on_arrays(*(tensor.numpy() for tensor in inputs))
        except ValueError as error:
            raise tf.errors.InvalidArgumentError(None, None, str(error)) from error
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        return [tf.constant(output, dtype) for output, dtype in zip(outputs, dtypes)]
    outputs = tf.numpy_function(on_arrays, inputs, dtypes)
    for output, shape in zip(outputs, shapes):
        output.set_shape(shape)
    return outputs
