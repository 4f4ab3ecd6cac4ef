"""Which kernels run: numba's where it is installed and worth it."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from tests.range_coder.sources import (
    coder,
    from_strings,
    needs_numba,
    symbols,
    table,
    to_strings,
)
from tfsq.range_coder import compiled, use_backend

TABLE, SIZES = table(rows=16)


@pytest.fixture
def fresh(monkeypatch):
    """As in a process that has coded nothing."""
    for name, value in {"_symbols_so_far": 0, "_compiled": None, "_failure": None}.items():
        monkeypatch.setattr(compiled, name, value)


@needs_numba
def test_numba_does_as_plain_python():
    indexes, values = symbols(1, (2, 2, 5000), SIZES)
    with coder("plain"):
        strings = to_strings(TABLE, indexes, values, rank=2)
        expected = from_strings(TABLE, strings, indexes)
    with coder("numba"):
        assert np.array_equal(to_strings(TABLE, indexes, values, rank=2), strings)
        for found, plain in zip(from_strings(TABLE, strings, indexes), expected):
            assert np.array_equal(found, plain)


@needs_numba
def test_numba_takes_over_within_a_string(fresh, monkeypatch):
    monkeypatch.setattr("tfsq.range_coder.strings._CHUNK", 500)
    monkeypatch.setattr(compiled, "WORTH_IMPORTING", 1700)
    indexes, values = symbols(2, 3000, SIZES)
    with coder("plain"):
        expected = to_strings(TABLE, indexes, values)
    compiled._symbols_so_far = 0
    with use_backend("host"):
        assert np.array_equal(to_strings(TABLE, indexes, values), expected)
        assert compiled._compiled is not None
        compiled._symbols_so_far = 0
        assert np.array_equal(from_strings(TABLE, expected, indexes)[0], values)


def test_few_symbols_do_not_import_numba(fresh):
    assert not compiled.loops(compiled.WORTH_IMPORTING).on_arrays
    assert compiled._compiled is None
    assert compiled._failure is None


def test_plain_python_runs_where_numba_is_missing(fresh, monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    assert not compiled.loops(10 * compiled.WORTH_IMPORTING).on_arrays
    with pytest.raises(RuntimeError, match="numba cannot compile"), compiled.compiling(True):
        pass
    with compiled.compiling(False):
        assert not compiled.loops(10 * compiled.WORTH_IMPORTING).on_arrays


def test_plain_python_runs_where_numba_fails(fresh, monkeypatch):
    def fail(numba, cache):
        raise TypeError(f"no such type, with cache={cache}")

    monkeypatch.setitem(sys.modules, "numba", compiled)  # anything that is there
    monkeypatch.setattr(compiled, "_compile", fail)
    with pytest.warns(UserWarning, match="runs slowly without it: no such type, with cache=False"):
        assert not compiled.loops(10 * compiled.WORTH_IMPORTING).on_arrays
    assert not compiled.loops(1).on_arrays


@pytest.mark.parametrize("error", [ImportError("needs an older NumPy"), AttributeError("broken")])
def test_a_numba_that_cannot_be_imported_is_named(fresh, monkeypatch, error):
    class Broken:
        @staticmethod
        def find_spec(name, path=None, target=None):
            if name == "numba":
                raise error

    monkeypatch.delitem(sys.modules, "numba", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Broken, *sys.meta_path])
    with pytest.warns(UserWarning, match=f"runs slowly without it: {error}"):
        assert not compiled.loops(10 * compiled.WORTH_IMPORTING).on_arrays
    assert not compiled.loops(1).on_arrays


# The package alone: TensorFlow, and the rest of tfsq, would take the time.
ALONE = """
import importlib, sys, types
for name, folder in (("tfsq", "{tfsq}"), ("tfsq.range_coder", "{tfsq}/range_coder")):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [folder]
compiled = importlib.import_module("tfsq.range_coder.compiled")
with compiled.compiling(True):
    print(compiled.loops(1).on_arrays)
"""


@needs_numba
@pytest.mark.slow
def test_numba_runs_without_a_folder_for_its_cache(tmp_path):
    # `/dev/null` is no folder, so nothing can be made in it.
    environment = {**os.environ, "NUMBA_CACHE_DIR": "/dev/null/cache", "HOME": "/dev/null"}
    script = ALONE.format(tfsq=pathlib.Path(compiled.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "True\n", done.stderr
