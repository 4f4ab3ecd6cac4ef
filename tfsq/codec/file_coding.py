"""Image files to `.tfsq` files and back: one, or many at a time."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import functools
import itertools
import pathlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from tfsq.codec.api import check_quality, decode_container, encode_image, loaded
from tfsq.codec.container import read
from tfsq.codec.encoding import psnr
from tfsq.codec.image_files import check_image, check_image_name, read_image, write_image
from tfsq.codec.progress import ProgressCallback, ignored
from tfsq.codec.targets import Target
from tfsq.codec.verification import check_in_second_process, check_verifiable
from tfsq.files import check_not_read, writing_whole


@dataclasses.dataclass(frozen=True)
class CompressedFile:
    """What `compress_file` has written.

    Attributes:
      height: Height of the image, in pixels.
      width: Width of the image, in pixels.
      file_bytes: Length of the file.
      quality: Of a codec of many rates, as the file holds it; None of one of a single rate.
      psnr: Of the decoded pixels, in dB; None if the file was not verified.
    """

    height: int
    width: int
    file_bytes: int
    quality: float | None
    psnr: float | None

    @property
    def pixels(self) -> int:
        """Height times width."""
        return self.height * self.width

    @property
    def bpp(self) -> float:
        """Bits of the file per pixel."""
        return 8 * self.file_bytes / self.pixels


@dataclasses.dataclass(frozen=True)
class FileOutcome:
    """What became of one of many files.

    Attributes:
      source: File that was read.
      target: File that was to be written.
      result: What was returned for it; None if it failed.
      error: Why it failed; None if it did not.
    """

    source: Any
    target: Any
    result: Any = None
    error: Exception | None = None


def compress_file(
    source,
    target,
    model,
    refine_steps: int = 0,
    progress: ProgressCallback = ignored,
    verify: bool = False,
    quality: float | Target | None = None,
) -> CompressedFile:
    """Compresses an image file to a `.tfsq` file.

    Args:
      source: Image file, see `read_image`.
      target: File to write, whole or not at all.
      model: A `Codec`, or the folder of one.
      refine_steps: See `compress`.
      progress: See `compress`.
      verify: Whether to decode the file in a second process before it is named `target`, and to
        compare the pixels with the encoder's own.
      quality: See `compress`.

    Returns:
      What was written.

    Raises:
      OSError: if a file cannot be read or written.
      ValueError: if `source` is not an image that tfsq codes, if it is `target`, if `verify` is
        asked of a `Codec` that was not loaded from a folder, `quality` is none of the codec, or
        out of its reach for the image.
      ModelError: if `model` is not an exported codec; with `refine_steps`, see `Codec.network`.
      VerificationError: if the second process decodes other pixels, or none.
    """
    check_not_read(target, [source])
    image, codec = check_image(read_image(source)), loaded(model)
    if verify:
        check_verifiable(codec)
    check_quality(quality, codec)
    encoded = encode_image(image, codec, refine_steps, progress, quality)
    height, width = image.shape[:2]
    data, found = encoded.packed((height, width), codec), None
    with writing_whole(target) as temporary:
        temporary.write_bytes(data)
        if verify:
            own = encoded.decoded((height, width), codec)
            check_in_second_process(temporary, codec, own)
            found = psnr(image, own)
    return CompressedFile(height, width, len(data), encoded.quality, found)


def decompress_file(
    source, target=None, model=None, progress: ProgressCallback = ignored
) -> np.ndarray:
    """Decompresses a `.tfsq` file, to an image file if one is named.

    Args:
      source: `.tfsq` file.
      target: Image file to write, its ending names the format; None writes none.
      model: See `decompress`.
      progress: See `decompress`.

    Returns:
      uint8 array [height, width, 3].

    Raises:
      OSError: if a file cannot be read or written.
      BitstreamError: if `source` is damaged or made with another model.
      ModelError: if `model` is not an exported codec, or None and not the bundled one.
      ValueError: if the ending of `target` names no image format, or if it is `source`.
    """
    if target is not None:
        check_image_name(target)
        check_not_read(target, [source])
    image = decode_container(read(source), model, progress)
    if target is not None:
        write_image(image, target)
    return image


def compress_files(
    pairs: Iterable, model, jobs: int = 2, **arguments: Any
) -> Iterator[FileOutcome]:
    """Compresses many image files with one codec, several at a time.

    While one image is coded, the next is read; files are those that `compress_file` writes.

    Args:
      pairs: For each file, (source, target); folders to write to are made.
      model: A `Codec`, or the folder of one.
      jobs: How many images are in memory, and worked at, at a time.
      **arguments: More of `compress_file`, the same for all.

    Yields:
      What became of each file, in the order in which they are done: a `CompressedFile`, or the
      error. What is not begun when the iterator is closed is left out.

    Raises:
      ModelError: if `model` is not an exported codec.
      ValueError: if `jobs` is not positive.
    """
    code = functools.partial(compress_file, model=loaded(model), **arguments)
    return code_files(code, pairs, jobs)


def decompress_files(
    pairs: Iterable, model=None, jobs: int = 2, **arguments: Any
) -> Iterator[FileOutcome]:
    """Decompresses many `.tfsq` files, several at a time.

    Args:
      pairs: For each file, (source, target); folders to write to are made.
      model: A `Codec`, or the folder of one; None is the bundled one.
      jobs: See `compress_files`.
      **arguments: More of `decompress_file`, the same for all.

    Yields:
      See `compress_files`; results are the images.

    Raises:
      ModelError: if `model` is not an exported codec.
      ValueError: if `jobs` is not positive.
    """
    codec = None if model is None else loaded(model)
    return code_files(functools.partial(decompress_file, model=codec, **arguments), pairs, jobs)


def code_files(
    code: Callable[[Any, Any], Any], pairs: Iterable, jobs: int
) -> Iterator[FileOutcome]:
    """Applies a function to many pairs of files, several at a time.

    Args:
      code: Function of (source, target).
      pairs: The pairs.
      jobs: How many at a time.

    Yields:
      What became of each, in the order in which they are done.

    Raises:
      ValueError: if `jobs` is not positive.
    """
    if jobs < 1:
        raise ValueError(f"`jobs` must be at least 1. Received: jobs={jobs}")
    return _as_they_are_done(functools.partial(_outcome, code), iter(pairs), jobs)


def _as_they_are_done(work, pairs: Iterator, jobs: int) -> Iterator[FileOutcome]:
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        # No more than are worked at, so that what is not begun can be left.
        running = {pool.submit(work, *pair) for pair in itertools.islice(pairs, jobs)}
        while running:
            done, running = concurrent.futures.wait(
                running, return_when=concurrent.futures.FIRST_COMPLETED
            )
            while done:
                # What it holds is not in memory any more when the next begins.
                yield done.pop().result()
                running |= {pool.submit(work, *pair) for pair in itertools.islice(pairs, 1)}


def _outcome(code, source, target) -> FileOutcome:
    try:
        pathlib.Path(target).parent.mkdir(parents=True, exist_ok=True)
        return FileOutcome(source, target, code(source, target))
    except Exception as error:
        return FileOutcome(source, target, error=error)
