"""Rate and distortion of a codec on images, from real bytes and decoded pixels."""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow as tf

from tfsq.architectures.ms_ssim import SMALLEST_SIZE, ms_ssim
from tfsq.codec import tiling
from tfsq.codec.api import compress, decompress
from tfsq.codec.container import unpack
from tfsq.codec.image_files import check_image
from tfsq.codec.saved_model import Codec


@dataclasses.dataclass(frozen=True)
class RateDistortion:
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
class Evaluation(RateDistortion):
    """What an image costs in a `.tfsq` file, and what comes back.

    Attributes:
      bpp: See `RateDistortion`.
      psnr: See `RateDistortion`.
      ms_ssim: See `RateDistortion`.
      file_bytes: See `RateDistortion`.
      estimated_bits: What the model predicts for the strings.
      payload_bytes: Length of the strings.
      decoder_matches_encoder: Whether the decoded pixels are the encoder's own reconstruction.
    """

    estimated_bits: float
    payload_bytes: int
    decoder_matches_encoder: bool


def evaluate(image, codec: Codec) -> Evaluation:
    """Compresses and decompresses an image.

    Args:
      image: uint8 array [height, width, 3].
      codec: The codec.

    Returns:
      The figures.

    Raises:
      ValueError: if `image` is not such an array.
      ModelError: see `Codec.network`.
    """
    image = check_image(image)
    data = compress(image, codec)
    return measure(image, data, decompress(data, codec), codec)


def measure(image, data: bytes, decoded, codec: Codec) -> Evaluation:
    """Measures a decoded file against the image that was compressed.

    Args:
      image: uint8 array [height, width, 3].
      data: The bytes of the `.tfsq` file.
      decoded: uint8 array of the same shape, what a decoder made of `data`.
      codec: The codec.

    Returns:
      The figures.

    Raises:
      ModelError: see `Codec.network`.
    """
    latents = tiling.analyze(image, codec)
    own = tiling.synthesize(codec.encode(**latents)["y_hat"], image.shape[:2], codec)
    return Evaluation(
        **vars(rate_distortion(image, data, decoded)),
        estimated_bits=float(tf.reduce_sum(codec.estimate(**latents)["bits"])),
        payload_bytes=unpack(data).payload_bytes,
        decoder_matches_encoder=bool(np.array_equal(own, decoded)),
    )


def rate_distortion(image, data: bytes, decoded) -> RateDistortion:
    """Measures a decoded file of any format against the image that was compressed.

    Args:
      image: uint8 array [height, width, 3].
      data: The bytes of the file.
      decoded: uint8 array of the same shape, what a decoder made of `data`.

    Returns:
      The figures.
    """
    mse = np.mean(np.square(image.astype(np.float64) - decoded))
    height, width = image.shape[:2]
    similarity = None
    if min(height, width) >= SMALLEST_SIZE:
        both = (tf.cast(pixels[np.newaxis], tf.float32) for pixels in (image, decoded))
        similarity = float(ms_ssim(*both)[0])
    return RateDistortion(
        bpp=8 * len(data) / (height * width),
        psnr=float(10 * np.log10(255**2 / mse)) if mse else float("inf"),
        ms_ssim=similarity,
        file_bytes=len(data),
    )
