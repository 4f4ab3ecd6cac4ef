"""Shapes, pieces, graphs and errors, of both backends."""

import numpy as np
import pytest
import tensorflow as tf

from tests.range_coder.sources import KERNELS, coder, from_strings, symbols, table, to_strings
from tfsq import range_coder
from tfsq.range_coder import (
    decode,
    encode,
    finish_decoding,
    finish_encoding,
    start_decoding,
    start_encoding,
)

BACKENDS = ["plain", "tfc"]
TABLE, SIZES = table(rows=16)


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("piece", [(), (0,), (7,), (3, 0), (2, 5)])
@pytest.mark.parametrize("batch", [(), (1,), (3,), (2, 3), (0,), (2, 0)])
def test_batches_and_pieces_of_any_shape(name, batch, piece):
    indexes, values = symbols(3, batch + piece, SIZES)
    with coder(name):
        if name == "tfc" and 0 in batch:
            with pytest.raises(tf.errors.InvalidArgumentError, match="empty batch"):
                start_encoding(batch, TABLE)
            with pytest.raises(tf.errors.InvalidArgumentError, match="empty batch"):
                start_decoding(tf.zeros(batch, tf.string), TABLE, 1)
            return
        state = start_encoding(batch, TABLE)
        assert state.shape == batch
        strings = finish_encoding(encode(state, TABLE, indexes, values))
        assert strings.shape == batch
        assert strings.dtype == tf.string
        state, decoded = decode(start_decoding(strings, TABLE, np.size(indexes)), TABLE, indexes)
        ok = finish_decoding(state, strings)
    assert decoded.dtype == tf.int32
    assert np.array_equal(decoded, values)
    assert ok.dtype == tf.bool
    assert ok.shape == batch
    assert np.all(ok)


@pytest.mark.parametrize("kernels", KERNELS)
def test_pieces_are_the_bytes_of_the_whole(kernels):
    indexes, values = symbols(4, (2, 3000), SIZES)
    with coder(kernels):
        strings = to_strings(TABLE, indexes, values, rank=1)
        edges = [0, 0, 1, 2, 3, 10, 100, 100, 2000, 2999, 3000]
        state = start_encoding([2], TABLE)
        for first, stop in zip(edges, edges[1:]):
            state = encode(state, TABLE, indexes[:, first:stop], values[:, first:stop])
        assert np.array_equal(finish_encoding(state), strings)
        state = start_decoding(strings, TABLE, 3000)
        for first, stop in zip(edges, edges[1:]):
            state, piece = decode(state, TABLE, indexes[:, first:stop])
            assert np.array_equal(piece, values[:, first:stop])
        assert np.all(finish_decoding(state, strings))


def test_host_codes_more_than_a_chunk(monkeypatch):
    monkeypatch.setattr("tfsq.range_coder.strings._CHUNK", 100)
    indexes, values = symbols(5, (2, 1234), SIZES)
    with coder("plain"):
        strings = to_strings(TABLE, indexes, values, rank=1)
        monkeypatch.undo()
        assert np.array_equal(strings, to_strings(TABLE, indexes, values, rank=1))
        monkeypatch.setattr("tfsq.range_coder.strings._CHUNK", 100)
        decoded, ok = from_strings(TABLE, strings, indexes)
    assert np.array_equal(decoded, values)
    assert np.all(ok)


