"""Results: small frozen dataclasses that print as a table and export to CSV."""

from __future__ import annotations

import csv
import dataclasses
import io
import os
import pathlib
from collections.abc import Sequence

import rich.box
import rich.console
import rich.table


@dataclasses.dataclass(frozen=True)
class Result:
    """Base class: one row of a table, its fields the columns."""

    def __str__(self):
        return table([self])

    def to_csv(self, path: str | os.PathLike) -> None:
        """Writes a CSV file of one row; see `to_csv`."""
        to_csv([self], path)


def _shown(value):
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _rows(results):
    if not results:
        raise ValueError("`results` must not be empty.")
    kinds = {type(result) for result in results}
    if len(kinds) > 1:
        raise ValueError(f"`results` must be of one kind. Received: {sorted(map(str, kinds))}")
    columns = [field.name for field in dataclasses.fields(results[0]) if field.repr]
    return columns, [[getattr(result, name) for name in columns] for result in results]


def table(results: Sequence[Result]) -> str:
    """Lays results of one kind out as a table, a row each.

    Args:
      results: At least one result.

    Returns:
      Text of several lines.

    Raises:
      ValueError: if `results` is empty or of several kinds.
    """
    columns, rows = _rows(results)
    grid = rich.table.Table(box=rich.box.SIMPLE_HEAD)
    for name, value in zip(columns, rows[0]):
        grid.add_column(name, justify="left" if isinstance(value, str) else "right")
    for row in rows:
        grid.add_row(*map(_shown, row))
    text = io.StringIO()
    rich.console.Console(file=text, width=200).print(grid)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()).strip("\n")


def markdown(columns: Sequence[str], rows: Sequence[Sequence]) -> str:
    """Lays rows out as a Markdown table, for documentation that quotes results.

    Args:
      columns: Headings.
      rows: Values, as many in each as there are columns.

    Returns:
      Text of several lines.
    """
    lines = [columns, ["---"] * len(columns), *([_shown(value) for value in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def to_csv(results: Sequence[Result], path: str | os.PathLike) -> None:
    """Writes results of one kind to a CSV file, with a header.

    Args:
      results: At least one result.
      path: The file to write.

    Raises:
      ValueError: if `results` is empty or of several kinds.
    """
    columns, rows = _rows(results)
    with pathlib.Path(path).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])
