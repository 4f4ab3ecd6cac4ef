"""The codecs that come with tfsq."""

from __future__ import annotations

import functools
import hashlib
import json
import pathlib

from tfsq.codec.codec import Codec
from tfsq.codec.errors import ModelError
from tfsq.codec.saved_model import METADATA_FILE, load

SUMS_FILE = "SHA256SUMS"
# Wheels hold it inside of the package, a clone beside it.
_PLACES = (pathlib.Path(__file__).parents[1], pathlib.Path(__file__).parents[2])


def shipped_folder() -> pathlib.Path:
    """Returns the folder of all models that come with tfsq.

    Raises:
      FileNotFoundError: if this installation has none.
    """
    for place in _PLACES:
        if (place / "saved_models").is_dir():
            return place / "saved_models"
    raise FileNotFoundError(f"No saved_models in any of {[str(place) for place in _PLACES]}")


def shipped_qualities() -> dict[int, pathlib.Path]:
    """Returns the folder of each shipped codec by its quality, 1 the smallest files."""
    folders = sorted(shipped_folder().glob("quality_*"))
    return {int(folder.name.removeprefix("quality_")): folder for folder in folders}


def default_quality() -> int:
    """Returns the quality in the middle of the shipped codecs, the higher of two."""
    qualities = list(shipped_qualities())
    return qualities[len(qualities) // 2]


def shipped_model(quality: int) -> pathlib.Path:
    """Returns the folder of a shipped codec.

    Args:
      quality: See `shipped_qualities`.

    Raises:
      ValueError: if there is no such quality.
      ModelError: if its files are not those that were shipped.
    """
    folders = shipped_qualities()
    # Of the command line, qualities are floats.
    if quality not in folders:
        raise ValueError(f"`quality` must be one of {sorted(folders)}. Received: quality={quality}")
    check_files(folders[quality])
    return folders[quality]


@functools.lru_cache(maxsize=8)
def shipped_codec(quality: int) -> Codec:
    """Loads a shipped codec.

    Args:
      quality: See `shipped_qualities`.

    Raises:
      ValueError: as `shipped_model`.
      ModelError: as `shipped_model`.
    """
    return load(shipped_model(quality))


def sums_of(folder: pathlib.Path) -> dict[str, str]:
    """Returns the SHA-256 of each file in the folder of a codec, but for its card.

    Args:
      folder: The folder.
    """
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file.suffix != ".md")
    return {
        f"{folder.name}/{file.relative_to(folder).as_posix()}": hashlib.sha256(
            file.read_bytes()
        ).hexdigest()
        for file in files
    }


def check_files(folder: pathlib.Path) -> None:
    """Compares the files of a shipped codec with the list that is shipped beside it.

    Args:
      folder: The folder.

    Raises:
      ModelError: if a file was changed, added or taken away.
    """
    lines = (folder.parent / SUMS_FILE).read_text().splitlines()
    expected = {name: digest for digest, name in (line.split("  ") for line in lines)}
    found = sums_of(folder)
    names = {*found, *(name for name in expected if name.startswith(f"{folder.name}/"))}
    wrong = sorted(name for name in names if found.get(name) != expected.get(name))
    if wrong:
        raise ModelError(f"Not the files that came with tfsq, by {SUMS_FILE}: {', '.join(wrong)}")


def shipped_quality_of(model_id: bytes) -> int | None:
    """Returns the quality of the shipped codec that a file was made with, None if it is none.

    Args:
      model_id: The 16 bytes in the file.
    """
    try:
        folders = shipped_qualities()
    except FileNotFoundError:
        return None
    for quality, folder in folders.items():
        metadata = json.loads((folder / METADATA_FILE).read_text())
        if metadata["model_hash"].startswith(model_id.hex()):
            return quality
    return None


def shipped_codec_of(model_id: bytes) -> Codec:
    """Loads the shipped codec that a file was made with.

    Args:
      model_id: The 16 bytes in the file.

    Raises:
      ModelError: if it is not one of them.
    """
    quality = shipped_quality_of(model_id)
    if quality is None:
        raise ModelError(
            f"The file was made with model {model_id.hex()}, which does not come with tfsq: "
            "give its folder as `model`."
        )
    return shipped_codec(quality)
