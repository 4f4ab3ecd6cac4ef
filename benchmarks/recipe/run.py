"""Compares training recipes at equal time on the processor it runs on: two lambdas, some seeds.

Times a step of every recipe in turns, on one thread; gives each recipe the steps that the reference
does in the same time, trains it, and measures rate + lambda * squared error of rounded latents on
held-out photographs:

    python -m benchmarks.recipe.run --data ../shared/data/bsds500

Runs are processes of one thread, two at a time. Writes `results/recipe/step_times.csv`,
`recipes.csv`, `table.md` and `details.md`. Run again to resume: steps are timed once, and what is
in the CSV is not trained again. Without `--data`, only the tables are made again, from the CSV
alone. Nothing else should run on the machine while the steps are timed, at the start.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import dataclasses
import functools
import json
import os
import pathlib
import subprocess
import sys
import threading
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

from benchmarks import rows as tables
from benchmarks.recipe import recipes
from benchmarks.speed.timing import seconds_of
from tfsq import codec
from tfsq.analysis import markdown
from tfsq.training import crops_dataset, training_images

RESULTS, CSV, TIMES = pathlib.Path("results/recipe"), "recipes.csv", "step_times.csv"
LMBDAS, SEEDS = (0.003, 0.03), (0, 1, 2)
# Of the reference; others get the steps of the same time.
STEPS = 1000
EVALUATED = 24
EVALUATED_SIZE = (320, 480)
ONE_THREAD = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
WRITING = threading.Lock()


@dataclasses.dataclass(frozen=True)
class Row:
    """What is written for a run; the loss is bits per pixel + lambda * squared error."""

    recipe: str
    lmbda: float
    seed: int
    step_ms: float
    steps: int
    seconds: float
    start: float
    loss: float
    bpp: float
    psnr: float


def cost_of(recipe):
    """What decides how long a step takes: not where it begins, or how far it goes."""
    free = {"name": "", "schedule": "", "centered": True}
    free |= {"learning_rate": 0.0, "epsilon": 0.0, "rms_rate": 0.0}
    beginning = recipe.beginning if recipe.beginning in recipes.SUBCLASSES else ""
    return dataclasses.replace(recipe, **free, beginning=beginning)


def step_times(paths, rounds: int = 7) -> dict:
    """Median milliseconds of a training step, of all that recipes cost, measured in turns."""
    steppers = {}
    for recipe in {cost_of(recipe): recipe for recipe in recipes.RECIPES}.values():
        images = training_images(paths[:8], recipe.crop_size)
        data = iter(crops_dataset(images, recipe.crop_size, recipe.batch_size, 0))
        model = recipes.compiled(recipe, LMBDAS[0], STEPS, 0)
        steppers[cost_of(recipe)] = functools.partial(model.make_train_function(), data)
        steppers[cost_of(recipe)]()
    times: dict = {cost: [] for cost in steppers}
    for _ in range(rounds):
        for cost, step in steppers.items():
            times[cost].append(seconds_of(step, 4))
    return {cost: 1e3 * float(np.median(values)) for cost, values in times.items()}


def validation(data: pathlib.Path) -> list[np.ndarray]:
    """The top left of the first photographs that are large enough."""
    height, width = EVALUATED_SIZE
    images = (codec.read_image(path) for path in sorted((data / "validation").glob("*.jpg")))
    large = [image for image in images if image.shape[0] >= height and image.shape[1] >= width]
    return [image[:height, :width] for image in large[:EVALUATED]]


def trained(name: str, lmbda: float, seed: int, step_ms: float, steps: int, data) -> Row:
    """Trains and measures one run."""
    (recipe,) = (recipe for recipe in recipes.RECIPES if recipe.name == name)
    images = training_images(sorted((data / "train").glob("*.jpg")), recipe.crop_size)
    crops = crops_dataset(images, recipe.crop_size, recipe.batch_size, seed)
    model = recipes.compiled(recipe, lmbda, steps, seed)
    held_out = tf.data.Dataset.from_tensor_slices(np.stack(validation(data))).batch(4)
    start = model.evaluate(held_out, return_dict=True, verbose=0)["loss"]
    begun = time.monotonic()
    model.fit(crops, steps_per_epoch=steps, verbose=0)
    seconds = round(time.monotonic() - begun, 1)
    if recipe.average is not None:
        model.optimizer.finalize_variable_values(model.trainable_variables)
    end = model.evaluate(held_out, return_dict=True, verbose=0)
    figures = (float(end[name]) for name in ("loss", "bpp", "psnr"))
    return Row(name, lmbda, seed, step_ms, steps, seconds, float(start), *figures)


def read(file: pathlib.Path, kind=Row) -> list:
    """The rows that are measured already, of a dataclass."""
    types = {"str": str, "float": float, "int": int}
    columns = {field.name: types[field.type] for field in dataclasses.fields(kind)}
    return [
        kind(**{name: columns[name](value) for name, value in row.items()})
        for row in tables.read(file)
    ]


def write(rows: list, file: pathlib.Path) -> None:
    """Writes the CSV file, whole or not at all."""
    tables.write([dataclasses.asdict(row) for row in rows], file)


def perform(job: dict, data: pathlib.Path) -> Row:
    """Trains one run in a process of its own; its row."""
    command = [sys.executable, "-m", "benchmarks.recipe.run", "--data", str(data)]
    command += ["--single", json.dumps(job)]
    environment = {**os.environ, **ONE_THREAD}
    done = subprocess.run(command, check=True, env=environment, stdout=subprocess.PIPE, text=True)
    return Row(**json.loads(done.stdout.splitlines()[-1]))


def perform_missing(jobs: list[dict], file: pathlib.Path, data: pathlib.Path, workers: int) -> None:
    """Trains what is not in the CSV file, and adds a row for each when it is done."""
    rows = read(file)
    done = {(row.recipe, row.lmbda, row.seed, row.steps) for row in rows}
    todo = [j for j in jobs if (j["name"], j["lmbda"], j["seed"], j["steps"]) not in done]

    def run(job):
        row = perform(job, data)
        with WRITING:
            rows.append(row)
            write(rows, file)
        print(row, flush=True)

    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        list(pool.map(run, todo))


def jobs_of(data: pathlib.Path, seeds) -> list[dict]:
    """What is to be trained; times a step of each recipe, all in turns, unless that was done."""
    known = {row["recipe"]: float(row["step_ms"]) for row in tables.read(RESULTS / TIMES)}
    if {recipe.name for recipe in recipes.RECIPES} - set(known):
        times = step_times(sorted((data / "train").glob("*.jpg")))
        known = {recipe.name: times[cost_of(recipe)] for recipe in recipes.RECIPES}
        rows = [{"recipe": name, "step_ms": step_ms} for name, step_ms in known.items()]
        tables.write(rows, RESULTS / TIMES)
    return [
        {
            "name": recipe.name,
            "lmbda": lmbda,
            "seed": seed,
            "step_ms": known[recipe.name],
            "steps": round(STEPS * known[recipes.REFERENCE] / known[recipe.name]),
        }
        for seed in seeds
        for recipe in recipes.RECIPES
        for lmbda in LMBDAS
    ]


def ratios(rows: list[Row]) -> dict:
    """Loss against the reference of the same lambda and seed, in percent, best recipe first."""
    reference = {(r.lmbda, r.seed): r.loss for r in rows if r.recipe == recipes.REFERENCE}
    found: dict = {row.recipe: {lmbda: [] for lmbda in LMBDAS} for row in rows}
    for row in rows:
        if (row.lmbda, row.seed) in reference:
            ratio = row.loss / reference[row.lmbda, row.seed] - 1.0
            found[row.recipe][row.lmbda].append(100.0 * ratio)

    def mean(recipe):
        return np.mean([np.mean(values or [np.inf]) for values in found[recipe].values()])

    return {recipe: found[recipe] for recipe in sorted(found, key=mean)}


def table(rows: list[Row]) -> str:
    """Loss against the reference: mean, and range over seeds where there are several."""
    lines = [
        [recipe, *map(_shown, by.values()), " / ".join(str(len(values)) for values in by.values())]
        for recipe, by in ratios(rows).items()
    ]
    return markdown(["recipe", *(f"lambda {lmbda} (%)" for lmbda in LMBDAS), "seeds"], lines)


def _shown(values: list[float]) -> str:
    spread = f" ({min(values):+.1f} to {max(values):+.1f})" if len(values) > 1 else ""
    return f"{np.mean(values):+.1f}{spread}" if values else ""


def details(rows: list[Row]) -> str:
    """Cost of a step, and losses before and after training, means over seeds."""
    lines = []
    for recipe in ratios(rows):
        own = [row for row in rows if row.recipe == recipe]
        line = [recipe, f"{own[0].step_ms:.1f}", own[0].steps]
        for lmbda in LMBDAS:
            at = [row for row in own if row.lmbda == lmbda]
            for figures, digits in (([r.start for r in at], 2), ([r.loss for r in at], 4)):
                line.append(f"{np.mean(figures):.{digits}f}" if at else "")
        lines.append(line)
    columns = ["recipe", "step (ms)", "steps"]
    for lmbda in LMBDAS:
        columns += [f"lambda {lmbda}: at step 0", "at the end"]
    return markdown(columns, lines)


def main() -> None:
    """Measures what is missing, and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=pathlib.Path, help="Has train/ and validation/.")
    parser.add_argument("--seeds", type=int, nargs="*", default=SEEDS)
    names = [recipe.name for recipe in recipes.RECIPES]
    parser.add_argument("--recipes", nargs="*", choices=names, default=names, metavar="NAME")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="Runs at a time.")
    parser.add_argument("--single", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.single:
        row = trained(**json.loads(arguments.single), data=arguments.data)
        print(json.dumps(dataclasses.asdict(row)))
        return
    if arguments.data:
        # As the runs have it.
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        jobs = jobs_of(arguments.data, arguments.seeds)
        jobs = [job for job in jobs if job["name"] in arguments.recipes]
        perform_missing(jobs, RESULTS / CSV, arguments.data, arguments.workers)
    rows = read(RESULTS / CSV)
    if rows:
        (RESULTS / "table.md").write_text(table(rows))
        (RESULTS / "details.md").write_text(details(rows))


if __name__ == "__main__":
    main()
