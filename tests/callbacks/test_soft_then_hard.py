import numpy as np
import pytest
import tensorflow as tf

from tests.keras_versions import has_legacy_optimizers
from tests.photographs import crops
from tests.tiny import Tiny
from tfsq.callbacks import SoftThenHard, TemperatureCallback
from tfsq.layers import AdditiveUniformNoise, StochasticUniformAnnealing

ENCODER = ["analysis"]


def make_model():
    model = Tiny(num_filters=4, num_latents=6)
    model.compile(tf.keras.optimizers.Adam(1e-3), lmbda=0.02)
    return model


def data(steps):
    return tf.data.Dataset.from_tensors(crops()[:2]).repeat(steps)


class Weights(tf.keras.callbacks.Callback):
    """Keeps the weights at the beginning of every step, and whether quantizers are hard."""

    def __init__(self):
        super().__init__()
        self.encoder, self.decoder, self.hard = [], [], []

    def on_train_batch_begin(self, batch, logs=None):
        self.encoder.append(self.model.analysis.weights[0].numpy())
        self.decoder.append(self.model.synthesis.weights[0].numpy())
        self.hard.append(self.model.latent_model.rate_quantizer.hard)

    def moved(self, part):
        weights = getattr(self, part)
        return [not np.array_equal(a, b) for a, b in zip(weights, weights[1:])]


def test_encoder_stands_still_after_the_step_and_the_decoder_does_not():
    model, weights = make_model(), Weights()
    annealing = TemperatureCallback(lambda step: 0.5)
    history = model.fit(
        data(6), callbacks=[annealing, SoftThenHard(3, ENCODER), weights], verbose=0
    ).history
    assert weights.hard == [False] * 3 + [True] * 3
    assert weights.moved("encoder") == [True, True, True, False, False]
    assert weights.moved("decoder") == [True] * 5
    assert history["temperature"] == [0.5]
    # What training sees is now what there is.
    model.evaluate(data(1), verbose=0)
    hard = model.rate_distortion(crops()[:2], training=False)
    soft = model.rate_distortion(crops()[:2], training=True)
    np.testing.assert_allclose(soft["distortion"], hard["distortion"], rtol=1e-5)


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly")
def test_resumed_run_is_switched_where_the_interrupted_one_was(tmp_path):
    def fit(model, epochs, *callbacks):
        backup = tf.keras.callbacks.BackupAndRestore(tmp_path / "backup", delete_checkpoint=False)
        model.fit(
            data(40),
            epochs=epochs,
            steps_per_epoch=2,
            callbacks=[backup, SoftThenHard(3, ENCODER), *callbacks],
            verbose=0,
        )

    first = make_model()
    fit(first, 3)
    slots = [variable.numpy() for variable in first.optimizer.variables]
    resumed, weights = make_model(), Weights()

    class Slots(tf.keras.callbacks.Callback):
        restored = None

        def on_train_batch_begin(self, batch, logs=None):
            self.restored = self.restored or [v.numpy() for v in self.model.optimizer.variables]

    kept = Slots()
    fit(resumed, 5, weights, kept)
    assert weights.hard == [True] * 4
    assert weights.moved("encoder") == [False] * 3
    assert weights.moved("decoder") == [True] * 3
    assert np.array_equal(weights.encoder[0], first.analysis.weights[0])
    assert len(kept.restored) == len(slots)
    for before, after in zip(slots, kept.restored):
        assert np.array_equal(before, after)


def test_only_the_given_quantizers_are_switched():
    first, second = AdditiveUniformNoise(), StochasticUniformAnnealing()
    dense, last = tf.keras.layers.Dense(3), tf.keras.layers.Dense(3)
    model = tf.keras.Sequential([tf.keras.Input([3]), dense, first, second, last])
    model.compile("sgd", "mse")
    model.fit(
        tf.ones([4, 3]),
        tf.ones([4, 3]),
        verbose=0,
        callbacks=[SoftThenHard(0, [dense], quantizers=[second])],
    )
    assert (first.hard, second.hard, dense.trainable) == (False, True, False)
    # What the callback made of it is not in the configuration.
    assert not type(second).from_config(second.get_config()).hard
    assert AdditiveUniformNoise.from_config(AdditiveUniformNoise(hard=True).get_config()).hard


def test_hard_layer_rounds_with_the_straight_through_gradient():
    layer = AdditiveUniformNoise(hard=True)
    y = tf.constant([0.3, 0.7])
    with tf.GradientTape() as tape:
        tape.watch(y)
        y_hat = layer(y, training=True)
    assert y_hat.numpy().tolist() == [0.0, 1.0]
    assert tape.gradient(y_hat, y).numpy().tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            {"switch_step": -1, "freeze": []},
            ValueError,
            "`switch_step` must be an integer of at least 0",
        ),
        ({"switch_step": 1, "freeze": "analysis"}, TypeError, "`freeze` must be a list"),
        (
            {"switch_step": 1, "freeze": [], "quantizers": [tf.keras.layers.ReLU()]},
            TypeError,
            "`quantizers` must be quantizer layers",
        ),
    ],
)
def test_arguments_are_checked(arguments, error, message):
    with pytest.raises(error, match=message):
        SoftThenHard(**arguments)


def test_layers_that_are_not_in_the_model_are_refused():
    dense, quantizer = tf.keras.layers.Dense(3), AdditiveUniformNoise()
    model = tf.keras.Sequential([tf.keras.Input([3]), dense, quantizer])
    model.compile("sgd", "mse")
    other = tf.keras.layers.Dense(3, name="other")
    for callback, name in (
        (SoftThenHard(0, [other]), "freeze"),
        (SoftThenHard(0, [dense], quantizers=[AdditiveUniformNoise()]), "quantizers"),
    ):
        with pytest.raises(ValueError, match=f"`{name}` must be parts of model"):
            model.fit(tf.ones([4, 3]), tf.ones([4, 3]), callbacks=[callback], verbose=0)
    with pytest.raises(ValueError, match="found no quantizer"):
        nothing = SoftThenHard(0, [dense], quantizers=[])
        model.compile("sgd", "mse")
        model.fit(tf.ones([4, 3]), tf.ones([4, 3]), callbacks=[nothing], verbose=0)


@has_legacy_optimizers
def test_legacy_optimizers_are_refused():
    dense = tf.keras.layers.Dense(3)
    model = tf.keras.Sequential([tf.keras.Input([3]), dense, AdditiveUniformNoise()])
    model.compile(tf.keras.optimizers.legacy.SGD(), "mse")
    with pytest.raises(ValueError, match="not of its `legacy` module"):
        model.fit(tf.ones([4, 3]), tf.ones([4, 3]), callbacks=[SoftThenHard(0, [dense])])


def test_unknown_name_and_missing_quantizer_are_refused():
    model = make_model()
    with pytest.raises(ValueError, match="0 are called 'encoder'. Layers: .*'analysis'"):
        model.fit(data(1), callbacks=[SoftThenHard(1, ["encoder"])], verbose=0)
    plain = tf.keras.Sequential([tf.keras.Input([3]), tf.keras.layers.Dense(3)])
    plain.compile("sgd", "mse")
    with pytest.raises(ValueError, match="found no quantizer"):
        plain.fit(tf.ones([4, 3]), tf.ones([4, 3]), callbacks=[SoftThenHard(1, [])], verbose=0)
