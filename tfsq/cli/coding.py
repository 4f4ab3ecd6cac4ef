"""Commands on files: compress, decompress, info."""

from __future__ import annotations

import contextlib
import functools
import glob
import re
import sys
import tempfile
from pathlib import Path
from typing import Any, Iterator, List, Optional

import typer
from rich.table import Table

from tfsq.cli.many_files import (
    JOBS,
    OUTPUT_DIR,
    QUIET,
    SKIP_EXISTING,
    code_many,
    is_there,
    one_pair,
)
from tfsq.cli.paths import (
    FORCE,
    STANDARD_OUTPUTS,
    STANDARD_STREAM,
    STRICT,
    check_target,
    image_endings,
    own_folder,
)
from tfsq.cli.shell import (
    app,
    cell,
    console,
    errors_as_sentences,
    imported,
    progress,
    reason_of,
    say,
    shown,
)

_ENDING = ".tfsq"
_UNITS = {None: 1, "k": 10**3, "M": 10**6, "Ki": 2**10, "Mi": 2**20}
_DASHES = "A name that begins with a dash is given as ./-name."
_STANDARD_INPUT = Path("/dev/stdin")


def _source(name: str) -> Path:
    if name == STANDARD_STREAM:
        return _STANDARD_INPUT
    if glob.escape(name) != name and not Path(name).exists():
        raise FileNotFoundError(f"No such file: {name}; a pattern needs --output-dir.")
    return Path(name)


@contextlib.contextmanager
def _read_of(codec, name: str) -> Iterator[None]:
    """Names the file in what is said of its bytes."""
    try:
        yield
    except codec.BitstreamError as error:
        is_image = Path(name).suffix.lower() in image_endings()
        hint = " Its name is that of an image: `tfsq compress` codes those." if is_image else ""
        raise ValueError(f"{reason_of(error, name)}{hint}") from error


def _checked_quality(codec, model: Optional[Path], **given: Any) -> Any:
    """The quality to code at, of which one option speaks at most; checked before any file."""
    option, value = next(((k, v) for k, v in given.items() if v is not None), ("", None))
    if option and codec.ladder is None:
        raise ValueError(
            f"--{option} needs a --model of many rates, trained with --lmbdas; {model} codes at "
            f"one rate, so leave --{option} out."
        )
    if option in ("", "quality"):
        return codec.checked_quality(value)
    return imported("codec").Target(**{option: value})


@contextlib.contextmanager
def _target(
    name: str, source: Path, force: bool, ending: Optional[str], streamed_as: str
) -> Iterator[Path]:
    """Gives the file to write; what standard output gets is a file until it is whole."""
    if name not in STANDARD_OUTPUTS:
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


def _beside(source: str, ending: str) -> str:
    """The file to write where none was named."""
    return source if source == STANDARD_STREAM else str(Path(source).with_suffix(ending))


def _tell(target: str, text: str):
    """Prints a result, beside the file if that goes to standard output."""
    if target in STANDARD_OUTPUTS:
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


@app.command(epilog=_DASHES)
def compress(
    paths: List[str] = typer.Argument(
        ...,
        metavar="IN [OUT]",
        help="Image file, and .tfsq file to write, beside it if not named; '-' for standard input "
        "and output. With --output-dir: images, folders of such, or globs.",
    ),
    output_dir: Optional[Path] = OUTPUT_DIR,
    model: Optional[str] = typer.Option(
        None, "--model", metavar="FOLDER", help="Of an exported codec; the bundled one if none."
    ),
    quality: Optional[float] = typer.Option(
        None,
        help="From 1, the smallest files, to 7, such as 3.5; 4 if none. Of a --model of many "
        "rates, from 1 to the number of its lambdas; the middle if none.",
    ),
    bpp: Optional[float] = typer.Option(
        None, help="Bits per pixel that the file has at most, in the place of a quality."
    ),
    size: Optional[str] = typer.Option(
        None, help="Likewise: bytes that the file has at most, such as 60000 or 60kB."
    ),
    psnr: Optional[float] = typer.Option(
        None, help="Likewise: dB that the decoded pixels have at least."
    ),
    refine: int = typer.Option(
        0, metavar="STEPS", min=0, help="Steps of refining the latents: smaller files, more time."
    ),
    verify: bool = typer.Option(
        False, "--verify", help="Decode the file in a second process, and compare the pixels."
    ),
    jobs: int = JOBS,
    skip_existing: bool = SKIP_EXISTING,
    strict: bool = STRICT,
    force: bool = FORCE,
    quiet: bool = QUIET,
):
    """Compress image files to .tfsq files. With --output-dir, as many as there are."""
    if sum(option is not None for option in (quality, bpp, size, psnr)) > 1:
        raise typer.BadParameter("give one of --quality, --bpp, --size and --psnr")
    pair = None if output_dir else one_pair(paths, functools.partial(_beside, ending=_ENDING))
    if pair and is_there(pair[1], skip_existing, quiet):
        return
    with errors_as_sentences():
        most_bytes = _bytes(size)
        codec = imported("codec")

        folder = own_folder(model)
        chosen = codec.load(folder) if folder else codec.shipped_codec()
        at = _checked_quality(chosen, folder, quality=quality, bpp=bpp, size=most_bytes, psnr=psnr)
        arguments = {"refine_steps": refine, "verify": verify, "quality": at}

        def tell(target: str, written):
            if not quiet:
                bundled = "" if folder else ", bundled"
                _tell(target, _line(target, written, _setting(chosen, written) + bundled))

        if pair:
            source = _source(pair[0])
            with _target(pair[1], source, force, _ENDING, _ENDING) as file, progress(quiet) as show:
                written = codec.compress_file(source, file, chosen, progress=show, **arguments)
            tell(pair[1], written)
            return

        def tell_and_add(outcome, totals):
            totals.add(outcome.result.pixels, outcome.result.file_bytes)
            tell(str(outcome.target), outcome.result)

        code_many(
            lambda pairs: codec.compress_files(pairs, chosen, jobs, **arguments),
            tell_and_add,
            strict,
            quiet,
            items=paths,
            folder=output_dir,
            ending=_ENDING,
            force=force,
            skip_existing=skip_existing,
        )


