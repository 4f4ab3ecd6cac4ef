"""JPEG and WebP by Pillow, as references for learned codecs."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from PIL import Image

from tfsq.codec.image_files import check_image

_HIGHEST_QUALITY = 100


@dataclasses.dataclass(frozen=True)
class Reference:
    """A classical codec and its settings.

    Attributes:
      name: Key of `REFERENCES`.
      label: What figures call it.
      qualities: Default ladder of quality settings, roughly 0.1 to 2 bits per pixel on photographs;
        neither format goes much lower.
      lowest_quality: The lowest setting that it knows.
      options: Further settings of Pillow's `Image.save`, the format among them.
    """

    name: str
    label: str
    qualities: tuple[int, ...]
    lowest_quality: int
    options: Mapping[str, Any]

    def at(self, quality: int) -> ReferenceAtQuality:
        """Returns the codec at a quality setting.

        Args:
          quality: From `lowest_quality` to 100.

        Raises:
          ValueError: if there is no such setting.
        """
        if not self.lowest_quality <= quality <= _HIGHEST_QUALITY or quality != int(quality):
            raise ValueError(
                f"`quality` of {self.name} must be an integer from {self.lowest_quality} to "
                f"{_HIGHEST_QUALITY}. Received: {quality!r}"
            )
        return ReferenceAtQuality(self, int(quality))

    def of_size(self, image, least_bytes: int) -> tuple[ReferenceAtQuality, bytes]:
        """Compresses an image to a file of a size, or a little more.

        Args:
          image: uint8 array [height, width, 3].
          least_bytes: Bytes that the file should have at least.

        Returns:
          (codec, data): at a quality setting that makes so large a file while the one below it does
          not, or else at the lowest or the highest; and the bytes of the file.

        Raises:
          ValueError: as `ReferenceAtQuality.compress`.
          OSError: if the encoder fails.
        """
        low, high = self.lowest_quality, _HIGHEST_QUALITY
        while low < high:
            middle = (low + high) // 2
            if len(self.at(middle).compress(image)) < least_bytes:
                low = middle + 1
            else:
                high = middle
        return self.at(low), self.at(low).compress(image)


@dataclasses.dataclass(frozen=True)
class ReferenceAtQuality:
    """A classical codec at one setting, `Reference.at`.

    Attributes:
      reference: The codec.
      quality: The setting.
    """

    reference: Reference
    quality: int

    def compress(self, image) -> bytes:
        """Compresses an image.

        JPEG is baseline, with 4:2:0 subsampling and optimized Huffman tables; WebP is lossy, with
        the slowest and best search.

        Args:
          image: uint8 array [height, width, 3].

        Returns:
          The bytes of the file.

        Raises:
          ValueError: if `image` is not such an array, or too large for the format.
          OSError: if the encoder fails.
        """
        file = io.BytesIO()
        image = Image.fromarray(check_image(image))
        image.save(file, quality=self.quality, **self.reference.options)
        return file.getvalue()

    def decompress(self, data: bytes) -> np.ndarray:
        """Decompresses what `compress` returned.

        Args:
          data: The bytes of the file.

        Returns:
          uint8 array [height, width, 3].
        """
        with Image.open(io.BytesIO(data)) as opened:
            return np.asarray(opened.convert("RGB"))


REFERENCES: Mapping[str, Reference] = MappingProxyType(
    {
        "jpeg": Reference(
            name="jpeg",
            label="JPEG 4:2:0",
            qualities=(2, 5, 10, 15, 20, 30, 40, 50, 60, 70, 80, 90),
            # 0 has meant 75 to some versions of Pillow.
            lowest_quality=1,
            options={"format": "JPEG", "subsampling": "4:2:0", "optimize": True},
        ),
        "webp": Reference(
            name="webp",
            label="WebP",
            qualities=(0, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95),
            lowest_quality=0,
            options={"format": "WEBP", "lossless": False, "method": 6},
        ),
    }
)


def reference(name: str) -> Reference:
    """Returns the reference of that name.

    Args:
      name: A key of `REFERENCES`.

    Raises:
      ValueError: if there is none.
    """
    if name not in REFERENCES:
        raise ValueError(f"A reference must be one of {list(REFERENCES)}. Received: {name!r}")
    return REFERENCES[name]
