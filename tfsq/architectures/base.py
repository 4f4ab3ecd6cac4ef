"""The contract of all networks: images in, rate and distortion out."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from tfsq.architectures import transforms
from tfsq.architectures.coders import Gains
from tfsq.architectures.images import (
    PIXEL_RANGE,
    checked_images,
    cropped,
    pad_to_multiple,
    padded_size,
)
from tfsq.architectures.rate_distortion_model import RateDistortionModel
from tfsq.architectures.shortcut import check_shortcut
from tfsq.entropy_models.base import deserialize_quantizers
from tfsq.layers import AdditiveUniformNoise, Gain, Quantizer, StochasticUniformAnnealing
from tfsq.layers.checks import check_integer, check_positive
from tfsq.layers.ladder import Ladder

# The part that the synthesis receives.
LATENT = "latent"
_INITIAL_LMBDA = 0.01


def unchecked(part: str, quantized):
    """Returns a decoded part as it is."""
    del part
    return quantized


class CompressionModel(RateDistortionModel):
    """Base class of the networks.

    A subclass sets `size_multiple`, of which it needs both sizes of an image to be multiples;
    `parts`, the names of what it codes, the last of them `LATENT`; and `encoder`, the names of the
    layers that only a compressor needs. It implements `build_parts`, which builds the layers
    `analysis`, `synthesis` and `latent_model`, and the four methods below. `build_transforms`
    builds the first two, with the shortcut; transforms of your own have none.

    A network of convolutions also sets `latent_stride`, the pixels between two positions of the
    latent, and `halo`, the pixels beside a tile, a multiple of `latent_stride`, that analysis and
    synthesis must see to give inside of the tile what they give in the whole image. Codecs then
    work on large images tile by tile; without, they do not.

    - `latents_of(y)` -> {part: latent}
    - `estimate(latents, training)` -> ({part: quantized latent}, {part: bits [batch]})
    - `encode(latents)` -> ({part: strings [batch]}, {part: quantized latent})
    - `decode(strings, size, check)` -> {part: quantized latent}

    The last three also take a `quality` if networks of the class may have a ladder of lambdas, and
    ask `gains_at` for the steps of the latent.

    The loss is that of `RateDistortionModel`.

    Args:
      num_filters: Channels of the hidden layers.
      num_latents: Channels of the latent.
      rate_quantizer: Quantizer layer in front of all likelihoods; None is additive uniform noise.
      reconstruction_quantizer: Quantizer layer of what the syntheses receive; None is dithered SUA
        at temperature 1. The same object for both means one noise sample for both.
      stop_gradient: "partial" or "none", see `tfsq.layers.ZeroCenterQuantization`.
      shortcut: "dct" for a `DCTShortcut` beside analysis and synthesis, and hyper transforms that
        begin as local statistics of its coefficients; None is the network of the literature.
      initial_lmbda: The lambda for which the network begins, that of `compile` if the distortion
        is "mse", and a thirteen-hundredth of it if it is "ms-ssim". None is the middle of
        `lmbdas`, 0.01 without. Without a shortcut it has no effect.
      centered: Boolean, whether the transforms see pixels from -1/2 to 1/2; False is 0 to 1, and
        what models saved by builds before have.
      lmbdas: Lambdas of a network of many rates, its ladder, each larger than the one before:
        quality 1 is the first of them, and those between are interpolated, see
        `tfsq.layers.Gain`. None is a network of one rate.
      name: Name of the model.
      dtype: Dtype policy of all parts.
      **architecture: What `build_parts` of the subclass takes beside the entropy models' arguments.

    Call arguments:
      image: Tensor [batch, height, width, 3] of any real dtype, values in 0-255, any size.
      training: Boolean, whether to use the surrogates or to round.
      quality: Of a network with `lmbdas`: a number, or one for each image. None draws rungs of the
        ladder while training, and is its middle otherwise.

    Raises:
      ValueError: if a number of channels is not an integer of at least 1, `shortcut` unknown,
        `initial_lmbda` not positive and finite, or `lmbdas` no ladder.
    """

    size_multiple = 1
    latent_stride: int | None = None
    halo = 0
    parts: tuple[str, ...] = ()
    encoder: tuple[str, ...] = ()

    def __init__(
        self,
        num_filters: int = 128,
        num_latents: int = 192,
        rate_quantizer: Quantizer | None = None,
        reconstruction_quantizer: Quantizer | None = None,
        stop_gradient: str = "partial",
        shortcut: str | None = None,
        initial_lmbda: float | None = None,
        centered: bool = True,
        lmbdas: Sequence[float] | None = None,
        name: str | None = None,
        dtype=None,
        **architecture,
    ):
        num_filters = check_integer("num_filters", num_filters, 1)
        num_latents = check_integer("num_latents", num_latents, 1)
        check_shortcut(shortcut)
        ladder = None if lmbdas is None else Ladder(lmbdas)
        if initial_lmbda is None:
            initial_lmbda = ladder.middle_lmbda if ladder else _INITIAL_LMBDA
        initial_lmbda = check_positive("initial_lmbda", initial_lmbda)
        super().__init__(name=name, dtype=dtype)
        self.num_filters = num_filters
        self.num_latents = num_latents
        self.shortcut = shortcut
        self.initial_lmbda = initial_lmbda
        self.centered = bool(centered)
        self._pixel_offset = 0.5 if self.centered else 0.0
        self.ladder = ladder
        with transforms.dtype_policy(self.dtype_policy):
            reconstruction = reconstruction_quantizer or StochasticUniformAnnealing()
            entropy_model_arguments = {
                "coding_rank": 3,
                "rate_quantizer": rate_quantizer or AdditiveUniformNoise(),
                "reconstruction_quantizer": reconstruction,
                "stop_gradient": stop_gradient,
                "compression": True,
            }
            self.build_parts(entropy_model_arguments, **architecture)
        if ladder:
            self.gain = Gain(ladder.lmbdas, name="gain")
            self.gain.build((None, None, None, num_latents))
        self.built = True

    def build_parts(self, entropy_model_arguments: dict, *args, **architecture):
        """Builds all layers with all weights, `latent_model` among them; to be overridden.

        Args:
          entropy_model_arguments: What all entropy models are constructed with.
          *args: None.
          **architecture: What else the constructor was given.
        """
        raise NotImplementedError

    def build_transforms(self) -> None:
        """Builds `analysis` and `synthesis`, with the shortcut that the constructor was given."""
        lmbda = None if self.shortcut is None else self.initial_lmbda
        self.analysis, self.synthesis = transforms.pair(self.num_filters, self.num_latents, lmbda)

    def latents_of(self, y):
        """Returns everything that is coded, from what the analysis gave; to be overridden.

        Args:
          y: Tensor [batch, rows, columns, num_latents].

        Returns:
          Dict from the name of each coded part to its latent, before quantization.
        """
        raise NotImplementedError

    def estimate(self, latents, training=False):
        """Quantizes latents and estimates their rate; to be overridden.

        Args:
          latents: What `latents_of` returned, or better latents for the same image.
          training: Boolean, whether to use the surrogates or to round.

        Returns:
          (quantized, bits): dicts from the name of each coded part to its quantized latent, and to
          its bits, float32 [batch].
        """
        raise NotImplementedError

    def encode(self, latents):
        """Codes latents, those of `estimate`; to be overridden.

        Returns:
          (strings, quantized): dicts from the name of each coded part to its strings, [batch], and
          to exactly what `decode` will make of them.
        """
        raise NotImplementedError

    def decode(self, strings, size, check=unchecked):
        """Decodes strings to latents; to be overridden.

        Args:
          strings: What `encode` returned.
          size: int32 tensor [2], height and width of the padded image.
          check: Function (part, quantized latent) -> the same latent, to be called on each part
            before the next one is decoded.

        Returns:
          Dict from the name of each coded part to its quantized latent.
        """
        raise NotImplementedError

    def check_codable(self) -> None:
        """Checks that the weights are such that strings decode everywhere.

        Raises:
          ValueError: if they are not.
        """

    def analyze(self, image):
        """Returns what `latents_of` does, of padded images.

        Args:
          image: float32 tensor [batch, height, width, 3] in 0-255.
        """
        return self.latents_of(self.transform(image))

    def transform(self, image):
        """Returns the latent of images, or of tiles, as the analysis gives it.

        Args:
          image: float32 tensor [batch, height, width, 3] in 0-255, both sizes multiples of
            `latent_stride`.

        Returns:
          Tensor [batch, rows, columns, num_latents].
        """
        return self.analysis(image / PIXEL_RANGE - self._pixel_offset)

    def gains_at(self, quality=None, training=False) -> Gains:
        """Returns the gains of the latent; without a ladder, those of a step of 1.

        Args:
          quality: A number, or a tensor [batch]; None where there is no ladder.
          training: Boolean, whether gains are differentiable, or the same on every machine.
        """
        return Gains.at(self.gain, quality, training) if self.ladder else Gains()

    def reconstruct(self, latents, training=False, **at):
        """Quantizes latents, estimates their rate and reconstructs the image.

        Args:
          latents: As for `estimate`.
          training: Boolean, whether to use the surrogates or to round.
          **at: `quality`, if there is a ladder.

        Returns:
          (reconstruction, bits): float32 [batch, height, width, 3], and a dict from the name of
          each coded part to its bits, float32 [batch].
        """
        quantized, bits = self.estimate(latents, training, **at)
        return self.synthesize(quantized[LATENT]), bits

    def synthesize(self, y_hat):
        """Returns the float32 images that a quantized latent decodes to.

        Args:
          y_hat: Tensor [batch, rows, columns, num_latents].
        """
        pixels = tf.cast(self.synthesis(tf.cast(y_hat, self.compute_dtype)), tf.float32)
        return (pixels + self._pixel_offset) * PIXEL_RANGE

    def padded(self, image):
        """Returns images as the methods above take them.

        Args:
          image: Tensor [batch, height, width, 3] of any real dtype, values in 0-255, any size.
        """
        return pad_to_multiple(tf.cast(image, tf.float32), self.size_multiple)

    def call(self, image, training=None, quality=None):
        """Reconstructs images; the class docstring has the arguments.

        Returns:
          (reconstruction, bits): a float32 tensor of the shape of `image`, and a dict from the
          name of each coded part to its bits, float32 tensors [batch].
        """
        image = checked_images(image)
        at = self.at_quality(quality, tf.shape(image)[0], training)
        reconstruction, bits = self.reconstruct(self.analyze(self.padded(image)), training, **at)
        return cropped(reconstruction, image), bits

    def compress(self, image, quality=None):
        """Compresses images to strings.

        Args:
          image: As for `call`.
          quality: See the class.

        Returns:
          Dict from the name of each coded part to its strings, [batch].
        """
        image = checked_images(image)
        at = self.at_quality(quality, tf.shape(image)[0])
        return self.encode(self.analyze(self.padded(image)), **at)[0]

    def decompress(self, strings, size, quality=None):
        """Decompresses what `compress` returned.

        Args:
          strings: Dict from the name of each coded part to its strings, [batch].
          size: Height and width of the images, two integers or an int32 tensor [2].
          quality: That of `compress`.

        Returns:
          float32 tensor [batch, height, width, 3]: what `call` reconstructs with
          `training=False`.
        """
        size = tf.convert_to_tensor(size, tf.int32)
        padded = padded_size(size, self.size_multiple)
        at = self.at_quality(quality, tf.shape(strings[LATENT])[0])
        quantized = self.decode(strings, padded, **at)
        return self.synthesize(quantized[LATENT])[:, : size[0], : size[1], :]

    def load_weights(self, filepath, skip_mismatch=False, by_name=False, **kwargs):
        """Loads weights; see `tf.keras.Model.load_weights`.

        Raises:
          ValueError: if `by_name`, since Keras compares shapes then, and those of coding tables are
            not known before they are loaded.
        """
        if by_name:
            raise ValueError(
                "`by_name` must be False: Keras refuses coding tables then, whose shapes are not "
                "known before. Load all weights, or those of single layers."
            )
        return super().load_weights(filepath, skip_mismatch=skip_mismatch, **kwargs)

    def get_config(self):
        latent_model = self.latent_model.get_config()
        shared = ("rate_quantizer", "reconstruction_quantizer", "stop_gradient")
        return {
            "name": self.name,
            "dtype": self.dtype_policy.name,
            "num_filters": self.num_filters,
            "num_latents": self.num_latents,
            "shortcut": self.shortcut,
            "initial_lmbda": self.initial_lmbda,
            "centered": self.centered,
            "lmbdas": list(self.ladder.lmbdas) if self.ladder else None,
            **{key: latent_model[key] for key in shared},
        }

    @classmethod
    def from_config(cls, config):
        config = deserialize_quantizers(config)
        # Written by `get_config` of builds before, which had pixels from 0 to 1.
        if "num_latents" in config and "centered" not in config:
            config["centered"] = False
        return cls(**config)