def _setting(codec, written) -> str:
    if written.quality is None:
        return f"lambda {codec.metadata['lmbda']:g}"
    return f"quality {written.quality:g}"


def _line(target: str, written, setting: str) -> str:
    psnr = "" if written.psnr is None else f", {written.psnr:.2f} dB"
    return f"{target}: {written.file_bytes} bytes, {written.bpp:.4f} bpp, {setting}{psnr}"


@app.command(epilog=_DASHES)
def decompress(
    paths: List[str] = typer.Argument(
        ...,
        metavar="IN [OUT]",
        help=".tfsq file, and image file to write, a PNG beside it if not named; PNG keeps every "
        "pixel. '-' for standard input, and for a PNG to standard output. With --output-dir: .tfsq "
        "files, folders of such, or globs.",
    ),
    output_dir: Optional[Path] = OUTPUT_DIR,
    image_format: Optional[str] = typer.Option(
        None,
        "--format",
        help="What names of image files end in where none are given, such as webp; png if none.",
    ),
    model: Optional[str] = typer.Option(
        None, "--model", metavar="FOLDER", help="Of the codec; the bundled one if none."
    ),
    jobs: int = JOBS,
    skip_existing: bool = SKIP_EXISTING,
    strict: bool = STRICT,
    force: bool = FORCE,
    quiet: bool = QUIET,
):
    """Decompress .tfsq files to image files. With --output-dir, as many as there are."""
    if image_format and not output_dir and len(paths) > 1 and paths[1] not in STANDARD_OUTPUTS:
        raise typer.BadParameter("--format is for names that are not given")
    ending = f".{(image_format or 'png').lstrip('.')}"
    pair = None if output_dir else one_pair(paths, functools.partial(_beside, ending=ending))
    if pair and is_there(pair[1], skip_existing, quiet):
        return
    with errors_as_sentences():
        codec, chosen = imported("codec"), own_folder(model)

        def tell(target: str, keeps_pixels: bool):
            if not keeps_pixels and not quiet:
                say(f"{target} is lossy: the pixels in it are not those decoded. PNG keeps them.")
            if not quiet:
                _tell(target, target)

        if pair:
            source = _source(pair[0])
            with _target(pair[1], source, force, None, ending) as file:
                with progress(quiet) as show, _read_of(codec, pair[0]):
                    image = codec.decompress_file(source, file, chosen, show)
                keeps_pixels = _is_kept(codec, image, file)
            tell(pair[1], keeps_pixels)
            return

        def tell_and_add(outcome, totals):
            height, width = outcome.result.shape[:2]
            totals.add(height * width, Path(outcome.source).stat().st_size)
            tell(str(outcome.target), _is_kept(codec, outcome.result, outcome.target))

        code_many(
            lambda pairs: codec.decompress_files(pairs, chosen, jobs),
            tell_and_add,
            strict,
            quiet,
            items=paths,
            folder=output_dir,
            ending=ending,
            endings=(_ENDING,),
            force=force,
            skip_existing=skip_existing,
        )


def _is_kept(codec, image, file: Path) -> bool:
    try:
        written = codec.read_image(file)
    except ValueError:
        # Pillow writes formats that it does not read.
        return False
    return image.shape == written.shape and bool((image == written).all())


@app.command()
def info(file: str = typer.Argument(..., help=".tfsq file; '-' for standard input.")):
    """Show what a .tfsq file holds."""
    with errors_as_sentences():
        files, codec = imported("codec.container"), imported("codec")

        with _read_of(codec, file):
            container = files.read(_source(file))
        # What was read of a pipe has no size of its own.
        size = len(files.pack(container))
        bundled = ", bundled" if codec.is_shipped(container.model_id) else ""
        rows = {
            "model": f"{container.model_id.hex()}{bundled}",
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
