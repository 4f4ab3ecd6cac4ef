"""Whether a long run stays calm: bits of every batch, with Adam's epsilon and with Muon.

    python -m benchmarks.recipe.stability --data ../shared/data/bsds500

A low rate and many latents, most of which are always zero: what predicts them has gradients of next
to nothing. Counts the batches that take more than three times the bits of the median, and looks for
the photograph that is coded worst. Resumable: writes `results/recipe/stability.csv`, and
`stability.md` from it alone.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import csv
import json
import os
import pathlib
import subprocess
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

from benchmarks.recipe import recipes, run
from tfsq.analysis import markdown
from tfsq.training import crops_dataset, training_images

RESULTS = pathlib.Path("results/recipe")
LMBDA, STEPS, WARM_UP, SPIKE = 0.0015, 10_000, 1000, 3.0
NETWORK = {"num_latents": 96, "hyper_width": 64}
ARMS = {
    "Adam, 2e-3, epsilon 1e-7": {"optimizer": "adam", "learning_rate": 2e-3, "epsilon": 1e-7},
    "Adam, 2e-3, epsilon 1e-6": {"optimizer": "adam", "learning_rate": 2e-3, "epsilon": 1e-6},
    "Adam, 2e-3, epsilon 1e-5": {"optimizer": "adam", "learning_rate": 2e-3},
    "Muon, 2e-3, epsilon 1e-5": {"learning_rate": 2e-3},
    "Muon, 4e-3, epsilon 1e-5": {},
}


class EveryBatch(tf.keras.callbacks.Callback):
    """Bits per pixel of each batch, from the running means that Keras logs."""

    def __init__(self):
        super().__init__()
        self.sums = [0.0]

    def on_train_batch_end(self, batch, logs=None):
        self.sums.append(logs["bpp"] * (batch + 1))

    def values(self) -> np.ndarray:
        """Of all batches."""
        return np.diff(self.sums)


def trained(arm: str, seed: int, data: pathlib.Path) -> dict:
    """Trains and measures one run."""
    recipe = recipes.Recipe(arm, **NETWORK, **ARMS[arm])
    images = training_images(sorted((data / "train").glob("*.jpg")), recipe.crop_size)
    model = recipes.compiled(recipe, LMBDA, STEPS, seed)
    batches = EveryBatch()
    crops = crops_dataset(images, recipe.crop_size, recipe.batch_size, seed)
    model.fit(crops, steps_per_epoch=STEPS, verbose=0, callbacks=[batches])
    bpp = batches.values()[WARM_UP:]
    held_out = [model.rate_distortion(x[np.newaxis], training=False) for x in run.validation(data)]
    found = {name: [float(values[name][0]) for values in held_out] for name in ("bpp", "loss")}
    return {
        "arm": arm,
        "seed": seed,
        "median_bpp": float(np.median(bpp)),
        "most_bpp": float(bpp.max()),
        "spikes": int(np.sum(bpp > SPIKE * np.median(bpp))),
        "loss": float(np.mean(found["loss"])),
        "worst_bpp": max(found["bpp"]),
    }


def perform_missing(file: pathlib.Path, data: pathlib.Path, seeds) -> None:
    """Trains what is not in the CSV file, two runs at a time."""
    rows = read(file)
    done = {(row["arm"], row["seed"]) for row in rows}
    todo = [(arm, seed) for seed in seeds for arm in ARMS if (arm, str(seed)) not in done]

    def perform(job):
        command = [sys.executable, "-m", "benchmarks.recipe.stability", "--data", str(data)]
        done = subprocess.run(
            [*command, "--single", json.dumps(job)],
            check=True,
            env={**os.environ, **run.ONE_THREAD},
            stdout=subprocess.PIPE,
            text=True,
        )
        with run.WRITING:
            rows.append(json.loads(done.stdout.splitlines()[-1]))
            write(rows, file)
        print(rows[-1], flush=True)

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(perform, todo))


def read(file: pathlib.Path) -> list[dict]:
    """The runs that are measured already."""
    if not file.exists():
        return []
    with file.open(newline="") as opened:
        return list(csv.DictReader(opened))


def write(rows: list[dict], file: pathlib.Path) -> None:
    """Writes the CSV file, whole or not at all."""
    unfinished = file.with_suffix(".unfinished")
    with unfinished.open("w", newline="") as opened:
        writer = csv.DictWriter(opened, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    os.replace(unfinished, file)


def table(rows: list[dict]) -> str:
    """A row for every run."""
    columns = ["recipe", "seed", "bits per pixel of a batch, median", "most", "spikes"]
    columns += ["loss of 24 photographs", "bits per pixel of the worst"]
    names = ("median_bpp", "most_bpp", "spikes", "loss", "worst_bpp")
    form = {"spikes": "{:.0f}", "loss": "{:.4f}"}
    lines = [
        [row["arm"], row["seed"], *(form.get(n, "{:.3f}").format(float(row[n])) for n in names)]
        for arm in ARMS
        for row in rows
        if row["arm"] == arm
    ]
    return markdown(columns, lines)


def main() -> None:
    """Trains what is missing, and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=pathlib.Path, help="Has train/ and validation/.")
    parser.add_argument("--seeds", type=int, nargs="*", default=(0,))
    parser.add_argument("--single", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.single:
        print(json.dumps(trained(*json.loads(arguments.single), arguments.data)))
        return
    if arguments.data:
        perform_missing(RESULTS / "stability.csv", arguments.data, arguments.seeds)
    rows = read(RESULTS / "stability.csv")
    if rows:
        (RESULTS / "stability.md").write_text(table(rows))


if __name__ == "__main__":
    main()
