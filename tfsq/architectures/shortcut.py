"""A linear shortcut beside a transform, which begins as a discrete cosine transform (DCT)."""

from __future__ import annotations

import itertools
import math

import numpy as np
import tensorflow as tf
from scipy import fft

from tfsq._keras import saving
from tfsq.architectures.images import PIXEL_RANGE
from tfsq.layers.checks import check_integer, check_positive

BLOCK = 16
_SHORTCUTS = ("dct",)
# Luma and two chromas, the axes along which the colors of photographs vary most, as unit vectors.
COLORS = np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]]) / np.sqrt([[3], [2], [6]])
# The energy of photographs falls with the squared frequency; that of a chroma is as low as that of
# luma at so many times the squared frequency. `benchmarks/shortcut` measures how good a rule it is.
COLOR_PENALTIES = (1, 20, 70)
# The lambda for which kernels are as they are; for others they are scaled.
_REFERENCE_LMBDA = 0.009


def check_shortcut(shortcut: str | None) -> None:
    """Checks what is to stand beside the transforms of a network.

    Args:
      shortcut: None, or the name of a kind.

    Raises:
      ValueError: if there is no such kind.
    """
    if shortcut is not None and shortcut not in _SHORTCUTS:
        raise ValueError(
            f"`shortcut` must be None or one of {list(_SHORTCUTS)}. Received: shortcut={shortcut!r}"
        )


def quantization_step(lmbda: float) -> float:
    """The step of a uniform quantizer at which rate and distortion balance.

    At high rates a step of s costs -log2(s) bits for each of the three samples of a pixel, and a
    mean squared error of s^2 / 12, so that rate + lmbda * distortion is smallest where
    s^2 = 18 / (lmbda ln 2).

    Args:
      lmbda: Weight of the squared error on 0-255 against bits; positive.

    Returns:
      The step, on 0-255.
    """
    return math.sqrt(18.0 / (lmbda * math.log(2.0)))


def frequencies(channels: int, block: int = BLOCK) -> list[tuple[int, int, int]]:
    """The coefficients of a block of pixels that hold most energy of photographs, by a rule.

    Args:
      channels: How many; there are 768 of 16x16 pixels.
      block: Height and width of the block.

    Returns:
      (color, row, column) of each, sorted: luma first, low frequencies first.
    """
    every = itertools.product(range(len(COLORS)), range(block), range(block))

    def energy_rank(place):
        color, row, column = place
        return COLOR_PENALTIES[color] * (row**2 + column**2), place

    return sorted(sorted(every, key=energy_rank)[:channels])


def dct_kernel(channels: int, block: int = BLOCK) -> np.ndarray:
    """The DCT of a block of pixels, restricted to `frequencies`, as a kernel.

    Args:
      channels: Number of coefficients; where there are fewer, the rest of the kernel is zero.
      block: Height and width of the block.

    Returns:
      float32 array [block, block, 3, channels], whose columns are orthonormal.
    """
    kernel = np.zeros((block, block, len(COLORS), channels), np.float32)
    for channel, (color, row, column) in enumerate(frequencies(channels, block)):
        coefficients = np.zeros((block, block))
        coefficients[row, column] = 1.0
        wave = fft.idctn(coefficients, norm="ortho")
        kernel[..., channel] = wave[..., np.newaxis] * COLORS[color]
    return kernel


