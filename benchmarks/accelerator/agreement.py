"""Whether a run under JAX ends where one of `tfsq train` does: a small network, four seeds.

    .ci/jax_environment
    python -m benchmarks.accelerator.agreement --data ../shared/data/bsds500

The noise of the two is drawn by other generators, so that they agree as two seeds do, not step by
step (`tests/training/programs/test_in_jax.py` has that). Writes
`results/accelerator/agreement.csv`; table and figure are made from it, alone without `--data`. Run
again to resume.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import subprocess
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from scipy import stats

from benchmarks import rows as tables
from benchmarks.recipe.run import validation
from tfsq import drawing, training
from tfsq.analysis import markdown

RESULTS, CSV = pathlib.Path("results/accelerator"), "agreement.csv"
JAX = pathlib.Path(".jax/bin/python")
COLUMNS = ("seed", "by", "loss", "bpp", "psnr")
SEEDS = (0, 1, 2, 3)
TRAIN, JAX_NAME = "tfsq train", "JAX"
SIZES = {"num_filters": 16, "num_latents": 24, "crop_size": 64, "lmbda": 0.01}
STEPS = {"steps": 600, "steps_per_epoch": 100, "learning_rate": 4e-3}


def by_jax(paths, folder: pathlib.Path, settings) -> tf.keras.Model:
    """Trains under JAX, in the other virtual environment."""
    training.export_program(paths, folder / "program", settings)
    command = [str(JAX), str(folder / "program" / "run.py"), "--output", str(folder / "result")]
    subprocess.run(command, check=True, env={**os.environ, "JAX_PLATFORMS": "cpu"})
    training.collect(folder / "program", folder / "result", folder / "run")
    return tf.keras.models.load_model(folder / "run" / "model.keras")


def by_tensorflow(paths, folder: pathlib.Path, settings) -> tf.keras.Model:
    """Trains here."""
    return training.train(paths, folder / "run", settings)


def measure(data: pathlib.Path) -> None:
    """Adds what is missing to the CSV file."""
    rows = tables.read(RESULTS / CSV)
    held_out = tf.data.Dataset.from_tensor_slices(np.stack(validation(data))).batch(4)
    paths = sorted((data / "train").glob("*.jpg"))
    for seed in SEEDS:
        for name, train in ((TRAIN, by_tensorflow), (JAX_NAME, by_jax)):
            if any((row["seed"], row["by"]) == (str(seed), name) for row in rows):
                continue
            settings = training.TrainingSettings(**SIZES, **STEPS, seed=seed)
            with tempfile.TemporaryDirectory() as folder:
                model = train(paths, pathlib.Path(folder), settings)
            found = model.evaluate(held_out, return_dict=True, verbose=0)
            figures = {key: f"{found[key]:.6f}" for key in COLUMNS[2:]}
            rows.append({"seed": str(seed), "by": name, **figures})
            tables.write(rows, RESULTS / CSV)


def losses(rows, name) -> np.ndarray:
    """Those of one of the two, by seed."""
    found = sorted((row["seed"], float(row["loss"])) for row in rows if row["by"] == name)
    return np.array([loss for _, loss in found])


def report(rows: list[dict]) -> None:
    """The table, and a figure of all seeds."""
    lines = [
        [name, len(found), f"{found.mean():.4f}", f"{found.min():.4f} to {found.max():.4f}"]
        for name in (TRAIN, JAX_NAME)
        if len(found := losses(rows, name))
    ]
    table = markdown(["trained by", "seeds", "loss", "from seed to seed"], lines)
    ours, theirs = losses(rows, TRAIN), losses(rows, JAX_NAME)
    apart = 100.0 * (theirs.mean() / ours.mean() - 1.0)
    p = stats.ttest_ind(ours, theirs, equal_var=False).pvalue
    table += f"\nJAX against tfsq train: {apart:+.2f} %, p = {p:.2f} (Welch).\n"
    (RESULTS / "agreement.md").write_text(table)
    draw(ours, theirs)


@drawing.styled
def draw(ours: np.ndarray, theirs: np.ndarray) -> None:
    """Draws the loss of every seed, and the means."""
    figure, ((axis,),) = drawing.new_figure()
    for place, found in enumerate((ours, theirs)):
        axis.plot(np.full(len(found), place), found, "o", color=drawing.COLORS[0], alpha=0.6)
        axis.plot(place, found.mean(), "_", markersize=30, color="black")
    axis.set_xticks((0, 1), (TRAIN, JAX_NAME))
    axis.set_xlim(-0.5, 1.5)
    axis.set_ylabel("bits per pixel\n+ lambda * squared error")
    figure.savefig(RESULTS / "agreement.png")


def main() -> None:
    """Measures what is missing, and writes table and figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=pathlib.Path, help="Has train/ and validation/.")
    arguments = parser.parse_args()
    if arguments.data:
        measure(arguments.data)
    if rows := tables.read(RESULTS / CSV):
        report(rows)


if __name__ == "__main__":
    main()