def test_host_grows_its_buffer_for_escapes():
    indexes, values = np.zeros(3000, np.int32), np.full(3000, 2**30 - 2, np.int32)
    with coder("plain"):
        string = to_strings(TABLE, indexes, values)
        assert len(string.numpy()) > 2 * 3000 + 1000
        assert np.array_equal(from_strings(TABLE, string, indexes)[0], values)


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("batch", [None, 3])
def test_graphs_do_as_eager(name, batch):
    indexes, values = symbols(6, (3, 40), SIZES)
    vector = tf.TensorSpec([None], tf.int32)
    matrix = tf.TensorSpec([batch, None], tf.int32)

    @tf.function(input_signature=[vector, matrix, matrix])
    def write(coding_table, indexes, values):
        state = start_encoding(tf.shape(indexes)[:1], coding_table)
        assert state.shape.as_list() == [batch]
        return finish_encoding(encode(state, coding_table, indexes, values))

    @tf.function(input_signature=[tf.TensorSpec([batch], tf.string), vector, matrix])
    def read(strings, coding_table, indexes):
        state = start_decoding(strings, coding_table, tf.size(indexes))
        state, values = decode(state, coding_table, indexes)
        assert values.shape.as_list() == [batch, None]
        ok = finish_decoding(state, strings)
        assert ok.shape.as_list() == [batch]
        return values, ok

    with coder(name):
        strings = write(TABLE, indexes, values)
        assert np.array_equal(strings, to_strings(TABLE, indexes, values, rank=1))
        decoded, ok = read(strings, TABLE, indexes)
    assert np.array_equal(decoded, values)
    assert np.all(ok)


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("batch", [(), (3,)])
def test_states_pass_through_while_loops(name, batch):
    indexes, values = (tf.constant(each) for each in symbols(7, (25, *batch, 4), SIZES))

    # Not by AutoGraph, which warns under Python 3.13.
    def steps(step, *_):
        return step < 25

    def write_one(step, state):
        return step + 1, encode(state, TABLE, indexes[step], values[step])

    def read_one(step, state, found):
        state, piece = decode(state, TABLE, indexes[step])
        return step + 1, state, found.write(step, piece)

    @tf.function(autograph=False)
    def write():
        _, state = tf.while_loop(steps, write_one, (0, start_encoding(batch, TABLE)))
        assert state.shape == batch
        return finish_encoding(state)

    @tf.function(autograph=False)
    def read(strings):
        start = (0, start_decoding(strings, TABLE, 100), tf.TensorArray(tf.int32, 25))
        _, state, found = tf.while_loop(steps, read_one, start)
        return found.stack(), finish_decoding(state, strings)

    with coder(name):
        strings = write()
        state = start_encoding(batch, TABLE)
        for step in range(25):
            state = encode(state, TABLE, indexes[step], values[step])
        assert np.array_equal(strings, finish_encoding(state))
        decoded, ok = read(strings)
    assert np.array_equal(decoded, values)
    assert np.all(ok)


def test_host_state_may_be_used_twice():
    indexes, values = symbols(8, (2, 30), SIZES)
    with coder("plain"):
        state = encode(start_encoding([], TABLE), TABLE, indexes[0], values[0])
        alone = finish_encoding(state).numpy()
        longer = finish_encoding(encode(state, TABLE, indexes[1], values[1])).numpy()
        assert finish_encoding(state).numpy() == alone
        assert longer == to_strings(TABLE, indexes.ravel(), values.ravel()).numpy()
        state, _ = decode(start_decoding(longer, TABLE, 60), TABLE, indexes[0])
        for _ in range(2):
            after, decoded = decode(state, TABLE, indexes[1])
            assert np.array_equal(decoded, values[1])
            assert finish_decoding(after, longer)


def in_graph(function, *arguments):
    return tf.function(function)(*arguments)


def at_once(function, *arguments):
    return function(*arguments)


@pytest.mark.parametrize("run", [at_once, in_graph])
@pytest.mark.parametrize("name", BACKENDS)
def test_symbols_without_an_interval_or_an_escape_are_refused(name, run):
    with coder(name):
        for symbol in (-1, 2):
            state = start_encoding([], [3, 0, 3, 8])
            with pytest.raises(tf.errors.InvalidArgumentError, match=f"{symbol}"):
                run(encode, state, [3, 0, 3, 8], [0, 0], [1, symbol])


@pytest.mark.parametrize("run", [at_once, in_graph])
@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("index", [-1, 16, 2**31 - 1, -(2**31)])
def test_indexes_without_a_row_are_refused(name, run, index):
    with coder(name):
        with pytest.raises(tf.errors.InvalidArgumentError, match=f"{index}"):
            run(encode, start_encoding([], TABLE), TABLE, [0, index], [0, 0])
        with pytest.raises(tf.errors.InvalidArgumentError, match=f"{index}"):
            run(decode, start_decoding("abc", TABLE, 2), TABLE, [0, index])


