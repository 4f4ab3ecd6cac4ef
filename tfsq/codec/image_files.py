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
from PIL import Image, ImageOps, UnidentifiedImageError

from tfsq.codec.container import MAX_PIXELS, MAX_SIDE, is_codable
from tfsq.codec.image_colors import as_rgb
from tfsq.codec.image_headers import profile_of_jpeg2000
from tfsq.codec.image_kinds import RefusedError, check_kind, unidentified
from tfsq.files import writing_whole

# What a viewer shows of these is what was coded, to the eye.
_OF_JPEG = {"quality": 95, "subsampling": "4:4:4", "optimize": True}
_SAVE_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "JPEG": _OF_JPEG,
    "MPO": _OF_JPEG,
    "WEBP": {"lossless": True},
    "AVIF": {"quality": 95, "subsampling": "4:4:4"},
}
_FILTERING = threading.RLock()


def read_image(path) -> np.ndarray:
    """Reads an image file as sRGB, upright by its EXIF orientation.

    Args:
      path: File in a format that Pillow reads. Gray and palette images become RGB; an alpha
        channel that is opaque everywhere is dropped; colors and grays are converted by the ICC
        profile in the file, if there is one that is not sRGB.

    Returns:
      uint8 array [height, width, 3].

    Raises:
      OSError: if the file cannot be read.
      ValueError: if it is no image, damaged, too large or animated, an image that eight bits of
        RGB do not hold, or one of a profile that cannot be used. The message says what to do.
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
    return np.asarray(as_rgb(image, name))


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
    # Headers are read more than once, which a pipe does not allow.
    file = file if file.seekable() else io.BytesIO(file.read())
    # Of the filters of warnings, a process has one list for all threads.
    with _FILTERING, warnings.catch_warnings():
        # Its limit is ours, which is checked before pixels are decoded.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            with Image.open(file) as opened:
                place = file.tell()
                check_kind(opened, file, name)
                if opened.format == "JPEG2000" and (profile := profile_of_jpeg2000(file)):
                    opened.info["icc_profile"] = profile
                file.seek(place)
                yield opened
        except UnidentifiedImageError as error:
            raise unidentified(file, name) from error
        except Image.DecompressionBombError as error:
            raise ValueError(
                f"{name} is larger than the {MAX_PIXELS} pixels of tfsq. Scale it down or cut "
                "it up first."
            ) from error
        except RefusedError:
            raise
        except Exception as error:
            # Decoders of damaged files raise errors of any kind.
            raise ValueError(f"Damaged image file: {name} ({error})") from error


def check_image(image, argument: str = "image") -> np.ndarray:
    """Returns `image` as an array, or raises ValueError unless it is one that a file can hold.

    Args:
      image: uint8 array [height, width, 3].
      argument: The argument to name in the error.
    """
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(
            f"`{argument}` must be a uint8 array [height, width, 3]. "
            f"Received: shape={image.shape}, dtype={image.dtype}"
        )
    height, width = image.shape[:2]
    if not is_codable(height, width):
        raise ValueError(
            f"`{argument}` must have 1 to {MAX_PIXELS} pixels, at most {MAX_SIDE} a side. "
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
