"""Which files a command reads, and whether it may write to one."""

from __future__ import annotations

import collections
import contextlib
import functools
import glob
import os
from pathlib import Path
from typing import (
    Any,
    Callable,
    Collection,
    Dict,
    Iterable,
    List,
    NamedTuple,
    Optional,
    Tuple,
)

import typer

from tfsq.cli.shell import imported, reason_of, say, sentence
from tfsq.files import (
    check_is_no_file,
    check_not_inside,
    check_not_read,
    check_writable,
    is_unfinished,
    leaving_out,
    resolved,
)

STANDARD_STREAM = "-"
STANDARD_OUTPUTS = (STANDARD_STREAM, "/dev/stdout")
IMAGES = typer.Argument(..., help="Image files, folders of such, or globs, '**' included.")
STRICT = typer.Option(False, "--strict", help="Stop at the first file that does not serve.")
FORCE = typer.Option(False, "--force", help="Replace what is there.")
BUNDLED = "bundled"
_BELOW = "**"
_OF_PHONES = (".heic", ".heif", ".hif")
_OF_CAMERAS = (".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2", ".pef", ".srw")
# Pillow does not read these: those in a folder are refused by name, not passed over.
_OTHER_PHOTOGRAPHS = frozenset((*_OF_PHONES, *_OF_CAMERAS, ".jxl", ".exr"))


def own_folder(model: Optional[str]) -> Optional[Path]:
    """The folder that an option names, None for the bundled codec; ./bundled is a folder."""
    return None if model in (None, BUNDLED) else Path(model)


def codec_folder(model: str) -> Path:
    """The folder that an option names, also that of the bundled codec."""
    return own_folder(model) or imported("codec").shipped_model()


@functools.lru_cache(maxsize=1)
def image_endings() -> frozenset:
    """Those of images, which a folder stands for."""
    from PIL import Image

    known = Image.registered_extensions()
    return _OTHER_PHOTOGRAPHS.union(end for end, kind in known.items() if kind in Image.OPEN)


def _is_file(path: str) -> bool:
    """Whether it is a file, or a link to one that is gone, which is told of where it is read."""
    return Path(path).is_file() or (Path(path).is_symlink() and not Path(path).exists())


def _files_in(folder: str, endings: Collection[str]) -> List[str]:
    paths = [os.path.join(folder, name) for name in sorted(os.listdir(folder))]
    return [
        path
        for path in paths
        if Path(path).suffix.lower() in endings and _is_file(path) and not is_unfinished(path)
    ]


def _matches(pattern: str, endings: Collection[str]) -> Tuple[List[str], str]:
    """The files that match, and the folder that they are all in.

    The folders that the pattern begins with are taken by their names first.
    """
    parts = Path(pattern).parts
    count = len(parts)
    while count and not Path(*parts[:count]).is_dir():
        count -= 1
    base = str(Path(*parts[:count]))
    literal = glob.escape(base) if count else ""
    if parts[-1] == _BELOW:
        # As folders are taken.
        below = os.path.join(literal or os.curdir, *parts[count:], "")
        folders = sorted(glob.glob(below, recursive=True))
        return [path for folder in folders for path in _files_in(folder, endings)], base
    found = glob.glob(os.path.join(literal, *parts[count:]), recursive=True)
    return [path for path in found if _is_file(path)], base


def _files_of(item: str, endings: Collection[str]) -> Tuple[List[str], str]:
    """The file of that name, the files in that folder, or those that match; and their folder."""
    path = Path(item)
    if item and path.is_file():
        return [item], str(path.parent)
    if item and path.is_dir():
        found = _files_in(item, endings)
        if not found:
            kind = "image" if endings is image_endings() else " or ".join(endings)
            raise ValueError(f"No {kind} files in the folder {item}")
        return found, item
    found, base = _matches(item, endings) if item else ([], "")
    if not found:
        raise ValueError(f"No such file, and nothing that matches: {item}")
    return found, base


def _pattern_below(folder: str) -> Optional[str]:
    """What stands for a folder and those in it, None if it has none."""
    inner = (path for path in Path(folder).iterdir() if not path.name.startswith("."))
    return os.path.join(folder, _BELOW) if any(path.is_dir() for path in inner) else None


def tell_of_folders(items: Iterable[str]):
    """Says which folders are left out, since a folder stands for the files in itself."""
    for item in items:
        below = None
        # What cannot be looked at is told of where it is read.
        with contextlib.suppress(OSError):
            below = _pattern_below(item) if item and Path(item).is_dir() else None
        if below:
            say(f"{item} stands for the files in it; '{below}' takes those of its folders, too")