MALFORMED = {
    "precision of 0": [0, 0, 1],
    "precision of 17": [17, 0, 1, 1 << 17],
    "smallest precision": [-(2**31), 0, 1],
    "does not begin at 0": [3, 1, 8],
    "does not rise": [3, 0, 5, 4, 8],
    "negative": [3, 0, -1, 8],
    "does not end": [3, 0, 5],
    "precision alone": [3],
    "end alone": [3, 8],
    "second row": [3, 0, 8, 4, 0, 8],
}


@pytest.mark.parametrize("run", [at_once, in_graph])
@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("wrong", MALFORMED.values(), ids=MALFORMED)
def test_malformed_tables_are_refused(name, run, wrong):
    with coder(name):
        with pytest.raises(tf.errors.InvalidArgumentError):
            run(lambda: finish_encoding(start_encoding([], wrong)))
        with pytest.raises(tf.errors.InvalidArgumentError):
            run(lambda: decode(start_decoding("", wrong, 1), wrong, [0])[1])


@pytest.mark.parametrize("run", [at_once, in_graph])
def test_host_refuses_what_tfc_does_not(run):
    with coder("plain"):
        state, reading = start_encoding([2], TABLE), start_decoding(["", ""], TABLE, 2)
        for wrong, message in [
            (lambda: start_encoding([], [3, 0, 4, 4, 8]), "`table` must have counts that rise"),
            (lambda: start_encoding([], [3, 0, 4, 8, 8]), "`table` must not have 8 after the row"),
            (lambda: start_encoding([], [[3, 0, 8]]), "`table` must be a vector"),
            (lambda: encode(state, TABLE, [0, 0, 0], [0, 0, 0]), "`indexes` must have a shape"),
            (lambda: encode(state, TABLE, [0, 0], [[0], [0]]), "`symbols` must be of the shape"),
            (lambda: decode(reading, TABLE, [0]), "`indexes` must have a shape"),
            (lambda: encode(reading, TABLE, [0, 0], [0, 0]), "`state` must be one of encoding"),
            (lambda: finish_decoding(state, ["", ""]), "`state` must be one of decoding"),
        ]:
            with pytest.raises(tf.errors.InvalidArgumentError, match=message):
                run(wrong)


@pytest.mark.parametrize("name", BACKENDS)
def test_other_dtypes_are_refused(name):
    with coder(name):
        state = start_encoding([], TABLE)
        with pytest.raises((TypeError, ValueError), match="int32"):
            encode(state, TABLE, [0], tf.constant([0.5]))


def test_backend_is_chosen_within_a_block():
    before = range_coder.backend()
    with range_coder.use_backend("host"):
        assert range_coder.backend() == "host"
    with pytest.raises(ZeroDivisionError), range_coder.use_backend("host"):
        raise ZeroDivisionError
    assert range_coder.backend() == before
    with pytest.raises(ValueError, match="`name` must be one of .*Received: 'gpu'"):
        range_coder.use_backend("gpu").__enter__()


def test_backend_is_the_host_without_ops(monkeypatch):
    monkeypatch.setattr("tfsq.range_coder.with_tfc.ops", lambda: None)
    monkeypatch.setattr("tfsq.range_coder.coding._chosen", None)
    assert range_coder.backend() == "host"
    with pytest.raises(ValueError, match="`name` must be 'host' where"):
        range_coder.use_backend("tfc").__enter__()


def test_backend_warns_of_ops_that_do_not_load(monkeypatch):
    def ops():
        raise tf.errors.NotFoundError(None, None, "undefined symbol")

    monkeypatch.setattr("tfsq.range_coder.with_tfc.ops", ops)
    monkeypatch.setattr("tfsq.range_coder.coding._chosen", None)
    with pytest.warns(UserWarning, match="undefined symbol"):
        assert range_coder.backend() == "host"
    with pytest.raises(ValueError, match="`name` must be 'host' where"):
        range_coder.use_backend("tfc").__enter__()
