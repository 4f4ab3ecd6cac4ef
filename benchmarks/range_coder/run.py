"""How quick the range coder is: TFC's ops, the host's loops under numba, and under plain Python.

    python -m benchmarks.range_coder.run --measure

Codes symbols of 64 Gaussians, some of them outliers, as one string and in pieces as a serial
network does, alternating in one process. Then starts processes that load what numba compiled, and
that compile it.

Writes `results/range_coder/PLATFORM.csv`, and `table.md` from the CSV files of all platforms.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

from benchmarks import rows as tables
from benchmarks.speed.timing import in_turns, seconds_of
from tfsq import range_coder
from tfsq.range_coder import compiled

RESULTS = pathlib.Path("results/range_coder")
TFC, NUMBA, PLAIN = "TFC's ops", "host, numba", "host, plain Python"
SYMBOLS, PIECES, PIECE, ROUNDS = 300_000, 100, 192, 7

# What a process takes to have the compiled kernels, in the module alone.
LOAD = """
import importlib, sys, time, types
for name, folder in (("tfsq", "{tfsq}"), ("tfsq.range_coder", "{tfsq}/range_coder")):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [folder]
import numpy
compiled = importlib.import_module("tfsq.range_coder.compiled")
began = time.perf_counter()
with compiled.compiling(True):
    print(time.perf_counter() - began)
"""


def gaussians() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(table, indexes, symbols), with an outlier in a thousand."""
    random = np.random.default_rng(0)
    scales = np.exp(np.linspace(np.log(0.11), np.log(64), 64))
    ends = np.ceil(4 * scales).astype(int)
    pmfs = []
    for scale, end in zip(scales, ends):
        density = np.exp(-0.5 * (np.arange(-end, end + 1) / scale) ** 2)
        pmfs.append(np.append(density / density.sum(), 2.0**-12))
    indexes = random.integers(0, 64, SYMBOLS)
    symbols = np.round(random.normal(size=SYMBOLS) * scales[indexes])
    symbols += random.integers(-9999, 9999, SYMBOLS) * (random.random(SYMBOLS) < 0.001)
    symbols += ends[indexes]
    return range_coder.make_table(pmfs, 16), indexes.astype(np.int32), symbols.astype(np.int32)


