"""One network of many rates, against networks of one rate each.

    python -m benchmarks.ladder.run --data ../shared/data/bsds500

Mean-scale hyperpriors of 16/96 with the shortcut: of one rate for each lambda of a ladder, and of
all its rates as `tfsq` makes them and as they might have been (`designs.py`), each of which is
trained once, for as many steps as one of the others. Loss, rate and PSNR of rounded latents on
held-out photographs, at each lambda. Writes `results/ladder/losses.csv`, resumable, and from it
alone `results/ladder/table.md`.
"""

from __future__ import annotations

import argparse
import dataclasses
import pathlib

import numpy as np
import tensorflow as tf
from rich.progress import track

from benchmarks import rows as tables
from benchmarks.ladder.designs import DESIGNS, ONE_RATE, TFSQ, made
from benchmarks.recipe.run import read, validation
from tfsq.analysis import markdown
from tfsq.training.data import crops_dataset, training_images
from tfsq.training.settings import make_optimizer

RESULTS, CSV = pathlib.Path("results/ladder"), "losses.csv"
LMBDAS = (0.0018, 0.0035, 0.0067, 0.0130, 0.0250, 0.0483, 0.0932)
STEPS, SEEDS = 2000, (0, 1)
BATCH_SIZE, CROP_SIZE, LEARNING_RATE = 4, 128, 2e-3


@dataclasses.dataclass(frozen=True)
class Row:
    """A network at a rate.

    Attributes:
      design: A key of `DESIGNS`, or `ONE_RATE`.
      seed: Of weights, crops and noise.
      steps: That it was trained for.
      lmbda: Weight of the squared error.
      loss: Bits per pixel + lmbda * squared error, of rounded latents.
      bpp: Bits per pixel.
      psnr: In dB.
    """

    design: str
    seed: int
    steps: int
    lmbda: float
    loss: float
    bpp: float
    psnr: float


def fit(model, lmbdas, steps: int, seed: int, data: pathlib.Path) -> None:
    """Trains a network, of one lambda or of a ladder of them."""
    schedule = tf.keras.optimizers.schedules.CosineDecay(LEARNING_RATE, steps)
    model.compile(make_optimizer(schedule), lmbda=None if model.ladder else lmbdas[0])
    images = training_images(sorted((data / "train").glob("*.jpg")), CROP_SIZE)
    crops = crops_dataset(images, CROP_SIZE, BATCH_SIZE, seed)
    model.fit(crops, steps_per_epoch=steps, verbose=0)


def trained(design: str, lmbdas, seed: int, data: pathlib.Path) -> list[Row]:
    """Trains a network, and measures it at each of its lambdas."""
    model = made(design, lmbdas, seed)
    fit(model, lmbdas, STEPS, seed, data)
    held_out = tf.data.Dataset.from_tensor_slices(np.stack(validation(data))).batch(1)
    found = model.evaluate(held_out, return_dict=True, verbose=0)
    endings = [f"_{rung}" for rung in range(1, len(lmbdas) + 1)] if model.ladder else [""]
    return [
        Row(design, seed, STEPS, lmbda, *(found[name + ending] for name in ("loss", "bpp", "psnr")))
        for lmbda, ending in zip(lmbdas, endings)
    ]


def table(found: list[Row]) -> str:
    """Loss at each lambda against the network of one rate, mean over seeds, and the spread."""
    base = {(row.lmbda, row.seed): row.loss for row in found if row.design == ONE_RATE}
    lines = []
    for design in dict.fromkeys(row.design for row in found if row.design != ONE_RATE):
        line = [design]
        for lmbda in LMBDAS:
            ratios = [
                100.0 * (row.loss / base[lmbda, row.seed] - 1.0)
                for row in found
                if (row.design, row.lmbda) == (design, lmbda) and (lmbda, row.seed) in base
            ]
            spread = f" ({min(ratios):+.1f} to {max(ratios):+.1f})" if len(ratios) > 1 else ""
            line.append(f"{np.mean(ratios):+.1f}{spread}" if ratios else "")
        seeds = len({row.seed for row in found if row.design == design})
        lines.append([*line, seeds])
    return markdown(["design", *(f"lambda {lmbda:g} (%)" for lmbda in LMBDAS), "seeds"], lines)


def main() -> None:
    """Measures what is missing, and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=pathlib.Path, help="Has train/ and validation/.")
    parser.add_argument("--seeds", type=int, nargs="*", default=SEEDS)
    parser.add_argument(
        "--designs", nargs="*", choices=DESIGNS, default=list(DESIGNS), metavar="NAME"
    )
    arguments = parser.parse_args()
    found = read(RESULTS / CSV, Row)
    if arguments.data:
        done = {(row.design, row.seed, row.lmbda) for row in found}
        jobs = []
        for seed in arguments.seeds:
            jobs += [(ONE_RATE, (lmbda,), seed) for lmbda in LMBDAS]
            jobs += [(design, LMBDAS, seed) for design in arguments.designs]
        jobs.sort(key=lambda job: (job[2], job[0] not in (ONE_RATE, TFSQ)))
        todo = [
            (name, lmbdas, seed)
            for name, lmbdas, seed in jobs
            if (name, seed, lmbdas[0]) not in done
        ]
        for design, lmbdas, seed in track(todo, "training"):
            found += trained(design, lmbdas, seed, arguments.data)
            tables.write([dataclasses.asdict(row) for row in found], RESULTS / CSV)
    if found:
        (RESULTS / "table.md").write_text(table(found))


if __name__ == "__main__":
    main()
