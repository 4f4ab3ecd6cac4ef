"""The channel-wise autoregressive network (Minnen and Singh, 2020)."""

from __future__ import annotations

import tensorflow as tf

from tfsq._keras import saving
from tfsq.architectures import transforms
from tfsq.architectures.hyperprior import HyperpriorModel
from tfsq.architectures.local_statistics import PredictionPath
from tfsq.layers import Quantizer
from tfsq.layers.checks import check_integer


@saving.register_keras_serializable(package="tfsq")
class ChannelwiseAutoregressive(HyperpriorModel):
    """Slices of channels, each predicted from the hyper-latent and the slices before.

        image -> analysis -> y -- slices --> quantize -> + residual -> y_hat -> synthesis -> image
                             |                 ^  |          ^
                             |     loc, scale  |  v          |
                             |    slice transforms <- slices before, with their residuals
                             v                 ^
                       hyper_analysis -> z -> quantize -> z_hat -> two hyper syntheses

    Source: D. Minnen, S. Singh, "Channel-wise Autoregressive Entropy Models for Learned Image
    Compression", ICIP 2020, https://arxiv.org/abs/2007.08739, with latent residual prediction;
    widths as in `models/ms2020.py` of TFC where `num_filters=192, num_latents=320`.

    Example:

    >>> model = ChannelwiseAutoregressive(num_filters=8, num_latents=12, num_slices=3)
    >>> x_hat, bits = model(tf.zeros([1, 70, 50, 3], tf.uint8), training=False)
    >>> x_hat.shape, sorted(bits)
    (TensorShape([1, 70, 50, 3]), ['hyper_latent', 'latent'])

    Args:
      num_filters: See `HyperpriorModel`.
      num_latents: See `HyperpriorModel`; a multiple of `num_slices`.
      rate_quantizer: See `CompressionModel`.
      reconstruction_quantizer: See `CompressionModel`.
      scale_lower_bound: Lower bound of the predicted scale.
      stop_gradient: See `CompressionModel`.
      num_slices: Number of slices.
      max_support_slices: Number of slices, the first ones, that later slices are predicted from.
      **kwargs: See `CompressionModel`.

    Raises:
      ValueError: if `num_slices` does not divide `num_latents`.
    """

    def __init__(
        self,
        num_filters: int = 192,
        num_latents: int = 320,
        rate_quantizer: Quantizer | None = None,
        reconstruction_quantizer: Quantizer | None = None,
        scale_lower_bound: float = 0.11,
        stop_gradient: str = "partial",
        num_slices: int = 10,
        max_support_slices: int = 5,
        **kwargs,
    ):
        super().__init__(
            num_filters,
            num_latents,
            rate_quantizer,
            reconstruction_quantizer,
            scale_lower_bound,
            stop_gradient,
            num_slices=num_slices,
            max_support_slices=max_support_slices,
            **kwargs,
        )

    def build_hyper_transforms(self, num_slices, max_support_slices):
        self.num_slices = check_integer("num_slices", num_slices, 1)
        self.max_support_slices = check_integer("max_support_slices", max_support_slices, 0)
        n, m = self.num_filters, self.num_latents
        if m % self.num_slices:
            raise ValueError(
                "`num_latents` must be a multiple of `num_slices`. Received: "
                f"num_latents={m}, num_slices={num_slices}"
            )
        middle = (n + m) // 2
        self.hyper_analysis = transforms.hyper_analysis(m, (m, middle, n), "relu")
        self.loc_synthesis, self.scale_synthesis = (
            transforms.hyper_synthesis(n, (*self.hidden_widths(n, middle), m), "relu", name)
            for name in ("loc_synthesis", "scale_synthesis")
        )
        support = [m + self._slice_depth * self._num_supports(i) for i in range(self.num_slices)]
        self.loc_transforms = [self._slice_transform(c, f"loc_{i}") for i, c in enumerate(support)]
        self.scale_transforms = [
            self._slice_transform(c, f"scale_{i}") for i, c in enumerate(support)
        ]
        self.residual_transforms = [
            self._slice_transform(c + self._slice_depth, f"residual_{i}")
            for i, c in enumerate(support)
        ]
        self._begin_slices()

    def _begin_slices(self):
        paths = []
        for i, (loc, scale) in enumerate(zip(self.loc_transforms, self.scale_transforms)):
            latents = range(i * self._slice_depth, (i + 1) * self._slice_depth)
            outputs = dict(zip(latents, range(self._slice_depth)))
            paths.append(PredictionPath((self.loc_synthesis, loc), outputs, {}))
            paths.append(PredictionPath((self.scale_synthesis, scale), {}, outputs))
        self.begin_hyper_transforms(*paths)

    def walk(self, coder, z_hat):
        hyper_loc = coder.predictor(self.loc_synthesis)(z_hat)
        hyper_scale = coder.predictor(self.scale_synthesis)(z_hat)
        state = coder.start()
        slices: list[tf.Tensor] = []
        for i in range(self.num_slices):
            support = slices[: self._num_supports(i)]
            loc_support = tf.concat([hyper_loc, *support], axis=-1)
            scale_support = tf.concat([hyper_scale, *support], axis=-1)
            loc = coder.predictor(self.loc_transforms[i])(loc_support)
            scale = coder.predictor(self.scale_transforms[i])(scale_support)
            parameters = tf.concat([loc, scale], axis=-1)
            channels = self._channels(i)
            state, y_hat = coder.code_piece(
                state,
                lambda latent, channels=channels: latent[..., channels],
                *self.scale_and_loc(parameters),
                channels,
            )
            y_hat = tf.cast(y_hat, loc.dtype)
            residual_support = tf.concat([loc_support, y_hat], axis=-1)
            residual = coder.predictor(self.residual_transforms[i])(residual_support)
            # No quantization error is larger than half a step.
            error = coder.gains.from_steps(0.5 * tf.tanh(residual), channels)
            slices.append(coder.settled(y_hat + error))
        return state, tf.cast(tf.concat(slices, axis=-1), self.compute_dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "num_slices": self.num_slices,
            "max_support_slices": self.max_support_slices,
        }

    @property
    def _slice_depth(self):
        return self.num_latents // self.num_slices

    def _channels(self, i):
        return slice(i * self._slice_depth, (i + 1) * self._slice_depth)

    def _num_supports(self, i):
        return min(i, self.max_support_slices)

    def _slice_transform(self, channels, name):
        depth = self._slice_depth
        return transforms.convolutions(
            channels, (7 * depth, 4 * depth, depth), (5, 5, 3), "relu", name
        )
