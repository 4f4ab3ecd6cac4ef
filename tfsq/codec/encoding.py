"""An image as it is coded."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import tensorflow as tf

from tfsq.architectures.base import LATENT
from tfsq.architectures.distortions import DISTORTIONS
from tfsq.architectures.hyperprior import HYPER_LATENT
from tfsq.codec import tiling
from tfsq.codec.codec import Codec
from tfsq.codec.container import Container, overhead, pack


@dataclasses.dataclass(frozen=True)
class Encoded:
    """An image as it is coded.

    Attributes:
      strings: The strings of its parts.
      fingerprints: Of what they decode to.
      y_hat: What the synthesis receives.
      quality: See `Codec.checked_quality`.
    """

    strings: tuple[bytes, ...]
    fingerprints: tuple[bytes, ...]
    y_hat: tf.Tensor
    quality: float | None

    @classmethod
    def of(cls, latents: dict, codec: Codec, quality: float | None = None) -> Encoded:
        """Codes latents.

        Args:
          latents: What `tiling.analyze` or `refine_latents` returned.
          codec: The codec.
          quality: See `Codec.checked_quality`.
        """
        quality = codec.checked_quality(quality)
        found = codec.encode(**latents, **codec.at(quality))
        return cls(*_strings_of(found), found["y_hat"], quality)

    def packed(self, size, codec: Codec) -> bytes:
        """Returns the bytes of a `.tfsq` file.

        Args:
          size: Height and width of the image.
          codec: The codec.
        """
        height, width = size
        strings, fingerprints = self.strings, self.fingerprints
        return pack(Container(codec.model_id, height, width, strings, fingerprints, self.quality))

    def decoded(self, size, codec: Codec) -> np.ndarray:
        """Returns the pixels that a decoder will give, uint8 [height, width, 3].

        Args:
          size: Height and width of the image.
          codec: The codec.
        """
        return tiling.synthesize(self.y_hat, size, codec)


@dataclasses.dataclass(frozen=True)
class Predicted:
    """Latents of a codec of many rates with what is predicted of them, the same at all qualities.

    Attributes:
      codec: One that predicts at once, see `Codec.predict`.
      latents: What `tiling.analyze` returned.
      found: What `Codec.predict` did.
    """

    codec: Codec
    latents: dict
    found: dict

    @classmethod
    def of(cls, latents: dict, codec: Codec) -> Predicted | None:
        """Predicts; None if what is predicted depends on the quality.

        Args:
          latents: What `tiling.analyze` returned.
          codec: A codec of many rates.
        """
        if codec.predict is None:
            return None
        return cls(codec, latents, codec.predict(hyper_latent=latents[HYPER_LATENT]))

    @property
    def _given(self) -> dict:
        given = {name: self.found[name] for name in ("scale", "loc")}
        return {"latent": self.latents[LATENT], **given}

    def encoded(self, quality: float) -> Encoded:
        """Codes the latents, as `Encoded.of` does.

        Args:
          quality: See `Codec.checked_quality`.
        """
        code = self.codec.encode_predicted
        assert code is not None
        found = code(**self._given, **self.codec.at(quality))
        parts = (_strings_of(self.found), _strings_of(found))
        strings, fingerprints = (a + b for a, b in zip(*parts))
        return Encoded(strings, fingerprints, found["y_hat"], self.codec.checked_quality(quality))

    def bytes_at(self, qualities) -> np.ndarray:
        """Returns about how many bytes files have.

        Args:
          qualities: Sequence of them.
        """
        bits_along = self.codec.bits_along
        assert bits_along is not None
        qualities = tf.constant(qualities, tf.float32)
        bits = bits_along(**self._given, qualities=qualities)["bits"].numpy()
        fixed = overhead(2, has_quality=True) + len(_strings_of(self.found)[0][0])
        # A range coder ends with about a byte more.
        return fixed + 1 + bits / 8


def _strings_of(found: dict) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """Strings and their fingerprints."""
    fingerprints = tuple(part.tobytes() for part in found["fingerprints"].numpy())
    return tuple(found["strings"].numpy()), fingerprints


def psnr(image, decoded) -> float:
    """Returns the peak signal-to-noise ratio of decoded pixels, in dB; infinite of equal ones.

    Args:
      image: uint8 array [height, width, 3].
      decoded: uint8 array of the same shape.
    """
    # Squares are exact in float32; in place, since images may be large.
    error = np.subtract(image, decoded, dtype=np.float32)
    mse = float(np.mean(np.square(error, out=error), dtype=np.float64))
    return 10.0 * math.log10(255.0**2 / mse) if mse else math.inf


def real_loss(image, encoded: Encoded, codec: Codec) -> float:
    """Returns bits per pixel + lambda * distortion, of coded bits and decoded pixels.

    Args:
      image: uint8 array [height, width, 3].
      encoded: The image as it is coded.
      codec: The codec.
    """
    height, width = image.shape[:2]
    distortion = DISTORTIONS[codec.metadata["distortion"]]
    both = (
        tf.cast(pixels[np.newaxis], tf.float32)
        for pixels in (image, encoded.decoded((height, width), codec))
    )
    bpp = 8 * sum(map(len, encoded.strings)) / (height * width)
    return bpp + codec.lmbda_at(encoded.quality) * float(distortion(*both)[0])
