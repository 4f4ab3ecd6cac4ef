"""The host writes what TFC's ops write, and each reads the other."""

import hashlib

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from tests.range_coder.sources import (
    KERNELS,
    coder,
    from_strings,
    integers,
    joined,
    row,
    symbols,
    table,
    to_strings,
)
from tfsq.range_coder import encode, start_encoding
from tfsq.range_coder import strings as host_strings


def assert_the_same(coding_table, indexes, values, kernels="plain", rank=0):
    """Encodes with TFC and the host, and decodes with each what the other wrote."""
    with coder("tfc"):
        expected = to_strings(coding_table, indexes, values, rank)
    with coder(kernels):
        found = to_strings(coding_table, indexes, values, rank)
        assert np.array_equal(found.numpy(), expected.numpy())
        decoded, ok = from_strings(coding_table, expected, indexes)
        assert np.array_equal(decoded, values)
        assert np.all(ok)
    with coder("tfc"):
        decoded, ok = from_strings(coding_table, found, indexes)
        assert np.array_equal(decoded, values)
        assert np.all(ok)


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("length", [100_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_long_strings(kernels, length):
    coding_table, sizes = table()
    assert_the_same(coding_table, *symbols(1, length, sizes), kernels)


@pytest.mark.parametrize("kernels", KERNELS)
def test_golden_bytes(kernels):
    # Of TFC 2.14.1, so that they are held to where it does not run.
    coding_table, sizes = table()
    indexes, values = symbols(5, (3, 20_000), sizes)
    with coder(kernels):
        strings = to_strings(coding_table, indexes, values, rank=1).numpy()
    digest = hashlib.sha256(b"|".join(strings)).hexdigest()
    assert digest == "07d64130f053d345f1edec9398fbbbb9847a0875132098042ee1a2fc3dc61719"


def test_golden_bytes_are_those_of_tfc():
    coding_table, sizes = table()
    assert_the_same(coding_table, *symbols(5, (3, 20_000), sizes), rank=1)


def ending(state):
    """Which of the ways to end a string this state will go, by the description of the format."""
    _, low, span = host_strings._unpacked(host_strings._ENCODER, host_strings._ENCODER_TAG, state)
    written = state[host_strings._ENCODER.size :]
    if low + span > 2**32:
        zeros = len(written) - len(host_strings._ended(written, low, span))
        return f"carry that drops {min(zeros, 2)} bytes or more"
    if low == 0:
        if not written:
            return "nothing is written"
        return "low is 0 after a zero" if written.endswith(b"\0") else "low is 0"
    return f"{len(host_strings._ending(low, span))} bytes"


ENDINGS = {
    "nothing is written",
    "low is 0",
    "low is 0 after a zero",
    "carry that drops 0 bytes or more",
    "carry that drops 1 bytes or more",
    "carry that drops 2 bytes or more",
    "1 bytes",
    "2 bytes",
}


def test_short_strings_with_every_ending():
    # Intervals of one half to 2^-16 at either end of the line make every ending likely.
    edges = [[precision, 0, 1, (1 << precision) - 1, 1 << precision] for precision in (2, 8, 16)]
    edges += [[-1, 0, 1, 2], [-16, 0, 1, 2**16], [16, 0, 2**16 - 1, 2**16], [8, 0, 255, 256]]
    edges += [row(3, 12, 40), row(4, 5, 9, escape=False)]
    coding_table, sizes = joined(edges)
    sizes = np.array(sizes)
    seen = set()
    for length in range(21):
        indexes = integers(length, (150, length), len(edges))
        values = integers(length + 50, indexes.shape, 1 << 20) % sizes[indexes]
        values[::5] = 0  # stays at the lower end of the line
        with coder("plain"):
            # Closes in on a number of one byte, the first of which have carries to the end.
            numbers = [bytes([n]) for n in range(2, 150, 3)]
            values[2::3] = from_strings(coding_table, numbers, indexes[2::3])[0]
            state = encode(start_encoding([150], coding_table), coding_table, indexes, values)
            seen |= {ending(each) for each in state.numpy()}
        assert_the_same(coding_table, indexes, values, rank=1)
    assert seen == ENDINGS


@pytest.mark.parametrize("precision", range(1, 17))
def test_precisions(precision):
    rows = [
        row(precision + n, precision, 1 + int(integers(n, 1, min(1 << precision, 1000))[0]), n < 4)
        for n in range(6)
    ]
    coding_table, sizes = joined(rows)
    sizes = np.array(sizes)
    indexes = integers(precision, (4, 500), len(rows))
    values = integers(9, indexes.shape, 1 << 20) % np.maximum(sizes[indexes], 1)
    values = np.where((indexes < 4) & (integers(8, values.shape, 9) == 0), -5 - values, values)
    assert_the_same(coding_table, indexes, values.astype(np.int32), rank=1)


@st.composite
def inputs(draw):
    """(table, indexes, symbols) of one string."""
    rows = []
    for _ in range(draw(st.integers(1, 4))):
        precision = draw(st.integers(1, 16))
        total = 1 << precision
        escape = draw(st.booleans()) or (bool(rows) and rows[-1][-1] == precision)
        inner = draw(st.sets(st.integers(1, total - 1), min_size=int(escape), max_size=8))
        rows.append([-precision if escape else precision, 0, *sorted(inner), total])
    indexes, values = [], []
    for _ in range(draw(st.integers(0, 40))):
        index = draw(st.integers(0, len(rows) - 1))
        size = len(rows[index]) - 2 - (rows[index][0] < 0)
        inside = st.integers(0, max(size - 1, 0))
        far = st.integers(2 - 2**30, 2**30 - 2)
        indexes.append(index)
        values.append(draw(st.one_of(inside, far) if rows[index][0] < 0 else inside))
    return joined(rows)[0], np.array(indexes, np.int32), np.array(values, np.int32)


@given(inputs=inputs())
def test_any_symbols_come_back(inputs):
    coding_table, indexes, values = inputs
    with coder("plain"):
        string = to_strings(coding_table, indexes, values)
        decoded, ok = from_strings(coding_table, string, indexes)
    assert np.array_equal(decoded, values)
    assert ok


@given(inputs=inputs())
def test_any_symbols_are_the_bytes_of_tfc(inputs):
    assert_the_same(*inputs)


@pytest.mark.parametrize("name", ["tfc", *KERNELS])
@pytest.mark.parametrize("size", [1, 3])
def test_largest_symbols(name, size):
    coding_table = np.array([-4, *range(size + 1), 16], np.int32)
    values = [2**30 - 2, 2 - 2**30, size, -1, 2**29, -(2**29), 0]
    with coder(name):
        string = to_strings(coding_table, [0] * len(values), values)
        decoded, ok = from_strings(coding_table, string, [0] * len(values))
        assert decoded.tolist() == values
        assert ok
        for value in (2**30 - 1, 1 - 2**30, 2**31 - 1, -(2**31)):
            with pytest.raises(tf.errors.InvalidArgumentError, match="`symbols` must be in"):
                to_strings(coding_table, [0, 0], [0, value])
