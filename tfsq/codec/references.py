"""JPEG and WebP by Pillow, as references for learned codecs."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from PIL import Image

from tfsq.codec.evaluation import RateDistortion, rate_distortion
from tfsq.codec.image_files import check_image

_HIGHEST_QUALITY = 100


@dataclasses.dataclass(frozen=True)
class Reference:
    """A classical codec and its settings.

    Attributes:
      label: What figures call it.
      qualities: Default ladder of quality settings, roughly 0.1 to 2 bits per pixel on photographs;
        neither format goes much lower.
      lowest_quality: The lowest setting that it knows.
      options: Further settings of Pillow's `Image.save`, the format among them.
    """

    label: str
    qualities: tuple[int, ...]
    lowest_quality: int
    options: Mapping[str, Any]


REFERENCES: Mapping[str, Reference] = MappingProxyType(
    {
        "jpeg": Reference(
            label="JPEG 4:2:0",
            qualities=(2, 5, 10, 15, 20, 30, 40, 50, 60, 70, 80, 90),
            # 0 has meant 75 to some versions of Pillow.
            lowest_quality=1,
            options={"format": "JPEG", "subsampling": "4:2:0", "optimize": True},
        ),
        "webp": Reference(
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


def compress_reference(image, name: str, quality: int) -> bytes:
    """Compresses an image with a reference.

    Args:
      image: uint8 array [height, width, 3].
      name: "jpeg", baseline with 4:2:0 subsampling and optimized Huffman tables, or "webp", lossy
        with the slowest and best search.
      quality: Setting of the encoder, from 1 (JPEG) or 0 (WebP) to 100.

    Returns:
      The bytes of the file.

    Raises:
      ValueError: if an argument is not as described, or the image too large for the format.
      OSError: if the encoder fails.
    """
    image, chosen = check_image(image), reference(name)
    if not chosen.lowest_quality <= quality <= _HIGHEST_QUALITY or quality != int(quality):
        raise ValueError(
            f"`quality` of {name} must be an integer from {chosen.lowest_quality} to "
            f"{_HIGHEST_QUALITY}. Received: {quality!r}"
        )
    file = io.BytesIO()
    Image.fromarray(image).save(file, quality=int(quality), **chosen.options)
    return file.getvalue()


def reference_of_size(image, name: str, least_bytes: int) -> tuple[int, bytes]:
    """Compresses an image with a reference to a file of a size, or a little more.

    Args:
      image: uint8 array [height, width, 3].
      name: See `compress_reference`.
      least_bytes: Bytes that the file should have at least.

    Returns:
      (quality, data): a quality setting that makes so large a file while the one below it does not,
      or else the lowest or the highest setting; and the bytes of the file.

    Raises:
      ValueError: see `compress_reference`.
      OSError: see `compress_reference`.
    """
    low, high = reference(name).lowest_quality, _HIGHEST_QUALITY
    while low < high:
        middle = (low + high) // 2
        if len(compress_reference(image, name, middle)) < least_bytes:
            low = middle + 1
        else:
            high = middle
    return low, compress_reference(image, name, low)


def evaluate_reference(image, name: str, quality: int) -> RateDistortion:
    """Compresses and decompresses an image with a reference.

    Args:
      image: uint8 array [height, width, 3].
      name: See `compress_reference`.
      quality: See `compress_reference`.

    Returns:
      The figures, of the real bytes and the decoded pixels.

    Raises:
      ValueError: see `compress_reference`.
      OSError: see `compress_reference`.
    """
    image = check_image(image)
    data = compress_reference(image, name, quality)
    with Image.open(io.BytesIO(data)) as opened:
        decoded = np.asarray(opened.convert("RGB"))
    return rate_distortion(image, data, decoded)
