"""Sets the gains of the codec that ships by the loss of rounded latents, which training never sees.

    python -m benchmarks.shipped.calibrate --data ../shared/data --runs ../runs/shipped

Training ends with quantization steps that are too fine, most of all at low rates; we suppose that
noise in the place of rounding takes small latents for more bits than they are. A search mends them:
for each quality it changes the quantization steps of all latents, then what the decoder multiplies
by, as long as the loss of photographs falls. Writes the run `calibrated` from the run `ladder`, and
the losses before and after, also of photographs kept apart, to `results/shipped/calibration.csv`.
"""

from __future__ import annotations

import argparse
import itertools
import os
import pathlib
import shutil
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

from benchmarks import rows as tables
from benchmarks.shipped import train
from tfsq.training import Validation
from tfsq.training.data import validation_images

RESULTS = pathlib.Path("results/shipped")
IMAGES = 24
# Of the binary logarithm.
STEPS = (0.2, 0.1, 0.05)


class Gains:
    """The gains of a network, and their change so far, for each quality."""

    def __init__(self, model):
        self.gain = model.gain
        self.logs, self.inverse_logs = model.gain.logs.numpy(), model.gain.inverse_logs.numpy()
        self.steps, self.factors = np.zeros([2, len(self.logs), 1])

    def apply(self, steps, factors) -> None:
        """Makes quantization steps, and what the decoder multiplies by, larger by powers of two."""
        self.gain.logs.assign(self.logs - steps)
        self.gain.inverse_logs.assign(self.inverse_logs + steps + factors)


def losses_of(model, images) -> Callable[[], np.ndarray]:
    """A function that returns the loss at each quality."""
    validation = Validation(images, pictures=0)
    validation.set_model(model)
    validation.on_train_begin()
    names = [f"val_loss_{quality}" for quality in range(1, len(model.ladder) + 1)]

    def losses() -> np.ndarray:
        logs: dict = {}
        validation.on_epoch_end(0, logs)
        return np.array([logs[name] for name in names])

    return losses


def search(model, losses) -> None:
    """Changes gains for as long as the loss falls, of each quality by itself."""
    gains, best = Gains(model), losses()
    for step, name, sign in itertools.product(STEPS, ("steps", "factors"), (1, -1)):
        better = True
        while np.any(better):
            trial = {"steps": gains.steps.copy(), "factors": gains.factors.copy()}
            trial[name] += sign * step
            gains.apply(**trial)
            found = losses()
            better = found < best
            best = np.where(better, found, best)
            getattr(gains, name)[better] = trial[name][better]
        print(f"{name} by {sign * step}: losses {best.round(4)}", flush=True)
    gains.apply(gains.steps, gains.factors)


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
        name: losses_of(model, validation_images(found, 64, 1, [], None))
        for name, found in (("searched", chosen), ("apart", apart))
    }
    before = {name: losses() for name, losses in sets.items()}
    search(model, sets["searched"])
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
