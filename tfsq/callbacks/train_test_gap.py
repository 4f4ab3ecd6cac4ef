"""A callback that measures the train-test mismatch, and the noise of the gradient."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfsq.layers import Quantizer, find
from tfsq.layers.checks import check_integer

# Suffix in the logs -> key of `rate_distortion`.
_LOGGED = {"": "loss", "_rate": "bpp", "_distortion": "distortion"}


class TrainTestGap(tf.keras.callbacks.Callback):
    """Measures, once an epoch, what the surrogates hide: hard loss minus surrogate loss.

    Both are evaluated at the same weights on one fixed batch, the surrogate loss with one fresh
    draw of the noise and with whatever else `training=True` does in the model's layers. The
    differences are logged as `train_test_gap` (the loss), `train_test_gap_rate` (bits per pixel)
    and `train_test_gap_distortion`. Positive values mean that training sees a better codec than
    there is.

    With `gradient_draws`, the gradient of the mean surrogate loss in all trainable weights is
    taken that many times at the same weights and batch. `gradient_variance` is the sum, over the
    weights, of its variance from draw to draw; `gradient_norm2` the squared norm of its mean, whose
    own variance of `gradient_variance / gradient_draws` is taken off. Under a strategy with several
    replicas it is the gradient averaged over them, each with the same batch and its own noise, so
    that its variance is as many times smaller. This costs `gradient_draws` forward and backward
    passes on the batch, every `gradient_every` epochs; NaN is logged in the others.

    Callbacks see only what those listed before them log: list this one before TensorBoard.

    Args:
      batch: Input of the model, images for the models of `tfsq.architectures`.
      rate_distortion: Callable (batch, training) -> dict with tensors "loss", "bpp" and
        "distortion"; None takes the method of that name of the model, of a network of many rates
        at each of its lambdas in turn.
      gradient_draws: Number of gradients to compare, 0 or at least 2.
      gradient_every: Epochs from one comparison to the next, at least 1.

    Raises:
      ValueError: if a number is out of its range; when training starts, if there is no
        `rate_distortion`.
    """

    def __init__(
        self,
        batch,
        rate_distortion: Callable | None = None,
        gradient_draws: int = 0,
        gradient_every: int = 1,
    ):
        super().__init__()
        check_integer("gradient_draws", gradient_draws, 0)
        check_integer("gradient_every", gradient_every, 1)
        if gradient_draws == 1:
            raise ValueError("`gradient_draws` must be 0 or at least 2. Received: gradient_draws=1")
        self.batch = tf.convert_to_tensor(batch)
        self.rate_distortion = rate_distortion
        self.gradient_draws = gradient_draws
        self.gradient_every = gradient_every

    def on_train_begin(self, logs=None):
        if self.rate_distortion is None and not hasattr(self.model, "rate_distortion"):
            raise ValueError(
                f"TrainTestGap needs `rate_distortion`: model {self.model.name!r} has no method "
                "of that name."
            )
        self._traced_for = None

    def on_epoch_end(self, epoch, logs=None):
        self._trace()
        hard, surrogate = (self._evaluate(self.batch, training) for training in (False, True))
        for suffix, key in _LOGGED.items():
            gap = tf.reduce_mean(hard[key]) - tf.reduce_mean(surrogate[key])
            logs[f"train_test_gap{suffix}"] = float(gap)
        if self.gradient_draws:
            measured = epoch % self.gradient_every == 0
            variance, norm2 = self._gradient_noise() if measured else (math.nan, math.nan)
            logs["gradient_variance"], logs["gradient_norm2"] = variance, norm2

    def _trace(self):
        # Read when traced, what is hard and what is trained may change in the middle of `fit`.
        quantizers = find(self.model, Quantizer)
        weights = self.model.trainable_variables
        state = [quantizer.hard for quantizer in quantizers], [id(weight) for weight in weights]
        if state == self._traced_for:
            return
        self._traced_for = state
        strategy = self.model.distribute_strategy
        rate_distortion = self.rate_distortion or self._of_model

        # In the replicas, where a layer with a seed draws its noise.
        @tf.function
        def evaluate(batch, training):
            values = strategy.run(rate_distortion, args=(batch, training))
            return {key: strategy.reduce("MEAN", values[key], None) for key in _LOGGED.values()}

        def loss_gradient(batch):
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(rate_distortion(batch, True)["loss"])
            gradients = tape.gradient(loss, weights, unconnected_gradients="zero")
            return [tf.convert_to_tensor(gradient) for gradient in gradients]

        @tf.function
        def differentiate(batch):
            gradients = strategy.run(loss_gradient, args=(batch,))
            return [strategy.reduce("MEAN", gradient, None) for gradient in gradients]

        self._evaluate, self._differentiate = evaluate, differentiate

    def _of_model(self, batch, training):
        ladder = getattr(self.model, "ladder", None)
        if not ladder:
            return self.model.rate_distortion(batch, training)
        # Both with the same rungs, all of them in turn.
        rungs = tf.range(tf.shape(batch)[0]) % len(ladder) + 1
        return self.model.rate_distortion(batch, training, quality=tf.cast(rungs, tf.float32))

    def _gradient_noise(self):
        """The variance of the gradient, summed over the weights, and the square of its mean."""
        mean = squares = np.zeros(())
        for draw in range(self.gradient_draws):
            gradients = self._differentiate(self.batch)
            flat = [np.ravel(gradient).astype(np.float64) for gradient in gradients]
            gradient = np.concatenate([np.zeros(0), *flat])
            # Welford's update does not cancel.
            step = gradient - mean
            mean = mean + step / (draw + 1)
            squares = squares + step * (gradient - mean)
        variance = float(np.sum(squares)) / (self.gradient_draws - 1)
        return variance, float(np.sum(np.square(mean))) - variance / self.gradient_draws
