"""Arrays in files of limited size, with a list of what is where.

Used here and, as a copy, beside `runner/run.py`: NumPy and the standard library alone.

A state is a dict from names to arrays. Its bytes, one array after the other, are cut into files
`<stem>_0.bin`, `<stem>_1.bin`, ...; the list, of JSON, has their digests. bfloat16 arrays travel as
float32 arrays whose lower halves are left out.
"""

from __future__ import annotations

import hashlib
import os
import pathlib

import numpy as np

LARGEST_FILE = 15 << 20


class DamagedError(ValueError):
    """A file is not what was written."""


def write(folder, stem: str, arrays: dict, halved=()) -> dict:
    """Writes arrays, each file whole or not at all.

    Args:
      folder: Where to; must exist.
      stem: What the names of the files begin with.
      arrays: Dict from names to NumPy arrays.
      halved: Names of float32 arrays of which bfloat16 is kept.

    Returns:
      The list that `read` takes.
    """
    folder = pathlib.Path(folder)
    entries, parts = [], []
    for name, array in arrays.items():
        # Not `ascontiguousarray`, which makes a vector of a scalar.
        array = np.asarray(array, order="C")
        entry = {"name": name, "dtype": array.dtype.name, "shape": list(array.shape)}
        if name in halved and array.dtype == np.float32:
            entry["halved"] = True
            array = _upper_halves(array)
        entries.append(entry)
        parts.append(array.tobytes())
    data = b"".join(parts)
    files = []
    for number, first in enumerate(range(0, len(data), LARGEST_FILE)):
        piece = data[first : first + LARGEST_FILE]
        name = f"{stem}_{number}.bin"
        write_whole(folder / name, piece)
        files.append({"name": name, "sha256": hashlib.sha256(piece).hexdigest()})
    return {"arrays": entries, "files": files}


def read(folder, listed: dict) -> dict:
    """Reads what `write` wrote.

    Args:
      folder: Where the files are.
      listed: What `write` returned.

    Returns:
      Dict from names to arrays, all in the dtype that they had.

    Raises:
      DamagedError: if a file is missing, or not what was written.
    """
    pieces = []
    for file in listed["files"]:
        path = pathlib.Path(folder) / file["name"]
        try:
            piece = path.read_bytes()
        except OSError as error:
            raise DamagedError(f"{path} cannot be read: {error.strerror}") from error
        if hashlib.sha256(piece).hexdigest() != file["sha256"]:
            raise DamagedError(f"{path} is damaged: its digest is not the one that is listed.")
        pieces.append(piece)
    data, first, arrays = b"".join(pieces), 0, {}
    for entry in listed["arrays"]:
        dtype = np.dtype("uint16" if entry.get("halved") else entry["dtype"])
        count = int(np.prod(entry["shape"], dtype=np.int64))
        array = np.frombuffer(data, dtype, count, first).reshape(entry["shape"])
        first += count * dtype.itemsize
        if entry.get("halved"):
            array = (array.astype(np.uint32) << 16).view(np.float32)
        arrays[entry["name"]] = array
    return arrays


def write_whole(path: pathlib.Path, data: bytes) -> None:
    """Writes a file, or leaves what was there.

    Args:
      path: Where to.
      data: What to write.
    """
    unfinished = path.with_name(path.name + ".unfinished")
    with unfinished.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(unfinished, path)


def _upper_halves(array: np.ndarray) -> np.ndarray:
    """bfloat16, rounded half to even, as 16-bit integers; what is not finite stays so."""
    bits = array.view(np.uint32).astype(np.uint64)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    return np.where(np.isfinite(array), rounded, bits >> 16).astype(np.uint16)
