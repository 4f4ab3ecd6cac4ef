"""An image as it is coded."""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow as tf

from tfsq.architectures.distortions import DISTORTIONS
from tfsq.codec import tiling
from tfsq.codec.container import Container, pack
from tfsq.codec.saved_model import Codec


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
        fingerprints = tuple(part.tobytes() for part in found["fingerprints"].numpy())
        return cls(tuple(found["strings"].numpy()), fingerprints, found["y_hat"], quality)

    def packed(self, size, codec: Codec) -> bytes:
        """Returns the bytes of a `.tfsq` file.

        Args:
          size: Height and width of the image.
          codec: The codec.
        """
        height, width = size
        strings, fingerprints = self.strings, self.fingerprints
        return pack(Container(codec.model_id, height, width, strings, fingerprints, self.quality))

    def decoded(self, size, codec: Codec, progress=tiling.ignored) -> np.ndarray:
        """Returns the pixels that a decoder will give, uint8 [height, width, 3].

        Args:
          size: Height and width of the image.
          codec: The codec.
          progress: Called after every tile.
        """
        return tiling.synthesize(self.y_hat, size, codec, progress)


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
