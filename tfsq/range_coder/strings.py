"""The host's coder on NumPy arrays: whole batches, and states that are strings.

A state holds all there is of a coder, so that nothing is left behind when a string is not finished,
and a state may be copied, kept and used twice:

    encoder   tag, low, span, bytes written so far
    decoder   tag, position, span, value, corrupt, the string, two zero bytes

The interval of a coder is [low, low + span), in units of the last of the 4 bytes that come after
those written. A decoder knows its string's place in it, value = the 4 bytes - low.
"""

from __future__ import annotations

import struct

import numpy as np

from tfsq.range_coder import kernels
from tfsq.range_coder.compiled import loops
from tfsq.range_coder.rows import Rows, rows_of

_ENCODER = struct.Struct("<4sqq")
_DECODER = struct.Struct("<4sqqqq")
_ENCODER_TAG, _DECODER_TAG = b"enc1", b"dec1"
_PADDING = b"\0\0"
_WHOLE = 1 << 32

# Symbols that a kernel is given at a time: bounds the memory of lists, and lets numba take over
# in the midst of a long string.
_CHUNK = 1 << 16


def start_encoding(batch_shape: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Opens one string for each element of a batch.

    Args:
      batch_shape: Integer vector.
      table: int32 vector, see `rows.rows_of`.

    Returns:
      Array of bytes of that shape, the states.

    Raises:
      ValueError: if the table is malformed.
    """
    rows_of(table)
    states = np.empty(tuple(batch_shape), object)
    states.fill(_ENCODER.pack(_ENCODER_TAG, 0, _WHOLE))
    return states


def encode(
    states: np.ndarray, table: np.ndarray, indexes: np.ndarray, symbols: np.ndarray
) -> np.ndarray:
    """Appends a piece to each string.

    Args:
      states: Array of bytes.
      table: int32 vector.
      indexes: int32 array of the shape of `states` and more dimensions, the row of each symbol.
      symbols: int32 array of the same shape.

    Returns:
      Array of bytes of the shape of `states`.

    Raises:
      ValueError: if the table is malformed, shapes disagree, or a symbol cannot be coded.
    """
    rows = rows_of(table)
    length = _piece(states, indexes)
    if symbols.shape != indexes.shape:
        raise ValueError(
            f"`symbols` must be of the shape of `indexes`, {indexes.shape}. "
            f"Received: shape={symbols.shape}"
        )
    indexes, symbols = indexes.reshape(-1), symbols.reshape(-1)
    after = np.empty(states.size, object)
    for n, state in enumerate(states.flat):
        after[n] = _encode_one(state, rows, indexes, symbols, n * length, (n + 1) * length)
    return after.reshape(states.shape)


def finish_encoding(states: np.ndarray) -> np.ndarray:
    """Ends each string.

    Args:
      states: Array of bytes.

    Returns:
      Array of bytes of the same shape, the strings.
    """
    strings = np.empty(states.size, object)
    for n, state in enumerate(states.flat):
        _, low, span = _unpacked(_ENCODER, _ENCODER_TAG, state)
        strings[n] = _ended(state[_ENCODER.size :], low, span)
    return strings.reshape(states.shape)


def start_decoding(strings: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Opens each string.

    Args:
      strings: Array of bytes.
      table: int32 vector, see `rows.rows_of`.

    Returns:
      Array of bytes of the same shape, the states.

    Raises:
      ValueError: if the table is malformed.
    """
    rows_of(table)
    states = np.empty(strings.size, object)
    for n, string in enumerate(strings.flat):
        value = _window(string, 0)
        header = _DECODER.pack(_DECODER_TAG, _DECODER.size + 4, _WHOLE, value, 0)
        states[n] = header + string + _PADDING
    return states.reshape(strings.shape)


def decode(
    states: np.ndarray, table: np.ndarray, indexes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Reads the next piece of each string.

    Args:
      states: Array of bytes.
      table: int32 vector.
      indexes: int32 array of the shape of `states` and more dimensions, the row of each symbol.

    Returns:
      (states, symbols): an array of bytes of the shape of `states`, and an int32 array of that of
      `indexes`. Symbols are valid for their rows even where a string is corrupt.

    Raises:
      ValueError: if the table is malformed, or shapes or indexes are wrong.
    """
    rows = rows_of(table)
    length = _piece(states, indexes)
    symbols = np.empty(indexes.size, np.int32)
    after = np.empty(states.size, object)
    flat = indexes.reshape(-1)
    for n, state in enumerate(states.flat):
        after[n] = _decode_one(state, rows, flat, symbols, n * length, (n + 1) * length)
    return after.reshape(states.shape), symbols.reshape(indexes.shape)


def finish_decoding(states: np.ndarray) -> np.ndarray:
    """Checks that each string is what an encoder of the decoded symbols writes.

    Args:
      states: Array of bytes.

    Returns:
      Boolean array of the same shape.
    """
    whole = np.empty(states.size, bool)
    for n, state in enumerate(states.flat):
        _, position, span, value, corrupt = _unpacked(_DECODER, _DECODER_TAG, state)
        string = state[_DECODER.size : -len(_PADDING)]
        written = position - _DECODER.size - 4
        whole[n] = not corrupt and _ends_well(string, written, span, value)
    return whole.reshape(states.shape)


def _encode_one(
    state: bytes, rows: Rows, indexes: np.ndarray, symbols: np.ndarray, begin: int, end: int
) -> bytes:
    if begin == end:
        return state
    _, low, span = _unpacked(_ENCODER, _ENCODER_TAG, state)
    position = len(state) - _ENCODER.size
    out = bytearray(state[_ENCODER.size :])
    for first in range(begin, end, _CHUNK):
        stop = min(first + _CHUNK, end)
        run, _, on_arrays = loops(stop - first)
        table = rows.arrays if on_arrays else rows.lists
        chunk = [each[first:stop] for each in (indexes, symbols)]
        if not on_arrays:
            chunk = [each.tolist() for each in chunk]
        done, status = 0, kernels.BUFFER_FULL
        while status == kernels.BUFFER_FULL:
            # Most symbols take less than a byte. Kernels want room beyond.
            out += bytes(stop - first - done + 2 * kernels.ROOM)
            buffer = np.frombuffer(out, np.uint8) if on_arrays else out
            status, done, position, low, span = run(
                *table, *chunk, done, stop - first, buffer, position, low, span
            )
            del buffer  # for as long as it lives, `out` cannot grow
        if status != kernels.DONE:
            raise _refusal(status, rows, int(chunk[0][done]), int(chunk[1][done]))
        del out[position:]
    return _ENCODER.pack(_ENCODER_TAG, low, span) + out


def _decode_one(
    state: bytes, rows: Rows, indexes: np.ndarray, symbols: np.ndarray, begin: int, end: int
) -> bytes:
    if begin == end:
        return state
    _, *now = _unpacked(_DECODER, _DECODER_TAG, state)
    position, span, value, corrupt = now
    for first in range(begin, end, _CHUNK):
        stop = min(first + _CHUNK, end)
        _, run, on_arrays = loops(stop - first)
        chunk, found = indexes[first:stop], symbols[first:stop]
        if on_arrays:
            status, done, position, span, value, corrupt = run(
                *rows.arrays[:4],
                chunk,
                found,
                0,
                stop - first,
                np.frombuffer(state, np.uint8),
                position,
                span,
                value,
                corrupt,
            )
        else:
            listed = [0] * (stop - first)
            status, done, position, span, value, corrupt = run(
                *rows.lists[:4],
                chunk.tolist(),
                listed,
                0,
                stop - first,
                state,
                position,
                span,
                value,
                corrupt,
            )
            found[:] = listed
        if status != kernels.DONE:
            raise _refusal(status, rows, int(chunk[done]), 0)
    header = _DECODER.pack(_DECODER_TAG, position, span, value, corrupt)
    return header + state[_DECODER.size :]


def _refusal(status: int, rows: Rows, index: int, symbol: int) -> ValueError:
    """The error that a kernel's status stands for."""
    _, starts, sizes, _, escapes = rows.lists
    if status == kernels.BAD_INDEX:
        return ValueError(f"`indexes` must be in [0, {len(starts)}). Received: {index}")
    lower, upper = 0, sizes[index] - 1
    if escapes[index]:
        lower, upper = -kernels.LARGEST, kernels.LARGEST
    return ValueError(
        f"`symbols` must be in [{lower}, {upper}] for row {index} of the table. Received: {symbol}"
    )


def _piece(states: np.ndarray, indexes: np.ndarray) -> int:
    """The number of symbols for each state."""
    if indexes.shape[: states.ndim] != states.shape:
        raise ValueError(
            f"`indexes` must have a shape that begins with that of the state, {states.shape}. "
            f"Received: shape={indexes.shape}"
        )
    return int(np.prod(indexes.shape[states.ndim :], dtype=np.int64))


def _unpacked(header: struct.Struct, tag: bytes, state: bytes) -> tuple:
    if len(state) < header.size or not state.startswith(tag):
        verb = "encoding" if tag == _ENCODER_TAG else "decoding"
        raise ValueError(
            f"`state` must be one of {verb}. Received: a string that begins with {state[:4]!r}"
        )
    return header.unpack_from(state)


def _ended(written: bytes, low: int, span: int) -> bytes:
    """Appends what tells the interval from all others, in as few bytes as the format allows."""
    if low + span > _WHOLE:
        # The interval contains a number that needs no more bytes than are written.
        carried = int.from_bytes(written, "big") + 1
        return carried.to_bytes(len(written), "big").rstrip(b"\0")
    return written + _ending(low, span)


def _ending(low: int, span: int) -> bytes:
    """The ending of an interval without a carry: the shortest that lies in it."""
    if low == 0:
        return b""
    for length in (1, 2):
        shift = 32 - 8 * length
        number = -(-low >> shift)  # rounds up
        if number << shift < low + span:
            return number.to_bytes(length, "big")
    raise AssertionError("an interval of at least 2^16 contains a multiple of 2^16")


def _window(string: bytes, start: int) -> int:
    return int.from_bytes(string[start : start + 4].ljust(4, b"\0"), "big")


def _ends_well(string: bytes, written: int, span: int, value: int) -> bool:
    """Whether a string is `_ended`, as far as a decoder can know.

    Args:
      string: The string.
      written: How many bytes an encoder had written before it ended the string.
      span: Length of the interval.
      value: The four bytes after `written`, zeros past the end, less `low`.
    """
    low = (_window(string, written) - value) % _WHOLE
    if low + span > _WHOLE:
        # The carry is in the bytes before; zeros at their end are dropped.
        return len(string) <= written and not string.endswith(b"\0")
    return len(string) >= written and string[written:] == _ending(low, span)
