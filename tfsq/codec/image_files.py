"""Reading and writing image files."""

from __future__ import annotations

import contextlib
import io
import pathlib
import threading
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from tfsq.codec.container import MAX_PIXELS, MAX_SIDE, is_codable
from tfsq.files import writing_whole

_PALETTE_OR_GRAY = ("1", "L", "P")
# Tags of TIFF, the format of most cameras' raw files, and what they say.
_SUBFILE_TYPE, _OLD_SUBFILE_TYPE, _BITS_PER_SAMPLE, _SUB_IFDS = 254, 255, 258, 330
_REDUCED_OR_MASK, _OLD_REDUCED = 1 | 4, 2
# What a viewer shows of these is what was coded, to the eye.
_OF_JPEG = {"quality": 95, "subsampling": "4:4:4", "optimize": True}
_SAVE_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "JPEG": _OF_JPEG,
    "MPO": _OF_JPEG,
    "WEBP": {"lossless": True},
    "AVIF": {"quality": 95, "subsampling": "4:4:4"},
}
# Levels by which the profiles of sRGB that are around differ.
_SAME_COLOR = 2
# Cameras write previews and second views as further frames of such a file.
_STILLS_OF_SEVERAL_FRAMES = ("MPO",)
_FILTERING = threading.RLock()


def read_image(path) -> np.ndarray:
    """Reads an image file as sRGB, upright by its EXIF orientation.

    Args:
      path: File in a format that Pillow reads. Gray and palette images become RGB; an alpha
        channel that is opaque everywhere is dropped; colors are converted by the ICC profile in
        the file, if there is one that is not sRGB.

    Returns:
      uint8 array [height, width, 3].

    Raises:
      OSError: if the file cannot be read.
      ValueError: if it is no image, damaged, too large or animated, or an image that eight bits of
        RGB do not hold.
    """
    with pathlib.Path(path).open("rb") as file:
        return decode_image(file, path)


def decode_image(file, name) -> np.ndarray:
    """Reads an image from an open file, of a remote file system for instance; see `read_image`.

    Args:
      file: Binary file object that can seek.
      name: What to call it in errors.

    Returns:
      uint8 array [height, width, 3].

    Raises:
      ValueError: as `read_image`.
    """
    with _opened(file, name) as opened:
        image = ImageOps.exif_transpose(opened)
        image.load()
    return np.asarray(_as_rgb(image, name))


def stored_size(path) -> tuple[int, int]:
    """Returns height and width of an image as they are stored; turned upright, they may be swapped.

    Args:
      path: See `read_image`.

    Raises:
      OSError: if the file cannot be read.
      ValueError: as `read_image`, but for what is found in the pixels alone: damage to them,
        transparency, a color profile that cannot be used.
    """
    with pathlib.Path(path).open("rb") as file, _opened(file, path) as opened:
        width, height = opened.size
        return height, width


@contextlib.contextmanager
def _opened(file, name) -> Iterator[Image.Image]:
    """Opens an image of a kind that tfsq codes; errors of Pillow, in the block too, name it."""
    # Of the filters of warnings, a process has one list for all threads.
    with _FILTERING, warnings.catch_warnings():
        # Its limit is ours, which is checked before pixels are decoded.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            with Image.open(file) as opened:
                _check_kind(opened, name)
                yield opened
        except UnidentifiedImageError as error:
            raise ValueError(f"Not an image file: {name}") from error
        except Image.DecompressionBombError as error:
            raise ValueError(f"{name} is larger than the {MAX_PIXELS} pixels of tfsq.") from error
        except _RefusedError:
            raise
        except Exception as error:
            # Decoders of damaged files raise errors of any kind.
            raise ValueError(f"Damaged image file: {name} ({error})") from error


class _RefusedError(ValueError):
    """What is not the file's fault."""


def _check_kind(opened, path) -> None:
    width, height = opened.size
    if not is_codable(height, width):
        raise _RefusedError(
            f"{path} has {width}x{height} pixels; tfsq codes up to {MAX_PIXELS}, at most "
            f"{MAX_SIDE} a side."
        )
    _check_whole(opened, path)
    if _has_more_than_8_bits(opened):
        raise _RefusedError(
            f"{path} has more than 8 bits a channel; tfsq codes 8-bit RGB and gray."
        )
    frames = getattr(opened, "n_frames", 1)
    if frames > 1 and opened.format not in _STILLS_OF_SEVERAL_FRAMES:
        raise _RefusedError(f"{path} has {frames} frames; tfsq codes single images.")


