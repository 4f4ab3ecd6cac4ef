"""Training of codecs on images: resumable, with everything in one run folder."""

from tfsq.training.calibration import Calibration, calibrate, calibrate_codec
from tfsq.training.collecting import collect
from tfsq.training.data import crops_dataset, detail_of, training_images
from tfsq.training.distribution import strategy_of
from tfsq.training.muon import Muon
from tfsq.training.program import export_program
from tfsq.training.run_folder import network_of
from tfsq.training.runs import export_run, train
from tfsq.training.settings import TrainingSettings, build_model
from tfsq.training.validation import Validation

__all__ = [
    "Calibration",
    "Muon",
    "TrainingSettings",
    "Validation",
    "build_model",
    "calibrate",
    "calibrate_codec",
    "collect",
    "crops_dataset",
    "detail_of",
    "export_program",
    "export_run",
    "network_of",
    "strategy_of",
    "train",
    "training_images",
]
