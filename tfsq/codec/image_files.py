"""Reading and writing image files."""

from __future__ import annotations

import os
import pathlib
import tempfile

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

_PALETTE_OR_GRAY = ("1", "L", "P")


def read_image(path) -> np.ndarray:
    """Reads an image file as RGB, upright by its EXIF orientation.

    Args:
      path: File in a format that Pillow reads. Gray and palette images become RGB; an alpha
        channel that is opaque everywhere is dropped.

    Returns:
      uint8 array [height, width, 3].

    Raises:
      OSError: if the file cannot be read.
      ValueError: if it is no image, or one that eight bits of RGB do not hold.
    """
    try:
        with Image.open(path) as opened:
            image = ImageOps.exif_transpose(opened)
            image.load()
    except UnidentifiedImageError as error:
        raise ValueError(f"Not an image file: {path}") from error
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA"):
        image = image.convert("RGBA")
        if np.asarray(image)[..., 3].min() < 255:
            raise ValueError(f"{path} has transparent pixels, which tfsq does not code.")
        image = image.convert("RGB")
    if image.mode in _PALETTE_OR_GRAY:
        image = image.convert("RGB")
    if image.mode != "RGB":
        raise ValueError(f"{path} has Pillow mode {image.mode}; tfsq codes 8-bit RGB and gray.")
    return np.asarray(image)


def write_image(image: np.ndarray, path) -> None:
    """Writes an image file, whole or not at all.

    Args:
      image: uint8 array [height, width, 3].
      path: File to write; its ending names the format.

    Raises:
      ValueError: if the ending names no format that Pillow writes.
      OSError: if the file cannot be written.
    """
    image_format = Image.registered_extensions().get(pathlib.Path(path).suffix.lower())
    if image_format not in Image.SAVE:
        raise ValueError(f"The ending of {path} names no image format that Pillow writes.")
    write_whole(path, lambda file: Image.fromarray(image).save(file, format=image_format))


def write_whole(path, write) -> None:
    """Writes to a temporary file beside `path` and renames it.

    Args:
      path: File to write.
      write: Callable that is given the open binary file.
    """
    path = pathlib.Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"No such folder: {path.parent}")
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
