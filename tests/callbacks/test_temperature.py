import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests.strategies import two_replicas
from tfsq._keras import IS_KERAS_3
from tfsq.callbacks import TemperatureCallback
from tfsq.entropy_models import LowerBoundedGaussianConditional
from tfsq.layers import (
    KumaraswamySoftRounding,
    StochasticUniformAnnealing,
    StraightThroughRounding,
)

# What is traced, and when a traced step reads the temperature, is in the other tests.
eagerly = pytest.mark.usefixtures("eagerly")
HALVING = tf.keras.optimizers.schedules.ExponentialDecay(1.0, 4, 0.5)


def make_model(*quantizers, **compile_arguments):
    model = tf.keras.Sequential([tf.keras.Input([3]), tf.keras.layers.Dense(3), *quantizers])
    model.compile(tf.keras.optimizers.SGD(0.01), "mse", **compile_arguments)
    return model


def data(steps=4, batch_size=2):
    x = np.random.default_rng(0).normal(size=(steps * batch_size, 3)).astype(np.float32)
    return tf.data.Dataset.from_tensor_slices((x, x)).batch(batch_size)


def fit(model, *callbacks, epochs=2, steps=4, **kwargs):
    return model.fit(data(steps), epochs=epochs, callbacks=[*callbacks], verbose=0, **kwargs)


class Recorder(tf.keras.callbacks.Callback):
    """Records temperatures when batches end, and all logs."""

    def __init__(self, layer):
        super().__init__()
        self.layer, self.temperatures, self.batch_logs, self.epoch_logs = layer, [], [], []

    def on_train_batch_end(self, batch, logs=None):
        self.temperatures.append(float(self.layer.temperature))
        self.batch_logs.append({key: float(value) for key, value in logs.items()})

    def on_epoch_end(self, epoch, logs=None):
        self.epoch_logs.append(dict(logs))


def test_follows_the_schedule_by_the_step_of_the_optimizer():
    layer = StochasticUniformAnnealing()
    recorder = Recorder(layer)
    history = fit(make_model(layer), TemperatureCallback(HALVING), recorder)
    expected = [0.5 ** (step / 4) for step in range(8)]
    np.testing.assert_allclose(recorder.temperatures, expected, rtol=1e-6)
    np.testing.assert_allclose(
        history.history["temperature"], [expected[3], expected[7]], rtol=1e-6
    )


def test_continues_in_a_second_fit():
    layer = StochasticUniformAnnealing()
    model, callback, recorder = make_model(layer), TemperatureCallback(HALVING), Recorder(layer)
    for _ in range(2):
        fit(model, callback, recorder, epochs=1)
    expected = [0.5 ** (step / 4) for step in range(8)]
    np.testing.assert_allclose(recorder.temperatures, expected, rtol=1e-6)
    # Nothing of the callback stays behind.
    history = fit(model, epochs=1)
    assert list(history.history) == ["loss"]


@eagerly
@pytest.mark.parametrize("position", [0, 1])
def test_is_in_the_logs_of_every_callback_whatever_their_order(position, tmp_path):
    layer = StochasticUniformAnnealing()
    recorder, board = Recorder(layer), tf.keras.callbacks.TensorBoard(tmp_path, profile_batch=0)
    callbacks = [recorder, board]
    callbacks.insert(2 * position, TemperatureCallback(HALVING, name="t"))
    history = fit(make_model(layer), *callbacks)
    assert [logs["t"] for logs in recorder.batch_logs] == recorder.temperatures
    assert [logs["t"] for logs in recorder.epoch_logs] == history.history["t"]
    written = list(tf.compat.v1.train.summary_iterator(str(next(tmp_path.glob("train/*v2")))))
    values = {
        value.tag: float(tf.make_ndarray(value.tensor))
        for event in written
        for value in event.summary.value
        if value.tag == "epoch_t"
    }
    assert values == {"epoch_t": pytest.approx(history.history["t"][-1])}


@eagerly
def test_progress_bar_shows_it(capsys):
    layer = StochasticUniformAnnealing()
    make_model(layer).fit(
        data(), epochs=1, verbose=2, callbacks=[TemperatureCallback(HALVING, minimum=0.9)]
    )
    assert "temperature: 0.9000" in capsys.readouterr().out