@saving.register_keras_serializable(package="tfsq")
class DCTShortcut(tf.keras.layers.Layer):
    """A linear map from 16x16 pixels to latents, or back, that begins as a DCT.

    Beside a non-linear transform, to whose output it is added, it lets training begin where JPEG
    is: with coefficients of little correlation and most of the energy in few, in luma and chroma,
    in units of the right quantization step. The transform beside it has only to learn what a DCT
    does not do, instead of everything anew, among it colors, which take long. Its kernel is trained
    like any other; what makes it the right one for a lambda is a factor that is not.

    Linear shortcuts beside the transforms of learned codecs: H. Li et al., "On Disentangled
    Training for Nonlinear Transform in Learned Image Compression", ICLR 2025,
    https://arxiv.org/abs/2501.13751, there with wavelets. The DCT, its scale and the choice of its
    coefficients are our formulation.

    Example:

    >>> image = tf.random.uniform([1, 32, 48, 3]) - 0.5
    >>> y = DCTShortcut(768)(image)
    >>> y.shape
    TensorShape([1, 2, 3, 768])
    >>> back = DCTShortcut(768, inverse=True)(y)
    >>> float(tf.reduce_max(tf.abs(back - image))) < 1e-5
    True

    Args:
      channels: Channels of the latent.
      inverse: Boolean, whether to map latents to pixels.
      lmbda: Weight of the squared error on 0-255 for which a quantization step of 1 is right at the
        beginning, see `quantization_step`.
      **kwargs: passed to `tf.keras.layers.Layer`.

    Call arguments:
      inputs: Floating-point tensor [batch, height, width, 3] of pixels between -1/2 and 1/2, height
        and width multiples of 16; if `inverse`, [batch, rows, columns, channels].

    Returns:
      Tensor [batch, height / 16, width / 16, channels]; if `inverse`, [batch, 16 * rows,
      16 * columns, 3].

    Raises:
      ValueError: if `channels` is not an integer of at least 1, `lmbda` not positive and finite, or
        a height or width is known and no multiple of 16.
    """

    def __init__(self, channels: int, inverse: bool = False, lmbda: float = 0.01, **kwargs):
        super().__init__(**kwargs)
        self.channels = check_integer("channels", channels, 1)
        self.inverse = bool(inverse)
        self.lmbda = check_positive("lmbda", lmbda)

    def build(self, input_shape):
        reference = quantization_step(_REFERENCE_LMBDA)
        ratio = quantization_step(self.lmbda) / reference
        step = reference / PIXEL_RANGE
        value = dct_kernel(self.channels) * (step if self.inverse else 1.0 / step)
        self.kernel = self.add_weight(
            name="kernel", shape=value.shape, initializer=tf.constant_initializer(value)
        )
        # Beside the kernel, so that a learning rate moves as large a part of it at every lambda.
        self.scale = self.add_weight(
            name="scale",
            shape=(),
            initializer=tf.constant_initializer(ratio if self.inverse else 1.0 / ratio),
            trainable=False,
        )
        super().build(input_shape)

    def call(self, inputs):
        # Blocks of pixels as channels of one position: a matrix product and a transposition take
        # less time than a convolution with strides, and than `depth_to_space`.
        colors = self.kernel.shape[2]
        matrix = tf.reshape(self.scale * self.kernel, [-1, self.channels])
        batch, height, width = _sizes(inputs)
        if self.inverse:
            positions = tf.reshape(inputs, [-1, self.channels])
            blocks = tf.matmul(positions, matrix, transpose_b=True)
            blocks = tf.reshape(blocks, [batch, height, width, BLOCK, BLOCK * colors])
            rows = tf.transpose(blocks, [0, 1, 3, 2, 4])
            return tf.reshape(rows, [batch, BLOCK * height, BLOCK * width, colors])
        if any(isinstance(size, int) and size % BLOCK for size in (height, width)):
            raise ValueError(
                f"Height and width of `inputs` must be multiples of {BLOCK}. "
                f"Received: shape={inputs.shape}"
            )
        height, width = height // BLOCK, width // BLOCK
        rows = tf.reshape(inputs, [batch, height, BLOCK, width, BLOCK * colors])
        blocks = tf.transpose(rows, [0, 1, 3, 2, 4])
        y = tf.matmul(tf.reshape(blocks, [-1, matrix.shape[0]]), matrix)
        return tf.reshape(y, [batch, height, width, self.channels])

    def compute_output_shape(self, input_shape):
        batch, height, width, _ = tf.TensorShape(input_shape)

        def scaled(size):
            if size is None:
                return None
            return BLOCK * size if self.inverse else size // BLOCK

        channels = len(COLORS) if self.inverse else self.channels
        return tf.TensorShape([batch, scaled(height), scaled(width), channels])

    def get_config(self):
        return {
            **super().get_config(),
            "channels": self.channels,
            "inverse": self.inverse,
            "lmbda": self.lmbda,
        }


def _sizes(tensor) -> list:
    """Batch, height and width: integers where they are known, so that shapes stay known."""
    known, actual = tensor.shape, tf.shape(tensor)
    return [actual[axis] if known[axis] is None else known[axis] for axis in range(3)]
