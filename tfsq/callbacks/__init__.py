"""Keras callbacks: annealing, switching, and what to watch while it happens."""

from tfsq.callbacks.soft_then_hard import SoftThenHard
from tfsq.callbacks.temperature import TemperatureCallback
from tfsq.callbacks.train_test_gap import TrainTestGap

__all__ = ["SoftThenHard", "TemperatureCallback", "TrainTestGap"]