@contextlib.contextmanager
def coding(way: str) -> Iterator[None]:
    """Within it, the range coder works in this way."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(range_coder.use_backend("tfc" if way == TFC else "host"))
        stack.enter_context(compiled.compiling(way == NUMBA))
        yield


def ways() -> list[str]:
    """Those that this environment has."""
    numba = [NUMBA] if importlib.util.find_spec("numba") else []
    return ([TFC] if range_coder.backend() == "tfc" else []) + numba + [PLAIN]


def whole(way: str, table, indexes, symbols) -> dict:
    """What encodes, and what decodes, one string."""

    def encode():
        with coding(way):
            state = range_coder.start_encoding([], table)
            state = range_coder.encode(state, table, indexes, symbols)
            return range_coder.finish_encoding(state)

    string = encode()

    def decode():
        with coding(way):
            state = range_coder.start_decoding(string, table, len(symbols))
            state, decoded = range_coder.decode(state, table, indexes)
            assert range_coder.finish_decoding(state, string)
            return decoded

    assert np.array_equal(decode(), symbols)
    return {"encode": encode, "decode": decode}


def serial(way: str, table, indexes, symbols) -> dict:
    """What encodes, and what decodes, one string piece by piece in a graph."""
    indexes, symbols = (
        tf.constant(each[: PIECES * PIECE].reshape(PIECES, PIECE)) for each in (indexes, symbols)
    )

    def going_on(step, *_):
        return step < PIECES

    @tf.function(autograph=False)
    def encode():
        def one(step, state):
            return step + 1, range_coder.encode(state, table, indexes[step], symbols[step])

        start = (0, range_coder.start_encoding([], table))
        return range_coder.finish_encoding(tf.while_loop(going_on, one, start)[1])

    @tf.function(autograph=False)
    def decode(string):
        def one(step, state, found):
            state, piece = range_coder.decode(state, table, indexes[step])
            return step + 1, state, found.write(step, piece)

        state = range_coder.start_decoding(string, table, PIECES * PIECE)
        start = (0, state, tf.TensorArray(tf.int32, PIECES))
        _, state, found = tf.while_loop(going_on, one, start)
        return found.stack(), range_coder.finish_decoding(state, string)

    def within(function, *arguments):
        with coding(way):
            return function(*arguments)

    string = within(encode)
    decoded, ok = within(decode, string)
    assert ok
    assert np.array_equal(decoded, symbols)
    return {"encode": lambda: within(encode), "decode": lambda: within(decode, string)}


def measure() -> list[dict]:
    """A row for each work and way."""
    table, *data = gaussians()
    table = tf.constant(table)
    names, rows = ways(), []
    for work, make, count in (
        ("one string", whole, SYMBOLS),
        (f"pieces of {PIECE}", serial, PIECES * PIECE),
    ):
        made = {way: make(way, table, *data) for way in names}
        for verb in ("encode", "decode"):
            found = in_turns(
                {way: lambda w=made[way][verb]: seconds_of(w) for way in names}, ROUNDS
            )
            for way, seconds in found.items():
                rows.append(row(work, verb, way, count / statistics.median(seconds) / 1e6))
    if NUMBA in names:
        rows += [row("start", *timed) for timed in loading()]
    return rows


def row(work: str, verb: str, way: str, figure: float) -> dict:
    """One row of the CSV file: million symbols a second, or seconds of a start."""
    return {
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "machine": f"{os.cpu_count()} x {platform.machine()}",
        "work": work,
        "verb": verb,
        "way": way,
        "figure": f"{figure:.3g}",
    }


def loading() -> Iterator[tuple[str, str, float]]:
    """Seconds until numba's kernels run, of the first process and of later ones."""
    script = LOAD.format(tfsq=pathlib.Path(compiled.__file__).parents[1])
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "NUMBA_CACHE_DIR": cache}

        def start() -> float:
            command = [sys.executable, "-c", script]
            return float(subprocess.check_output(command, env=environment, text=True))

        yield "compile", NUMBA, start()
        yield "load", NUMBA, statistics.median(start() for _ in range(5))


def here() -> str:
    """Names this platform."""
    return f"{sys.platform}-python{platform.python_version()}-tensorflow{tf.__version__}"


def table_of(folder: pathlib.Path) -> str:
    """The figures of all platforms in Markdown."""
    lines = [
        "Million symbols a second:",
        "",
        "| Python, TensorFlow | work | coder | encode | decode |",
        "| --- | --- | --- | --- | --- |",
    ]
    starts = []
    for file in sorted(folder.glob("*.csv")):
        rows = tables.read(file)
        place = "{python}, {tensorflow}".format(**rows[0])
        figures = {(row["work"], row["way"], row["verb"]): row["figure"] for row in rows}
        for work, way in dict.fromkeys(key[:2] for key in figures if key[0] != "start"):
            pair = " | ".join(figures[work, way, verb] for verb in ("encode", "decode"))
            lines.append(f"| {place} | {work} | {way} | {pair} |")
        if ("start", NUMBA, "load") in figures:
            pair = " | ".join(figures["start", NUMBA, verb] for verb in ("compile", "load"))
            starts.append(f"| {place} | {pair} |")
    lines += [
        "",
        f"Seconds until numba runs, which begins after {compiled.WORTH_IMPORTING:,} symbols:",
        "",
        "| Python, TensorFlow | first process, compiles | later ones |",
        "| --- | --- | --- |",
        *starts,
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measures where asked to, and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--measure", action="store_true", help="measure this environment first")
    if parser.parse_args().measure:
        tables.write(measure(), RESULTS / f"{here()}.csv")
    text = table_of(RESULTS)
    (RESULTS / "table.md").write_text(text)
    print(text, end="")


if __name__ == "__main__":
    main()
