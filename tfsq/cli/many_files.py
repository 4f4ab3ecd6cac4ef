"""What the commands on files share where there are many of them."""

from __future__ import annotations

import itertools
import os
import sys
import time
from typing import Any, Callable, Iterable, List, Optional, Tuple

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tfsq.cli.paths import targets_of
from tfsq.cli.shell import going_on, is_expected, reason_of, say

OUTPUT_DIR = typer.Option(
    None,
    "--output-dir",
    help="Folder to write to: IN... are then files, folders or globs, '**' included.",
)
JOBS = typer.Option(2, "--jobs", help="With --output-dir: files that are worked at, at a time.")
SKIP_EXISTING = typer.Option(
    False, "--skip-existing", help="With --output-dir: leave out what was written before."
)
QUIET = typer.Option(False, "-q", "--quiet", help="Say nothing but errors.")
_MEGA = 1e6


def one_pair(paths: List[str], default_target: Callable[[str], str]) -> Tuple[str, str]:
    """The file to read and the one to write, as they were typed without --output-dir."""
    if len(paths) > 2:
        raise typer.BadParameter("give --output-dir for several files")
    source = paths[0]
    if len(paths) == 2:
        return source, paths[1]
    if os.path.isdir(source):
        raise typer.BadParameter(f"give --output-dir for the files in the folder {source}")
    return source, default_target(source)


class Totals:
    """What was done so far.

    Attributes:
      files: Number of files.
      pixels: Of their images.
      file_bytes: Of `.tfsq` files.
    """

    def __init__(self):
        self.files = self.pixels = self.file_bytes = 0
        self._began = time.monotonic()

    def add(self, pixels: int, file_bytes: int):
        self.files += 1
        self.pixels += pixels
        self.file_bytes += file_bytes

    def speed(self) -> str:
        seconds = max(time.monotonic() - self._began, 1e-3)
        return f"{self.pixels / _MEGA / seconds:.2f} megapixels/s"

    def line(self, total: int) -> str:
        if not self.files:
            return f"0 of {total} files"
        seconds = time.monotonic() - self._began
        return (
            f"{self.files} of {total} files: {self.file_bytes} bytes, "
            f"{8 * self.file_bytes / self.pixels:.4f} bpp, {self.pixels / _MEGA:.1f} megapixels in "
            f"{seconds:.1f} s, {self.speed()}"
        )


def code_many(code: Callable, tell: Callable, strict: bool, quiet: bool, **of_targets: Any):
    """Codes many files, going on past those that do not serve.

    Args:
      code: Function from pairs of files to outcomes of them.
      tell: See `_go_through`.
      strict: Whether to stop at the first that does not serve.
      quiet: See `_go_through`.
      **of_targets: Arguments of `targets_of`.
    """
    failed: List[Any] = []
    with going_on(strict) as on_skipped:
        pairs = targets_of(on_skipped=on_skipped, **of_targets)
        # Behind one that failed none is begun; those that are being coded are written, and told of.
        outcomes = code(itertools.takewhile(lambda _: not failed, pairs))
        _go_through(outcomes, len(pairs), tell, on_skipped, failed, quiet)
        for outcome in failed[1:]:
            say(reason_of(outcome.error, outcome.source))
        if failed:
            _raise(failed[0])


def _raise(outcome: Any):
    if not is_expected(outcome.error):
        say(f"Unexpected, at {outcome.source}:")
        raise outcome.error
    raise ValueError(reason_of(outcome.error, outcome.source)) from outcome.error


def _go_through(
    outcomes: Iterable,
    total: int,
    tell: Callable[[Any, Totals], None],
    on_skipped: Optional[Callable[[str], None]],
    failed: List[Any],
    quiet: bool,
):
    """Goes through what becomes of many files, with a bar.

    Args:
      outcomes: An outcome for each file, when it is done.
      total: How many there will be.
      tell: Called with an outcome of a file that was written, and the totals to add it to.
      on_skipped: Called with why another was not; None adds it to `failed`.
      failed: Gets the outcomes that end the work.
      quiet: Whether to show neither bar nor totals.
    """
    totals = Totals()
    # Results that go elsewhere are not drawn above the bar.
    drawn = sys.stdout is not None and sys.stdout.isatty()
    bar = Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.description}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=quiet,
        redirect_stdout=drawn,
    )
    with bar:
        task = bar.add_task("", total=total)
        for outcome in outcomes:
            if outcome.error is None:
                tell(outcome, totals)
            elif on_skipped is None or not is_expected(outcome.error):
                failed.append(outcome)
            else:
                on_skipped(reason_of(outcome.error, outcome.source))
            bar.update(task, advance=1, description=totals.speed())
    if not quiet:
        print(totals.line(total))
