"""`history.csv` of a run: a row an epoch, whatever columns its sessions have."""

from __future__ import annotations

import csv
import pathlib

import tensorflow as tf

from tfsq.files import writing_whole

_FIRST, _MISSING = "epoch", "NA"


class History(tf.keras.callbacks.Callback):
    """Appends what was logged in an epoch.

    Keras' `CSVLogger` would write a session that logs other figures than those before it, with
    validation for instance, under the columns of the others. Here new columns are added, and NA
    stands where an epoch has nothing.

    Args:
      path: CSV file.
    """

    def __init__(self, path):
        super().__init__()
        self._path = pathlib.Path(path)

    def on_epoch_end(self, epoch, logs=None):
        row = {_FIRST: epoch, **(logs or {})}
        columns = _columns_of(self._path)
        new = set(row) - set(columns)
        if new:
            columns += sorted(new, key=lambda name: (name != _FIRST, name))
            _rewrite(self._path, columns)
        with self._path.open("a", newline="") as file:
            _writer(file, columns).writerow(row)


def forget_epochs(history: pathlib.Path, first: int) -> None:
    """Removes what a run that was killed wrote of epochs that it has to do again.

    Args:
      history: CSV file with a row an epoch.
      first: The epoch that comes next.
    """
    if not history.exists():
        return
    try:
        header, *rows = history.read_text().splitlines(keepends=True) or [""]
        epochs = [int(row.split(",")[0]) for row in rows if row.endswith("\n")]
    except ValueError as error:
        raise ValueError(f"{history} is damaged: {error}") from error
    if not header.endswith("\n"):
        history.unlink()
        return
    # A row that was being written has no end.
    kept = [row for row, epoch in zip(rows, epochs) if epoch < first]
    with writing_whole(history) as file:
        file.write_text("".join((header, *kept)))


def _columns_of(path: pathlib.Path) -> list[str]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return next(csv.reader(file), [])


def _rewrite(path: pathlib.Path, columns: list[str]) -> None:
    """Writes the rows that there are under more columns."""
    rows: list[dict] = []
    if path.exists():
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file, restval=_MISSING))
    with writing_whole(path) as unfinished, unfinished.open("w", newline="") as file:
        writer = _writer(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def _writer(file, columns: list[str]) -> csv.DictWriter:
    # Builds before may have left rows that are longer than the header.
    return csv.DictWriter(file, columns, _MISSING, extrasaction="ignore", lineterminator="\n")