def test_is_constant_within_an_execution():
    layer = StochasticUniformAnnealing()
    recorder = Recorder(layer)
    model = make_model(layer, steps_per_execution=4)
    fit(model, TemperatureCallback(HALVING), recorder, epochs=1, steps=8)
    np.testing.assert_allclose(recorder.temperatures, [1.0, 0.5], rtol=1e-6)


@eagerly
def test_minimum_clamps():
    layer = StochasticUniformAnnealing()
    recorder = Recorder(layer)
    to_zero = tf.keras.optimizers.schedules.PolynomialDecay(1.0, 4, 0.0)
    fit(make_model(layer), TemperatureCallback(to_zero, minimum=0.25), recorder)
    np.testing.assert_allclose(recorder.temperatures, [1, 0.75, 0.5, *[0.25] * 5], rtol=1e-6)


@eagerly
def test_schedule_may_be_any_callable():
    layer = StochasticUniformAnnealing()
    fit(make_model(layer), TemperatureCallback(lambda step: 1 / (1 + step)))
    assert float(layer.temperature) == pytest.approx(1 / 8)


@pytest.mark.slow
@eagerly
def test_finds_annealed_layers_wherever_they_are():
    class Nested(tf.keras.Model):
        def __init__(self):
            super().__init__()
            self.layers_in_a_list = [StochasticUniformAnnealing()]
            self.entropy_model = LowerBoundedGaussianConditional(
                coding_rank=1, reconstruction_quantizer=StochasticUniformAnnealing()
            )

        def call(self, y, training=None):
            y = self.layers_in_a_list[0](y, training=training)
            return self.entropy_model(y, tf.ones_like(y), training=training)[0]

    nested = Nested()
    inner = tf.keras.Sequential([tf.keras.Input([3]), StochasticUniformAnnealing()])
    fit(make_model(nested, inner), TemperatureCallback(lambda step: 0.25))
    found = [
        nested.layers_in_a_list[0],
        nested.entropy_model.reconstruction_quantizer,
        inner.layers[-1],
    ]
    assert [float(layer.temperature) for layer in found] == [0.25] * 3


