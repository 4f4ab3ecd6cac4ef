"""Quantization steps of many rates, and the ladder that they belong to."""

import numpy as np
import pytest
import tensorflow as tf

from tfsq.layers import Gain, StochasticUniformAnnealing
from tfsq.layers.ladder import Ladder

LMBDAS = (0.002, 0.004, 0.016)
CHANNELS = 5


def moved(seed=0):
    """A layer whose gains and inverse gains are none that it begins with."""
    gain = Gain(LMBDAS)
    gain.build((None, CHANNELS))
    rng = np.random.default_rng(seed)
    for weight in gain.weights:
        weight.assign_add(rng.normal(scale=0.3, size=weight.shape))
    return gain


def test_begins_at_the_square_root_of_lambda_over_that_of_the_middle():
    gain = Gain(LMBDAS)
    y = tf.ones([3, 2, 2, CHANNELS])
    found = gain(y, quality=[1.0, 2.0, 3.0])[:, 0, 0, 0]
    np.testing.assert_allclose(found, np.sqrt(np.array(LMBDAS) / LMBDAS[1]), rtol=1e-6)
    np.testing.assert_allclose(gain.inverse(gain(y, quality=1.3), 1.3), y, rtol=1e-6)


def test_is_geometric_between_rungs():
    gain = moved()
    low, high, between = (gain.gains(q) for q in (1.0, 2.0, 1.25))
    for a, b, c in zip(low, high, between):
        np.testing.assert_allclose(c, a**0.75 * b**0.25, rtol=1e-5)


@pytest.mark.parametrize("quality", [1, 1.0, 2.345, np.float64(3), [1.5, 3.0], tf.constant(2.5)])
def test_quality_is_a_number_or_one_for_each_example(quality):
    gain, y = moved(), tf.random.normal([2, 3, CHANNELS])
    expected = tf.broadcast_to(tf.cast(quality, tf.float32), [2])
    each = [gain(y[i : i + 1], quality=float(expected[i])) for i in range(2)]
    np.testing.assert_allclose(gain(y, quality=quality), tf.concat(each, 0), rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(2, CHANNELS), (2, 3, 4, CHANNELS), (0, 3, CHANNELS)])
def test_shape_and_dtype_are_kept(shape, dtype):
    gain, y = moved(), tf.cast(tf.random.normal(shape), dtype)
    for found in (gain(y, quality=1.5), gain.inverse(y, 1.5)):
        assert (found.shape, found.dtype) == (y.shape, y.dtype)


def test_exact_gains_are_powers_of_a_root_of_two_wherever_they_are_computed():
    gain = moved()
    quality = tf.constant(np.linspace(1, 3, 101), tf.float32)

    def both(quality):
        return gain.gains(quality, exactly=True)

    eager = both(quality)
    for function in (tf.function(both), tf.function(both, jit_compile=True)):
        for a, b in zip(eager, function(quality)):
            assert np.array_equal(a, b)
    for exact, smooth in zip(eager, gain.gains(quality)):
        # Of a product of two numbers that are rounded to float32.
        steps = 1024 * np.log2(exact.numpy().astype(np.float64))
        np.testing.assert_allclose(steps, np.round(steps), atol=2e-4)
        np.testing.assert_allclose(exact, smooth, rtol=4e-4)


def test_everything_is_trained_through_a_surrogate():
    gain, y = moved(), tf.random.normal([4, 3, CHANNELS])
    quantizer = StochasticUniformAnnealing(temperature=0.5, seed=1)
    quality = [1.0, 2.0, 2.5, 3.0]

    def loss():
        y_hat = gain.inverse(quantizer(gain(y, quality=quality), training=True), quality)
        return tf.reduce_sum(tf.square(y_hat - y) + tf.abs(gain(y, quality=quality)))

    for function in (loss, tf.function(loss), tf.function(loss, jit_compile=True)):
        with tf.GradientTape() as tape:
            value = function()
        gradients = tape.gradient(value, gain.trainable_weights)
        assert len(gradients) == 2
        for gradient in gradients:
            assert (np.abs(tf.convert_to_tensor(gradient)) > 0).all()


def test_keras_file_keeps_gains(tmp_path):
    inputs = tf.keras.Input((CHANNELS,)), tf.keras.Input((), dtype=tf.float32)
    model = tf.keras.Model(inputs, Gain(LMBDAS, name="gain")(*inputs))
    model.get_layer("gain").logs.assign_add(tf.random.normal([3, CHANNELS]))
    model.save(tmp_path / "model.keras")
    again = tf.keras.models.load_model(tmp_path / "model.keras")
    given = tf.random.normal([2, CHANNELS]), tf.constant([1.5, 3.0])
    assert np.array_equal(model(given), again(given))
    assert again.get_layer("gain").get_config() == model.get_layer("gain").get_config()


@pytest.mark.parametrize("quality", [0.99, 3.01, float("nan"), "high", None])
def test_numbers_that_are_not_on_the_ladder_are_refused(quality):
    with pytest.raises(ValueError, match="`quality` must be a number from 1 to 3. Received"):
        moved()(tf.ones([1, CHANNELS]), quality=quality)


@pytest.mark.parametrize("quality", [0.99, 3.01, float("nan")])
def test_tensors_that_are_not_on_the_ladder_are_refused(quality):
    gain, y = moved(), tf.ones([2, CHANNELS])
    for function in (gain, tf.function(gain)):
        with pytest.raises(tf.errors.InvalidArgumentError, match="`quality` must be from 1 to 3"):
            function(y, tf.constant([1.0, quality]))


@pytest.mark.parametrize("lmbdas", [(), (0.01,), (0.02, 0.01), (0.01, 0.01), (0.0, 1.0), ("a",)])
def test_what_is_no_ladder_is_refused(lmbdas):
    with pytest.raises(ValueError, match="`lmbdas` must be.*Received"):
        Gain(lmbdas)


def test_lambdas_are_geometric_between_rungs():
    ladder = Ladder(LMBDAS)
    assert ladder.lmbda_at(2.5) == pytest.approx(0.008)
    assert ladder.lmbda_at(1) == pytest.approx(0.002)
    np.testing.assert_allclose(
        ladder.lmbdas_at([1.0, 1.5, 3.0]), [ladder.lmbda_at(q) for q in (1, 1.5, 3)], rtol=1e-5
    )


def test_all_rungs_are_drawn_alike():
    drawn = Gain(LMBDAS).draw(30_000).numpy()
    values, counts = np.unique(drawn, return_counts=True)
    assert values.tolist() == [1.0, 2.0, 3.0]
    assert np.abs(counts / 10_000 - 1).max() < 0.05
    own, same, other = (Gain(LMBDAS, seed=seed).draw(100).numpy() for seed in (1, 1, 2))
    assert np.array_equal(own, same)
    assert not np.array_equal(own, other)
