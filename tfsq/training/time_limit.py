"""Training for as long as there is time."""

from __future__ import annotations

import time

import tensorflow as tf

from tfsq.layers.checks import check_positive
from tfsq.training.distribution import gathering


class TimeLimit(tf.keras.callbacks.Callback):
    """Stops training at the end of the epoch in which a time has passed.

    Several workers stop together, when the first of them is over its time: one that went on alone
    would wait for the others.

    Args:
      minutes: From now on.
      strategy: Where the run is trained.

    Raises:
      ValueError: if `minutes` is not positive and finite.
    """

    def __init__(self, minutes: float, strategy: tf.distribute.Strategy):
        super().__init__()
        self._end = time.monotonic() + 60.0 * check_positive("time_limit", minutes)
        self._has_workers = strategy.cluster_resolver is not None
        self._gather = gathering(strategy)

    def on_epoch_end(self, epoch, logs=None):
        is_over = time.monotonic() >= self._end
        if self._has_workers:
            is_over = any(self._gather(int(is_over)))
        if is_over:
            self.model.stop_training = True
