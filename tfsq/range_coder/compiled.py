"""Which form of the kernels runs: compiled by numba, or plain Python."""

from __future__ import annotations

import bisect
import contextlib
import threading
import warnings
from collections.abc import Iterator
from typing import Any, Callable, NamedTuple

from tfsq.range_coder import kernels

# numba is worth importing once this many symbols were coded without it: plain Python takes about as
# long for them as numba takes to be imported and to load what it compiled in an earlier process.
WORTH_IMPORTING = 750_000


class Loops(NamedTuple):
    """The kernels, and whether they want arrays instead of lists.

    Attributes:
      encode: As `kernels.encode`.
      decode: As `kernels.decode`.
      on_arrays: True where numba compiled them.
    """

    encode: Callable
    decode: Callable
    on_arrays: bool


_PLAIN = Loops(kernels.encode, kernels.decode, on_arrays=False)

_lock = threading.Lock()
_forced: bool | None = None
_symbols_so_far = 0
_compiled: Loops | None = None
_failure: str | None = None


def loops(symbols: int) -> Loops:
    """Chooses the kernels for the next few symbols.

    Args:
      symbols: Their number, which counts towards `WORTH_IMPORTING`.
    """
    global _symbols_so_far
    _symbols_so_far += symbols
    wanted = _symbols_so_far > WORTH_IMPORTING if _forced is None else _forced
    if wanted and _compiled is None and _failure is None:
        _load()
    return _compiled if wanted and _compiled is not None else _PLAIN


@contextlib.contextmanager
def compiling(wanted: bool) -> Iterator[None]:
    """Within it, numba runs at once, or never.

    Args:
      wanted: Whether it runs.

    Raises:
      RuntimeError: if it is wanted and cannot be had.
    """
    global _forced
    before, _forced = _forced, wanted
    try:
        if wanted and not loops(0).on_arrays:
            raise RuntimeError(f"numba cannot compile the range coder: {_failure}")
        yield
    finally:
        _forced = before


def _load() -> None:
    global _compiled, _failure
    with _lock:
        if _compiled is not None or _failure is not None:
            return
        try:
            _compiled = _imported_and_compiled()
        except Exception as error:
            _failure = str(error)
            if isinstance(error, ModuleNotFoundError) and error.name == "numba":
                return  # not installed
            warnings.warn(
                f"numba cannot compile the range coder, which runs slowly without it: {error}",
                stacklevel=2,
            )


def _imported_and_compiled() -> Loops:
    import numba

    try:
        return _compile(numba, cache=True)
    except Exception:  # no folder that it can write to, or a damaged file in it
        return _compile(numba, cache=False)


def _compile(numba: Any, cache: bool) -> Loops:
    from numba import types
    from numba.extending import overload

    @overload(bisect.bisect_right)
    def bisect_right(vector, target, first, stop):
        if isinstance(vector, types.Array):
            return _bisect_right
        return None

    whole = types.int64
    given = types.Array(types.int32, 1, "C", readonly=True)
    bytes_given = types.Array(types.uint8, 1, "C", readonly=True)
    rows = [types.Array(types.int32, 1, "C"), *[types.int64[::1]] * 4]
    state = types.UniTuple(whole, 5)
    encode = state(*rows, given, given, whole, whole, types.uint8[::1], whole, whole, whole)
    state = types.UniTuple(whole, 6)
    decode = state(
        *rows[:4], given, types.int32[::1], whole, whole, bytes_given, whole, whole, whole, whole
    )
    return Loops(
        numba.njit(encode, cache=cache)(kernels.encode),
        numba.njit(decode, cache=cache)(kernels.decode),
        on_arrays=True,
    )


def _bisect_right(vector, target, first, stop):
    while first < stop:
        middle = (first + stop) >> 1
        if vector[middle] <= target:
            first = middle + 1
        else:
            stop = middle
    return first
