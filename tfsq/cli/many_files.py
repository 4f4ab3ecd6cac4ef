"""What the commands on files share where there are many of them."""

from __future__ import annotations

import itertools
import os
import sys
import time
from typing import Any, Callable, Iterable, List, Optional, Tuple

import typer
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

from tfsq.cli.paths import STANDARD_OUTPUTS, targets_of, tell_of_folders
from tfsq.cli.shell import bar_of, going_on, is_expected, reason_of, say, shown

OUTPUT_DIR = typer.Option(
    None,
    "--output-dir",
    help="Folder to write to: IN... are then files, folders or globs, '**' included.",
)
JOBS = typer.Option(2, "--jobs", help="With --output-dir: files that are worked at, at a time.")
SKIP_EXISTING = typer.Option(
    False, "--skip-existing", help="Leave out what was written before, whatever it holds."
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


def is_there(target: str, skip_existing: bool, quiet: bool) -> bool:
    """Whether the one file to write is passed over, and says so."""
    passed_over = skip_existing and target not in STANDARD_OUTPUTS and os.path.isfile(target)
    if passed_over and not quiet:
        print(shown(f"{target} was there already"))
    return passed_over


class Totals:
    """What was done so far.

    Attributes:
      files: Number of files that were written.
      pixels: Of their images.
      file_bytes: Of `.tfsq` files.
      there: Files that were passed over.
      skipped: Files that did not serve.
      left: Files that were not begun, or, before the end, are being coded.
    """

    def __init__(self):
        self.files = self.pixels = self.file_bytes = self.there = self.skipped = self.left = 0
        self._began = time.monotonic()

    def add(self, pixels: int, file_bytes: int):
        self.files += 1
        self.pixels += pixels
        self.file_bytes += file_bytes

    def skipping(self, tell: Callable[[str], None]) -> Callable[[str], None]:
        """What counts a file that does not serve, and tells of it."""

        def skip(reason: str):
            self.skipped += 1
            tell(reason)

        return skip

    def speed(self) -> str:
        seconds = max(time.monotonic() - self._began, 1e-3)
        return f"{self.pixels / _MEGA / seconds:.2f} megapixels/s"

    @property
    def total(self) -> int:
        """Number of all files."""
        return self.files + self.there + self.skipped + self.left

    def line(self) -> str:
        others = {"there already": self.there, "skipped": self.skipped, "not begun": self.left}
        parts = [f"{self.files} of {self.total} files written"]
        line = ", ".join(parts + [f"{count} {what}" for what, count in others.items() if count])
        if not self.files:
            return line
        seconds = time.monotonic() - self._began
        return (
            f"{line}: {self.file_bytes} bytes, {8 * self.file_bytes / self.pixels:.4f} bpp, "
            f"{self.pixels / _MEGA:.1f} megapixels in {seconds:.1f} s, {self.speed()}"
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
    totals = Totals()
    failed: List[Any] = []
    if not quiet:
        tell_of_folders(of_targets["items"])
    with going_on(strict) as told:
        on_skipped = None if told is None else totals.skipping(told)
        targets = targets_of(on_skipped=on_skipped, **of_targets)
        totals.there, totals.left = targets.there, len(targets.pairs)
        # Behind one that failed none is begun; those that are being coded are written, and told of.
        outcomes = code(itertools.takewhile(lambda _: not failed, targets.pairs))
        try:
            _go_through(outcomes, totals, tell, on_skipped, failed, quiet)
        except KeyboardInterrupt:
            done = f"{totals.files} of {totals.total} files, and those that were being coded"
            say(f"interrupted after {done}; --skip-existing goes on")
            raise typer.Exit(130) from None
        if not quiet:
            print(totals.line())
        # What nobody expects is raised as it is; of others a sentence is enough.
        failed.sort(key=lambda outcome: is_expected(outcome.error))
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
    totals: Totals,
    tell: Callable[[Any, Totals], None],
    on_skipped: Optional[Callable[[str], None]],
    failed: List[Any],
    quiet: bool,
):
    """Goes through what becomes of many files, with a bar.

    Args:
      outcomes: An outcome for each file that is left, when it is done.
      totals: What was done so far.
      tell: Called with an outcome of a file that was written, and the totals to add it to.
      on_skipped: Called with why another was not; None adds it to `failed`.
      failed: Gets the outcomes that end the work.
      quiet: Whether to show no bar.
    """
    # Results that go elsewhere are not drawn above the bar.
    drawn = sys.stdout is not None and sys.stdout.isatty()
    bar = bar_of(
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.description}"),
        TimeRemainingColumn(),
        quiet=quiet,
        redirect_stdout=drawn,
    )
    with bar:
        task = bar.add_task("", total=totals.left)
        for outcome in outcomes:
            totals.left -= 1
            if outcome.error is None:
                tell(outcome, totals)
            elif on_skipped is None or not is_expected(outcome.error):
                totals.skipped += 1
                failed.append(outcome)
            else:
                on_skipped(reason_of(outcome.error, outcome.source))
            bar.update(task, advance=1, description=totals.speed())
