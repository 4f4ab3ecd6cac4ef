"""Transforms whose results do not depend on the order in which sums are taken.

A network decides which table entry codes a latent, and a decoder that takes another entry than the
encoder did loses the rest of the string. In floats a sum depends on the order of its terms, hence
on the build, the threads, the batch and the processor. Here it does not:

- inputs of convolutions are multiples of 2^-12 between -2^12 and 2^12,
- kernels are multiples of 2^-18, with magnitudes that add up to no more than 2^10,
- biases are multiples of 2^-30 up to 2^11,

so that every partial sum, in whatever order, is a multiple of 2^-30 no larger than 2^22 + 2^11,
which a float64 with its 53 bits holds exactly. Between convolutions there are single operations of
IEEE 754 only, each of which has one correct result.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfsq._keras import slope_of

_INPUT_BITS, _KERNEL_BITS, _SCALE_BITS = 12, 18, 16
# Of a step of the grid.
_NEAREST = 1e-6
_LARGEST_INPUT, _LARGEST_KERNEL, _LARGEST_BIAS = 2.0**12, 2.0**10, 2.0**11


def on_grid(x) -> tf.Tensor:
    """Rounds to the nearest multiple of 2^-12 between -2^12 and 2^12.

    Args:
      x: Floating-point tensor of any shape.

    Returns:
      float64 tensor of the same shape. float32 holds each of its values, too.
    """
    bounded = tf.clip_by_value(tf.cast(x, tf.float64), -_LARGEST_INPUT, _LARGEST_INPUT)
    return _rounded(bounded, _INPUT_BITS)


def settled_scale(scale) -> tf.Tensor:
    """Rounds what softplus made of the grid of `on_grid` to the nearest multiple of 2^-16.

    Its last bits are not the same everywhere, but none of these numbers lies nearer than 1e-5 of a
    step to the middle between two multiples, a thousand times as far as float64 errs. So a scale
    can be multiplied by a gain before it is compared with a table.

    Args:
      scale: Floating-point tensor of any shape.

    Returns:
      float64 tensor of the same shape.
    """
    return _rounded(tf.cast(scale, tf.float64), _SCALE_BITS)


def exact_parameters(layer) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns kernel and bias of a convolution as it is computed exactly.

    Args:
      layer: A Keras convolution.

    Returns:
      (kernel, bias), float64.
    """
    kernel = _rounded(tf.cast(layer.kernel, tf.float64), _KERNEL_BITS)
    return kernel, _rounded(tf.cast(layer.bias, tf.float64), _INPUT_BITS + _KERNEL_BITS)


def exactly(transform) -> Callable:
    """Returns a function that computes what a transform does, exactly.

    Args:
      transform: A Keras convolution, or a Sequential of convolutions, ReLU and leaky ReLU.

    Returns:
      Function from a floating-point tensor to a float64 tensor on the grid of `on_grid`.

    Raises:
      TypeError: if another layer is among them.
    """
    steps = [_step_of(layer) for layer in _layers_of(transform)]

    def apply(x):
        for step in steps:
            x = step(x)
        return on_grid(x)

    return apply


def check_exact(transform) -> None:
    """Checks that the weights of a transform are small enough for every sum to be exact.

    Args:
      transform: As for `exactly`.

    Raises:
      ValueError: if they are not.
    """
    for layer in _layers_of(transform):
        if not layer.weights:
            continue
        kernel, bias = (np.abs(weight.numpy()) for weight in exact_parameters(layer))
        # Keras has the outputs of a transposed kernel before its inputs.
        inputs = (0, 1, 3) if isinstance(layer, _TRANSPOSED) else (0, 1, 2)
        largest = kernel.sum(axis=inputs).max()
        if largest > _LARGEST_KERNEL or bias.max() > _LARGEST_BIAS:
            raise ValueError(
                f"The weights of {layer.name!r} must be small enough to predict exactly: "
                f"magnitudes that add up to {_LARGEST_KERNEL:g} for an output, and biases of "
                f"{_LARGEST_BIAS:g}. Received: {largest:g} and {bias.max():g}"
            )


def check_softplus_decides(thresholds) -> None:
    """Checks that softplus of the grid compares with thresholds whatever its last bits are.

    Between the grid of `on_grid` and where softplus crosses a threshold lies at least a millionth
    of a step, 2e-10: a million times the error of softplus in float64.

    Args:
      thresholds: float64 array of positive numbers.

    Raises:
      ValueError: if a threshold lies nearer to the grid.
    """
    crossings = np.log(np.expm1(np.minimum(thresholds, 500.0))) * 2.0**_INPUT_BITS
    distance = np.abs(crossings - np.round(crossings)).min()
    if distance < _NEAREST:
        raise ValueError(
            "The table of scales has an entry that softplus cannot tell from its neighbor: choose "
            f"other bounds of the scale. Received: a distance of {distance:g} steps of the grid"
        )


_TRANSPOSED = tf.keras.layers.Conv2DTranspose


def _layers_of(transform):
    return transform.layers if isinstance(transform, tf.keras.Sequential) else [transform]


def _step_of(layer) -> Callable:
    if isinstance(layer, (tf.keras.layers.Conv2D, _TRANSPOSED)):
        return _convolution(layer)
    if isinstance(layer, tf.keras.layers.ReLU):
        return tf.nn.relu
    if isinstance(layer, tf.keras.layers.LeakyReLU):
        return lambda x: tf.nn.leaky_relu(x, slope_of(layer))
    raise TypeError(f"`transform` has a layer that cannot be computed exactly: {layer!r}")


def _convolution(layer):
    kernel, bias = exact_parameters(layer)

    def convolve(x):
        x = on_grid(x)
        if isinstance(layer, _TRANSPOSED):
            batch, height, width, _ = tf.unstack(tf.shape(x))
            (rows, columns), filters = layer.strides, layer.filters
            shape = [batch, rows * height, columns * width, filters]
            return tf.nn.conv2d_transpose(x, kernel, shape, layer.strides, "SAME") + bias
        return layer.convolution_op(x, kernel) + bias

    return convolve


def _rounded(x, bits: int):
    return tf.round(x * 2.0**bits) * 2.0**-bits
