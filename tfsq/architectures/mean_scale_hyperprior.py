"""The mean-scale hyperprior (Minnen et al., 2018)."""

from __future__ import annotations

import tensorflow as tf

from tfsq.architectures.base import CompressionModel, dtype_policy
from tfsq.architectures.gdn import GDN
from tfsq.entropy_models import FactorizedEntropyModel, LowerBoundedGaussianConditional
from tfsq.entropy_models.base import deserialize_quantizers
from tfsq.layers import AdditiveUniformNoise, Quantizer, StochasticUniformAnnealing

_LATENT, _HYPER_LATENT = "latent", "hyper_latent"
_LATENT_STRIDE, _HYPER_STRIDE = 16, 4


def _down(filters, name, kernel_size=5, strides=2):
    return tf.keras.layers.Conv2D(filters, kernel_size, strides, padding="same", name=name)


def _up(filters, name):
    return tf.keras.layers.Conv2DTranspose(filters, 5, 2, padding="same", name=name)


def _analysis(num_filters, num_latents):
    layers = []
    for i in range(3):
        layers += [_down(num_filters, f"down_{i}"), GDN(name=f"gdn_{i}")]
    return tf.keras.Sequential([*layers, _down(num_latents, "down_3")], name="analysis")


def _synthesis(num_filters):
    layers = []
    for i in range(3):
        layers += [_up(num_filters, f"up_{i}"), GDN(inverse=True, name=f"igdn_{i}")]
    return tf.keras.Sequential([*layers, _up(3, "up_3")], name="synthesis")


def _leaky(name):
    return tf.keras.layers.LeakyReLU(0.01, name=name)


def _hyper_analysis(num_filters):
    layers = [
        _down(num_filters, "conv_0", kernel_size=3, strides=1),
        _leaky("leaky_0"),
        _down(num_filters, "down_1"),
        _leaky("leaky_1"),
        _down(num_filters, "down_2"),
    ]
    return tf.keras.Sequential(layers, name="hyper_analysis")


