"""Rows of results in CSV files."""

from __future__ import annotations

import csv
import pathlib
from collections.abc import Sequence

from tfsq.files import writing_whole


def write(rows: Sequence[dict], file: pathlib.Path) -> None:
    """Writes a CSV file, whole or not at all, with the columns of the first row.

    Args:
      rows: At least one, each a dict with the same keys.
      file: CSV file; its folder is made.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with writing_whole(file) as whole, whole.open("w", newline="") as opened:
        writer = csv.DictWriter(opened, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def read(file: pathlib.Path) -> list[dict[str, str]]:
    """Reads a CSV file; no rows where there is none.

    Args:
      file: CSV file.
    """
    if not file.exists():
        return []
    with file.open(newline="") as opened:
        return list(csv.DictReader(opened))
