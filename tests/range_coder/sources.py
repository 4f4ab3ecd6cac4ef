"""Tables and symbols for the tests of the range coder, from integers alone, so that no library's
version changes them."""

import contextlib
import importlib.util

import numpy as np
import pytest

from tfsq import range_coder
from tfsq.range_coder import compiled, with_tfc

needs_numba = pytest.mark.skipif(
    importlib.util.find_spec("numba") is None, reason="numba is not installed"
)
KERNELS = ["plain", pytest.param("numba", marks=needs_numba)]


def integers(seed, shape, bound):
    """Integers in [0, bound), by a generator of 64 bits."""
    number = np.arange(np.prod(shape, dtype=int), dtype=np.uint64) + np.uint64(seed << 32)
    for multiplier in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB):
        number = (number ^ (number >> np.uint64(29))) * np.uint64(multiplier)
    return ((number >> np.uint64(33)) % np.uint64(bound)).astype(np.int32).reshape(shape)


def row(seed, precision, intervals, escape=True):
    """A row with random counts of very different sizes."""
    total = 1 << precision
    places = set(integers(seed, 4 * intervals, total).tolist()) | set(range(1, intervals))
    inner = sorted(place for place in places if 0 < place < total)
    picked = np.argsort(integers(seed + 1, len(inner), 1 << 30), kind="stable")[: intervals - 1]
    return [-precision if escape else precision, 0, *sorted(inner[k] for k in picked), total]


def joined(rows):
    """One vector of the rows, and the number of symbols that each has an interval for."""
    return np.concatenate(rows).astype(np.int32), [len(each) - 2 - (each[0] < 0) for each in rows]


def table(seed=0, rows=64):
    """Rows of many precisions and lengths; every third has no escape."""
    made = []
    for n in range(rows):
        precision = 16 - n % 16  # not 2^p after p, which TFC cannot read
        intervals = 2 + int(integers(seed + n, 1, min(1 << precision, 300))[0])
        made.append(row(seed + 7 * n, precision, intervals, escape=n % 3 != 2))
    return joined(made)


def symbols(seed, shape, sizes, escapes=True):
    """(indexes, symbols): mostly within their rows, every 50th far outside if it may be."""
    indexes = integers(seed, shape, len(sizes))
    size = np.array(sizes)[indexes]
    values = integers(seed + 1, shape, 1 << 20) % np.maximum(size, 1)
    far = 1 << integers(seed + 2, shape, 30)
    far = np.minimum(far, 2**30 - 2) * (1 - 2 * integers(seed + 3, shape, 2))
    has_escape = indexes % 3 != 2
    outside = (size == 0) | (integers(seed + 4, shape, 50) == 0) & escapes
    return indexes, np.where(has_escape & outside, far, values).astype(np.int32)


@contextlib.contextmanager
def coder(name):
    """Within it, the backend "tfc", or the host's with "plain" or "numba" kernels."""
    if name == "tfc":
        if with_tfc.ops() is None:
            pytest.skip("TFC's ops are not installed")
        with range_coder.use_backend("tfc"):
            yield
    else:
        with range_coder.use_backend("host"), compiled.compiling(name == "numba"):
            yield


def to_strings(coding_table, indexes, values, rank=0):
    """Encodes at once; `rank` is that of the strings."""
    state = range_coder.start_encoding(np.shape(indexes)[:rank], coding_table)
    return range_coder.finish_encoding(range_coder.encode(state, coding_table, indexes, values))


def from_strings(coding_table, strings, indexes):
    """Decodes at once; returns (symbols, ok) as arrays."""
    state = range_coder.start_decoding(strings, coding_table, np.size(indexes))
    state, values = range_coder.decode(state, coding_table, indexes)
    return values.numpy(), range_coder.finish_decoding(state, strings).numpy()
