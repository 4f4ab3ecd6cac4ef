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
_BITS_PER_SAMPLE = 258  # of TIFF
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
        except Image.DecompressionBombError as error:
            raise ValueError(f"{name} is larger than the {MAX_PIXELS} pixels of tfsq.") from error
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
    if _has_more_than_8_bits(opened):
        raise _RefusedError(
            f"{path} has more than 8 bits a channel; tfsq codes 8-bit RGB and gray."
        )
    frames = getattr(opened, "n_frames", 1)
    if frames > 1 and opened.format not in _STILLS_OF_SEVERAL_FRAMES:
        raise _RefusedError(f"{path} has {frames} frames; tfsq codes single images.")


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
        if "sRGB" in ImageCms.getProfileDescription(profile):
            return image
        return ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"))
    except (OSError, ImageCms.PyCMSError) as error:
        raise ValueError(f"{path} has a color profile that cannot be used: {error}") from error


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
      path: File to write. What was there stays, if the block raises. Of a link, it is what the
        link points to.

    Raises:
      OSError: if there is no such folder, if it cannot be written to, or if `path` is a folder or
        a device.
    """
    path = pathlib.Path(path).resolve()
    if not path.parent.is_dir():
        raise FileNotFoundError(f"No such folder: {path.parent}")
    if path.is_dir():
        raise IsADirectoryError(f"A folder, not a file to write: {path}")
    if path.exists() and not path.is_file():
        raise OSError(f"Not a regular file, which could be replaced: {path}")
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = pathlib.Path(name)
    try:
        yield temporary
        temporary.chmod(_mode_of(path))
        temporary.replace(path)
    except BaseException:
        temporary.unlink()
        raise


def _mode_of(path: pathlib.Path) -> int:
    """The permissions of a file, or those that a new one gets."""
    if path.exists():
        return path.stat().st_mode & 0o777
    umask = os.umask(0)
    os.umask(umask)
    return 0o666 & ~umask
