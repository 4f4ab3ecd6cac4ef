"""What decoding images as they are needed costs a training step, and what it saves in memory.

    python -m benchmarks.loading.run --measure ../shared/data/bsds500

Training steps of a mean-scale hyperprior, 32/48, on 4 crops of 128x128 of the 400 photographs of
BSDS500, alternating in one process: with all of them decoded before, as earlier builds had it, with
the cache, which holds them, and with a cache of size 0. Memory is the peak of a process that trains
on 2,000 synthetic JPEG files of 3 megapixels, 18 GB when they are decoded.

Writes `results/loading/steps.csv` and `memory.csv`, and `loading.md` from them alone.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from PIL import Image

from benchmarks import rows as tables
from benchmarks.speed.memory import own_peak
from benchmarks.speed.timing import in_turns, seconds_of
from tfsq import training
from tfsq.analysis import markdown
from tfsq.training import data

RESULTS = pathlib.Path("results/loading")
BEFORE, CACHED, NO_CACHE = "decoded before", "cache of 2 GiB", "no cache"
CROP, BATCH, STEPS, ROUNDS = 128, 4, 30, 11
FILES, SIZE, TRAINED = 2000, (2000, 1500), 400
DISTINCT = 16


def stepper(images):
    """What makes one training step on crops of these images."""
    tf.keras.utils.set_random_seed(0)
    model = training.build_model(training.TrainingSettings())
    crops = iter(training.crops_dataset(images, CROP, BATCH, seed=0))
    step = model.make_train_function()
    return lambda: step(crops)


def measure_steps(folder: pathlib.Path) -> list[dict]:
    """A row for each way and round."""
    paths = sorted((folder / "train").glob("*.jpg"))
    cached = training.training_images(paths, CROP)
    decoded = list(cached)
    ways = {BEFORE: decoded, CACHED: cached}
    ways[NO_CACHE] = training.training_images(paths, CROP, cache_size=0)
    steps = {name: stepper(images) for name, images in ways.items()}
    timed = {name: lambda s=step: seconds_of(s, STEPS) for name, step in steps.items()}
    found = in_turns(timed, ROUNDS)
    return [
        {"way": name, "round": turn, "ms": f"{1e3 * seconds:.2f}"}
        for name, times in found.items()
        for turn, seconds in enumerate(times)
    ]


def write_photographs(folder: pathlib.Path) -> None:
    """Smooth noise, as JPEG files; most are links, which training decodes and keeps like others."""
    rng = np.random.default_rng(0)
    for number in range(DISTINCT):
        small = rng.integers(256, size=(94, 125, 3), dtype=np.uint8)
        image = Image.fromarray(small).resize(SIZE, Image.BICUBIC)
        image.save(folder / f"{number:04d}.jpg", quality=80)
    for number in range(DISTINCT, FILES):
        os.link(folder / f"{number % DISTINCT:04d}.jpg", folder / f"{number:04d}.jpg")


def train_on(folder: pathlib.Path, cache_size: int) -> float:
    """Trains in this process; its peak in MB."""
    settings = training.TrainingSettings(
        num_filters=8, num_latents=12, steps=TRAINED, steps_per_epoch=TRAINED, batch_size=8
    )
    paths = sorted(folder.glob("*.jpg"))
    with tempfile.TemporaryDirectory() as run:
        training.train(paths, pathlib.Path(run, "run"), settings, cache_size=cache_size)
    return own_peak()


def measure_memory() -> list[dict]:
    """A row for each size of the cache."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        write_photographs(pathlib.Path(folder))
        for cache_size in (0, data.CACHE_SIZE):
            command = [sys.executable, "-m", "benchmarks.loading.run", "--train", folder]
            command += ["--cache-size", str(cache_size)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            peak = float(done.stdout.split()[-1])
            rows.append({"files": FILES, "cache_bytes": cache_size, "peak_mb": f"{peak:.0f}"})
    return rows


def report() -> str:
    """The tables."""
    times: dict[str, list[float]] = {}
    for row in tables.read(RESULTS / "steps.csv"):
        times.setdefault(row["way"], []).append(float(row["ms"]))
    lines = []
    for way, found in times.items():
        ratios = sorted(after / before for before, after in zip(times[BEFORE], found))
        low, _, high = statistics.quantiles(ratios, n=4)
        ratio = f"{statistics.median(ratios):.3f} ({low:.3f} to {high:.3f})"
        lines.append([way, f"{statistics.median(found):.1f}", ratio])
    steps = markdown(["images", "step, ms", "median ratio (quartiles)"], lines)
    memory = [
        [row["files"], f"{int(row['cache_bytes']) / 2**30:g} GiB", row["peak_mb"]]
        for row in tables.read(RESULTS / "memory.csv")
    ]
    return steps + "\n" + markdown(["files of 3 megapixels", "cache", "peak, MB"], memory)


def main() -> None:
    """Measures, if asked to, and writes the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--measure", type=pathlib.Path, help="Folder of BSDS500.")
    parser.add_argument("--train", type=pathlib.Path, help=argparse.SUPPRESS)
    parser.add_argument("--cache-size", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.train:
        print(train_on(arguments.train, arguments.cache_size))
        return
    if arguments.measure:
        tables.write(measure_steps(arguments.measure), RESULTS / "steps.csv")
        tables.write(measure_memory(), RESULTS / "memory.csv")
    (RESULTS / "loading.md").write_text(report())


if __name__ == "__main__":
    main()
