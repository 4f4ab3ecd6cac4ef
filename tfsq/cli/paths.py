"""Which files a command reads, and whether it may write to one."""

from __future__ import annotations

import functools
import glob
import os
from pathlib import Path
from typing import Callable, Dict, Iterable, List, Optional, Tuple

import typer

from tfsq.files import check_not_inside, check_not_read, resolved

STANDARD_STREAM = "-"
IMAGES = typer.Argument(..., help="Image files, folders of such, or globs, '**' included.")
STRICT = typer.Option(False, "--strict", help="Stop at the first file that does not serve.")
FORCE = typer.Option(False, "--force", help="Replace what is there.")


@functools.lru_cache(maxsize=1)
def _endings() -> frozenset:
    """Those of files that Pillow reads."""
    from PIL import Image

    known = Image.registered_extensions()
    return frozenset(ending for ending, kind in known.items() if kind in Image.OPEN)


def _images_in(folder: str) -> List[str]:
    paths = [os.path.join(folder, name) for name in sorted(os.listdir(folder))]
    return [p for p in paths if Path(p).suffix.lower() in _endings() and Path(p).is_file()]


def _matches(pattern: str) -> List[str]:
    """The files that match; the folders that it begins with are taken by their names first."""
    parts = Path(pattern).parts
    count = len(parts)
    while count and not Path(*parts[:count]).is_dir():
        count -= 1
    literal = glob.escape(str(Path(*parts[:count]))) if count else ""
    found = glob.glob(os.path.join(literal, *parts[count:]), recursive=True)
    return [path for path in found if Path(path).is_file()]


def _files_of(item: str) -> List[str]:
    """The file of that name, the images in that folder, or the files that match."""
    path = Path(item)
    if item and path.is_file():
        return [item]
    if item and path.is_dir():
        found = _images_in(item)
        if not found:
            raise ValueError(f"No image files in the folder {item}")
        return found
    found = _matches(item) if item else []
    if not found:
        raise ValueError(f"No such file, and nothing that matches: {item}")
    return found


def files_of(items: Iterable[str], on_skipped: Optional[Callable[[str], None]] = None) -> List[str]:
    """The files of all those names, folders and globs, each once.

    Args:
      items: What was typed.
      on_skipped: Called with why an item gives no files; None raises.

    Raises:
      ValueError: if an item gives none, or if there are none at all.
    """
    found: Dict[Tuple[int, int], str] = {}
    for item in items:
        try:
            for path in _files_of(item):
                status = os.stat(path)
                # By any path or link.
                key = (status.st_dev, status.st_ino)
                found[key] = min(path, found.get(key, path))
        except (OSError, ValueError) as error:
            if on_skipped is None:
                raise
            on_skipped(str(error))
    if not found:
        raise ValueError("There are no files.")
    return sorted(found.values())


def check_target(
    file: Optional[Path], sources: Iterable, force: bool, ending: Optional[str] = None
):
    """Checks what is to be written before what may be minutes of work.

    Args:
      file: File to write, None if none is.
      sources: Files that are read.
      force: Whether it may exist.
      ending: What its name must end in, None if anything.

    Raises:
      OSError: if there is no such folder, or if it exists and must not.
      ValueError: if it is one of the sources, or ends otherwise.
    """
    if file is None:
        return
    if not file.parent.is_dir():
        raise FileNotFoundError(f"No such folder: {file.parent}")
    if resolved(file).is_dir():
        raise IsADirectoryError(f"A folder, not a file to write: {file}")
    if file.exists() and not file.is_file():
        raise OSError(f"Not a regular file, which could be replaced: {file}")
    check_not_read(file, sources)
    if ending and file.suffix.lower() != ending:
        raise ValueError(f"The file to write must end in {ending}. Received: {file}")
    if file.exists() and not force:
        raise FileExistsError(f"{file} is there already; --force replaces it.")


def check_new_folder(folder: Path, force: bool, sources: Iterable):
    """Checks that a folder to write is not there, is empty, or may be written to.

    Args:
      folder: Folder to write.
      force: Whether files in it may be replaced.
      sources: Files and folders that are read.

    Raises:
      OSError: if not.
      ValueError: if one of the sources is in it.
    """
    for source in sources:
        check_not_inside(source, folder)
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"A file, not a folder to write: {folder}")
    if folder.is_dir() and any(folder.iterdir()) and not force:
        raise FileExistsError(f"{folder} is not empty; --force replaces files in it.")
