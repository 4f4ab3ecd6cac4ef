"""Files and folders: written whole or not at all, never over what is read; left out, by name."""

from __future__ import annotations

import contextlib
import errno
import os
import pathlib
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator

# TensorFlow takes the names of files as patterns in places, and knows UTF-8 alone.
_NOT_FOR_TENSORFLOW = frozenset("*?[]\\")
_LONGEST_ENDING = 10
_UNFINISHED = ".tfsq-"


@contextlib.contextmanager
def leaving_out(
    on_skipped: Callable[[str], None] | None, reason_of: Callable[[Exception], str] = str
) -> Iterator[None]:
    """Ends a block on a file that does not serve, and goes on behind it.

    Args:
      on_skipped: Called with why; None raises instead.
      reason_of: What an error says.

    Raises:
      OSError: of the block, if `on_skipped` is None.
      ValueError: likewise.
    """
    try:
        yield
    except (OSError, ValueError) as error:
        if on_skipped is None:
            raise
        on_skipped(reason_of(error))


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
    path = resolved(path)
    check_writable(path)
    temporary = _beside(path)
    # The system applies the umask; nothing in a library can ask for it without changing it.
    mode = path.stat().st_mode & 0o777 if path.exists() else None
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666 & (mode or 0o666)))
    try:
        if mode is not None:
            temporary.chmod(mode)
        with _named(path, temporary):
            yield temporary
            temporary.replace(path)
    except BaseException:
        temporary.unlink()
        raise


@contextlib.contextmanager
def _named(path: pathlib.Path, temporary: pathlib.Path) -> Iterator[None]:
    """Names the file to write in errors of the system that name none, or the temporary one."""
    try:
        yield
    except OSError as error:
        is_of_file = error.filename is None or os.fspath(error.filename) == str(temporary)
        if error.errno is not None and is_of_file:
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


def check_writable(path: pathlib.Path) -> None:
    """Checks that a name is one of a file that can be written, or replaced.

    Args:
      path: The file.

    Raises:
      OSError: if there is no such folder, if it is a folder or a device, or a link that leads to
        itself.
    """
    if not path.parent.is_dir():
        raise FileNotFoundError(f"No such folder: {path.parent}")
    if resolved(path).is_dir():
        raise IsADirectoryError(f"A folder, not a file to write: {path}")
    if path.exists() and not path.is_file():
        raise OSError(f"Not a regular file, which could be replaced: {path}")


def check_is_no_file(folder: pathlib.Path) -> None:
    """Checks that a folder to write is not a file.

    Args:
      folder: The folder, which need not exist.

    Raises:
      OSError: if it is.
    """
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"A file, not a folder to write: {folder}")


def is_unfinished(path) -> bool:
    """Returns whether a name is one that files have while they are written.

    Args:
      path: Of a file.
    """
    return pathlib.Path(path).name.startswith(_UNFINISHED)


def checked_empty(path, argument: str) -> pathlib.Path:
    """Returns the path of a folder that is to be written.

    Args:
      path: Of the folder.
      argument: The argument to name in the error.

    Raises:
      ValueError: if it is a file, or a folder that has something in it.
    """
    path = pathlib.Path(path)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise ValueError(f"`{argument}` must not exist, or be an empty folder. Received: {path}")
    return path


def resolved(path) -> pathlib.Path:
    """Returns what a path is, links seen through.

    Args:
      path: A path, of something that need not exist.

    Raises:
      OSError: if it is a link that leads to itself.
    """
    found = pathlib.Path(os.path.realpath(path))
    if found.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    return found


@contextlib.contextmanager
def writing_folder(folder) -> Iterator[pathlib.Path]:
    """Gives a temporary folder beside `folder` to fill, and names it `folder` at the end.

    Args:
      folder: Folder to write; its parents are created. If the block raises, what was there stays.
        Else its entries are replaced by those of the same name, and the others stay.

    Raises:
      OSError: if it cannot be written to.
    """
    folder = resolved(folder)
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
    shutil.copymode(folder, unfinished)
    replaced = _beside(folder)
    try:
        folder.rename(replaced)
    except OSError as error:
        if error.errno not in (errno.EBUSY, errno.EXDEV):
            raise
        # Where something is mounted, as a container's volume is.
        _move_entries(unfinished, folder)
        return
    try:
        unfinished.rename(folder)
    except OSError:
        replaced.rename(folder)
        raise
    for entry in replaced.iterdir():
        if not (folder / entry.name).exists():
            entry.rename(folder / entry.name)
    shutil.rmtree(replaced)


def _move_entries(unfinished: pathlib.Path, folder: pathlib.Path) -> None:
    for entry in unfinished.iterdir():
        target = folder / entry.name
        moved = shutil.move(entry, _beside(target))
        if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target)
        pathlib.Path(moved).replace(target)


def _beside(path: pathlib.Path) -> pathlib.Path:
    """A new name in the same folder, however long that of `path` is."""
    # Keras wants to see the ending that it writes.
    ending = path.suffix if len(path.suffix) <= _LONGEST_ENDING else ""
    return path.with_name(f"{_UNFINISHED}{secrets.token_hex(8)}{ending}")


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


def check_not_inside(target, folder) -> None:
    """Checks that what is to be written is not in a folder that is read, nor the other way round.

    Args:
      target: File or folder.
      folder: Folder that it must not be in.

    Raises:
      OSError: if one of them is a link that leads to itself.
      ValueError: if it is.
    """
    inner, outer = resolved(target), resolved(folder)
    if outer == inner or outer in inner.parents:
        raise ValueError(f"{target} lies in {folder}: one is read, the other written.")


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
