"""Programs that take seconds."""

import json

from tests import tiny
from tfsq import training

SMALL = {
    "num_filters": 6,
    "num_latents": 8,
    "crop_size": 64,
    "batch_size": 2,
    "steps": 20,
    "steps_per_epoch": 1,
    "hard_fraction": 0.5,
}


def settings_of(name=tiny.NAME, **changed):
    return training.TrainingSettings(**{**SMALL, "architecture": name, **changed})


def description(folder):
    return json.loads((folder / "program.json").read_text())
