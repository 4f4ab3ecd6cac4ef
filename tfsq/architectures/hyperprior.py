"""What all networks with a hyperprior share."""

from __future__ import annotations

import tensorflow as tf

from tfsq.architectures.base import LATENT, CompressionModel, unchecked
from tfsq.architectures.coders import Coder, Decoder, Encoder, Estimator
from tfsq.architectures.exact import check_exact, check_softplus_decides
from tfsq.architectures.local_statistics import PredictionPath, begin_as_local_statistics
from tfsq.architectures.rate_curve import bits_along
from tfsq.architectures.strips import Span, in_strips
from tfsq.entropy_models import FactorizedEntropyModel, LowerBoundedGaussianConditional
from tfsq.layers import Quantizer
from tfsq.layers.checks import check_integer

HYPER_LATENT = "hyper_latent"
_LATENT_STRIDE, _HYPER_STRIDE = 16, 4


def whole(latent):
    """Selects all of a latent, where it is coded in one piece."""
    return latent


def _rows(rows: slice):
    """Selects rows, where a latent is coded strip by strip."""
    return lambda tensor: tensor[:, rows]


class HyperpriorModel(CompressionModel):
    """Base class of the networks with a hyperprior.

        image -> analysis -> y ----------------> quantize -> y_hat -> synthesis -> reconstruction
                             |                    ^
                             v                    | loc, scale
                       hyper_analysis -> z -> quantize -> z_hat -> hyper_synthesis

    y is coded under N(loc, scale^2), z under a factorized prior. A subclass implements
    `build_hyper_transforms` and `walk`. Codecs predict loc and scale exactly, see `exactly`,
    so that every machine decodes the same symbols.

    Args:
      num_filters: Channels of the hidden layers and of the hyper-latent.
      num_latents: Channels of the latent.
      rate_quantizer: See `CompressionModel`.
      reconstruction_quantizer: See `CompressionModel`.
      scale_lower_bound: Lower bound of the predicted scale.
      stop_gradient: See `CompressionModel`.
      hyper_width: Channels of the first layer of the hyper synthesis; the second has half as many
        again. None has what was published, which with many latents and few filters is most of the
        network: with 32 and 192, more than four fifths of its weights.
      **kwargs: See `CompressionModel`.
    """

    size_multiple = _LATENT_STRIDE * _HYPER_STRIDE
    latent_stride = _LATENT_STRIDE
    halo = 4 * _LATENT_STRIDE
    parts = (HYPER_LATENT, LATENT)
    encoder = ("analysis", "hyper_analysis")

    def __init__(
        self,
        num_filters: int = 128,
        num_latents: int = 192,
        rate_quantizer: Quantizer | None = None,
        reconstruction_quantizer: Quantizer | None = None,
        scale_lower_bound: float = 0.11,
        stop_gradient: str = "partial",
        hyper_width: int | None = None,
        **kwargs,
    ):
        if hyper_width is not None:
            hyper_width = check_integer("hyper_width", hyper_width, 1)
        super().__init__(
            num_filters,
            num_latents,
            rate_quantizer,
            reconstruction_quantizer,
            stop_gradient,
            scale_lower_bound=scale_lower_bound,
            hyper_width=hyper_width,
            **kwargs,
        )

    def build_parts(self, entropy_model_arguments, scale_lower_bound, hyper_width, **architecture):
        self.hyper_width = hyper_width
        self.build_transforms()
        self.build_hyper_transforms(**architecture)
        self.latent_model = LowerBoundedGaussianConditional(
            scale_lower_bound=scale_lower_bound, name="latent_model", **entropy_model_arguments
        )
        self.hyper_latent_model = FactorizedEntropyModel(
            name="hyper_latent_model", **entropy_model_arguments
        )
        self.hyper_latent_model.build((None, None, None, self.num_filters))

    def build_hyper_transforms(self, *args, **architecture):
        """Builds `hyper_analysis`, and what `walk` uses; to be overridden.

        Args:
          *args: None.
          **architecture: What the constructor of the subclass has beside the shared arguments.
        """
        raise NotImplementedError

    def begin_hyper_transforms(self, *paths: PredictionPath, signed: bool = True) -> None:
        """Writes the weights of `hyper_analysis` and of predictions, where latents begin as a DCT.

        Args:
          *paths: See `begin_as_local_statistics`.
          signed: Likewise.
        """
        if self.shortcut is not None:
            begin_as_local_statistics(self.hyper_analysis, paths, self.initial_lmbda, signed)

    def hidden_widths(self, first: int, second: int) -> tuple[int, int]:
        """Channels of the first two layers of a hyper synthesis.

        Args:
          first: Those of the first layer in the source, taken without `hyper_width`.
          second: Likewise of the second.
        """
        if self.hyper_width is None:
            return first, second
        return self.hyper_width, self.hyper_width * 3 // 2

    def walk(self, coder: Coder, z_hat):
        """Walks through the pieces of the latent; to be overridden.

        Args:
          coder: What is done at each piece.
          z_hat: Quantized hyper-latent.

        Returns:
          (state, y_hat): of the coder, and the whole quantized latent.
        """
        raise NotImplementedError

    def check_codable(self):
        """Whatever predicts must be exact."""
        others = (*self.encoder, "synthesis", "latent_model", "hyper_latent_model", "gain")
        for layer in self.layers:
            if layer.name not in others:
                check_exact(layer)
        check_softplus_decides(self.latent_model.scale_table.thresholds)

    def latents_of(self, y):
        return {LATENT: y, HYPER_LATENT: self.analyze_latent(y)}

    def analyze_latent(self, y):
        """Returns the hyper-latent of a latent.

        Args:
          y: Tensor [batch, height / 16, width / 16, num_latents].
        """
        return self.hyper_analysis(y)

    def scale_and_loc(self, parameters):
        """Returns the distribution of the latent.

        Args:
          parameters: Tensor [..., 2 * channels], the mean and what softplus makes the scale of.

        Returns:
          (scale, loc), tensors [..., channels].
        """
        loc, scale = tf.split(parameters, 2, axis=-1)
        return tf.nn.softplus(scale), tf.cast(loc, self.compute_dtype)

    def estimate(self, latents, training=False, quality=None):
        """Unless training, predictions are exact, as those of strings."""
        if tf.is_tensor(training):
            return tf.cond(
                tf.cast(training, tf.bool),
                lambda: self.estimate(latents, True, quality),
                lambda: self.estimate(latents, False, quality),
            )
        z_hat, z_bits = self.hyper_latent_model(latents[HYPER_LATENT], training=training)
        gains = self.gains_at(quality, training)
        coder = Estimator(self.latent_model, latents[LATENT], training, gains)
        y_bits, y_hat = coder.finish(*self.walk(coder, z_hat))
        return {LATENT: y_hat, HYPER_LATENT: z_hat}, {LATENT: y_bits, HYPER_LATENT: z_bits}

    def encode(self, latents, quality=None):
        z_strings, z_hat = self.hyper_latent_model.encode(latents[HYPER_LATENT])
        z_hat = tf.cast(z_hat, self.compute_dtype)
        coder = Encoder(self.latent_model, latents[LATENT], self.gains_at(quality))
        y_strings, y_hat = coder.finish(*self.walk(coder, z_hat))
        strings = {LATENT: y_strings, HYPER_LATENT: z_strings}
        return strings, {LATENT: y_hat, HYPER_LATENT: z_hat}

    def decode(self, strings, size, check=unchecked, quality=None):
        hyper_size = size // self.size_multiple
        z_hat = self.hyper_latent_model.decompress(strings[HYPER_LATENT], hyper_size)
        z_hat = check(HYPER_LATENT, tf.cast(z_hat, self.compute_dtype))
        shape = tf.concat([size // self.latent_stride, [self.num_latents]], axis=0)
        coder = Decoder(self.latent_model, strings[LATENT], shape, self.gains_at(quality))
        _, y_hat = coder.finish(*self.walk(coder, z_hat))
        return {LATENT: check(LATENT, y_hat), HYPER_LATENT: z_hat}

    def get_config(self):
        return {
            **super().get_config(),
            "scale_lower_bound": self.latent_model.scale_lower_bound,
            "hyper_width": self.hyper_width,
        }


class AtOnce(HyperpriorModel):
    """Base class of networks that predict the latent from the hyper-latent alone.

    A subclass implements `predict_at_once` in the place of `walk`. What is predicted does not
    depend on a quality, so that a search for one predicts once.

    A string holds the latent row by row. So a coder goes through a large one strip by strip, and
    memory does not grow with what is predicted; `hyper_halo` is how many rows of the hyper-latent
    predictions see above and below their own.

    Args:
      *args: Those of `HyperpriorModel`.
      **kwargs: Those of `HyperpriorModel`.
    """

    # Two transposed convolutions of 5x5, strides of 2, and a convolution of 3x3.
    hyper_halo = 2

    def predict_at_once(self, coder: Coder, z_hat):
        """Predicts the latent; to be overridden.

        Args:
          coder: Says in which arithmetic.
          z_hat: Quantized hyper-latent.

        Returns:
          (scale, loc): tensors [batch, rows, columns, num_latents]; a loc of None is zero.
        """
        raise NotImplementedError

    def predicted_in_steps(self, image, gains) -> tuple:
        """Predicts latents by the layers as they are, and not exactly: nothing can be coded by it.

        Args:
          image: Tensor [batch, height, width, 3], both sizes multiples of `size_multiple`.
          gains: What `gains_at` returned, for each image, or for several qualities of a single one.

        Returns:
          (y, loc, scale): float32 tensors [batch or qualities, height / 16, width / 16,
          num_latents], in quantization steps; a loc of None is zero. The scale is what the network
          predicts, before the bound.
        """
        latents = self.analyze(image)
        z_hat = self.hyper_latent_model.quantize(latents[HYPER_LATENT])
        coder = Estimator(self.latent_model, latents[LATENT], training=True)
        scale, loc = self.predict_at_once(coder, z_hat)

        def in_steps(tensor):
            return None if tensor is None else tf.cast(gains.in_steps(tensor), tf.float32)

        return in_steps(latents[LATENT]), in_steps(loc), in_steps(scale)

    def walk(self, coder, z_hat):
        if isinstance(coder, Estimator):
            return coder.code_piece(coder.start(), whole, *self.predict_at_once(coder, z_hat))

        def code(state, strip):
            predicted = self._predict_strip(coder, z_hat, strip)
            state, y_hat = coder.code_piece(state, _rows(strip.own()), *predicted)
            return state, [tf.cast(y_hat, self.compute_dtype)]

        size = tf.shape(z_hat)[1:3]
        state, (y_hat,) = self._in_strips(code, coder.start(), size, [self.compute_dtype])
        return state, y_hat

    def predict_exactly(self, z) -> tuple:
        """Codes the hyper-latent, and predicts the latent as a decoder will.

        Args:
          z: The hyper-latent, [batch, rows, columns, num_filters].

        Returns:
          (strings, z_hat, scale, loc): of the hyper-latent, and of the latent, float64 and in the
          dtype of computation.
        """
        strings, z_hat = self.hyper_latent_model.encode(z)
        z_hat = tf.cast(z_hat, self.compute_dtype)
        return (strings, z_hat, *self.predictions_of(z_hat))

    def predictions_of(self, z_hat) -> tuple:
        """Predicts the latent as a decoder does.

        Args:
          z_hat: The quantized hyper-latent.

        Returns:
          (scale, loc): of the latent, float64 and in the dtype of computation.
        """
        coder = Encoder(self.latent_model, None)

        def predict(state, strip):
            scale, loc = self._predict_strip(coder, z_hat, strip)
            return state, [scale, tf.zeros_like(scale, self.compute_dtype) if loc is None else loc]

        dtypes = [tf.float64, self.compute_dtype]
        return tuple(self._in_strips(predict, tf.constant(0), tf.shape(z_hat)[1:3], dtypes)[1])

    def encode_predicted(self, y, scale, loc, quality=None) -> tuple:
        """Codes a latent whose prediction is known.

        Args:
          y: The latent, [batch, rows, columns, num_latents].
          scale: Its predicted scale.
          loc: Its predicted mean.
          quality: See `CompressionModel`.

        Returns:
          (strings, y_hat): [batch], and exactly what `decode` will make of them.
        """
        coder = Encoder(self.latent_model, y, self.gains_at(quality))

        def code(state, strip):
            own = _rows(strip.own())
            state, y_hat = coder.code_piece(state, own, own(scale), own(loc))
            return state, [y_hat]

        size = tf.shape(y)[1:3] // _HYPER_STRIDE
        state, (y_hat,) = self._in_strips(code, coder.start(), size, [self.compute_dtype])
        return coder.finish(state, y_hat)

    def bits_along(self, y, scale, loc, qualities) -> tf.Tensor:
        """Returns about what the string of a latent costs at several qualities.

        Args:
          y: The latent, [batch, rows, columns, num_latents].
          scale: Its predicted scale.
          loc: Its predicted mean.
          qualities: float32 tensor [qualities].

        Returns:
          float32 tensor [qualities], of all images.
        """
        gains = self.gain.gains(qualities)[0]

        def add(bits, strip):
            own = _rows(strip.own())
            return bits + bits_along(self.latent_model, own(y), own(scale), own(loc), gains), []

        size = tf.shape(y)[1:3] // _HYPER_STRIDE
        return self._in_strips(add, tf.zeros(tf.shape(qualities)), size, [])[0]

    def _predict_strip(self, coder, z_hat, strip: Span) -> tuple:
        scale, loc = self.predict_at_once(coder, _rows(strip.seen(_HYPER_STRIDE))(z_hat))
        own = _rows(strip.inner())
        return own(scale), None if loc is None else own(loc)

    def _in_strips(self, code, state, hyper_size, dtypes) -> tuple:
        outputs = [(dtype, self.num_latents) for dtype in dtypes]
        return in_strips(code, state, hyper_size, _HYPER_STRIDE, self.hyper_halo, outputs)
