"""Compares training recipes at equal wall-clock time on the processor it runs on.

Times a step of every recipe in turns, gives each recipe the steps that fit into the same number of
seconds, trains it, and measures rate + lambda distortion of rounded latents on held-out images:

    python benchmarks/recipe/run.py ../shared/data/bsds500

Writes `results/recipe/recipes.csv` and `table.md`. Run again to resume: recipes of the CSV are
not trained again. Without the photographs, only the table is made again, from the CSV alone.
Nothing else should run on the machine while the steps are timed, at the start.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import functools
import os
import pathlib
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

from tfsq import codec
from tfsq.analysis import markdown
from tfsq.architectures import MeanScaleHyperprior
from tfsq.training import crops_dataset, training_images

RESULTS = pathlib.Path("results/recipe")
LMBDA, SEED, EVALUATED_SIZE = 0.01, 0, 256
SCHEDULES = tf.keras.optimizers.schedules


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What is compared."""

    name: str
    num_filters: int = 32
    num_latents: int = 48
    batch_size: int = 8
    crop_size: int = 128
    learning_rate: float = 1e-3
    schedule: str = "cosine"
    clipnorm: float | None = 1.0
    policy: str = "float32"


RECIPES = (
    Recipe("reference"),
    Recipe("batch 4", batch_size=4),
    Recipe("batch 16 of 64x64", batch_size=16, crop_size=64),
    Recipe("batch 8 of 64x64", crop_size=64),
    Recipe("learning rate 2e-3", learning_rate=2e-3),
    Recipe("learning rate 5e-4", learning_rate=5e-4),
    Recipe("warm-up", schedule="warm-up"),
    Recipe("steps", schedule="steps"),
    Recipe("no clipping", clipnorm=None),
    Recipe("24/36 channels", num_filters=24, num_latents=36),
    Recipe("bfloat16", policy="mixed_bfloat16"),
)


@dataclasses.dataclass(frozen=True)
class Row:
    """What is written for a recipe; the loss is bits per pixel + lambda * squared error."""

    recipe: str
    step_ms: float
    steps: int
    loss: float
    bpp: float
    psnr: float


COLUMNS = [field.name for field in dataclasses.fields(Row)]


def learning_rate(recipe: Recipe, steps: int):
    """The schedule of a recipe over its steps."""
    rate = recipe.learning_rate
    if recipe.schedule == "steps":
        ends = [int(0.6 * steps), int(0.85 * steps)]
        return SCHEDULES.PiecewiseConstantDecay(ends, [rate, 0.3 * rate, 0.1 * rate])
    if recipe.schedule == "warm-up":
        warm_up = steps // 20
        return SCHEDULES.CosineDecay(0.0, steps - warm_up, warmup_target=rate, warmup_steps=warm_up)
    return SCHEDULES.CosineDecay(rate, steps)


def compiled_model(recipe: Recipe, steps: int):
    """A new network with the optimizer of the recipe."""
    tf.keras.utils.set_random_seed(SEED)
    model = MeanScaleHyperprior(recipe.num_filters, recipe.num_latents, dtype=recipe.policy)
    optimizer = tf.keras.optimizers.Adam(
        learning_rate(recipe, steps), global_clipnorm=recipe.clipnorm
    )
    model.compile(optimizer, lmbda=LMBDA)
    return model


def cost_of(recipe: Recipe) -> Recipe:
    """What decides how long a step takes: all but the name and the learning rate."""
    return dataclasses.replace(recipe, name="", learning_rate=0.0, schedule="")


def step_times(paths, rounds: int = 5) -> dict[Recipe, float]:
    """Median milliseconds of a training step, of all that recipes cost, measured in turns."""
    steppers = {}
    for recipe in {cost_of(recipe): recipe for recipe in RECIPES}.values():
        images = training_images(paths[:8], recipe.crop_size)
        data = iter(crops_dataset(images, recipe.crop_size, recipe.batch_size, SEED))
        model = compiled_model(recipe, 1000)
        steppers[cost_of(recipe)] = functools.partial(model.make_train_function(), data)
        steppers[cost_of(recipe)]()
    times: dict[Recipe, list[float]] = {cost: [] for cost in steppers}
    for _ in range(rounds):
        for cost, step in steppers.items():
            start = time.perf_counter()
            for _ in range(3):
                step()
            times[cost].append((time.perf_counter() - start) / 3)
    return {cost: 1e3 * float(np.median(values)) for cost, values in times.items()}


def evaluate(model, paths) -> dict:
    """Hard loss on the middle of each image."""
    images = []
    for path in paths:
        image = codec.read_image(path)
        row, column = ((size - EVALUATED_SIZE) // 2 for size in image.shape[:2])
        images.append(image[row : row + EVALUATED_SIZE, column : column + EVALUATED_SIZE])
    data = tf.data.Dataset.from_tensor_slices(np.stack(images)).batch(10)
    return model.evaluate(data, return_dict=True, verbose=0)


def trained(recipe: Recipe, step_ms: float, seconds: float, data_folder: pathlib.Path) -> Row:
    """Trains one recipe for its share of the time."""
    steps = int(1e3 * seconds / step_ms)
    paths = sorted((data_folder / "train").glob("*.jpg"))
    images = training_images(paths, recipe.crop_size)
    data = crops_dataset(images, recipe.crop_size, recipe.batch_size, SEED)
    model = compiled_model(recipe, steps)
    model.fit(data, steps_per_epoch=steps, verbose=0)
    figures = evaluate(model, sorted((data_folder / "validation").glob("*.jpg")))
    return Row(
        recipe.name, step_ms, steps, *(float(figures[name]) for name in ("loss", "bpp", "psnr"))
    )


def read() -> list[Row]:
    """The rows that are measured already."""
    file = RESULTS / "recipes.csv"
    if not file.exists():
        return []
    with file.open() as opened:
        return [
            Row(
                row["recipe"],
                float(row["step_ms"]),
                int(row["steps"]),
                *(float(row[name]) for name in ("loss", "bpp", "psnr")),
            )
            for row in csv.DictReader(opened)
        ]


def measure(data: pathlib.Path, seconds: float, rows: list[Row]) -> None:
    """Adds what is missing to `rows`, and writes them after each."""
    missing = [recipe for recipe in RECIPES if recipe.name not in {row.recipe for row in rows}]
    if not missing:
        return
    known = {row.recipe: row.step_ms for row in rows}
    before = {cost_of(recipe): known[recipe.name] for recipe in RECIPES if recipe.name in known}
    times = step_times(sorted((data / "train").glob("*.jpg"))) | before
    for recipe in missing:
        rows.append(trained(recipe, times[cost_of(recipe)], seconds, data))
        RESULTS.mkdir(parents=True, exist_ok=True)
        with (RESULTS / "recipes.csv").open("w", newline="") as opened:
            writer = csv.DictWriter(opened, COLUMNS)
            writer.writeheader()
            writer.writerows(dataclasses.asdict(row) for row in rows)
        print(rows[-1], flush=True)


def main() -> None:
    """Measures what is missing, and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="?", type=pathlib.Path, help="Has train/ and validation/.")
    parser.add_argument("--seconds", type=float, default=120.0, help="Training time of a recipe.")
    arguments = parser.parse_args()
    rows = read()
    if arguments.data:
        measure(arguments.data, arguments.seconds, rows)
    lines = [
        [f"{v:.4g}" if isinstance(v, float) else v for v in dataclasses.astuple(row)]
        for row in sorted(rows, key=lambda row: row.loss)
    ]
    (RESULTS / "table.md").write_text(markdown(COLUMNS, lines))


if __name__ == "__main__":
    main()
