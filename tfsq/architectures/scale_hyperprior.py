"""The scale hyperprior (Balle et al., 2018)."""

from __future__ import annotations

import tensorflow as tf

from tfsq._keras import saving
from tfsq.architectures import transforms
from tfsq.architectures.hyperprior import AtOnce
from tfsq.architectures.local_statistics import PredictionPath


@saving.register_keras_serializable(package="tfsq")
class ScaleHyperprior(AtOnce):
    """Scale hyperprior: the scale of the latent, whose mean is zero, is predicted.

        image -> analysis -> y ----------------> quantize -> y_hat -> synthesis -> reconstruction
                             |                    ^
                             v                    | scale
                 |y| -> hyper_analysis -> z -> quantize -> z_hat -> hyper_synthesis

    Source: J. Balle, D. Minnen, S. Singh, S. J. Hwang, N. Johnston, "Variational Image Compression
    with a Scale Hyperprior", ICLR 2018, https://openreview.net/forum?id=rkcQFMZRb. Softplus makes
    the scale positive.

    Example:

    >>> model = ScaleHyperprior(num_filters=8, num_latents=12)
    >>> x_hat, bits = model(tf.zeros([1, 70, 50, 3], tf.uint8), training=False)
    >>> x_hat.shape, sorted(bits)
    (TensorShape([1, 70, 50, 3]), ['hyper_latent', 'latent'])

    Args:
      *args: Those of `HyperpriorModel`.
      **kwargs: Those of `HyperpriorModel`.
    """

    def build_hyper_transforms(self):
        n, m = self.num_filters, self.num_latents
        self.hyper_analysis = transforms.hyper_analysis(m, (n, n, n), "relu")
        self.hyper_synthesis = transforms.hyper_synthesis(n, (*self.hidden_widths(n, n), m), "relu")
        path = PredictionPath((self.hyper_synthesis,), {}, {i: i for i in range(m)})
        self.begin_hyper_transforms(path, signed=False)

    def analyze_latent(self, y):
        """From magnitudes, as the scale does not depend on signs."""
        return self.hyper_analysis(tf.abs(y))

    def predict_at_once(self, coder, z_hat):
        return tf.nn.softplus(coder.predictor(self.hyper_synthesis)(z_hat)), None
