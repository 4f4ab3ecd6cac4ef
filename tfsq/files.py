"""Writing files and folders: whole or not at all, and never over what is being read."""

from __future__ import annotations

import contextlib
import os
import pathlib
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator

# TensorFlow takes the names of files as patterns in places, and knows UTF-8 alone.
_NOT_FOR_TENSORFLOW = frozenset("*?[]\\")
_LONGEST_ENDING = 10


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
    temporary = _beside(path)
    # The system applies the umask; nothing in a library can ask for it without changing it.
    mode = path.stat().st_mode & 0o777 if path.exists() else None
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666 & (mode or 0o666)))
    try:
        if mode is not None:
            temporary.chmod(mode)
        yield temporary
        temporary.replace(path)
    except BaseException:
        temporary.unlink()
        raise


@contextlib.contextmanager
def writing_folder(folder) -> Iterator[pathlib.Path]:
    """Gives a temporary folder beside `folder` to fill, and names it `folder` at the end.

    Args:
      folder: Folder to write; its parents are created. If the block raises, what was there stays.
        Else its entries are replaced by those of the same name, and the others stay.

    Raises:
      OSError: if it cannot be written to.
    """
    folder = pathlib.Path(folder).resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = _beside(folder)
    unfinished.mkdir()
    try:
        yield unfinished
        _put_in_place(unfinished, folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _put_in_place(unfinished: pathlib.Path, folder: pathlib.Path) -> None:
    if not folder.exists():
        unfinished.rename(folder)
        return
    replaced = _beside(folder)
    folder.rename(replaced)
    unfinished.rename(folder)
    for entry in replaced.iterdir():
        if not (folder / entry.name).exists():
            entry.rename(folder / entry.name)
    shutil.rmtree(replaced)


def _beside(path: pathlib.Path) -> pathlib.Path:
    """A new name in the same folder, however long that of `path` is."""
    # Keras wants to see the ending that it writes.
    ending = path.suffix if len(path.suffix) <= _LONGEST_ENDING else ""
    return path.with_name(f".tfsq-{secrets.token_hex(8)}{ending}")


def check_not_read(target, sources: Iterable) -> None:
    """Checks that a file to write is none of those that are read.

    Args:
      target: File to write.
      sources: Files that are read. Links, other paths and other cases of letters are seen through.

    Raises:
      ValueError: if it is one of them.
    """
    if not os.path.exists(target):
        return
    for source in sources:
        if os.path.exists(source) and os.path.samefile(source, target):
            raise ValueError(f"{target} is the file to read; write to another one.")


@contextlib.contextmanager
def name_for_tensorflow(folder) -> Iterator[pathlib.Path]:
    """Gives a name of a folder that TensorFlow takes literally.

    TensorFlow cannot use names that are not UTF-8, and finds no checkpoint, or that of another
    folder, where a name has characters of patterns. Such a folder gets a link with another name.

    Args:
      folder: Folder, which need not exist yet.
    """
    folder = pathlib.Path(folder)
    if _is_plain(str(folder)):
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="tfsq-") as temporary:
        link = pathlib.Path(temporary, "folder")
        link.symlink_to(folder.absolute(), target_is_directory=True)
        yield link


def _is_plain(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return _NOT_FOR_TENSORFLOW.isdisjoint(name)
