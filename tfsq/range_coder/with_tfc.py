"""The backend of tensorflow-compression's ops."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import sys
from typing import Any

import tensorflow as tf

from tfsq.range_coder.kernels import LARGEST
from tfsq.range_coder.refusals import refuse_unless

# Either has the ops; the latter has nothing else, and is for later versions of TensorFlow.
PACKAGES = ("tensorflow_compression", "tensorflow_compression_ops")

# What a symbol without an escape takes at most.
_BYTES_OF_A_SYMBOL = 2
_SOME_ZEROS = bytes(1024)


@functools.lru_cache(maxsize=1)
def ops() -> Any:
    """Imports the ops; None where no package that has them is installed.

    Raises:
      ImportError: if one is installed, but cannot be imported.
    """
    # Of a package that is imported already first: ops cannot be registered twice.
    for name in sorted(PACKAGES, key=lambda name: name not in sys.modules):
        if importlib.util.find_spec(name) is not None:
            return importlib.import_module(name)
    return None


def start_encoding(batch_shape, table):
    """As `tfsq.range_coder.start_encoding`, like all functions of this module."""
    # Here TFC does not raise, as its other ops do, but crash.
    some = tf.reduce_prod(batch_shape) > 0
    check = refuse_unless(some, "TFC does not code an empty batch. Received: shape=", batch_shape)
    with tf.control_dependencies(check):
        return ops().create_range_encoder(batch_shape, table)


def encode(state, table, indexes, symbols):
    """Appends a piece."""
    # TFC never returns when it is given a symbol that is much further out. The two reductions are
    # quicker than one of comparisons.
    least, most = tf.reduce_min(symbols), tf.reduce_max(symbols)
    check = refuse_unless(
        (tf.size(symbols) == 0) | ((least >= -LARGEST) & (most <= LARGEST)),
        f"`symbols` must be in [{-LARGEST}, {LARGEST}]. Received symbols from and to:",
        tf.stack([least, most]),
    )
    with tf.control_dependencies(check):
        return ops().entropy_encode_index(state, indexes, symbols)


def finish_encoding(state):
    """Returns the strings."""
    return ops().entropy_encode_finalize(state)


def start_decoding(strings, table, count):
    """Opens strings.

    Where an escape is followed by nothing but zeros, which a decoder reads past the end, TFC looks
    for a one for ever. So there is one, behind more zeros than `count` symbols take, and than
    escapes do whose codes began in the string: only an escape without an end gets there, and once.
    (A row of an escape alone would loop all the same: `make_table` makes none.)
    TFC's own check of the end then says nothing; instead, symbols are encoded again, and compared.
    """
    longest = tf.reduce_max(tf.concat([[0], tf.reshape(tf.strings.length(strings), [-1])], axis=0))
    zeros = tf.while_loop(
        lambda zeros: tf.strings.length(zeros) < _BYTES_OF_A_SYMBOL * (count + 1) + longest,
        lambda zeros: [tf.strings.join([zeros, zeros])],
        [tf.constant(_SOME_ZEROS)],
    )[0]
    encoder = start_encoding(tf.shape(strings), table)
    decoder = ops().create_range_decoder(tf.strings.join([strings, zeros, b"\x80"]), table)
    return tf.stack([decoder, encoder])


def decode(state, table, indexes):
    """Reads a piece."""
    piece = tf.shape(indexes)[tf.rank(state) - 1 :]
    decoder, symbols = ops().entropy_decode_index(state[0], indexes, piece, tf.int32)
    symbols.set_shape(indexes.shape)
    is_codable = (symbols >= -LARGEST) & (symbols <= LARGEST)
    encoder = ops().entropy_encode_index(state[1], indexes, tf.where(is_codable, symbols, 0))
    return tf.stack([decoder, encoder]), symbols


def finish_decoding(state, strings):
    """Checks the ends of the strings."""
    return tf.equal(ops().entropy_encode_finalize(state[1]), strings)