def _hyper_synthesis(num_latents):
    layers = [
        _up(num_latents, "up_0"),
        _leaky("leaky_0"),
        _up(num_latents * 3 // 2, "up_1"),
        _leaky("leaky_1"),
        _down(num_latents * 2, "conv_2", kernel_size=3, strides=1),
    ]
    return tf.keras.Sequential(layers, name="hyper_synthesis")


@tf.keras.saving.register_keras_serializable(package="tfsq")
class MeanScaleHyperprior(CompressionModel):
    """Mean-scale hyperprior with surrogates, bound and stop-gradient of one's choice.

        image -> analysis -> y ----------------> quantize -> y_hat -> synthesis -> reconstruction
                             |                    ^
                             v                    | loc, scale
                       hyper_analysis -> z -> quantize -> z_hat -> hyper_synthesis

    y is coded under N(loc, scale^2), z under a factorized prior. Source: D. Minnen, J. Balle,
    G. Toderici, "Joint Autoregressive and Hierarchical Priors for Learned Image Compression",
    NeurIPS 2018, https://arxiv.org/abs/1809.02736, without its context model: 5x5 convolutions,
    GDN, leaky ReLU in the hyper transforms. Kernels are plain variables.

    Example:

    >>> model = MeanScaleHyperprior(num_filters=8, num_latents=12)
    >>> model.compile(tf.keras.optimizers.Adam(1e-4), lmbda=0.01)
    >>> x_hat, bits = model(tf.zeros([1, 70, 50, 3], tf.uint8), training=False)
    >>> x_hat.shape, sorted(bits)
    (TensorShape([1, 70, 50, 3]), ['hyper_latent', 'latent'])

    Args:
      num_filters: Channels of the hidden layers and of the hyper-latent.
      num_latents: Channels of the latent.
      rate_quantizer: Quantizer layer in front of both likelihoods.
      reconstruction_quantizer: Quantizer layer of what the syntheses receive. The same object for
        both means one noise sample for both, which is the default: dithered SUA from temperature 1.
        Where one of them is given, None means additive uniform noise for the rate and dithered SUA
        for the reconstruction.
      scale_lower_bound: Lower bound of the predicted scale.
      stop_gradient: "partial" or "none", see `tfsq.layers.ZeroCenterQuantization`.
      **kwargs: passed to `tf.keras.Model`: `name`, and `dtype`, the policy of all parts.

    Call arguments:
      image: Tensor [batch, height, width, 3] of any real dtype, values in 0-255, any size.
      training: Boolean, whether to use the surrogates or to round.
    """

    size_multiple = _LATENT_STRIDE * _HYPER_STRIDE
    parts = (_HYPER_LATENT, _LATENT)

    def __init__(
        self,
        num_filters: int = 128,
        num_latents: int = 192,
        rate_quantizer: Quantizer | None = None,
        reconstruction_quantizer: Quantizer | None = None,
        scale_lower_bound: float = 0.11,
        stop_gradient: str = "partial",
        **kwargs,
    ):
        for name, value in (("num_filters", num_filters), ("num_latents", num_latents)):
            if int(value) != value or value < 1:
                raise ValueError(f"`{name}` must be a positive integer. Received: {name}={value}")
        super().__init__(**kwargs)
        if rate_quantizer is None and reconstruction_quantizer is None:
            rate_quantizer = reconstruction_quantizer = StochasticUniformAnnealing()
        self.num_filters = int(num_filters)
        self.num_latents = int(num_latents)
        with dtype_policy(self.dtype_policy):
            self._build_parts(
                scale_lower_bound,
                coding_rank=3,
                rate_quantizer=rate_quantizer or AdditiveUniformNoise(),
                reconstruction_quantizer=reconstruction_quantizer or StochasticUniformAnnealing(),
                stop_gradient=stop_gradient,
                compression=True,
            )
        self.built = True

    def _build_parts(self, scale_lower_bound, **entropy_model_arguments):
        self.analysis = _analysis(self.num_filters, self.num_latents)
        self.synthesis = _synthesis(self.num_filters)
        self.hyper_analysis = _hyper_analysis(self.num_filters)
        self.hyper_synthesis = _hyper_synthesis(self.num_latents)
        self.latent_model = LowerBoundedGaussianConditional(
            scale_lower_bound=scale_lower_bound, name="latent_model", **entropy_model_arguments
        )
        self.hyper_latent_model = FactorizedEntropyModel(
            name="hyper_latent_model", **entropy_model_arguments
        )
        # Every weight exists from here on, so that loading cannot miss one.
        self.analysis.build((None, None, None, 3))
        self.synthesis.build((None, None, None, self.num_latents))
        self.hyper_analysis.build((None, None, None, self.num_latents))
        self.hyper_synthesis.build((None, None, None, self.num_filters))
        self.hyper_latent_model.build((None, None, None, self.num_filters))

    def forward(self, image, training):
        """See `CompressionModel`."""
        y = self._analyze(image)
        z = self.hyper_analysis(y)
        z_hat, z_bits = self.hyper_latent_model(z, training=training)
        loc, scale = self._predict(z_hat)
        y_hat, y_bits = self.latent_model(y, scale, loc, training=training)
        return self._synthesize(y_hat), {_LATENT: y_bits, _HYPER_LATENT: z_bits}

    def compress_parts(self, image):
        """See `CompressionModel`."""
        y = self._analyze(image)
        z = self.hyper_analysis(y)
        loc, scale = self._predict(self.hyper_latent_model.quantize(z))
        return {
            _LATENT: self.latent_model.compress(y, scale, loc),
            _HYPER_LATENT: self.hyper_latent_model.compress(z),
        }

    def decompress_parts(self, parts, size):
        """See `CompressionModel`."""
        z_hat = self.hyper_latent_model.decompress(parts[_HYPER_LATENT], size // self.size_multiple)
        loc, scale = self._predict(z_hat)
        return self._synthesize(self.latent_model.decompress(parts[_LATENT], scale, loc))

    def latents(self, image):
        """Returns the latents of images with their predictions, for `tfsq.analysis.recommend`.

        Args:
          image: Tensor [batch, height, width, 3], height and width multiples of `size_multiple`.

        Returns:
          (y, loc, scale), float32 tensors [batch, height / 16, width / 16, num_latents]; the scale
          is what the network predicts, before the bound.
        """
        y = self._analyze(tf.cast(image, self.compute_dtype))
        loc, scale = self._predict(self.hyper_latent_model.quantize(self.hyper_analysis(y)))
        return tuple(tf.cast(tensor, tf.float32) for tensor in (y, loc, scale))

    def synthesize(self, y_hat):
        """Returns the float32 images that quantized latents decode to, see `latents`.

        Args:
          y_hat: Tensor [batch, height / 16, width / 16, num_latents].
        """
        return self._synthesize(tf.cast(y_hat, self.compute_dtype))

    def get_config(self):
        latent_model = self.latent_model.get_config()
        shared = ("rate_quantizer", "reconstruction_quantizer", "scale_lower_bound")
        return {
            "name": self.name,
            "dtype": self.dtype_policy.name,
            "num_filters": self.num_filters,
            "num_latents": self.num_latents,
            **{key: latent_model[key] for key in (*shared, "stop_gradient")},
        }

    @classmethod
    def from_config(cls, config):
        return cls(**deserialize_quantizers(config))

    def _analyze(self, image):
        return self.analysis(image / 255.0)

    def _synthesize(self, y_hat):
        return tf.cast(self.synthesis(y_hat), tf.float32) * 255.0

    def _predict(self, z_hat):
        loc, scale = tf.split(self.hyper_synthesis(z_hat), 2, axis=-1)
        return loc, tf.nn.softplus(scale)
