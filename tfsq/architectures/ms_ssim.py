"""MS-SSIM with gradients that stay finite."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfsq.entropy_models.bounds import lower_bound

_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = (0.01 * 255.0) ** 2, (0.03 * 255.0) ** 2
_SMALLEST_TERM = 1e-6
# Below, the window does not fit into an image that was halved four times.
SMALLEST_SIZE = (_WINDOW - 1) * 2 ** (len(_WEIGHTS) - 1) + 1


def _blurred(x):
    taps = np.exp(-0.5 * np.square((np.arange(_WINDOW) - _WINDOW // 2) / _SIGMA))
    taps = np.tile((taps / np.sum(taps))[:, None, None, None], [1, 1, x.shape[-1], 1])
    # The window is a product: rows first, then columns.
    for window in (taps, np.swapaxes(taps, 0, 1)):
        x = tf.nn.depthwise_conv2d(x, tf.constant(window, tf.float32), [1, 1, 1, 1], "VALID")
    return x


def _luminance_and_contrast(x, y):
    """The two factors of SSIM, averaged over positions: [batch, channels] each."""
    mean_x, mean_y = _blurred(x), _blurred(y)
    product, squares = mean_x * mean_y, tf.square(mean_x) + tf.square(mean_y)
    covariance = _blurred(x * y) - product
    variances = _blurred(tf.square(x) + tf.square(y)) - squares
    contrast = (2.0 * covariance + _C2) / (variances + _C2)
    luminance = (2.0 * product + _C1) / (squares + _C1)
    return tf.reduce_mean(luminance * contrast, [1, 2]), tf.reduce_mean(contrast, [1, 2])


def _halved(x):
    odd = tf.shape(x)[1:3] % 2
    x = tf.pad(x, [[0, 0], [0, odd[0]], [0, odd[1]], [0, 0]], "SYMMETRIC")
    return tf.nn.avg_pool2d(x, 2, 2, "VALID")


def ms_ssim(x, y) -> tf.Tensor:
    """Multi-scale structural similarity on 0-255.

    The values are those of `tf.image.ssim_multiscale`. That one has the gradient 0 * inf = NaN
    where a term is not positive, which a network that begins to train meets; here such a term is
    bounded from below, and keeps the gradient that raises it.

    Source: Z. Wang, E. P. Simoncelli, A. C. Bovik, "Multi-Scale Structural Similarity for Image
    Quality Assessment", Asilomar 2003.

    Args:
      x: float32 tensor [batch, height, width, channels] in 0-255, at least `SMALLEST_SIZE` pixels
        a side.
      y: Tensor of the same shape and dtype.

    Returns:
      float32 tensor [batch], at most 1.
    """
    result = 1.0
    for scale, weight in enumerate(_WEIGHTS):
        if scale:
            x, y = _halved(x), _halved(y)
        similarity, contrast = _luminance_and_contrast(x, y)
        term = similarity if scale == len(_WEIGHTS) - 1 else contrast
        result *= lower_bound(term, _SMALLEST_TERM) ** weight
    return tf.reduce_mean(result, axis=-1)
