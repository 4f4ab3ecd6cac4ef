"""Sets the gains of the codec that ships by the loss of rounded latents, after training.

    python -m benchmarks.shipped.calibrate --data ../shared/data --runs ../runs/shipped

Training does not end with the best quantization steps, least of all at low rates; we suppose that
noise in the place of rounding takes small latents for more bits than they are. The search of
`tfsq.training.calibrate` mends them. Writes the run `calibrated` from the run `ladder`, and the
losses before and after, also of photographs kept apart, to `results/shipped/calibration.csv`.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import shutil

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf

from benchmarks import rows as tables
from benchmarks.shipped import train
from tfsq import codec
from tfsq.training import calibration
from tfsq.training.data import validation_images

RESULTS = pathlib.Path("results/shipped")
IMAGES = 24


def shown(done: codec.Progress) -> None:
    """Prints how far the search is."""
    print(f"{done.done} of {done.total}: mean loss {done.loss:.4f}", flush=True)


def main() -> None:
    """Searches, and writes the run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=pathlib.Path, required=True, help="free/.")
    parser.add_argument("--runs", type=pathlib.Path, required=True, help="Where runs are kept.")
    arguments = parser.parse_args()
    run, calibrated = (arguments.runs / name for name in ("ladder", "calibrated"))
    model = tf.keras.models.load_model(run / "model.keras")
    paths = train.photographs(arguments.data, "train")
    chosen = paths[:: len(paths) // IMAGES][:IMAGES]
    apart = train.photographs(arguments.data, "validation")
    sets = {
        name: calibration.losses_of(model, validation_images(found, 64, 1))
        for name, found in (("searched", chosen), ("apart", apart))
    }
    before = {name: losses() for name, losses in sets.items()}
    calibration.search(model.gain, sets["searched"], shown)
    after = {name: losses() for name, losses in sets.items()}
    shutil.rmtree(calibrated, ignore_errors=True)
    calibrated.mkdir()
    shutil.copy(run / "settings.json", calibrated)
    model.save(calibrated / "model.keras")
    rows = [
        {"photographs": name, "quality": i + 1, "before": before[name][i], "after": after[name][i]}
        for name in sets
        for i in range(len(train.LMBDAS))
    ]
    tables.write(rows, RESULTS / "calibration.csv")


if __name__ == "__main__":
    main()
