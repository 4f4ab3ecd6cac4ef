"""Keras models that are trained for rate + lambda * distortion."""

from __future__ import annotations

import types

import tensorflow as tf

from tfsq._keras import Model, create_slots, minimize
from tfsq.architectures.distortions import DISTORTIONS, distortion_of, mean_squared_error
from tfsq.architectures.images import checked_images, of_same_shape
from tfsq.layers import Gain
from tfsq.layers.checks import check_positive
from tfsq.layers.ladder import Ladder

METRICS, METRICS_OF_A_RUNG = ("loss", "bpp", "mse", "psnr"), ("loss", "bpp", "psnr")
_NOT_COMPILED = ("loss", "loss_weights", "metrics", "weighted_metrics")


class RateDistortionModel(Model):
    """A model with the loss bits per pixel + lmbda * distortion, as in TFC's examples.

    A subclass implements `call(image, training)` -> (reconstruction, bits), the bits a dict of
    float32 tensors [batch].

    A subclass of many rates has `gain`, a `tfsq.layers.Gain`, sets `ladder`, and takes a `quality`
    in `call`, float32 [batch]. Each image of a training step is then of a rung that is drawn at
    random, and has the rung's lambda.
    Losses grow with lambda, and with them the say of a rung in a step: there each is divided by a
    power of lambda, `balance`, relative to the middle of the ladder. What is reported are the
    losses themselves, also `loss_1`, `bpp_1` and `psnr_1` of quality 1, and so on; evaluation has
    every image at every rung.
    """

    ladder: Ladder | None = None
    # Empty until `compile`.
    distortion: str = ""
    gain: Gain
    # `benchmarks/ladder` compares it with 0, 1/2 and 1: from 1/2 on it matters little.
    balance = 0.8

    def compile(self, optimizer, lmbda: float | None = None, distortion: str = "mse", **kwargs):
        """Configures training.

        A `.keras` file keeps the arguments. A model that Keras loads from a SavedModel folder,
        where there is no place for them, has to be compiled again.

        Args:
          optimizer: Keras optimizer.
          lmbda: Positive weight of the distortion against bits per pixel; None for a network with a
            ladder, which has its own.
          distortion: "mse" on 0-255, or "ms-ssim" for 1 - MS-SSIM.
          **kwargs: passed to `tf.keras.Model.compile`: `jit_compile`, `run_eagerly`,
            `steps_per_execution`.

        Raises:
          ValueError: if `lmbda` is not as described, `distortion` unknown, or if a loss or metrics
            are given, of which these networks have their own.
        """
        if kwargs.pop("from_serialized", False):
            return
        lmbda = self._checked_lmbda(lmbda)
        distortion = distortion_of(distortion).name
        for name in _NOT_COMPILED:
            if kwargs.get(name) is not None:
                raise ValueError(
                    f"`{name}` is not used: the loss is bits per pixel + lmbda * distortion, and "
                    f"`fit` reports loss, bpp, mse and psnr. Received: {name}={kwargs[name]!r}"
                )
        # Keras 3 would compile with XLA, also on processors, where it gains nothing.
        kwargs.setdefault("jit_compile", False)
        super().compile(optimizer=optimizer, **kwargs)
        self.lmbda = lmbda
        self.distortion = distortion
        # Keras would count metrics in an attribute or a dict among the weights of the model.
        self._means = types.SimpleNamespace(
            **{name: tf.keras.metrics.Mean(name=name) for name in METRICS}
        )
        self._means_of_rungs = types.SimpleNamespace(
            **{
                f"{name}_{rung}": tf.keras.metrics.Mean(name=f"{name}_{rung}")
                for rung in range(1, len(self.ladder or ()) + 1)
                for name in METRICS_OF_A_RUNG
            }
        )

    def get_compile_config(self):
        if not self.distortion:
            return None
        create_slots(self.optimizer, self.trainable_variables)
        config = super().get_compile_config()
        return {**config, "lmbda": self.lmbda, "distortion": self.distortion}

    def compile_from_config(self, config):
        config = dict(config)
        config["optimizer"] = tf.keras.optimizers.get(config["optimizer"])
        self.compile(**config)
        # Creates the slots, so that loading can restore them.
        self.optimizer.build(self.trainable_variables)

    def rate_distortion(self, image, training, lmbda=None, target=None, quality=None):
        """Evaluates the loss and its two parts.

        Args:
          image: As for `call`.
          training: Boolean, whether to use the surrogates or to round.
          lmbda: Weight of the distortion, a number or a scalar tensor; that of `compile` if None.
            Of a network with a ladder it is that of the middle; others are in proportion.
          target: What the reconstruction is compared with, of the shape of `image`; `image` if
            None.
          quality: Of a network with a ladder: a number, or one for each image. None draws rungs
            while training, and is the middle of the ladder otherwise.

        Returns:
          Dict of float32 tensors [batch]: "loss", "bpp" (bits per pixel), "distortion" (what
          `compile` chose), "mse" and "psnr" (dB); of a network with a ladder also "quality".

        Raises:
          RuntimeError: if the model was not compiled.
          ValueError: if `image`, `target` or `quality` is not as described.
        """
        if not self.distortion:
            raise RuntimeError("The model must be compiled first: its loss depends on `lmbda`.")
        image = checked_images(image)
        target = image if target is None else of_same_shape(checked_images(target), image)
        at = self.at_quality(quality, tf.shape(image)[0], training)
        if self.ladder is None:
            lmbda = self.lmbda if lmbda is None else lmbda
        else:
            ratio = 1.0 if lmbda is None else lmbda / self.ladder.middle_lmbda
            lmbda = self.ladder.lmbdas_at(**at) * ratio
        reconstruction, bits = self(image, training=training, **at)
        return {**self.loss_of(target, reconstruction, bits, lmbda), **at}

    def at_quality(self, quality, count, training=False) -> dict:
        """Returns what calls are given beside images.

        Args:
          quality: As for `rate_distortion`.
          count: Number of images, an integer or an integer tensor.
          training: Boolean.

        Returns:
          {"quality": float32 tensor [count]} if there is a ladder, {} if there is none.

        Raises:
          ValueError: if there is none, but a `quality`.
        """
        if self.ladder is None:
            if quality is not None:
                raise ValueError(
                    "`quality` must be None for a network without a ladder of `lmbdas`. "
                    f"Received: quality={quality}"
                )
            return {}
        if quality is not None:
            return {"quality": tf.broadcast_to(self.ladder.on_it(quality), [count])}
        middle = tf.fill([count], self.ladder.middle)
        if not tf.is_tensor(training) and not training:
            return {"quality": middle}
        drawn = self.gain.draw(count)
        return {"quality": tf.where(tf.cast(training, tf.bool), drawn, middle)}

    def _checked_lmbda(self, lmbda):
        if self.ladder is None:
            return check_positive("lmbda", lmbda)
        if lmbda is not None:
            raise ValueError(
                f"`lmbda` must be None for a network with the ladder {self.ladder.lmbdas}. "
                f"Received: lmbda={lmbda}"
            )
        return None

    def loss_of(self, image, reconstruction, bits, lmbda):
        """Weighs rate and distortion, with the distortion that `compile` chose.

        Args:
          image: Tensor [batch, height, width, 3] of any real dtype, values in 0-255.
          reconstruction: float32 tensor of the same shape.
          bits: Dict of float32 tensors [batch].
          lmbda: Weight of the distortion.

        Returns:
          As `rate_distortion`.
        """
        image = tf.cast(image, tf.float32)
        pixels = tf.cast(tf.reduce_prod(tf.shape(image)[1:3]), tf.float32)
        bpp = tf.add_n(list(bits.values())) / pixels
        mse = mean_squared_error(image, reconstruction)
        distortion = (
            mse if self.distortion == "mse" else DISTORTIONS[self.distortion](image, reconstruction)
        )
        return {
            "loss": bpp + lmbda * distortion,
            "bpp": bpp,
            "distortion": distortion,
            "mse": mse,
            "psnr": 10.0 * tf.math.log(255.0**2 / mse) / tf.math.log(10.0),
        }

    def train_step(self, data):
        """One step of `fit`; see `tf.keras.Model.train_step`.

        Args:
          data: A batch of images, or a tuple of images and of what they are to be reconstructed
            as.
        """
        image, target = _unpacked(data)
        return self._update_means(self.descend(image, target=target))

    def descend(self, image, **given):
        """Takes a step of the optimizer on a batch of images.

        Args:
          image: As for `call`.
          **given: `lmbda`, `target` and `quality` of `rate_distortion`.

        Returns:
          As `rate_distortion`, from before the step.
        """
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        with tf.GradientTape() as tape:
            values = self.rate_distortion(image, training=True, **given)
            # Gradients are summed over the replicas. `losses` are those of regularizers.
            loss = (tf.reduce_mean(self._objective(values)) + sum(self.losses)) / replicas
        minimize(self.optimizer, loss, self.trainable_variables, tape)
        return values

    def test_step(self, data):
        """One step of `evaluate`, with hard rounding, on what `train_step` takes."""
        image, target = _unpacked(data)
        if self.ladder is None:
            values = self.rate_distortion(image, training=False, target=target)
            return self._update_means(values)
        rungs = tf.range(1, len(self.ladder) + 1, dtype=tf.float32)
        quality = tf.tile(rungs, [tf.shape(image)[0]])
        image, target = (
            None if x is None else tf.repeat(x, len(self.ladder), axis=0) for x in (image, target)
        )
        values = self.rate_distortion(image, training=False, target=target, quality=quality)
        return self._update_means(values)

    def predict_step(self, data):
        """One step of `predict`, with hard rounding: the reconstruction."""
        return self(_unpacked(data)[0], training=False)[0]

    @property
    def metrics(self):
        if not self.distortion:
            return []
        return [*vars(self._means).values(), *vars(self._means_of_rungs).values()]

    def _objective(self, values):
        if self.ladder is None:
            return values["loss"]
        ratio = self.ladder.middle_lmbda / self.ladder.lmbdas_at(values["quality"])
        return values["loss"] * tf.pow(ratio, self.balance)

    def _update_means(self, values):
        for name, mean in vars(self._means).items():
            mean.update_state(values[name])
        for key, mean in vars(self._means_of_rungs).items():
            name, rung = key.rsplit("_", 1)
            is_of_rung = tf.cast(values["quality"] == float(rung), tf.float32)
            mean.update_state(values[name], sample_weight=is_of_rung)
        return {mean.name: mean.result() for mean in self.metrics}


def _unpacked(data) -> tuple:
    """Images, and what they are compared with or None, of what Keras passes to a step."""
    image, target, weight = tf.keras.utils.unpack_x_y_sample_weight(data)
    if isinstance(image, dict):
        raise ValueError(
            "Batches must be images, (images,) or (images, targets). "
            f"Received: a dict with {sorted(image)}"
        )
    if weight is not None:
        raise ValueError("`sample_weight` is not used: all images of a batch weigh the same.")
    return image, target
