"""Reading and writing image files."""

from __future__ import annotations

import contextlib
import io
import os
import pathlib
import tempfile
import warnings
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from tfsq.codec.container import MAX_PIXELS, MAX_SIDE, is_codable

_PALETTE_OR_GRAY = ("1", "L", "P")
# Cameras write previews and second views as further frames of such a file.
_STILLS_OF_SEVERAL_FRAMES = ("MPO",)


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
    with warnings.catch_warnings():
        # Its limit is ours, which is checked before pixels are decoded.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            with Image.open(file) as opened:
                _check_kind(opened, name)
                image = ImageOps.exif_transpose(opened)
                image.load()
        except UnidentifiedImageError as error:
            raise ValueError(f"Not an image file: {name}") from error
        except _RefusedError:
            raise
        except Exception as error:
            # Decoders of damaged files raise errors of any kind.
            raise ValueError(f"Damaged image file: {name} ({error})") from error
    return np.asarray(_as_rgb(image, name))


class _RefusedError(ValueError):
    """What is not the file's fault."""


def _check_kind(opened, path) -> None:
    width, height = opened.size
    if not is_codable(height, width):
        raise _RefusedError(
            f"{path} has {width}x{height} pixels; tfsq codes up to {MAX_PIXELS}, at most "
            f"{MAX_SIDE} a side."
        )
    frames = getattr(opened, "n_frames", 1)
    if frames > 1 and opened.format not in _STILLS_OF_SEVERAL_FRAMES:
        raise _RefusedError(f"{path} has {frames} frames; tfsq codes single images.")


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
        if "sRGB" in ImageCms.getProfileDescription(profile):
            return image
        return ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"))
    except (OSError, ImageCms.PyCMSError) as error:
        raise ValueError(f"{path} has a color profile that cannot be used: {error}") from error


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

    Args:
      image: uint8 array [height, width, 3].
      path: File to write; its ending names the format.

    Raises:
      ValueError: if the ending names no format that Pillow writes.
      OSError: if the file cannot be written.
    """
    image_format = check_image_name(path)
    with writing_whole(path) as temporary, temporary.open("wb") as file:
        Image.fromarray(image).save(file, format=image_format)


@contextlib.contextmanager
def writing_whole(path) -> Iterator[pathlib.Path]:
    """Gives a temporary file beside `path` to write, and names it `path` at the end.

    Args:
      path: File to write. What was there stays, if the block raises.

    Raises:
      OSError: if there is no such folder, or if it cannot be written to.
    """
    path = pathlib.Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"No such folder: {path.parent}")
    if path.is_dir():
        raise IsADirectoryError(f"A folder, not a file to write: {path}")
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = pathlib.Path(name)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    except BaseException:
        temporary.unlink()
        raise
