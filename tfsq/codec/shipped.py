"""The codec that comes with tfsq."""

from __future__ import annotations

import functools
import hashlib
import json
import pathlib
import threading

from tfsq.codec.codec import Codec
from tfsq.codec.errors import ModelError
from tfsq.codec.saved_model import METADATA_FILE, files_of, load

SUMS_FILE = "SHA256SUMS"
_NAME = "photographs"
# Codecs of one rate that came with tfsq before, and where they were last.
_LAST_WITH_THEM = "4c6b913"
_EARLIER = {
    "5d5001c62c69cb11d0de0bdc9ae7479e": "quality_1",
    "5868b7eaca34c75cc9ec373503988fd7": "quality_2",
    "a116f8d8b2a0b69e12a5c78275e3c82d": "quality_3",
    "0eddf1daf2754aee308486452651da40": "quality_4",
}
# Wheels hold it inside of the package, a clone beside it.
_PLACES = (pathlib.Path(__file__).parents[1], pathlib.Path(__file__).parents[2])

# Threads that ask at once wait for the one that loads.
_loading = threading.Lock()


def shipped_folder() -> pathlib.Path:
    """Returns the folder of all models that come with tfsq.

    Raises:
      FileNotFoundError: if this installation has none.
    """
    for place in _PLACES:
        if (place / "saved_models").is_dir():
            return place / "saved_models"
    raise FileNotFoundError(f"No saved_models in any of {[str(place) for place in _PLACES]}")


def shipped_model() -> pathlib.Path:
    """Returns the folder of the codec that comes with tfsq.

    Raises:
      FileNotFoundError: if this installation has none.
      ModelError: if its files are not those that were shipped.
    """
    folder = shipped_folder() / _NAME
    if not folder.is_dir():
        raise FileNotFoundError(f"This installation has no bundled codec: {folder} is missing.")
    check_files(folder)
    return folder


def shipped_codec() -> Codec:
    """Loads the codec that comes with tfsq, of many rates: quality 1 has the smallest files.

    It is loaded once, and kept.

    Raises:
      FileNotFoundError: as `shipped_model`.
      ModelError: as `shipped_model`.
    """
    with _loading:
        return _shipped_codec()


@functools.lru_cache(maxsize=1)
def _shipped_codec() -> Codec:
    return load(shipped_model())


def sums_of(folder: pathlib.Path) -> dict[str, str]:
    """Returns the SHA-256 of each file in the folder of a codec, but for its card.

    Args:
      folder: The folder.
    """
    return {
        f"{folder.name}/{file.relative_to(folder).as_posix()}": hashlib.sha256(
            file.read_bytes()
        ).hexdigest()
        for file in files_of(folder)
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


def is_shipped(model_id: bytes) -> bool:
    """Whether a file was made with the codec that comes with tfsq.

    Args:
      model_id: The 16 bytes in the file.
    """
    try:
        metadata = (shipped_folder() / _NAME / METADATA_FILE).read_text()
    except FileNotFoundError:
        return False
    return json.loads(metadata)["model_hash"].startswith(model_id.hex())


def shipped_codec_of(model_id: bytes) -> Codec:
    """Loads the codec that comes with tfsq, if a file was made with it.

    Args:
      model_id: The 16 bytes in the file.

    Raises:
      ModelError: if it was made with another, or with one that came with an earlier tfsq.
    """
    if is_shipped(model_id):
        return shipped_codec()
    origin = "does not come with tfsq: give its folder as `model`."
    if model_id.hex() in _EARLIER:
        origin = (
            f"came with an earlier tfsq: take `saved_models/{_EARLIER[model_id.hex()]}` of "
            f"tfsq's commit {_LAST_WITH_THEM}, and give it as `model`."
        )
    raise ModelError(f"The file was made with model {model_id.hex()}, which {origin}")
