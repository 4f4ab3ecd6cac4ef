"""Images to bytes and back."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfsq.architectures.base import LATENT
from tfsq.architectures.hyperprior import HYPER_LATENT
from tfsq.architectures.images import padded_size
from tfsq.codec import tiling
from tfsq.codec.codec import Codec
from tfsq.codec.container import MAX_PIXELS, MAX_SIDE, Container, is_codable, unpack
from tfsq.codec.encoding import Encoded, Predicted, real_loss
from tfsq.codec.errors import BitstreamError
from tfsq.codec.image_files import check_image
from tfsq.codec.progress import ProgressCallback, ignored
from tfsq.codec.refinement import refine_latents
from tfsq.codec.saved_model import load
from tfsq.codec.shipped import shipped_codec_of
from tfsq.codec.targets import Target, encode_for


def loaded(model) -> Codec:
    """Returns a codec, loaded if it is a folder."""
    return model if isinstance(model, Codec) else load(model)


def encode_image(image, codec: Codec, refine_steps: int, progress, quality) -> Encoded:
    """Codes an image; arguments as for `compress`."""
    latents = tiling.analyze(image, codec, progress)

    predicted = Predicted.of(latents, codec) if isinstance(quality, Target) else None

    def encode(quality: float | None) -> Encoded:
        if predicted is not None and quality is not None:
            encoded = predicted.encoded(quality)
        else:
            encoded = Encoded.of(latents, codec, quality)
        if not refine_steps:
            return encoded
        refined = refine_latents(
            image, codec, refine_steps, progress=progress, latents=latents, quality=quality
        )
        both = (encoded, Encoded.of(refined, codec, quality))
        return min(both, key=lambda e: real_loss(image, e, codec))

    if isinstance(quality, Target):
        return encode_for(quality, image, codec, encode, predicted)
    return encode(quality)


def check_quality(quality, codec: Codec) -> None:
    """Before anything is computed."""
    if not isinstance(quality, Target):
        codec.checked_quality(quality)
    elif codec.ladder is None:
        raise ValueError(f"A codec of a single rate cannot meet a target. Received: {quality}")


def _check_latents(latents: dict, size, codec: Codec) -> None:
    height, width = size
    parts = codec.metadata["parts"]
    if sorted(latents) != parts:
        raise ValueError(f"`latents` must have the parts {parts}. Received: {sorted(latents)}")
    if not all(isinstance(side, (int, np.integer)) for side in size) or not is_codable(*size):
        raise ValueError(
            f"`size` must be height and width of an image of 1 to {MAX_PIXELS} pixels, at most "
            f"{MAX_SIDE} a side. Received: {size}"
        )
    multiple = codec.metadata["size_multiple"]
    padded = [padded_size(side, multiple) for side in (height, width)]
    known = {LATENT: codec.metadata["latent_stride"], HYPER_LATENT: multiple}
    for name, latent in latents.items():
        shape = np.shape(latent)
        strides = [side / rows for side, rows in zip(padded, shape) if rows]
        # A network of a user's own need not say what its strides are.
        expected = known.get(name) if known[LATENT] else None
        is_fitting = len(shape) == 3 and len(strides) >= 2 and strides[0] == strides[1]
        if not is_fitting or (expected and strides[0] != expected):
            raise ValueError(
                f"`latents` must have the rows and columns of an image of {width}x{height}. "
                f"Received: shape {shape} of {name}"
            )


def compress_latents(latents: dict, size, model, quality: float | None = None) -> bytes:
    """Compresses an image by its latents, those of `refine_latents` for instance.

    Args:
      latents: Dict from the name of each coded part to its latent, float32 [rows, columns,
        channels].
      size: Height and width of the image.
      model: A `Codec`, or the folder of one.
      quality: See `compress`.

    Returns:
      The bytes of a `.tfsq` file.

    Raises:
      ModelError: if `model` is not an exported codec.
      ValueError: if the latents are not those of an image of that size, or `quality` is none of
        the codec.
      tf.errors.InvalidArgumentError: if a latent is not finite.
    """
    codec = loaded(model)
    _check_latents(latents, size, codec)
    return Encoded.of(latents, codec, quality).packed(size, codec)


def compress(
    image,
    model,
    refine_steps: int = 0,
    progress: ProgressCallback = ignored,
    quality: float | Target | None = None,
) -> bytes:
    """Compresses an image.

    Args:
      image: uint8 array [height, width, 3] of any size from 1x1.
      model: A `Codec`, or the folder of one.
      refine_steps: Number of steps of `refine_latents`. The refined latents are coded if their real
        loss, in coded bits and decoded pixels, is smaller; for that, both are decoded once.
      progress: Called with a `Progress` after each tile of a large image, and each step of
        refinement.
      quality: Of a codec of many rates: from 1, the first of its lambdas, to their number; the
        nearest thousandth is coded. None is the middle. A `Target` is met by trying qualities:
        with estimates first, and then with files; with `refine_steps`, each try is refined.

    Returns:
      The bytes of a `.tfsq` file.

    Raises:
      ValueError: if `image` is not such an array, `refine_steps` negative, `quality` none of the
        codec, or out of its reach for the image.
      ModelError: if `model` is not an exported codec; with `refine_steps`, see `Codec.network`.
    """
    image, codec = check_image(image), loaded(model)
    check_quality(quality, codec)
    encoded = encode_image(image, codec, refine_steps, progress, quality)
    return encoded.packed(image.shape[:2], codec)


def decompress(data: bytes, model=None, progress: ProgressCallback = ignored) -> np.ndarray:
    """Decompresses what `compress` returned.

    Args:
      data: The bytes of a `.tfsq` file, `bytes` or the like.
      model: The `Codec` that compressed it, or its folder; None for the bundled one.
      progress: As for `compress`.

    Returns:
      uint8 array [height, width, 3].

    Raises:
      BitstreamError: if `data` is not such a file, damaged, or made with another model.
      ModelError: if `model` is not an exported codec, or None and not the bundled one.
    """
    return decode_container(unpack(bytes(data)), model, progress)


def decode_container(container: Container, model, progress: ProgressCallback) -> np.ndarray:
    """Decodes what a file holds; other arguments, and errors, as for `decompress`."""
    codec = shipped_codec_of(container.model_id) if model is None else loaded(model)
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
    try:
        at = codec.at(container.quality)
    except ValueError as error:
        raise BitstreamError(f"Damaged .tfsq file: {error}") from error
    if (container.quality is None) != (codec.ladder is None):
        raise BitstreamError("Damaged .tfsq file: it lacks the quality that its model needs.")
    size = (container.height, container.width)
    fingerprints = [list(fingerprint) for fingerprint in container.fingerprints]
    try:
        y_hat = codec.decode(
            strings=tf.constant(container.strings),
            fingerprints=tf.constant(fingerprints, tf.uint8),
            size=tf.constant(size, tf.int32),
            **at,
        )["y_hat"]
    except tf.errors.InvalidArgumentError as error:
        # TensorFlow's message is about its graph.
        raise BitstreamError(
            "Damaged .tfsq file: its strings do not decode to what was coded."
        ) from error
    return tiling.synthesize(y_hat, size, codec, progress)
