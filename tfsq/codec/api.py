"""Images to bytes and back."""

from __future__ import annotations

import pathlib

import numpy as np
import tensorflow as tf

from tfsq.codec.container import Container, pack, unpack
from tfsq.codec.errors import BitstreamError
from tfsq.codec.image_files import read_image, write_image, write_whole
from tfsq.codec.saved_model import Codec, load


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


def compress(image, model) -> bytes:
    """Compresses an image.

    Args:
      image: uint8 array [height, width, 3] of any size from 1x1.
      model: A `Codec`, or the folder of one.

    Returns:
      The bytes of a `.tfsq` file.

    Raises:
      ValueError: if `image` is not such an array.
      ModelError: if `model` is not an exported codec.
    """
    image, codec = check_image(image), _as_codec(model)
    strings = codec.compress(image=tf.constant(image))["strings"].numpy()
    height, width = image.shape[:2]
    return pack(Container(codec.model_id, height, width, tuple(strings)))


def decompress(data: bytes, model) -> np.ndarray:
    """Decompresses what `compress` returned.

    Args:
      data: The bytes of a `.tfsq` file.
      model: The `Codec` that compressed it, or its folder.

    Returns:
      uint8 array [height, width, 3].

    Raises:
      BitstreamError: if `data` is not such a file, damaged, or made with another model.
      ModelError: if `model` is not an exported codec.
    """
    container, codec = unpack(data), _as_codec(model)
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


def compress_file(source, target, model) -> int:
    """Compresses an image file to a `.tfsq` file.

    Args:
      source: Image file, see `read_image`.
      target: File to write, whole or not at all.
      model: A `Codec`, or the folder of one.

    Returns:
      The number of bytes written.

    Raises:
      OSError: if a file cannot be read or written.
      ValueError: if `source` is not an image that tfsq codes.
      ModelError: if `model` is not an exported codec.
    """
    data = compress(read_image(source), model)
    write_whole(target, lambda file: file.write(data))
    return len(data)


def decompress_file(source, target, model) -> None:
    """Decompresses a `.tfsq` file to an image file.

    Args:
      source: `.tfsq` file.
      target: Image file to write; its ending names the format.
      model: The `Codec` that compressed it, or its folder.

    Raises:
      OSError: if a file cannot be read or written.
      BitstreamError: if `source` is damaged or made with another model.
      ModelError: if `model` is not an exported codec.
      ValueError: if the ending of `target` names no image format.
    """
    write_image(decompress(pathlib.Path(source).read_bytes(), model), target)
