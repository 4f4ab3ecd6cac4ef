"""The mean-scale hyperprior (Minnen et al., 2018)."""

from __future__ import annotations

import tensorflow as tf

from tfsq._keras import saving
from tfsq.architectures import transforms
from tfsq.architectures.hyperprior import AtOnce
from tfsq.architectures.local_statistics import PredictionPath


@saving.register_keras_serializable(package="tfsq")
class MeanScaleHyperprior(AtOnce):
    """Mean-scale hyperprior: mean and scale of the latent are predicted from a hyper-latent.

        image -> analysis -> y ----------------> quantize -> y_hat -> synthesis -> reconstruction
                             |                    ^
                             v                    | loc, scale
                       hyper_analysis -> z -> quantize -> z_hat -> hyper_synthesis

    Source: D. Minnen, J. Balle, G. Toderici, "Joint Autoregressive and Hierarchical Priors for
    Learned Image Compression", NeurIPS 2018, https://arxiv.org/abs/1809.02736, without its context
    model: 5x5 convolutions, GDN, leaky ReLU in the hyper transforms. Kernels are plain variables.

    Example:

    >>> model = MeanScaleHyperprior(num_filters=8, num_latents=12)
    >>> model.compile(tf.keras.optimizers.Adam(1e-4), lmbda=0.01)
    >>> x_hat, bits = model(tf.zeros([1, 70, 50, 3], tf.uint8), training=False)
    >>> x_hat.shape, sorted(bits)
    (TensorShape([1, 70, 50, 3]), ['hyper_latent', 'latent'])

    Args:
      *args: Those of `HyperpriorModel`.
      **kwargs: Those of `HyperpriorModel`.
    """

    def build_hyper_transforms(self):
        n, m = self.num_filters, self.num_latents
        self.hyper_analysis = transforms.hyper_analysis(m, (n, n, n), "leaky")
        widths = (*self.hidden_widths(m, m * 3 // 2), 2 * m)
        self.hyper_synthesis = transforms.hyper_synthesis(n, widths, "leaky")
        locs, scales = ({i: first + i for i in range(m)} for first in (0, m))
        self.begin_hyper_transforms(PredictionPath((self.hyper_synthesis,), locs, scales))

    def predict_at_once(self, coder, z_hat):
        return self.scale_and_loc(coder.predictor(self.hyper_synthesis)(z_hat))

    def latents(self, image, quality=None):
        """Returns the latents of images with their predictions, for `tfsq.analysis.recommend`.

        Args:
          image: Tensor [batch, height, width, 3], height and width multiples of `size_multiple`.
          quality: See `CompressionModel`.

        Returns:
          (y, loc, scale), float32 tensors [batch, height / 16, width / 16, num_latents], in
          quantization steps; the scale is what the network predicts, before the bound.
        """
        image = tf.cast(image, tf.float32)
        gains = self.gains_at(**self.at_quality(quality, tf.shape(image)[0]))
        return self.predicted_in_steps(image, gains)
