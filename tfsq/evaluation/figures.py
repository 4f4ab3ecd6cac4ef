"""Rate and distortion of a codec on an image, from real bytes and decoded pixels."""

from __future__ import annotations

import dataclasses
from typing import Protocol

import numpy as np
import tensorflow as tf

from tfsq import codec as codecs
from tfsq.architectures.ms_ssim import SMALLEST_SIZE, ms_ssim
from tfsq.codec import Codec, tiling
from tfsq.codec.encoding import psnr
from tfsq.codec.image_files import check_image


class ReferenceCodec(Protocol):
    """What `measure` takes beside a `Codec`: bytes from images, and images from bytes."""

    def compress(self, image) -> bytes:
        """Returns the file of a uint8 image [height, width, 3]."""

    def decompress(self, data: bytes) -> np.ndarray:
        """Returns what a file decodes to."""


@dataclasses.dataclass(frozen=True)
class Figures:
    """What an image costs in a file of any format, and what comes back.

    Attributes:
      bpp: Bits per pixel of the whole file, its header included.
      psnr: Of the decoded pixels, in dB; infinite where they are equal.
      ms_ssim: Multi-scale structural similarity; None below 161 pixels a side.
      file_bytes: Length of the file.
    """

    bpp: float
    psnr: float
    ms_ssim: float | None
    file_bytes: int


@dataclasses.dataclass(frozen=True)
class CodecFigures(Figures):
    """What an image costs in a `.tfsq` file, and what comes back.

    Attributes:
      bpp: Bits per pixel of the whole file, its header included.
      psnr: Of the decoded pixels, in dB; infinite where they are equal.
      ms_ssim: Multi-scale structural similarity; None below 161 pixels a side.
      file_bytes: Length of the file.
      estimated_bits: What the model predicts for the strings.
      payload_bytes: Length of the strings.
      decoder_matches_encoder: Whether the decoded pixels are the encoder's own reconstruction.
    """

    estimated_bits: float
    payload_bytes: int
    decoder_matches_encoder: bool


def figures_of(image, data: bytes, decoded) -> Figures:
    """Compares a decoded file of any format with the image that was compressed.

    Args:
      image: uint8 array [height, width, 3].
      data: The bytes of the file.
      decoded: uint8 array of the same shape, what a decoder made of `data`.
    """
    height, width = image.shape[:2]
    similarity = None
    if min(height, width) >= SMALLEST_SIZE:
        both = (tf.cast(pixels[np.newaxis], tf.float32) for pixels in (image, decoded))
        similarity = float(ms_ssim(*both)[0])
    return Figures(
        bpp=8 * len(data) / (height * width),
        psnr=psnr(image, decoded),
        ms_ssim=similarity,
        file_bytes=len(data),
    )


def measure(
    image,
    codec: Codec | ReferenceCodec,
    data: bytes | None = None,
    decoded=None,
    quality: float | None = None,
) -> Figures:
    """Compresses and decompresses an image, and says what it costs and what comes back.

    Args:
      image: uint8 array [height, width, 3].
      codec: A `Codec`, or a reference at a quality: `REFERENCES["jpeg"].at(50)`.
      data: The file, if the codec has made it already.
      decoded: What a decoder made of it, if one has.
      quality: Of a codec of many rates; None is the middle.

    Returns:
      The figures; `CodecFigures` of a `Codec`.

    Raises:
      ValueError: if `image` is not such an array, or too large for the format, or `quality` none of
        the codec.
      BitstreamError: if `data` is no file of `codec`.
      ModelError: see `Codec.network`.
    """
    image = check_image(image)
    if isinstance(codec, Codec):
        data = codecs.compress(image, codec, quality=quality) if data is None else data
        decoded = codecs.decompress(data, codec) if decoded is None else decoded
        return _figures_of_codec(image, codec, data, decoded, codec.at(quality))
    data = codec.compress(image) if data is None else data
    decoded = codec.decompress(data) if decoded is None else decoded
    return figures_of(image, data, decoded)


def _figures_of_codec(image, codec: Codec, data: bytes, decoded, at: dict) -> CodecFigures:
    latents = tiling.analyze(image, codec)
    own = tiling.synthesize(codec.encode(**latents, **at)["y_hat"], image.shape[:2], codec)
    return CodecFigures(
        **vars(figures_of(image, data, decoded)),
        estimated_bits=float(tf.reduce_sum(codec.estimate(**latents, **at)["bits"])),
        payload_bytes=codecs.unpack(data).payload_bytes,
        decoder_matches_encoder=bool(np.array_equal(own, decoded)),
    )
