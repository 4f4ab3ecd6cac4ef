"""JPEG, WebP, AVIF, JPEG 2000 and JPEG XL by Pillow, as references for learned codecs."""

from __future__ import annotations

import contextlib
import dataclasses
import io
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import PIL
from PIL import Image, ImageFile

from tfsq._extras import import_extra
from tfsq.codec.image_files import check_image

# Of JPEG 2000, whose settings are in hundredths of a bit per pixel: for a ratio to 24 bits.
_RAW_SETTING = 2400
_LARGEST_HEADER = 2**16


@dataclasses.dataclass(frozen=True)
class Reference:
    """A classical codec and its settings.

    Attributes:
      name: Key of `REFERENCES`.
      label: What figures call it.
      qualities: Default ladder of settings, roughly 0.1 to 2 bits per pixel on photographs; JPEG,
        WebP and JPEG XL do not go much lower.
      lowest_quality: The lowest setting.
      options: Function from a setting to arguments of Pillow's `Image.save`.
      image_format: What Pillow calls the format.
      highest_quality: The highest setting.
      unit: What a setting is.
    """

    name: str
    label: str
    qualities: tuple[int, ...]
    lowest_quality: int
    options: Callable[[int], Mapping[str, Any]]
    image_format: str
    highest_quality: int = 100
    unit: str = "quality"

    def check_available(self) -> None:
        """Checks that Pillow writes the format.

        Raises:
          ImportError: if it does not.
        """
        if self.image_format == "JXL":
            import_extra("pillow_jxl", "JPEG XL files", "jxl")
        Image.init()
        if self.image_format not in Image.SAVE:
            raise ImportError(
                f"{self.label} needs a Pillow that writes {self.image_format}, as 11.3 and newer "
                f"do. Received: Pillow {PIL.__version__}"
            )

    def at(self, quality: int) -> ReferenceAtQuality:
        """Returns the codec at a setting.

        Args:
          quality: From `lowest_quality` to `highest_quality`.

        Raises:
          ValueError: if there is no such setting.
          ImportError: see `check_available`.
        """
        low, high = self.lowest_quality, self.highest_quality
        if not low <= quality <= high or quality != int(quality):
            raise ValueError(
                f"`quality` of {self.name} must be an integer from {low} to {high}. "
                f"Received: {quality!r}"
            )
        self.check_available()
        return ReferenceAtQuality(self, int(quality))

    def of_size(
        self, image, least_bytes: int, known: Mapping[int, int] = MappingProxyType({})
    ) -> tuple[ReferenceAtQuality, bytes]:
        """Compresses an image to a file of a size, or a little more.

        Args:
          image: uint8 array [height, width, 3].
          least_bytes: Bytes that the file should have at least.
          known: Bytes of its files at some settings, which spare trying others.

        Returns:
          (codec, data): at a quality setting that makes so large a file while the one below it does
          not, or else at the lowest or the highest; and the bytes of the file.

        Raises:
          ValueError: as `ReferenceAtQuality.compress`.
          OSError: if the encoder fails.
        """
        low = max((q + 1 for q, size in known.items() if size < least_bytes), default=0)
        low = min(max(low, self.lowest_quality), self.highest_quality)
        high = min((q for q, size in known.items() if size >= least_bytes and q >= low), default=-1)
        high = self.highest_quality if high < 0 else high
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

        JPEG is baseline with optimized Huffman tables; WebP is lossy, with the slowest and best
        search; AVIF is libaom's at speed 4; JPEG 2000 has one layer; JPEG XL is lossy, at effort 7.

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
        with _room_for(image):
            image.save(file, self.reference.image_format, **self.reference.options(self.quality))
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


@contextlib.contextmanager
def _room_for(image: Image.Image) -> Iterator[None]:
    """Lets Pillow write JPEG files that are larger than it expects, such as of noise."""
    before = ImageFile.MAXBLOCK
    ImageFile.MAXBLOCK = max(before, 6 * image.width * image.height + _LARGEST_HEADER)
    try:
        yield
    finally:
        ImageFile.MAXBLOCK = before


def _jpeg(subsampling: str) -> Callable[[int], dict]:
    return lambda quality: {"quality": quality, "subsampling": subsampling, "optimize": True}


def _webp(quality: int) -> dict:
    return {"quality": quality, "lossless": False, "method": 6}


def _avif(subsampling: str) -> Callable[[int], dict]:
    return lambda quality: {"quality": quality, "subsampling": subsampling, "speed": 4}


def _jpeg_2000(setting: int) -> dict:
    ratio = _RAW_SETTING / setting
    # Without the transform of colors it would need twice the bits.
    return {"quality_mode": "rates", "quality_layers": [ratio], "irreversible": True, "mct": 1}


def _jpeg_xl(quality: int) -> dict:
    return {"quality": quality, "lossless": False, "effort": 7}


_OF_JPEG = (2, 5, 10, 15, 20, 30, 40, 50, 60, 70, 80, 90)
_OF_AVIF = (5, 15, 25, 35, 45, 55, 65, 75, 85, 90)
_LIST = (
    # A quality of 0 has meant 75 to some versions of Pillow.
    Reference("jpeg", "JPEG 4:2:0", _OF_JPEG, 1, _jpeg("4:2:0"), "JPEG"),
    Reference("jpeg444", "JPEG 4:4:4", _OF_JPEG, 1, _jpeg("4:4:4"), "JPEG"),
    Reference("webp", "WebP", (0, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95), 0, _webp, "WEBP"),
    Reference("avif", "AVIF 4:2:0", _OF_AVIF, 0, _avif("4:2:0"), "AVIF"),
    Reference("avif444", "AVIF 4:4:4", _OF_AVIF, 0, _avif("4:4:4"), "AVIF"),
    Reference(
        "jpeg2000",
        "JPEG 2000",
        (10, 15, 20, 30, 45, 65, 90, 120, 160, 210),
        1,
        _jpeg_2000,
        "JPEG2000",
        highest_quality=_RAW_SETTING,
        unit="0.01 bpp",
    ),
    Reference(
        "jxl",
        "JPEG XL",
        (3, 15, 30, 45, 60, 70, 80, 90, 94),
        0,
        _jpeg_xl,
        "JXL",
        highest_quality=99,
    ),
)
REFERENCES: Mapping[str, Reference] = MappingProxyType({found.name: found for found in _LIST})
"""Codecs of Pillow to compare with, by name."""


def reference(name: str) -> Reference:
    """Returns the reference of that name.

    Args:
      name: A key of `REFERENCES`.

    Raises:
      ValueError: if there is none.
      ImportError: see `Reference.check_available`.
    """
    if name not in REFERENCES:
        raise ValueError(f"A reference must be one of {list(REFERENCES)}. Received: {name!r}")
    REFERENCES[name].check_available()
    return REFERENCES[name]
