"""Strings that no encoder wrote: decoding ends, in bounded memory, and tells them from others."""

import time
import tracemalloc

import numpy as np
import pytest
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
from tfsq.range_coder import decode, finish_decoding, start_decoding

BACKENDS = ["plain", "tfc"]
# Of the processor, so that other processes do not count.
MOST_SECONDS = 5
TABLE, SIZES = table(rows=16)
# Wide intervals and few escapes, so that random strings decode to what an encoder could be given.
PLAIN, PLAIN_SIZES = joined([[8, 0, 100, 200, 256], [-16, 0, 30000, 65535, 65536], [1, 0, 1, 2]])


def damaged(strings, seed):
    """(strings, which each is of): a bit flipped, truncated, one byte longer, and by chance."""
    wrong, places = [], []
    for n, string in enumerate(strings):
        one, two, three = integers(seed + n, 3, 1 << 30).tolist()
        made = [string + bytes([three % 4]), bytes(integers(seed + n, two % 12, 256).tolist())]
        if string:
            flipped = bytearray(string)
            flipped[one % len(string)] ^= 1 << two % 8
            made += [bytes(flipped), string[: one % len(string)], string[:-1]]
        wrong += made
        places += [n] * len(made)
    return wrong, places


def same_verdicts(coding_table, strings, indexes):
    """Which of the strings both backends accept; they decode those to the same symbols."""
    found = []
    for name in BACKENDS:
        with coder(name):
            found.append(from_strings(coding_table, np.array(strings, object), indexes))
    (decoded, ok), (tfc_decoded, tfc_ok) = found
    assert np.array_equal(ok, tfc_ok)
    assert np.array_equal(decoded[ok], tfc_decoded[ok])
    return ok


def test_both_backends_accept_the_same_strings():
    refused = accepted = 0
    for seed, (coding_table, sizes) in enumerate([(TABLE, SIZES), (PLAIN, PLAIN_SIZES)]):
        for length in (0, 1, 2, 3, 5, 10, 40):
            indexes, values = symbols(length, (60, length), sizes, escapes=seed == 0)
            with coder("plain"):
                strings = to_strings(coding_table, indexes, values, rank=1).numpy()
            wrong, places = damaged(strings, 100 * length + seed)
            ok = same_verdicts(coding_table, wrong, indexes[places])
            refused, accepted = refused + np.sum(~ok), accepted + np.sum(ok)
    assert refused > 1000
    assert accepted > 100


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("tail", [b"", b"\0", b"\0" * 5000])
def test_escapes_that_never_end_are_corrupt(name, tail):
    # Without its padding, TFC's op would never return.
    table_of_escapes = [-1, 0, 1, 2]
    with coder(name):
        began = time.process_time()
        _, ok = from_strings(table_of_escapes, b"\x80" + tail, np.zeros(1000, np.int32))
        assert time.process_time() - began < MOST_SECONDS
    assert not ok


@pytest.mark.parametrize("kernels", KERNELS)
@given(string=st.binary(max_size=12), seed=st.integers(0, 99), length=st.integers(0, 12))
def test_accepted_are_the_strings_that_an_encoder_writes(kernels, string, seed, length):
    indexes = integers(seed, length, len(PLAIN_SIZES))
    with coder(kernels):
        decoded, ok = from_strings(PLAIN, string, indexes)
        again = to_strings(PLAIN, indexes, decoded).numpy()
        assert ok == (again == string)
        assert from_strings(PLAIN, again, indexes)[1]
        # The same symbols, for zeros follow a string anyhow.
        assert not from_strings(PLAIN, again + b"\0", indexes)[1]


@given(string=st.binary(max_size=40), seed=st.integers(0, 99))
def test_decoded_symbols_are_valid_for_their_rows(string, seed):
    indexes = integers(seed, 60, len(SIZES))
    with coder("plain"):
        decoded, _ = from_strings(TABLE, string, indexes)
        to_strings(TABLE, indexes, decoded)  # raises otherwise


@pytest.mark.parametrize("kernels", KERNELS)
def test_gammas_too_long_for_a_symbol_are_corrupt(kernels):
    # Bit by bit: an escape, zeros, a one and what follows.
    bits, escape = [1, 0, 1, 2], [-1, 0, 1, 2]
    coding_table = np.array(bits + escape, np.int32)
    for zeros in (28, 29, 30, 31, 32, 63, 64, 65, 500):
        ones = [1] * (zeros + 1)  # the rest of the gap, and the sign
        code = [1] + [0] * zeros + [1, *ones]
        with coder(kernels):
            string = to_strings(coding_table, [0] * len(code), code)
            decoded, ok = from_strings(coding_table, string, [1])
        if zeros < 29:
            assert decoded == [1 - 2 ** (zeros + 1)]
            assert ok
        else:
            assert decoded == [0]
            assert not ok


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize(
    "string",
    [b"", b"\0" * 50, b"\xff" * 50, b"\xff", b"\x80" * 999],
    ids=["empty", "zeros", "ones", "one byte", "long"],
)
def test_strings_are_read_past_their_ends(kernels, string):
    indexes = integers(1, 20_000, len(SIZES))
    with coder(kernels):
        began = time.process_time()
        decoded, ok = from_strings(TABLE, string, indexes)
        assert time.process_time() - began < MOST_SECONDS
    assert decoded.shape == (20_000,)
    assert not ok


def test_memory_does_not_depend_on_what_a_string_says():
    indexes = np.zeros(1000, np.int32)
    table_of_escapes, _ = joined([[-1, 0, 2]])
    with coder("plain"):
        start_decoding("", table_of_escapes, 1000)
        tracemalloc.start()
        for string in (b"", b"\0" * 100, b"\xff" * 100):
            from_strings(table_of_escapes, string, indexes)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 1 << 20


@pytest.mark.parametrize("kernels", KERNELS)
def test_corruption_is_remembered_from_piece_to_piece(kernels):
    with coder(kernels):
        state = start_decoding(b"\0" * 20, [-1, 0, 2], 4)
        state, _ = decode(state, [-1, 0, 2], [0])
        for _ in range(3):
            state, symbol = decode(state, [8, 0, 256], [0])
            assert symbol == 0
        assert not finish_decoding(state, b"\0" * 20)


def test_rows_of_one_interval_take_no_bytes():
    coding_table, _ = joined([row(1, 7, 1, escape=False)])
    with coder("plain"):
        assert to_strings(coding_table, [0] * 100, [0] * 100).numpy() == b""
        decoded, ok = from_strings(coding_table, b"", [0] * 100)
    assert not decoded.any()
    assert ok


@pytest.mark.slow
def test_both_backends_accept_the_same_strings_of_many():
    coding_table, sizes = table()
    for seed in range(200):
        indexes, values = symbols(seed, (100, 1 + seed % 30), sizes)
        with coder("plain"):
            strings = to_strings(coding_table, indexes, values, rank=1).numpy()
        wrong, places = damaged(strings, 1000 * seed)
        same_verdicts(coding_table, wrong, indexes[places])
