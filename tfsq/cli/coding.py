"""Commands on single files: compress, decompress, info."""

from __future__ import annotations

import contextlib
import re
import sys
import tempfile
from pathlib import Path
from typing import Iterator, Optional

import typer
from rich.table import Table

from tfsq.cli.paths import FORCE, STANDARD_STREAM, check_target
from tfsq.cli.shell import app, cell, console, errors_as_sentences, imported, progress, say, shown

_ENDING = ".tfsq"
_UNITS = {None: 1, "k": 10**3, "M": 10**6, "Ki": 2**10, "Mi": 2**20}
_STANDARD_INPUT = Path("/dev/stdin")
_STANDARD_OUTPUTS = (STANDARD_STREAM, "/dev/stdout")


def _source(name: str) -> Path:
    return _STANDARD_INPUT if name == STANDARD_STREAM else Path(name)


@contextlib.contextmanager
def _target(
    name: str, source: Path, force: bool, ending: Optional[str], streamed_as: str
) -> Iterator[Path]:
    """Gives the file to write; what standard output gets is a file until it is whole."""
    if name not in _STANDARD_OUTPUTS:
        check_target(Path(name), [source], force, ending)
        yield Path(name)
        return
    if sys.stdout is None:
        raise OSError("Standard output is closed.")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, f"standard_output{streamed_as}")
        yield file
        sys.stdout.buffer.write(file.read_bytes())
        sys.stdout.buffer.flush()


def _tell(target: str, text: str):
    """Prints a result, beside the file if that goes to standard output."""
    if target in _STANDARD_OUTPUTS:
        say(text)
    else:
        print(shown(text))


def _bytes(text: Optional[str]) -> Optional[int]:
    """The bytes that a size with its unit is."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?(k|M|Ki|Mi)?B?", text)
    if found is None:
        raise ValueError(
            f"--size must be bytes, or a number of kB, MB, KiB or MiB. Received: {text}"
        )
    return round(float(found[1]) * _UNITS[found[2]])


@app.command()
def compress(
    source: str = typer.Argument(..., metavar="IN", help="Image file; '-' for standard input."),
    target: str = typer.Argument(
        ..., metavar="OUT", help=".tfsq file to write; '-' for standard output."
    ),
    model: Optional[Path] = typer.Option(None, "--model", help="Folder of an exported codec."),
    quality: Optional[float] = typer.Option(
        None,
        help="Which of the codecs that come with tfsq, 1 to 4; of a --model of many rates, from 1 "
        "to the number of its lambdas, such as 3.5.",
    ),
    bpp: Optional[float] = typer.Option(
        None, help="Of a --model of many rates: bits per pixel that the file has at most."
    ),
    size: Optional[str] = typer.Option(
        None, help="Likewise: bytes that the file has at most, such as 60000 or 60kB."
    ),
    psnr: Optional[float] = typer.Option(
        None, help="Likewise: dB that the decoded pixels have at least."
    ),
    refine: int = typer.Option(
        0, metavar="STEPS", help="Steps of refining the latents: smaller files, more time."
    ),
    verify: bool = typer.Option(
        False, "--verify", help="Decode the file in a second process, and compare the pixels."
    ),
    force: bool = FORCE,
):
    """Compress an image file to a .tfsq file."""
    if model is None and quality is None:
        raise typer.BadParameter("give --model or --quality")
    if sum(option is not None for option in (quality, bpp, size, psnr)) > 1:
        raise typer.BadParameter("give one of --quality, --bpp, --size and --psnr")
    with errors_as_sentences():
        codec = imported("codec")

        path = _source(source)
        with _target(target, path, force, _ENDING, _ENDING) as file:
            chosen = codec.shipped_codec(quality) if model is None else model
            of_model = None if model is None else quality
            if (bpp, size, psnr) != (None, None, None):
                of_model = codec.Target(bpp=bpp, size=_bytes(size), psnr=psnr)
            with progress() as show:
                written = codec.compress_file(path, file, chosen, refine, show, verify, of_model)
        _tell(target, f"{target}: {written} bytes")


@app.command()
def decompress(
    source: str = typer.Argument(..., metavar="IN", help=".tfsq file; '-' for standard input."),
    target: str = typer.Argument(
        ...,
        metavar="OUT",
        help="Image file to write, PNG to keep every pixel; '-' for a PNG to standard output.",
    ),
    model: Optional[Path] = typer.Option(
        None, "--model", help="Folder of the codec; not needed for those that come with tfsq."
    ),
    force: bool = FORCE,
):
    """Decompress a .tfsq file to an image file."""
    with errors_as_sentences():
        codec = imported("codec")

        path = _source(source)
        with _target(target, path, force, None, ".png") as file:
            with progress() as show:
                image = codec.decompress_file(path, file, model, show)
            keeps_pixels = _is_kept(codec, image, file)
        if not keeps_pixels:
            say(f"{target} is lossy: the pixels in it are not those decoded. PNG keeps them.")
        _tell(target, target)


def _is_kept(codec, image, file: Path) -> bool:
    try:
        written = codec.read_image(file)
    except ValueError:
        # Pillow writes formats that it does not read.
        return False
    return image.shape == written.shape and bool((image == written).all())


@app.command()
def info(file: Path = typer.Argument(..., help=".tfsq file.")):
    """Show what a .tfsq file holds."""
    with errors_as_sentences():
        files = imported("codec.container")

        container = files.read(file)
        # What was read of a pipe has no size of its own.
        size = len(files.pack(container))
        rows = {
            "model": container.model_id.hex(),
            **({} if container.quality is None else {"quality": f"{container.quality:g}"}),
            "size": f"{container.width}x{container.height}",
            "strings": ", ".join(f"{len(string)} bytes" for string in container.strings),
            "file": f"{size} bytes",
            "bits per pixel": f"{8 * size / (container.width * container.height):.4f}",
        }
        table = Table(title=cell(file), show_header=False)
        for row in rows.items():
            table.add_row(*row)
        console().print(table)
