"""Images to bytes and back."""

from __future__ import annotations

import pathlib
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfsq.architectures.base import DISTORTIONS
from tfsq.codec.container import Container, pack, unpack
from tfsq.codec.errors import BitstreamError
from tfsq.codec.image_files import read_image, write_image, write_whole
from tfsq.codec.refinement import refine_latents
from tfsq.codec.saved_model import Codec, load
from tfsq.codec.shipped import shipped_codec_of


def _as_codec(model) -> Codec:
    return model if isinstance(model, Codec) else load(model)


def check_image(image) -> np.ndarray:
    """Returns `image` as an array, or raises ValueError unless it is uint8 [height, width, 3]."""
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ValueError(
            "`image` must be a uint8 array [height, width, 3] of at least one pixel. "
            f"Received: shape={image.shape}, dtype={image.dtype}"
        )
    return image


def compress(
    image,
    model,
    refine_steps: int = 0,
    progress: Callable[[int, float], None] | None = None,
) -> bytes:
    """Compresses an image.

    Args:
      image: uint8 array [height, width, 3] of any size from 1x1.
      model: A `Codec`, or the folder of one.
      refine_steps: Number of steps of `refine_latents`. What they found is coded if it has the
        smaller loss, in coded bits and decoded pixels, which takes one more decoding of each.
      progress: See `refine_latents`.

    Returns:
      The bytes of a `.tfsq` file.

    Raises:
      ValueError: if `image` is not such an array, or `refine_steps` negative.
      ModelError: if `model` is not an exported codec.
    """
    image, codec = check_image(image), _as_codec(model)
    strings = codec.compress(image=tf.constant(image))["strings"].numpy()
    if refine_steps:
        latents = refine_latents(image, codec, refine_steps, progress=progress)
        refined = codec.compress_latents(**latents)["strings"].numpy()
        strings = min((strings, refined), key=lambda found: real_loss(image, found, codec))
    height, width = image.shape[:2]
    return pack(Container(codec.model_id, height, width, tuple(strings)))


def real_loss(image, strings, codec: Codec) -> float:
    """Returns bits per pixel + lambda * distortion, of coded bits and decoded pixels.

    Args:
      image: uint8 array [height, width, 3].
      strings: The strings of its parts.
      codec: What coded them.
    """
    height, width = image.shape[:2]
    decoded = codec.decompress(
        strings=tf.constant(strings), size=tf.constant([height, width], tf.int32)
    )["image"]
    distortion = DISTORTIONS[codec.metadata["distortion"]]
    both = (tf.cast(tensor[tf.newaxis], tf.float32) for tensor in (tf.constant(image), decoded))
    bpp = 8 * sum(map(len, strings)) / (height * width)
    return bpp + codec.metadata["lmbda"] * float(distortion(*both)[0])


def decompress(data: bytes, model=None) -> np.ndarray:
    """Decompresses what `compress` returned.

    Args:
      data: The bytes of a `.tfsq` file.
      model: The `Codec` that compressed it, or its folder; None finds it among the shipped ones,
        by the hash in the file.

    Returns:
      uint8 array [height, width, 3].

    Raises:
      BitstreamError: if `data` is not such a file, damaged, or made with another model.
      ModelError: if `model` is not an exported codec, or None and none of the shipped ones.
    """
    container = unpack(data)
    codec = shipped_codec_of(container.model_id) if model is None else _as_codec(model)
    if container.model_id != codec.model_id:
        raise BitstreamError(
            f"The file was made with model {container.model_id.hex()}, "
            f"this is {codec.model_id.hex()}."
        )
    if len(container.strings) != len(codec.metadata["parts"]):
        raise BitstreamError(
            f"The file has {len(container.strings)} strings, the model codes "
            f"{len(codec.metadata['parts'])}."
        )
    size = tf.constant([container.height, container.width], tf.int32)
    try:
        decoded = codec.decompress(strings=tf.constant(container.strings), size=size)
    except tf.errors.InvalidArgumentError as error:
        raise BitstreamError(f"The strings do not decode: {error.message}") from error
    return decoded["image"].numpy()


def compress_file(
    source,
    target,
    model,
    refine_steps: int = 0,
    progress: Callable[[int, float], None] | None = None,
) -> int:
    """Compresses an image file to a `.tfsq` file.

    Args:
      source: Image file, see `read_image`.
      target: File to write, whole or not at all.
      model: A `Codec`, or the folder of one.
      refine_steps: See `compress`.
      progress: See `refine_latents`.

    Returns:
      The number of bytes written.

    Raises:
      OSError: if a file cannot be read or written.
      ValueError: if `source` is not an image that tfsq codes.
      ModelError: if `model` is not an exported codec.
    """
    data = compress(read_image(source), model, refine_steps, progress)
    write_whole(target, lambda file: file.write(data))
    return len(data)


def decompress_file(source, target=None, model=None) -> np.ndarray:
    """Decompresses a `.tfsq` file, to an image file if one is named.

    Args:
      source: `.tfsq` file.
      target: Image file to write, its ending names the format; None writes none.
      model: See `decompress`.

    Returns:
      uint8 array [height, width, 3].

    Raises:
      OSError: if a file cannot be read or written.
      BitstreamError: if `source` is damaged or made with another model.
      ModelError: if `model` is not an exported codec, or None and none of the shipped ones.
      ValueError: if the ending of `target` names no image format.
    """
    image = decompress(pathlib.Path(source).read_bytes(), model)
    if target is not None:
        write_image(image, target)
    return image
