"""The mean-scale hyperprior with a checkerboard context model (He et al., 2021)."""

from __future__ import annotations

import tensorflow as tf

from tfsq._keras import saving
from tfsq.architectures.context import ContextModel
from tfsq.architectures.masked_convolution import checkerboard_taps


@saving.register_keras_serializable(package="tfsq")
class CheckerboardHyperprior(ContextModel):
    """Mean-scale hyperprior that predicts one half of the positions from the other, in two passes.

        image -> analysis -> y ----------------> quantize -> y_hat -> synthesis -> reconstruction
                             |                    ^  |
                             |        loc, scale  |  v anchors
                             |     entropy_parameters <- context: 12 of 5x5, of the other color
                             v                    ^
                       hyper_analysis -> z -> quantize -> z_hat -> hyper_synthesis

    The anchors are the positions whose row and column add up to an even number; they are predicted
    without context, that is with a context of zero. Source: D. He, Y. Zheng, B. Sun, Y. Wang,
    H. Qin, "Checkerboard Context Model for Efficient Learned Image Compression", CVPR 2021,
    https://arxiv.org/abs/2103.15306, on the network of Minnen et al., 2018.

    Training, evaluation and coding run the same two passes.

    Example:

    >>> model = CheckerboardHyperprior(num_filters=8, num_latents=12)
    >>> x_hat, bits = model(tf.zeros([1, 70, 50, 3], tf.uint8), training=False)
    >>> x_hat.shape, sorted(bits)
    (TensorShape([1, 70, 50, 3]), ['hyper_latent', 'latent'])

    Args:
      *args: Those of `HyperpriorModel`.
      **kwargs: Those of `HyperpriorModel`.
    """

    taps = checkerboard_taps()

    def walk(self, coder, z_hat):
        hyper = coder.predictor(self.hyper_synthesis)(z_hat)
        parameters = coder.predictor(self.entropy_parameters)
        scale, loc = self.predict(parameters, _anchors(hyper), tf.zeros_like(_anchors(hyper)))
        state, anchors = coder.code_piece(coder.start(), _anchors, scale, loc)
        context = coder.predictor(self.context)(_merged(anchors, tf.zeros_like(anchors)))
        scale, loc = self.predict(parameters, _others(hyper), _others(context))
        state, others = coder.code_piece(state, _others, scale, loc)
        return state, _merged(anchors, others)


def _colors(tensor):
    """Splits rows and columns in two: [batch, rows / 2, 2, columns / 2, 2, channels]."""
    batch, rows, columns, channels = tf.unstack(tf.shape(tensor))
    pairs = tf.reshape(tensor, [batch, rows // 2, 2, columns // 2, 2, channels])
    return tf.ensure_shape(pairs, [None, None, 2, None, 2, tensor.shape[-1]])


def _interleaved(even, odd):
    """Makes rows 0, 2, ... from `even` and rows 1, 3, ... from `odd`."""
    batch, rows, columns, _ = tf.unstack(tf.shape(even))
    return tf.reshape(tf.stack([even, odd], axis=2), [batch, 2 * rows, columns, even.shape[-1]])


def _anchors(tensor):
    """The anchors: [batch, rows, columns / 2, channels]."""
    colors = _colors(tensor)
    return _interleaved(colors[:, :, 0, :, 0], colors[:, :, 1, :, 1])


def _others(tensor):
    """The other positions: [batch, rows, columns / 2, channels]."""
    colors = _colors(tensor)
    return _interleaved(colors[:, :, 0, :, 1], colors[:, :, 1, :, 0])


def _merged(anchors, others):
    """The inverse of `_anchors` and `_others` together."""
    batch, rows, columns, _ = tf.unstack(tf.shape(anchors))
    even = tf.stack([anchors[:, 0::2], others[:, 0::2]], axis=3)
    odd = tf.stack([others[:, 1::2], anchors[:, 1::2]], axis=3)
    pairs = tf.stack([even, odd], axis=2)
    return tf.reshape(pairs, [batch, rows, 2 * columns, anchors.shape[-1]])
