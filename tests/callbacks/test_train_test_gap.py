import numpy as np
import pytest
import tensorflow as tf

from tests.strategies import two_replicas
from tfsq.callbacks import SoftThenHard, TemperatureCallback, TrainTestGap
from tfsq.layers import StochasticUniformAnnealing


class Model(tf.keras.Model):
    """Rate and distortion of a constant latent of 0.5 - 1e-3, whose hard values are known."""

    def __init__(self):
        super().__init__()
        self.offset = tf.Variable(0.0)
        self.quantizer = StochasticUniformAnnealing(form="additive")

    def rate_distortion(self, x, training):
        y = self.quantizer(x + self.offset, training=training)
        return {"loss": y + 10 * y**2, "bpp": y, "distortion": y**2}

    def train_step(self, x):
        self.optimizer.iterations.assign_add(1)
        return {"loss": tf.reduce_mean(self.rate_distortion(x, training=True)["loss"])}


def fit(model, *callbacks, epochs=1):
    images = tf.data.Dataset.from_tensors(tf.zeros([1, 2])).repeat(2)
    model.compile("sgd")
    return model.fit(images, epochs=epochs, callbacks=[*callbacks], verbose=0).history


@pytest.mark.parametrize("temperature", [1.0, 0.5, 1e-3])
def test_is_hard_minus_surrogate(temperature):
    batch = tf.fill([200_000], 0.4)
    model = Model()
    history = fit(
        model, TemperatureCallback(lambda step: temperature), TrainTestGap(batch), epochs=2
    )
    assert set(history) == {
        "loss",
        "temperature",
        *(f"train_test_gap{suffix}" for suffix in ("", "_rate", "_distortion")),
    }
    # Hard values are zero. The surrogate is h_t(0.4) + t u.
    mean = np.clip((0.4 - 0.5) / temperature + 0.5, 0, 1)
    square = mean**2 + temperature**2 / 12
    for epoch in range(2):
        assert history["train_test_gap_rate"][epoch] == pytest.approx(-mean, abs=5e-3)
        assert history["train_test_gap_distortion"][epoch] == pytest.approx(-square, abs=5e-3)
        assert history["train_test_gap"][epoch] == pytest.approx(-mean - 10 * square, abs=5e-2)


def test_takes_a_function_for_models_without_the_method():
    model = tf.keras.Sequential([tf.keras.Input([2]), tf.keras.layers.Dense(2)])
    model.compile("sgd", "mse")

    def rate_distortion(batch, training):
        value = tf.reduce_mean(model(batch)) * 0 + (3.0 if training else 5.0)
        return {"loss": value, "bpp": 2 * value, "distortion": 3 * value}

    callback = TrainTestGap(tf.zeros([1, 2]), rate_distortion)
    history = model.fit(tf.zeros([4, 2]), tf.zeros([4, 2]), verbose=0, callbacks=[callback]).history
    assert history["train_test_gap"] == [2.0]
    assert history["train_test_gap_rate"] == [4.0]
    assert history["train_test_gap_distortion"] == [6.0]


def test_model_without_rate_distortion_is_refused():
    model = tf.keras.Sequential([tf.keras.Input([2]), tf.keras.layers.Dense(2)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="TrainTestGap needs `rate_distortion`"):
        model.fit(tf.zeros([4, 2]), tf.zeros([4, 2]), callbacks=[TrainTestGap(tf.zeros([1, 2]))])


class NoisyGradient(tf.keras.Model):
    """A loss whose gradient in the weight is 2 (w + x + t u), of variance 4 t^2 / 12."""

    def __init__(self, **arguments):
        super().__init__()
        self.w = self.add_weight(name="w", shape=(), initializer="ones")
        self.quantizer = StochasticUniformAnnealing(form="additive", **arguments)

    def rate_distortion(self, x, training):
        loss = tf.square(self.quantizer(x + self.w, training=training))
        return {"loss": loss, "bpp": loss, "distortion": loss}

    def train_step(self, x):
        self.optimizer.iterations.assign_add(1)
        return {"loss": tf.reduce_mean(self.rate_distortion(x, training=True)["loss"])}


@pytest.mark.slow
def test_variance_of_the_gradient_is_that_of_the_noise():
    callback = TrainTestGap(tf.fill([1], 0.1), gradient_draws=2000, gradient_every=2)
    history = fit(NoisyGradient(), callback, epochs=3)
    variance, norm2 = history["gradient_variance"], history["gradient_norm2"]
    for epoch in (0, 2):
        assert variance[epoch] == pytest.approx(4 / 12, rel=0.1)
        assert norm2[epoch] == pytest.approx(2.2**2, rel=0.05)
    assert np.isnan([variance[1], norm2[1]]).all()
    assert "gradient_variance" not in fit(NoisyGradient(), TrainTestGap(tf.fill([1], 0.1)))


@pytest.mark.slow
def test_replicas_are_averaged():
    with two_replicas().scope():
        model = NoisyGradient()
    callback = TrainTestGap(tf.fill([1], 0.1), gradient_draws=2000)
    logs: dict = {}
    callback.set_model(model)
    callback.on_train_begin()
    callback.on_epoch_end(0, logs)
    # Each draws noise of its own.
    assert logs["gradient_variance"] == pytest.approx(4 / 12 / 2, rel=0.1)
    assert logs["gradient_norm2"] == pytest.approx(2.2**2, rel=0.05)


def test_hard_quantizers_have_no_variance():
    model = NoisyGradient()
    callback = TrainTestGap(tf.fill([1], 0.1), gradient_draws=4)
    history = fit(model, SoftThenHard(2, freeze=[]), callback, epochs=2)
    assert history["gradient_variance"][0] > 0.01
    assert history["gradient_variance"][1] == 0
    assert history["train_test_gap"][1] == 0


@pytest.mark.parametrize(
    "arguments",
    [{"gradient_draws": 1}, {"gradient_draws": -2}, {"gradient_draws": 2.5}, {"gradient_every": 0}],
)
def test_numbers_out_of_range_are_refused(arguments):
    with pytest.raises(ValueError, match=f"`{next(iter(arguments))}` must be .*Received: "):
        TrainTestGap(tf.zeros([1]), **arguments)
