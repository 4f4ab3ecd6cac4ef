"""Whether a long run stays calm: bits of every batch, with Adam's epsilon and with Muon.

    python -m benchmarks.recipe.stability --data ../shared/data/bsds500

A low rate and many latents, most of which are always zero: what predicts them has gradients of next
to nothing. Counts the batches that take more than three times the bits of the median, and looks for
the photograph that is coded worst. Resumable: writes `results/recipe/stability.csv`, and
`stability.md` from it alone.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

from benchmarks.recipe import recipes, run
from tfsq.analysis import markdown
from tfsq.training import crops_dataset, training_images

RESULTS, CSV = pathlib.Path("results/recipe"), "stability.csv"
LMBDA, STEPS, WARM_UP, SPIKE = 0.0015, 10_000, 1000, 3.0
NETWORK = {"num_latents": 96, "hyper_width": 64}
RECIPES = (
    recipes.Recipe("Adam, 2e-3, epsilon 1e-7", optimizer="adam", learning_rate=2e-3, epsilon=1e-7),
    recipes.Recipe("Adam, 2e-3, epsilon 1e-6", optimizer="adam", learning_rate=2e-3, epsilon=1e-6),
    recipes.Recipe("Adam, 2e-3, epsilon 1e-5", optimizer="adam", learning_rate=2e-3),
    recipes.Recipe("Muon, 2e-3, epsilon 1e-5", learning_rate=2e-3),
    recipes.Recipe("Muon, 4e-3, epsilon 1e-5"),
)


@dataclasses.dataclass(frozen=True)
class Row:
    """What is written for a run: bits per pixel of batches, then of held-out photographs."""

    recipe: str
    lmbda: float
    seed: int
    steps: int
    median_bpp: float
    largest_bpp: float
    spikes: int
    loss: float
    worst_bpp: float


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


def trained(name: str, lmbda: float, seed: int, steps: int, data: pathlib.Path) -> Row:
    """Trains and measures one run."""
    (recipe,) = (recipe for recipe in RECIPES if recipe.name == name)
    images = training_images(sorted((data / "train").glob("*.jpg")), recipe.crop_size)
    model = recipes.compiled(dataclasses.replace(recipe, **NETWORK), lmbda, steps, seed)
    batches = EveryBatch()
    crops = crops_dataset(images, recipe.crop_size, recipe.batch_size, seed)
    model.fit(crops, steps_per_epoch=steps, verbose=0, callbacks=[batches])
    # The first ones learn what a rate is.
    bpp = batches.values()[WARM_UP:]
    spikes = int(np.sum(bpp > SPIKE * np.median(bpp)))
    found = [model.rate_distortion(x[np.newaxis], training=False) for x in run.validation(data)]
    loss = float(np.mean([values["loss"] for values in found]))
    worst = max(float(values["bpp"][0]) for values in found)
    figures = (float(np.median(bpp)), float(bpp.max()), spikes, loss, worst)
    return Row(name, lmbda, seed, steps, *figures)


def table(rows: list[Row]) -> str:
    """A row for every run."""
    columns = ["recipe", "seed", "bits per pixel of a batch, median", "largest", "spikes"]
    columns += ["loss of 24 photographs", "bits per pixel of the worst"]
    lines = [
        [
            row.recipe,
            row.seed,
            f"{row.median_bpp:.3f}",
            f"{row.largest_bpp:.3f}",
            row.spikes,
            f"{row.loss:.4f}",
            f"{row.worst_bpp:.3f}",
        ]
        for recipe in RECIPES
        for row in rows
        if row.recipe == recipe.name
    ]
    return markdown(columns, lines)


def main() -> None:
    """Trains what is missing, and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=pathlib.Path, help="Has train/ and validation/.")
    parser.add_argument("--seeds", type=int, nargs="*", default=(0,))
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="Runs at a time.")
    parser.add_argument("--single", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.single:
        row = trained(**json.loads(arguments.single), data=arguments.data)
        print(json.dumps(dataclasses.asdict(row)))
        return
    if arguments.data:
        jobs = [
            {"name": recipe.name, "lmbda": LMBDA, "seed": seed, "steps": STEPS}
            for seed in arguments.seeds
            for recipe in RECIPES
        ]
        file = RESULTS / CSV
        run.perform_missing(jobs, file, arguments.data, arguments.workers, Row, "stability")
    rows = run.read(RESULTS / CSV, Row)
    if rows:
        (RESULTS / "stability.md").write_text(table(rows))


if __name__ == "__main__":
    main()
