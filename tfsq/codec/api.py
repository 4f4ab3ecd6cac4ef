"""Images to bytes and back."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfsq.architectures.images import padded_size
from tfsq.codec import tiling
from tfsq.codec.codec import Codec
from tfsq.codec.container import MAX_PIXELS, MAX_SIDE, Container, is_codable, read, unpack
from tfsq.codec.encoding import Encoded, Predicted, real_loss
from tfsq.codec.errors import BitstreamError
from tfsq.codec.image_files import check_image, check_image_name, read_image, write_image
from tfsq.codec.progress import ProgressCallback, ignored
from tfsq.codec.refinement import refine_latents
from tfsq.codec.saved_model import load
from tfsq.codec.shipped import shipped_codec_of
from tfsq.codec.targets import Target, encode_for
from tfsq.codec.verification import check_in_second_process
from tfsq.files import check_not_read, writing_whole


def _loaded(model) -> Codec:
    return model if isinstance(model, Codec) else load(model)


def _encode(image, codec: Codec, refine_steps: int, progress, quality) -> Encoded:
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


def _check_quality(quality, codec: Codec) -> None:
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
    for name, latent in latents.items():
        shape = np.shape(latent)
        strides = [side / rows for side, rows in zip(padded, shape) if rows]
        if len(shape) != 3 or len(strides) < 2 or strides[0] != strides[1]:
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
    codec = _loaded(model)
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
    image, codec = check_image(image), _loaded(model)
    _check_quality(quality, codec)
    return _encode(image, codec, refine_steps, progress, quality).packed(image.shape[:2], codec)


def decompress(data: bytes, model=None, progress: ProgressCallback = ignored) -> np.ndarray:
    """Decompresses what `compress` returned.

    Args:
      data: The bytes of a `.tfsq` file, `bytes` or the like.
      model: The `Codec` that compressed it, or its folder; None finds it among the shipped ones,
        by the hash in the file.
      progress: As for `compress`.

    Returns:
      uint8 array [height, width, 3].

    Raises:
      BitstreamError: if `data` is not such a file, damaged, or made with another model.
      ModelError: if `model` is not an exported codec, or None and none of the shipped ones.
    """
    return _decoded(unpack(bytes(data)), model, progress)


def _decoded(container: Container, model, progress: ProgressCallback) -> np.ndarray:
    codec = shipped_codec_of(container.model_id) if model is None else _loaded(model)
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


def compress_file(
    source,
    target,
    model,
    refine_steps: int = 0,
    progress: ProgressCallback = ignored,
    verify: bool = False,
    quality: float | Target | None = None,
) -> int:
    """Compresses an image file to a `.tfsq` file.

    Args:
      source: Image file, see `read_image`.
      target: File to write, whole or not at all.
      model: A `Codec`, or the folder of one.
      refine_steps: See `compress`.
      progress: See `compress`.
      verify: Whether to decode the file in a second process before it is named `target`, and to
        compare the pixels with the encoder's own.
      quality: See `compress`.

    Returns:
      The number of bytes written.

    Raises:
      OSError: if a file cannot be read or written.
      ValueError: if `source` is not an image that tfsq codes, if it is `target`, if `verify` is
        asked of a `Codec` that was not loaded from a folder, `quality` is none of the codec, or
        out of its reach for the image.
      ModelError: if `model` is not an exported codec; with `refine_steps`, see `Codec.network`.
      VerificationError: if the second process decodes other pixels, or none.
    """
    check_not_read(target, [source])
    image, codec = check_image(read_image(source)), _loaded(model)
    _check_quality(quality, codec)
    encoded = _encode(image, codec, refine_steps, progress, quality)
    data = encoded.packed(image.shape[:2], codec)
    with writing_whole(target) as temporary:
        temporary.write_bytes(data)
        if verify:
            own = encoded.decoded(image.shape[:2], codec)
            check_in_second_process(temporary, codec, own)
    return len(data)


def decompress_file(
    source, target=None, model=None, progress: ProgressCallback = ignored
) -> np.ndarray:
    """Decompresses a `.tfsq` file, to an image file if one is named.

    Args:
      source: `.tfsq` file.
      target: Image file to write, its ending names the format; None writes none.
      model: See `decompress`.
      progress: See `decompress`.

    Returns:
      uint8 array [height, width, 3].

    Raises:
      OSError: if a file cannot be read or written.
      BitstreamError: if `source` is damaged or made with another model.
      ModelError: if `model` is not an exported codec, or None and none of the shipped ones.
      ValueError: if the ending of `target` names no image format, or if it is `source`.
    """
    if target is not None:
        check_image_name(target)
        check_not_read(target, [source])
    image = _decoded(read(source), model, progress)
    if target is not None:
        write_image(image, target)
    return image
