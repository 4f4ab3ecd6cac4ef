"""The range coder, whichever backend does the work."""

from __future__ import annotations

import contextlib
import types
import warnings
from collections.abc import Iterator

import tensorflow as tf

from tfsq.range_coder import host, with_tfc

_BACKENDS = ("tfc", "host")
_chosen: str | None = None


def backend() -> str:
    """Says which backend codes: "tfc" for tensorflow-compression's ops, or "host".

    The ops are taken where `tensorflow_compression` or `tensorflow_compression_ops` is installed.
    Both backends write the same bytes. A `tf.function` keeps the one that it was traced with.
    """
    global _chosen
    if _chosen is None:
        try:
            _chosen = "host" if with_tfc.ops() is None else "tfc"
        except Exception as error:  # TensorFlow raises more than ImportError for libraries
            warnings.warn(
                "TensorFlow Compression is installed, but cannot be imported; the range coder runs "
                f"without it: {error}",
                stacklevel=2,
            )
            _chosen = "host"
    return _chosen


@contextlib.contextmanager
def use_backend(name: str) -> Iterator[None]:
    """Within it, coding uses this backend; a state needs the backend that made it.

    Args:
      name: "tfc" or "host".

    Raises:
      ValueError: if `name` is neither, or "tfc" where its ops cannot be imported.
    """
    global _chosen
    if name not in _BACKENDS:
        raise ValueError(f"`name` must be one of {_BACKENDS}. Received: {name!r}")
    if name == "tfc" and not _has_ops():
        raise ValueError(
            f"`name` must be 'host' where none of {with_tfc.PACKAGES} can be imported. "
            f"Received: {name!r}"
        )
    before, _chosen = _chosen, name
    try:
        yield
    finally:
        _chosen = before


def start_encoding(batch_shape, table):
    """Opens one string for each element of a batch, to be written piece by piece.

    A table is rows of int32, one after the other: (precision, 0, ..., 2^|precision|), where the
    counts between 0 and 2^|precision| say how wide each symbol's interval is. A negative precision
    makes the last interval an escape, by which a row codes every symbol of a size up to 2^30 - 2
    (`tfsq.range_coder.make_table`).

    Example:

    >>> from tfsq.range_coder import make_table
    >>> table = make_table([[0.2, 0.5, 0.2, 0.1]], precision=12)
    >>> state = start_encoding([], table)
    >>> state = encode(state, table, [0, 0, 0, 0], [1, 1, 2, -7])
    >>> string = finish_encoding(state)
    >>> state, symbols = decode(start_decoding(string, table, 4), table, [0, 0, 0, 0])
    >>> symbols.numpy().tolist()
    [1, 1, 2, -7]
    >>> bool(finish_decoding(state, string))
    True

    Args:
      batch_shape: Integer tensor or sequence, the shape of the strings.
      table: int32 vector.

    Returns:
      The state for `encode`: a tensor of that shape, of strings (host) or variants (TFC).

    Raises:
      tf.errors.InvalidArgumentError: if the table is malformed, or the batch is empty and coded by
        TFC, which codes no empty batch.
    """
    return _module().start_encoding(tf.cast(batch_shape, tf.int32), _int32(table))


def encode(state, table, indexes, symbols):
    """Appends a piece to each string.

    Args:
      state: What `start_encoding` or the last call returned. The host leaves it as it was; TFC
        appends to it.
      table: int32 vector, as of `start_encoding`.
      indexes: int32 tensor of shape batch_shape + [...piece], the row of each symbol.
      symbols: int32 tensor of the same shape. 0 to m - 1 are a row's own, where it has m intervals
        beside the escape; others of a size up to 2^30 - 2 are escaped.

    Returns:
      The state for the next call.

    Raises:
      tf.errors.InvalidArgumentError: if an index is out of range, a symbol exceeds 2^30 - 2 in
        size, or its row has neither an interval for it nor an escape.
    """
    return _module().encode(state, _int32(table), _int32(indexes), _int32(symbols))


def finish_encoding(state):
    """Returns the strings.

    Args:
      state: What the last call of `encode` returned.

    Returns:
      String tensor of shape batch_shape.
    """
    return _module().finish_encoding(state)


def start_decoding(strings, table, count):
    """Opens strings that were written piece by piece, or at once.

    Args:
      strings: String tensor.
      table: int32 vector, as of `start_encoding`.
      count: Integer, or integer tensor: how many symbols will be decoded of each string, or more.

    Returns:
      The state for `decode`.

    Raises:
      tf.errors.InvalidArgumentError: if the table is malformed.
    """
    strings, count = tf.convert_to_tensor(strings, tf.string), _int32(count)
    return _module().start_decoding(strings, _int32(table), count)


def decode(state, table, indexes):
    """Reads the next piece of each string.

    The host takes no longer for a corrupt string, and gives symbols that are valid for their rows;
    `finish_decoding` tells. TFC never returns from a string that ends within the code of an escaped
    symbol and leaves nothing but zeros to read.

    Args:
      state: What `start_decoding` or the last call returned. The host leaves it as it was; TFC
        moves on in it.
      table: int32 vector, as of `start_encoding`.
      indexes: int32 tensor of shape batch_shape + [...piece], the row of each symbol.

    Returns:
      (state, symbols): the state for the next call, and an int32 tensor of the shape of `indexes`.

    Raises:
      tf.errors.InvalidArgumentError: if an index is out of range.
    """
    return _module().decode(state, _int32(table), _int32(indexes))


def finish_decoding(state, strings):
    """Checks that strings are those that an encoder writes for what was decoded.

    Args:
      state: What the last call of `decode` returned.
      strings: What `start_decoding` was given.

    Returns:
      Boolean tensor of the shape of the strings.
    """
    return _module().finish_decoding(state, tf.convert_to_tensor(strings, tf.string))


def _module() -> types.ModuleType:
    return with_tfc if backend() == "tfc" else host


def _has_ops() -> bool:
    try:
        return with_tfc.ops() is not None
    except Exception:
        return False


def _int32(values):
    return tf.convert_to_tensor(values, tf.int32)
