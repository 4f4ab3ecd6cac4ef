"""What all commands share: the app, its errors, and what is shown."""

from __future__ import annotations

import codecs
import contextlib
import errno
import gc
import importlib
import io
import os
import sys
import tempfile
from typing import Any, Callable, Iterator, List, Optional

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from tfsq._version import __version__
from tfsq.cli.messages import in_options, speak_of

# TensorFlow, imported by the commands that need it, would otherwise print its build options.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    # Names of files are no markup.
    rich_markup_mode=None,
    help="Learned image compression with annealed quantization.",
)
_ERRORS = (OSError, ValueError, FloatingPointError, ImportError, MemoryError)
# Lines of TensorFlow's log before it knows how much to say.
_LOGGED = (b"WARNING: All log messages before absl", b"I0000 ")
_OF_STREAMS = (errno.ENOSPC, errno.EPIPE)
PROGRESS_COLUMNS = (
    BarColumn(),
    MofNCompleteColumn(),
    TimeRemainingColumn(),
    TextColumn("{task.description}", markup=False),
)
# A table in a file or a pipe is as wide as it needs to be.
_UNLIMITED = 10_000
_SURROGATES = range(0xDC80, 0xDD00)
_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}
del _CONTROL[ord("\n")], _CONTROL[ord("\t")]


def _as_bytes(error):
    """What encodes characters that a stream does not have: bytes of file names as they are."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    found = b""
    for character in error.object[error.start : error.end]:
        code = ord(character)
        found += (
            bytes([code - 0xDC00])
            if code in _SURROGATES
            else character.encode("ascii", "backslashreplace")
        )
    return found, error.end


codecs.register_error("tfsq", _as_bytes)


def _show_version(asked: bool):
    if asked:
        print(f"tfsq {__version__}")
        raise typer.Exit


@app.callback()
def prepare(
    context: typer.Context,
    version: bool = typer.Option(
        False, "--version", callback=_show_version, is_eager=True, help="Show the version."
    ),
):
    """Before any command."""
    del version
    speak_of(context)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="tfsq")


def imported(name: str):
    """A module of tfsq, imported without looking for garbage meanwhile.

    At the start of a command there is none, and to look for it among all that TensorFlow brings,
    now and again before the process ends, would take a second.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        with _hidden_from_standard_error():
            return importlib.import_module(f"tfsq.{name}")
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


@contextlib.contextmanager
def _hidden_from_standard_error() -> Iterator[None]:
    """Leaves out what newer TensorFlow logs of GPUs that it does not find, past Python."""
    try:
        kept = os.dup(2)
    except OSError:
        # It is closed.
        yield
        return
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            said.seek(0)
            others = [line for line in said if not line.startswith(_LOGGED)]
            if others:
                os.write(2, b"".join(others))


def shown(name) -> str:
    """The name of a file, or a message with one: control characters would reach the terminal."""
    return str(name).translate(_CONTROL)


def sentence(error: BaseException) -> str:
    """What an error says. The system's would quote names in Python's way."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return shown(f"{error.strerror}: {os.fsdecode(error.filename)}")
    return shown(in_options(str(error)))


def reason_of(error: BaseException, path) -> str:
    """What an error says of a file, with its name."""
    reason = sentence(error)
    return reason if shown(path) in reason else f"{shown(path)}: {reason}"


def say(text: str):
    """Prints what is no result."""
    print(shown(text), file=sys.stderr)


def is_expected(error: BaseException) -> bool:
    """Whether an error is one that is told in a sentence."""
    # TensorFlow's errors, of a full disk for instance, have no class that is known before it is
    # imported.
    return isinstance(error, _ERRORS) or type(error).__module__.startswith("tensorflow")


@contextlib.contextmanager
def errors_as_sentences() -> Iterator[None]:
    """Ends a command with a sentence and exit code 1, at errors that are expected."""
    try:
        yield
        if sys.stdout is not None:
            sys.stdout.flush()
    except Exception as error:
        if not is_expected(error):
            raise
        if isinstance(error, OSError) and error.filename is None and error.errno in _OF_STREAMS:
            # Python would try to write in the end what standard output has not taken.
            sys.stdout = io.StringIO()
        say(f"error: {sentence(error)}")
        raise typer.Exit(1) from error


@contextlib.contextmanager
def going_on(strict: bool) -> Iterator[Optional[Callable[[str], None]]]:
    """Gives what is called with why a file is left out; with `strict`, None: it raises.

    Files are named when they are found, and again in the end, with exit code 1.
    """
    skipped: List[str] = []

    def skip(reason: str):
        skipped.append(reason)
        say(f"skipped: {reason}")

    try:
        yield None if strict else skip
    finally:
        if len(skipped) > 1:
            say(f"{len(skipped)} files were skipped:\n" + "\n".join(skipped))
    if skipped:
        raise typer.Exit(1)


def console() -> Console:
    """Where tables are shown."""
    found = Console()
    return found if found.is_terminal else Console(width=_UNLIMITED)


def cell(name) -> Text:
    """The name of a file in a table."""
    return Text(shown(name), overflow="fold")


def bar_of(*columns, quiet: bool = False, **options: Any) -> Progress:
    """A bar on standard error, which goes away in the end; where it is no terminal, there is none.

    Args:
      *columns: Of the bar.
      quiet: Whether there is to be none in any case.
      **options: More of rich's `Progress`.
    """
    shown_at = Console(stderr=True)
    hidden = quiet or not shown_at.is_terminal
    return Progress(*columns, console=shown_at, transient=True, disable=hidden, **options)


@contextlib.contextmanager
def progress(quiet: bool = False) -> Iterator[Callable[[Any], None]]:
    """A bar that appears with the first call of what it gives, unless it is to be quiet."""
    with bar_of(*PROGRESS_COLUMNS, quiet=quiet) as bar:
        tasks = {}

        def show(event):
            if event.stage not in tasks:
                tasks[event.stage] = bar.add_task(event.stage, total=event.total)
            loss = "" if event.loss is None else f", loss {event.loss:.4f}"
            bar.update(tasks[event.stage], completed=event.done, description=f"{event.stage}{loss}")

        yield show
