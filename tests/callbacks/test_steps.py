"""Callbacks where `model.optimizer` is not what trains, or not once a batch."""

import numpy as np
import pytest
import tensorflow as tf

from tests.keras_versions import has_legacy_optimizers
from tfsq import layers
from tfsq._keras import IS_KERAS_3, minimize
from tfsq.callbacks import SoftThenHard, TemperatureCallback


class Adversarial(tf.keras.Model):
    """A model with two optimizers of its own; that of Keras is never used."""

    def __init__(self):
        super().__init__()
        self.encoder, self.q = tf.keras.layers.Dense(3), layers.get("sua")
        self.decoder = tf.keras.layers.Dense(3)

    def compile(self, generator, discriminator, **kwargs):
        super().compile(**kwargs)
        self.generator, self.discriminator = generator, discriminator

    def call(self, x, training=None):
        return self.decoder(self.q(self.encoder(x), training=training))

    def train_step(self, x):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((self(x, training=True) - x) ** 2)
        minimize(self.generator, loss, self.trainable_variables, tape)
        return {"loss": loss}


class Accumulating(tf.keras.Sequential):
    """A model whose optimizer takes a step every four batches."""

    def compile(self, *args, **kwargs):
        super().compile(*args, **kwargs)
        weights = self.trainable_variables
        self.totals = [tf.Variable(tf.zeros_like(v), trainable=False) for v in weights]
        self.batches = tf.Variable(0, trainable=False)

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((self(x, training=True) - y) ** 2) / 4
        gradients = tape.gradient(loss, self.trainable_variables)
        for total, gradient in zip(self.totals, gradients):
            total.assign_add(gradient)
        self.batches.assign_add(1)
        tf.cond(self.batches % 4 == 0, self._step, lambda: None)
        return {"loss": loss}

    def _step(self):
        means = [tf.identity(total) for total in self.totals]
        self.optimizer.apply_gradients(zip(means, self.trainable_variables))
        for total in self.totals:
            total.assign(tf.zeros_like(total))


def adversarial():
    model = Adversarial()
    model.compile(tf.keras.optimizers.Adam(), tf.keras.optimizers.Adam())
    model(tf.ones([1, 3]))
    return model


def accumulating(**kwargs):
    model = Accumulating([tf.keras.Input([3]), tf.keras.layers.Dense(3), layers.get("sua")])
    model.compile("sgd", "mse", **kwargs)
    return model


@pytest.mark.slow
def test_an_optimizer_that_stands_still_is_an_error_that_says_what_to_pass():
    for make in (
        lambda: TemperatureCallback(lambda step: 0.9**step),
        lambda: SoftThenHard(10, freeze=["dense"]),
        lambda: TemperatureCallback(lambda step: 0.5, step=lambda: 7),
    ):
        model = adversarial()
        callback = make()
        if isinstance(callback, SoftThenHard):
            callback.freeze = [model.encoder]
        with pytest.raises(
            ValueError, match=r"stayed at . for an epoch.*Pass `optimizer=`.*`step="
        ):
            model.fit(tf.ones([8, 3]), batch_size=2, epochs=2, verbose=0, callbacks=[callback])


@pytest.mark.slow
@pytest.mark.parametrize("by_callable", [False, True])
def test_the_given_optimizer_or_callable_counts(by_callable):
    model = adversarial()
    generator = model.generator
    given = {"step": lambda: generator.iterations} if by_callable else {"optimizer": generator}
    history = model.fit(
        tf.ones([40, 3]),
        batch_size=2,
        epochs=2,
        verbose=0,
        callbacks=[
            TemperatureCallback(lambda step: 0.95**step, minimum=0.05, **given),
            SoftThenHard(30, freeze=[model.encoder], **given),
        ],
    )
    # That of the last batch, before its step.
    assert history.history["temperature"] == pytest.approx([0.95**19, 0.95**39])
    assert model.q.hard
    assert not model.encoder.trainable
    assert not model.optimizer.iterations.numpy()


def test_both_an_optimizer_and_a_callable_and_wrong_ones_are_refused():
    optimizer = tf.keras.optimizers.Adam()
    for arguments, error, message in (
        ({"optimizer": optimizer, "step": lambda: 1}, ValueError, "one of `optimizer` and `step`"),
        ({"optimizer": "adam"}, TypeError, "`optimizer` must be one that counts"),
        ({"step": 3}, TypeError, "`step` must be a callable.*step=3"),
    ):
        with pytest.raises(error, match=message):
            TemperatureCallback(lambda step: 0.5, **arguments)
        with pytest.raises(error, match=message):
            SoftThenHard(3, freeze=[], **arguments)


@has_legacy_optimizers
def test_legacy_optimizers_are_refused():
    model = adversarial()
    legacy = SoftThenHard(0, [model.encoder], optimizer=tf.keras.optimizers.legacy.SGD())
    with pytest.raises(ValueError, match="legacy"):
        model.fit(tf.ones([4, 3]), verbose=0, callbacks=[legacy])


