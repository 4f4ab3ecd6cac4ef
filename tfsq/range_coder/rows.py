"""Coding tables: where their rows are, checked once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

# How many tables are remembered. A codec has a few; each is compared as a whole, which is quicker
# than hashing it.
_REMEMBERED = 8


class Rows(NamedTuple):
    """A checked table, in both forms that the kernels run on.

    Attributes:
      arrays: counts (int32), starts, sizes, shifts and escapes (int64), as `kernels` has them.
      lists: The same as lists.
    """

    arrays: tuple[np.ndarray, ...]
    lists: tuple[list[int], ...]


_recent: tuple[tuple[bytes, Rows], ...] = ()


def rows_of(table: np.ndarray) -> Rows:
    """Finds and checks the rows of a table, or remembers them.

    Args:
      table: int32 vector, rows one after the other: (precision, 0, ..., 2^|precision|), negative
        where the last interval is an escape.

    Returns:
      The rows.

    Raises:
      ValueError: if the table is malformed.
    """
    global _recent
    if table.ndim != 1:
        raise ValueError(f"`table` must be a vector. Received: shape={table.shape}")
    key = table.tobytes()
    for known, rows in _recent:
        if known == key:
            return rows
    rows = _parsed(np.frombuffer(key, np.int32))
    _recent = ((key, rows), *_recent)[:_REMEMBERED]
    return rows


def _parsed(table: np.ndarray) -> Rows:
    starts, ends, shifts, escapes = [], [], [], []
    ends_of: dict[int, np.ndarray] = {}
    row = 0
    while row < len(table):
        precision = int(table[row])
        shift = abs(precision)
        if not 1 <= shift <= 16:
            raise ValueError(
                f"`table` must have a precision of 1 to 16 or -1 to -16 at entry {row}. "
                f"Received: {precision}"
            )
        if shift not in ends_of:
            ends_of[shift] = np.flatnonzero(table == 1 << shift)
        later = ends_of[shift]
        found = np.searchsorted(later, row + 1)
        if found == len(later):
            raise ValueError(
                f"`table` must end the row at entry {row} with {1 << shift}. "
                f"Received: {len(table) - row} entries without it"
            )
        end = int(later[found])
        counts = table[row + 1 : end + 1]
        if counts[0] != 0 or not np.all(counts[1:] > counts[:-1]):
            raise ValueError(
                f"`table` must have counts that rise from 0 to {1 << shift} in the row at entry "
                f"{row}. Received: {_some(counts)}"
            )
        if end + 1 < len(table) and table[end + 1] == 1 << shift:
            # TFC takes it for one more count of the row before, so no table may have it.
            raise ValueError(
                f"`table` must not have {1 << shift} after the row at entry {row}, which ends with "
                f"it. Received: {_some(table[row : end + 2])}"
            )
        starts.append(row + 1)
        ends.append(end)
        shifts.append(shift)
        escapes.append(int(precision < 0))
        row = end + 1
    sizes = [end - start - escape for start, end, escape in zip(starts, ends, escapes)]
    lists = (table.tolist(), starts, sizes, shifts, escapes)
    return Rows((table.copy(), *(np.asarray(each, np.int64) for each in lists[1:])), lists)


def _some(counts: np.ndarray) -> str:
    text = ", ".join(map(str, counts[:8].tolist()))
    return f"[{text}{', ...' if len(counts) > 8 else ''}]"