def _check_whole(opened, path) -> None:
    """Refuses a TIFF whose first image is a preview, or not all that the file holds."""
    tags = getattr(opened, "tag_v2", {})
    if _SUB_IFDS in tags:
        raise _RefusedError(
            f"{path} holds further images in SubIFDs, as a camera's raw file or a pyramid does; "
            "tfsq codes single images. Develop or flatten it first."
        )
    is_preview = tags.get(_SUBFILE_TYPE, 0) & _REDUCED_OR_MASK
    if is_preview or tags.get(_OLD_SUBFILE_TYPE) == _OLD_REDUCED:
        raise _RefusedError(f"{path} begins with a preview or a mask, not with an image.")


def _has_more_than_8_bits(opened) -> bool:
    """Whether Pillow would reduce the file to 8 bits, which the mode of most kinds does not say."""
    bits = getattr(opened, "tag_v2", {}).get(_BITS_PER_SAMPLE, 8)
    if np.max(bits) > 8:
        return True
    for _, _, _, arguments in opened.tile:
        for argument in arguments if isinstance(arguments, tuple) else (arguments,):
            if isinstance(argument, str) and ";16" in argument:
                return True
    maxval = opened.tile[0][3] if opened.format == "PPM" and opened.tile else None
    values = maxval if isinstance(maxval, tuple) else (maxval,)
    return any(isinstance(value, int) and value > 255 for value in values)


def _as_rgb(image, path):
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA"):
        image = image.convert("RGBA")
        if np.asarray(image)[..., 3].min() < 255:
            raise ValueError(f"{path} has transparent pixels, which tfsq does not code.")
        image = image.convert("RGB")
    if image.mode in _PALETTE_OR_GRAY:
        image = image.convert("RGB")
    if image.mode != "RGB":
        raise ValueError(f"{path} has Pillow mode {image.mode}; tfsq codes 8-bit RGB and gray.")
    return _as_srgb(image, path)


def _as_srgb(image, path):
    """Converts by the profile in the file; one that is not of RGB, as of gray files, is dropped."""
    if not image.info.get("icc_profile"):
        return image
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        if profile.profile.xcolor_space.strip() != "RGB":
            return image
        to_srgb = ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), "RGB", "RGB")
        return image if _keeps_colors(to_srgb) else ImageCms.applyTransform(image, to_srgb)
    except (OSError, ImageCms.PyCMSError) as error:
        raise ValueError(f"{path} has a color profile that cannot be used: {error}") from error


def _keeps_colors(transform) -> bool:
    """Whether a conversion is that from sRGB: names of profiles are no guide."""
    levels = np.arange(0, 256, 15, dtype=np.uint8)
    colors = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3)
    converted = np.asarray(ImageCms.applyTransform(Image.fromarray(colors), transform))
    return int(np.abs(converted.astype(int) - colors).max()) <= _SAME_COLOR


def check_image(image) -> np.ndarray:
    """Returns `image` as an array, or raises ValueError unless it is one that a file can hold.

    Args:
      image: uint8 array [height, width, 3].
    """
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(
            "`image` must be a uint8 array [height, width, 3]. "
            f"Received: shape={image.shape}, dtype={image.dtype}"
        )
    height, width = image.shape[:2]
    if not is_codable(height, width):
        raise ValueError(
            f"`image` must have 1 to {MAX_PIXELS} pixels, at most {MAX_SIDE} a side. "
            f"Received: {width}x{height}"
        )
    return image


def check_image_name(path) -> str:
    """Returns the format that the ending of a file names.

    Args:
      path: File to write.

    Raises:
      ValueError: if Pillow writes no such format.
    """
    image_format = Image.registered_extensions().get(pathlib.Path(path).suffix.lower())
    if image_format not in Image.SAVE:
        raise ValueError(f"The ending of {path} names no image format that Pillow writes.")
    return image_format


def write_image(image: np.ndarray, path) -> None:
    """Writes an image file, whole or not at all.

    PNG keeps every pixel. JPEG is written at quality 95 without subsampling of colors, WebP
    without loss; other formats as Pillow does by default.

    Args:
      image: uint8 array [height, width, 3].
      path: File to write; its ending names the format.

    Raises:
      ValueError: if the ending names no format that Pillow writes.
      OSError: if the file cannot be written.
    """
    image_format = check_image_name(path)
    with writing_whole(path) as temporary, temporary.open("wb") as file:
        options = _SAVE_OPTIONS.get(image_format, {})
        Image.fromarray(image).save(file, format=image_format, **options)