@eagerly
def test_nothing_stays_behind_after_an_interruption():
    class Interrupt(tf.keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise KeyboardInterrupt

    layer = StochasticUniformAnnealing()
    model = make_model(layer)
    with pytest.raises(KeyboardInterrupt):
        fit(model, TemperatureCallback(HALVING, name="old"), Interrupt())
    assert list(fit(model).history) == ["loss"]
    with pytest.raises(KeyboardInterrupt):
        fit(model, TemperatureCallback(HALVING, name="old"), Interrupt())
    history = fit(model, TemperatureCallback(HALVING, name="new", minimum=0.01)).history
    assert list(history) == ["loss", "new"]
    assert list(fit(model).history) == ["loss"]


@eagerly
def test_two_callbacks_of_one_name_are_refused():
    first, second = StochasticUniformAnnealing(), StochasticUniformAnnealing()
    with pytest.raises(ValueError, match="Two TemperatureCallbacks of one `fit`"):
        fit(
            make_model(first, second),
            TemperatureCallback(HALVING, layers=[first]),
            TemperatureCallback(HALVING, layers=[second]),
        )


@pytest.mark.slow
@pytest.mark.skipif(IS_KERAS_3, reason="Keras 3 starts an interrupted epoch again")
def test_plan_of_a_run_resumed_within_an_epoch_ends_where_it_did(tmp_path):
    class Interrupt(tf.keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if self.model.optimizer.iterations == 6:
                raise KeyboardInterrupt

    def run(*callbacks):
        tf.keras.utils.set_random_seed(1)
        layer = StochasticUniformAnnealing()
        backup = tf.keras.callbacks.BackupAndRestore(tmp_path, save_freq=2)
        # Leaves (0, 1] right after the last planned step.
        annealing = TemperatureCallback(tf.keras.optimizers.schedules.PolynomialDecay(1.0, 16, 0.0))
        recorder = Recorder(layer)
        model = make_model(layer)
        fit(model, annealing, recorder, backup, *callbacks, epochs=2, steps=8)
        return recorder.temperatures

    with pytest.raises(KeyboardInterrupt):
        run(Interrupt())
    np.testing.assert_allclose(run()[-1], 1 / 16, rtol=1e-5)


@eagerly
def test_sets_only_the_layers_given():
    first, second = StochasticUniformAnnealing(), StochasticUniformAnnealing()
    fit(make_model(first, second), TemperatureCallback(lambda step: 0.25, layers=[second]))
    assert [float(first.temperature), float(second.temperature)] == [1.0, 0.25]


@eagerly
def test_two_callbacks_side_by_side():
    first, second = StochasticUniformAnnealing(), StochasticUniformAnnealing()
    history = fit(
        make_model(first, second),
        TemperatureCallback(lambda step: 0.25, layers=[first], name="a"),
        TemperatureCallback(lambda step: 0.75, layers=[second], name="b"),
    )
    assert history.history["a"] == [0.25] * 2
    assert history.history["b"] == [0.75] * 2
    assert [float(first.temperature), float(second.temperature)] == [0.25, 0.75]


@pytest.mark.slow
@eagerly
def test_nothing_stays_behind_after_two_callbacks():
    first, second = StochasticUniformAnnealing(), StochasticUniformAnnealing()
    model = make_model(first, second)
    for _ in range(2):
        fit(
            model,
            TemperatureCallback(lambda step: 0.25, layers=[first], name="a"),
            TemperatureCallback(lambda step: 0.75, layers=[second], name="b"),
        )
    assert list(fit(model).history) == ["loss"]


def test_works_under_a_strategy():
    strategy = two_replicas()
    with strategy.scope():
        layer = StochasticUniformAnnealing()
        model = make_model(layer)
    history = fit(model, TemperatureCallback(HALVING))
    assert layer.temperature.numpy() == pytest.approx(0.5 ** (7 / 4))
    assert history.history["temperature"][-1] == pytest.approx(0.5 ** (7 / 4))


class Untrained(tf.keras.callbacks.Callback):
    def on_train_batch_begin(self, batch, logs=None):
        raise AssertionError("training has started")


@pytest.mark.parametrize(
    ("schedule", "step"),
    [
        (lambda step: 1.5 if step == 0 else 0.5, 0),
        (lambda step: 1 - step / 7, 7),
        (lambda step: float("nan"), 0),
    ],
)
def test_schedule_that_leaves_the_domain_is_an_error_before_training(schedule, step):
    model = make_model(StochasticUniformAnnealing())
    with pytest.raises(ValueError, match=rf"`schedule\({step}\)` must be in \(0, 1\]"):
        fit(model, TemperatureCallback(schedule), Untrained())


@eagerly
def test_schedule_that_leaves_the_domain_on_the_way_is_an_error():
    model = make_model(StochasticUniformAnnealing())
    with pytest.raises(ValueError, match=r"`schedule\(3\)` must be in"):
        fit(model, TemperatureCallback(lambda step: 0 if step == 3 else 1))


def test_model_without_annealed_layer_is_an_error_before_training():
    model = make_model(StraightThroughRounding())
    with pytest.raises(ValueError, match="found no annealed quantizer layer"):
        fit(model, TemperatureCallback(HALVING), Untrained())


def test_bad_arguments_are_refused():
    with pytest.raises(TypeError, match="`schedule` must be a callable"):
        TemperatureCallback(0.5)
    with pytest.raises(ValueError, match=r"`minimum` must be in \(0, 1\]"):
        TemperatureCallback(HALVING, minimum=0.0)
    with pytest.raises(TypeError, match="`layers` must be annealed quantizers"):
        TemperatureCallback(HALVING, layers=[StraightThroughRounding()])


# Kills itself after `stop` epochs; run again, it resumes. Prints what is left.
SCRIPT = """
import os, signal, sys
import numpy as np, tensorflow as tf
from tfsq.callbacks import TemperatureCallback
from tfsq.layers import StochasticUniformAnnealing

folder, stop = sys.argv[1], int(sys.argv[2])
layer = StochasticUniformAnnealing()
model = tf.keras.Sequential([tf.keras.Input([3]), tf.keras.layers.Dense(3), layer])
model.compile("adam", "mse")

class Kill(tf.keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == stop:
            os.kill(os.getpid(), signal.SIGKILL)

schedule = tf.keras.optimizers.schedules.ExponentialDecay(1.0, 5, 0.5)
history = model.fit(
    np.ones([16, 3], np.float32), np.ones([16, 3], np.float32), batch_size=2, epochs=4, verbose=0,
    callbacks=[
        TemperatureCallback(schedule, minimum=0.01),
        tf.keras.callbacks.BackupAndRestore(folder, delete_checkpoint=False),
        Kill(),
    ],
)
print(int(model.optimizer.iterations), repr(float(layer.temperature)),
      history.history["temperature"])
"""


@pytest.mark.slow  # Three processes; `test_plan_of_a_run_resumed` has one.
def test_run_killed_and_resumed_ends_at_the_same_temperature(tmp_path):
    def run(folder, stop):
        arguments = [sys.executable, "-c", SCRIPT, str(tmp_path / folder), str(stop)]
        return subprocess.run(arguments, capture_output=True, text=True, env=os.environ)

    whole = run("whole", -1)
    assert whole.returncode == 0, whole.stderr
    assert run("killed", 2).returncode == -signal.SIGKILL
    resumed = run("killed", -1)
    assert resumed.returncode == 0, resumed.stderr
    step, temperature, history = whole.stdout.split(maxsplit=2)
    resumed_step, resumed_temperature, resumed_history = resumed.stdout.split(maxsplit=2)
    assert (step, temperature) == (resumed_step, resumed_temperature)
    assert int(step) == 32
    assert float(temperature) == pytest.approx(0.5 ** (31 / 5), rel=1e-5)
    # The resumed run knows the epochs that it ran itself.
    assert eval(history)[2:] == eval(resumed_history)


@eagerly
def test_two_attributes_are_annealed_side_by_side():
    layer = KumaraswamySoftRounding(shape=2.0)
    model = make_model(layer, StochasticUniformAnnealing())
    shapes = tf.keras.optimizers.schedules.PolynomialDecay(2.0, 4, 0.5)
    history = fit(
        model,
        TemperatureCallback(HALVING),
        TemperatureCallback(shapes, minimum=1.0, attribute="shape"),
    )
    np.testing.assert_allclose(history.history["shape"], [1.0, 1.0])
    np.testing.assert_allclose(history.history["temperature"], 0.5 ** (np.array([3, 7]) / 4))
    assert float(layer.shape) == 1.0


def test_one_layer_has_one_callback_for_an_attribute():
    layer = StochasticUniformAnnealing()
    callbacks = [TemperatureCallback(HALVING), TemperatureCallback(HALVING, [layer], name="other")]
    with pytest.raises(ValueError, match="Two TemperatureCallbacks of one `fit` set 'temperature'"):
        fit(make_model(layer), *callbacks)


def test_attribute_has_its_own_domain():
    layer = KumaraswamySoftRounding()
    assert TemperatureCallback(lambda step: 2.0, attribute="shape").temperature_at(0) == 2.0
    with pytest.raises(ValueError, match=r"`schedule\(0\)` must be in \[1, 16\]"):
        fit(make_model(layer), TemperatureCallback(lambda step: 0.5, attribute="shape"))
    with pytest.raises(ValueError, match=r"`minimum` must be in \[1, 16\]"):
        fit(make_model(layer), TemperatureCallback(HALVING, minimum=0.5, attribute="shape"))


def test_layer_without_the_attribute_is_refused():
    with pytest.raises(ValueError, match="`attribute` must be one of .*'temperature'.*'shape'"):
        TemperatureCallback(HALVING, [StochasticUniformAnnealing()], attribute="shape")
    with pytest.raises(ValueError, match="no annealed quantizer layer with the attribute 'shape'"):
        fit(
            make_model(StochasticUniformAnnealing()),
            TemperatureCallback(HALVING, attribute="shape"),
        )
