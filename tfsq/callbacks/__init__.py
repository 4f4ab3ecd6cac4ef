"""Keras callbacks: annealing, and what to watch while it happens."""

from tfsq.callbacks.temperature import TemperatureCallback
from tfsq.callbacks.train_test_gap import TrainTestGap

__all__ = ["TemperatureCallback", "TrainTestGap"]
