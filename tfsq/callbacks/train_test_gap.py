"""A callback that measures the train-test mismatch."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

# Suffix in the logs -> key of `rate_distortion`.
_LOGGED = {"": "loss", "_rate": "bpp", "_distortion": "distortion"}


class TrainTestGap(tf.keras.callbacks.Callback):
    """Measures, once an epoch, what the surrogates hide: hard loss minus surrogate loss.

    Both are evaluated at the same weights on one fixed batch, the surrogate loss with one fresh
    draw of the noise and with whatever else `training=True` does in the model's layers. The
    differences are logged as `train_test_gap` (the loss),
    `train_test_gap_rate` (bits per pixel) and `train_test_gap_distortion`. Positive values mean
    that training sees a better codec than there is.

    Callbacks see only what those listed before them log: list this one before TensorBoard.

    Args:
      batch: Input of the model, images for the models of `tfsq.architectures`.
      rate_distortion: Callable (batch, training) -> dict with tensors "loss", "bpp" and
        "distortion"; None takes the method of that name of the model.

    Raises:
      ValueError: when training starts, if there is no `rate_distortion`.
    """

    def __init__(self, batch, rate_distortion: Callable | None = None):
        super().__init__()
        self.batch = tf.convert_to_tensor(batch)
        self.rate_distortion = rate_distortion

    def on_train_begin(self, logs=None):
        rate_distortion = self.rate_distortion or getattr(self.model, "rate_distortion", None)
        if rate_distortion is None:
            raise ValueError(
                f"TrainTestGap needs `rate_distortion`: model {self.model.name!r} has no method "
                "of that name."
            )
        strategy = self.model.distribute_strategy

        # In the replicas, where a layer with a seed draws its noise.
        @tf.function
        def evaluate(batch, training):
            values = strategy.run(rate_distortion, args=(batch, training))
            return {key: strategy.reduce("MEAN", values[key], None) for key in _LOGGED.values()}

        self._evaluate = evaluate

    def on_epoch_end(self, epoch, logs=None):
        hard, surrogate = (self._evaluate(self.batch, training) for training in (False, True))
        for suffix, key in _LOGGED.items():
            gap = tf.reduce_mean(hard[key]) - tf.reduce_mean(surrogate[key])
            logs[f"train_test_gap{suffix}"] = float(gap)