def test_the_plan_counts_steps_of_the_optimizer_where_gradients_are_accumulated():
    model = accumulating()
    # Right for the steps 0 to 9, and not for 40 batches.
    annealing = TemperatureCallback(lambda step: 1 - step / 10)
    data = tf.ones([80, 3])
    history = model.fit(data, data, batch_size=2, verbose=0, callbacks=[annealing])
    assert int(model.optimizer.iterations) == 10
    assert history.history["temperature"] == pytest.approx([0.1])


def test_a_plan_that_leaves_the_domain_is_found_when_the_pace_is_known():
    model = accumulating()
    annealing = TemperatureCallback(lambda step: 1 - step / 9)
    with pytest.raises(ValueError, match=r"schedule\(9\)"):
        model.fit(tf.ones([80, 3]), tf.ones([80, 3]), batch_size=2, callbacks=[annealing])
    assert int(model.optimizer.iterations) == 2


@pytest.mark.parametrize("traced", [False, True])
def test_a_loop_of_one_s_own(traced):
    quantizer = layers.get("sua")
    model = tf.keras.Sequential([tf.keras.Input([3]), tf.keras.layers.Dense(3), quantizer])
    model.compile("sgd", "mse")
    steps = {}

    def step():
        with tf.GradientTape() as tape:
            y_hat = model(tf.ones([2, 3]), training=True)
            loss = tf.reduce_mean(y_hat**2)
        minimize(model.optimizer, loss, model.trainable_variables, tape)
        return y_hat

    def trace():
        steps["now"] = tf.function(step) if traced else step

    trace()
    model.optimizer.build(model.trainable_variables)
    callbacks = tf.keras.callbacks.CallbackList(
        [
            TemperatureCallback(lambda step: 0.5**step, minimum=0.1),
            SoftThenHard(3, freeze=[model.layers[0]], on_switch=trace),
        ],
        model=model,
    )
    found = []
    callbacks.on_train_begin()
    callbacks.on_epoch_begin(0)
    for batch in range(3):
        callbacks.on_train_batch_begin(batch)
        found.append(float(quantizer.temperature))
        steps["now"]()
        callbacks.on_train_batch_end(batch)
    callbacks.on_train_batch_begin(3)
    kernel = model.layers[0].kernel.numpy()
    y_hat = model(tf.ones([2, 3]), training=True).numpy()
    callbacks.on_epoch_end(0)
    callbacks.on_train_end()
    assert found == [1.0, 0.5, 0.25]
    assert quantizer.hard
    assert (y_hat == y_hat.round()).all()
    assert not model.trainable_variables
    assert (kernel == model.layers[0].kernel.numpy()).all()


def test_a_model_without_an_optimizer_says_so():
    model = tf.keras.Sequential([tf.keras.Input([3]), layers.get("sua")])
    callbacks = tf.keras.callbacks.CallbackList([TemperatureCallback(lambda s: 0.5)], model=model)
    with pytest.raises(ValueError, match="has no optimizer that counts: compile it, or pass"):
        callbacks.on_train_begin()
    callback = TemperatureCallback(lambda step: 0.25, step=lambda: 0)
    callbacks = tf.keras.callbacks.CallbackList([callback], model=model)
    callbacks.on_train_begin()
    callbacks.on_train_batch_begin(0)
    assert float(model.layers[0].temperature) == 0.25


def test_steps_that_a_scaled_loss_leaves_out_count():
    model = tf.keras.Sequential([tf.keras.Input([3]), tf.keras.layers.Dense(3), layers.get("sua")])
    optimizer = tf.keras.mixed_precision.LossScaleOptimizer(tf.keras.optimizers.SGD())
    model.compile(optimizer, loss=lambda y, y_hat: y_hat * float("inf"))
    data = tf.ones([2, 3])
    model.fit(data, data, verbose=0, callbacks=[TemperatureCallback(lambda step: 0.5)])
    # Keras 3 does not count them, and they are no reason for an error.
    assert int(optimizer.iterations) == (0 if IS_KERAS_3 else 1)
    assert np.isfinite(model.layers[0].kernel).all()


def test_what_is_no_keras_model_needs_a_step_alone():
    quantizer, step = layers.get("sua"), iter(range(9))
    callback = TemperatureCallback(
        lambda step: 1.0 - step / 10, layers=[quantizer], step=lambda: next(step)
    )
    callbacks = tf.keras.callbacks.CallbackList([callback])
    callbacks.on_train_begin()
    callbacks.on_epoch_begin(0)
    callbacks.on_train_batch_begin(0)
    assert 0.0 < quantizer.temperature.numpy() < 1.0
    callbacks.on_train_end()


@has_legacy_optimizers
def test_an_optimizer_without_a_name_that_stands_still_is_named_by_its_class():
    model = tf.keras.Sequential([tf.keras.layers.Dense(2), layers.get("sua")])
    model.build((None, 3))
    callback = TemperatureCallback(lambda step: 0.5, optimizer=tf.keras.optimizers.legacy.SGD())
    callback.set_model(model)
    callback.on_train_begin()
    callback.on_epoch_begin(0)
    callback.on_train_batch_begin(0)
    with pytest.raises(ValueError, match="The step by 'SGD' stayed at 0 for an epoch of 1 batches"):
        callback.on_epoch_end(0)
