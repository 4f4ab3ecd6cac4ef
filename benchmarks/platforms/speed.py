"""Times of the platforms, each in a process of its own, in turns.

    python -m benchmarks.platforms.speed --python PATH

A mean-scale hyperprior of 128/192: a training step of 8 crops of 128x128, and the coding of a
photograph of 768x512, with latents that have as many symbols as trained ones have. `PATH` is a
Python with TensorFlow 2.21, numba and what tfsq requires, as `benchmarks.platforms.run
--environments` makes. Writes `results/platforms/speed.csv`, and from it alone, without an argument,
`results/platforms/speed.md`.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import subprocess
import sys

import numpy as np

from benchmarks import rows as tables
from benchmarks.speed.timing import seconds_of

RESULTS = pathlib.Path("results/platforms")
ROUNDS, REPEATS = 3, 5
OLD, NEW, PLAIN = "TensorFlow 2.14", "TensorFlow 2.21", "TensorFlow 2.21, without numba"
_CALLED, _STEP = "measured: ", "training step"


def timed(function) -> float:
    """Median seconds of a few calls, after one that traces."""
    function()
    return float(np.median([seconds_of(function) for _ in range(REPEATS)]))


def measure(with_numba: bool) -> dict[str, float]:
    """Seconds of each work, in this process."""
    import tensorflow as tf

    from benchmarks.corpus import enlarge_kernels
    from tests.photographs import photograph
    from tfsq import codec, range_coder
    from tfsq.architectures import MeanScaleHyperprior
    from tfsq.range_coder import compiled

    tf.keras.utils.set_random_seed(1)
    model = MeanScaleHyperprior(128, 192)
    model.compile(tf.keras.optimizers.Adam(1e-5), lmbda=0.01)
    crops = tf.random.uniform([8, 128, 128, 3], 0.0, 255.0)
    step = tf.function(lambda: model.train_step(crops))
    found = {_STEP: timed(step)}
    enlarge_kernels(model)
    image = np.resize(photograph(), (512, 768, 3))
    coding = codec.as_codec(model)
    if range_coder.backend() == "host":
        with compiled.compiling(with_numba):
            return {**found, **_coding(codec, coding, image)}
    return {**found, **_coding(codec, coding, image)}


def _coding(codec, coding, image) -> dict[str, float]:
    data = codec.compress(image, coding)
    return {
        "compress": timed(lambda: codec.compress(image, coding)),
        "decompress": timed(lambda: codec.decompress(data, coding)),
    }


def in_process(python: str, *arguments: str) -> dict[str, float]:
    """Calls `measure` with a Python."""
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(pathlib.Path.cwd())}
    command = [python, "-m", "benchmarks.platforms.speed", "--here", *arguments]
    done = subprocess.run(command, check=True, env=quiet, capture_output=True, text=True)
    line = next(line for line in done.stdout.splitlines() if line.startswith(_CALLED))
    return json.loads(line.removeprefix(_CALLED))


def table(rows: list[dict]) -> str:
    """Median times, and ratios to TensorFlow 2.14."""
    from tfsq.analysis import markdown

    def median(platforms, work) -> float:
        found = [row for row in rows if row["platform"] in platforms and row["work"] == work]
        return float(np.median([float(row["seconds"]) for row in found]))

    lines = []
    for work in dict.fromkeys(row["work"] for row in rows):
        # A training step codes nothing: it is the same with numba and without.
        newer = {name: (NEW, PLAIN) if work == _STEP else (name,) for name in (NEW, PLAIN)}
        times = {name: median(newer.get(name, (name,)), work) for name in (OLD, NEW, PLAIN)}
        shown = [f"{1000 * seconds:.0f}" for seconds in times.values()]
        ratios = [f"{times[platform] / times[OLD]:.2f}" for platform in (NEW, PLAIN)]
        lines.append([work, *shown, *ratios])
    columns = [f"{name}, ms" for name in (OLD, NEW, PLAIN)]
    return markdown(["128/192", *columns, "ratio with numba", "ratio without"], lines)


def main() -> None:
    """Measures if it is given a Python, and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", metavar="COMMAND", help="Of the environment of 3.13.")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--without-numba", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.here:
        print(_CALLED + json.dumps(measure(not arguments.without_numba)))
        return
    if arguments.python:
        newer = arguments.python
        rows = []
        for turn in range(ROUNDS):
            for platform, call in (
                (OLD, (sys.executable,)),
                (NEW, (newer,)),
                (PLAIN, (newer, "--without-numba")),
            ):
                for work, seconds in in_process(*call).items():
                    rows.append(dict(turn=turn, platform=platform, work=work, seconds=seconds))
        tables.write(rows, RESULTS / "speed.csv")
    (RESULTS / "speed.md").write_text(table(tables.read(RESULTS / "speed.csv")))


if __name__ == "__main__":
    main()