def files_in_folders(
    items: Iterable[str],
    on_skipped: Optional[Callable[[str], None]] = None,
    endings: Optional[Collection[str]] = None,
    by_name: bool = False,
) -> Dict[str, str]:
    """The files of all those names, folders and globs, each once, with the folder it was found in.

    Args:
      items: What was typed.
      on_skipped: Called with why an item gives no files; None raises.
      endings: Of files that are taken from folders; those of images if None.
      by_name: Whether links to a file are files of their own.

    Raises:
      ValueError: if an item gives none, or if there are none at all.
    """
    found: Dict[Any, Tuple[str, str]] = {}
    for item in items:
        paths: List[str] = []
        with leaving_out(on_skipped, sentence):
            paths, base = _files_of(item, image_endings() if endings is None else endings)
        for path in paths:
            with leaving_out(on_skipped, functools.partial(reason_of, path=path)):
                status = os.stat(path)
                # By any path or link, unless these count.
                key = os.path.abspath(path) if by_name else (status.st_dev, status.st_ino)
                found[key] = min((path, base), found.get(key, (path, base)))
    if not found:
        raise ValueError("There are no files.")
    return dict(sorted(found.values()))


def files_of(items: Iterable[str], on_skipped: Optional[Callable[[str], None]] = None) -> List[str]:
    """The image files of all those names, folders and globs; see `files_in_folders`."""
    items = list(items)
    tell_of_folders(items)
    return list(files_in_folders(items, on_skipped))


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
    check_writable(file)
    check_not_read(file, sources)
    if ending and file.suffix.lower() != ending:
        raise ValueError(
            f"The file to write must end in {ending}; several files need --output-dir. "
            f"Received: {file}"
        )
    if file.exists() and not force:
        raise FileExistsError(f"{file} is there already; --force replaces it.")


class Targets(NamedTuple):
    """What many files are coded to.

    Attributes:
      pairs: For each file that is read, (source, target).
      there: How many were passed over, since what would be written exists.
    """

    pairs: List[Tuple[str, Path]]
    there: int


def targets_of(
    items: Iterable[str],
    folder: Path,
    ending: str,
    endings: Optional[Collection[str]] = None,
    force: bool = False,
    skip_existing: bool = False,
    on_skipped: Optional[Callable[[str], None]] = None,
) -> Targets:
    """Which files are read, and which one is written for each.

    A file that was found in a folder, or by a glob, keeps its place below that folder. Files whose
    names differ in their endings alone keep these, too.

    Args:
      items: What was typed.
      folder: Folder to write in.
      ending: Of the files to write.
      endings: See `files_in_folders`.
      force: Whether files that exist may be replaced.
      skip_existing: Whether what would be written and exists is passed over.
      on_skipped: Called with why a file is left out; None raises.

    Raises:
      OSError: if a file to write exists, or is none that can be replaced.
      ValueError: if two files would be written to the same one, or there are none.
    """
    check_is_no_file(folder)
    found: Dict[Path, str] = {}
    pairs, there = [], 0
    # Two names of one file are two files to write.
    sources = files_in_folders(items, on_skipped, endings, by_name=True)
    for source, target in _names_of(sources, folder, ending).items():
        with leaving_out(on_skipped, functools.partial(reason_of, path=source)):
            other = found.setdefault(resolved(target), source)
            if other != source:
                raise ValueError(f"{source} would be written to {target}, as {other} would be.")
            if skip_existing and target.is_file():
                there += 1
                continue
            if target.parent.exists():
                check_target(target, [source], force)
            pairs.append((source, target))
    return Targets(pairs, there)


def _names_of(sources: Dict[str, str], folder: Path, ending: str) -> Dict[str, Path]:
    """The file to write for each that is read."""
    places = {source: folder / Path(source).relative_to(base) for source, base in sources.items()}
    named = collections.defaultdict(list)
    for place in places.values():
        # A camera's raw file, which will be refused, leaves the photograph beside it its name.
        if place.suffix.lower() in _OTHER_PHOTOGRAPHS:
            continue
        named[place.with_suffix(ending)].append(place.name)

    def name_of(place: Path) -> Path:
        target = place.with_suffix(ending)
        names = named[target]
        # Of the same name in two folders none is told from the other.
        told_apart = len(set(names)) == len(names) > 1 or place.suffix.lower() in _OTHER_PHOTOGRAPHS
        return place.with_name(place.name + ending) if told_apart else target

    return {source: name_of(place) for source, place in places.items()}


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
    check_is_no_file(folder)
    if folder.is_dir() and any(folder.iterdir()) and not force:
        raise FileExistsError(f"{folder} is not empty; --force replaces files in it.")
