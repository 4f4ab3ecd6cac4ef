"""Images as they travel with a program: files that Pillow alone decodes to the same pixels."""

from __future__ import annotations

import hashlib
import io
import json
import math
import pathlib

import numpy as np
from PIL import Image

from tfsq.training.data import training_images

IMAGES = "images"
# Formats of which the file itself travels; others are written anew, without loss.
_LOSSY = (".jpg", ".jpeg", ".webp")
_MIB = 1 << 20
_OF_IDENTITY = 2048  # Bytes, at most: the settings again, and a digest.


def packed_images(paths, crop_size: int, on_skipped) -> dict:
    """Returns images as they travel.

    Args:
      paths: Image files.
      crop_size: Smallest height and width that they may have.
      on_skipped: See `training_images`.

    Returns:
      Dict from a name to (bytes of a file that Pillow decodes to the pixels, the file they came
      from).

    Raises:
      ValueError: if none serves.
    """
    packed = {}
    images = training_images(paths, crop_size, on_skipped, cache_size=0)
    for i, path in enumerate(images.paths):
        pixels = images[i]
        if pixels is None:
            continue
        file = pathlib.Path(path)
        data, suffix = file.read_bytes(), file.suffix.lower()
        if suffix not in _LOSSY or not _decodes_to(data, pixels):
            written = io.BytesIO()
            try:
                Image.fromarray(pixels).save(written, "WEBP", lossless=True, quality=50)
            except ValueError as error:
                # It has a largest side, below that of tfsq.
                reason = f"{path} cannot travel as WebP: {error}"
                if on_skipped is None:
                    raise ValueError(reason) from error
                on_skipped(reason)
                continue
            data, suffix = written.getvalue(), ".webp"
        packed[f"{IMAGES}/{i:05d}{suffix}"] = (data, path)
    if not packed:
        raise ValueError(f"No images to train on, of {len(paths)} files.")
    return packed


def _decodes_to(data: bytes, pixels: np.ndarray) -> bool:
    with Image.open(io.BytesIO(data)) as opened:
        return np.array_equal(np.asarray(opened.convert("RGB")), pixels)


def write_images(images: dict, folder: pathlib.Path, written: dict, max_size) -> list[str]:
    """Writes images as long as there is a place for them, and lists them in what is written.

    Args:
      images: Of `packed_images`.
      folder: Of the program, which has everything else.
      written: The description of the program.
      max_size: Of the program, in MiB; None is no limit.

    Returns:
      The files that are left out.

    Raises:
      ValueError: if there is a place for none.
    """
    written["images"], left_out = [], []
    left = math.inf
    if max_size is not None:
        left = max_size * _MIB - size_of(folder) - len(json.dumps(written)) - _OF_IDENTITY
    for name, (data, path) in images.items():
        entry = {"file": name, "sha256": hashlib.sha256(data).hexdigest()}
        cost = len(data) + len(json.dumps(entry)) + len(", ")
        if cost > left:
            left_out.append(str(path))
            continue
        left -= cost
        (folder / name).write_bytes(data)
        written["images"].append(entry)
    if not written["images"]:
        raise ValueError(f"`max_size` has no place for an image. Received: max_size={max_size}")
    return left_out


def size_of(folder: pathlib.Path) -> int:
    """Returns the bytes of all files in a folder.

    Args:
      folder: The folder.
    """
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
