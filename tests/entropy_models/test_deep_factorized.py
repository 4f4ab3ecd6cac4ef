import numpy as np
import pytest
import tensorflow as tf

from tfsq.entropy_models.deep_factorized import DeepFactorized, shapes_and_initial_values

CHANNELS = 5


def weights(num_filters=(3, 3), init_scale=10.0, spread=0.5):
    found = shapes_and_initial_values(CHANNELS, num_filters, init_scale)
    for i, (_, shape, initializer) in enumerate(found):
        initial = tf.keras.initializers.get(initializer)(shape, dtype="float32")
        yield initial + tf.random.stateless_normal(shape, (1, i), 0.0, spread)


def test_cumulative_increases_and_is_half_at_zero():
    density = DeepFactorized.of(list(weights()), tf.float64)
    x = tf.tile(tf.linspace(-60.0, 60.0, 241)[:, tf.newaxis], [1, CHANNELS])
    logits = density.logits(tf.cast(x, tf.float64)).numpy()
    assert np.all(np.diff(logits, axis=0) > 0.0)
    np.testing.assert_array_equal(logits[120], 0.0)


@pytest.mark.parametrize("num_filters", [(), (3,), (3, 3), (2, 4, 3)])
def test_probabilities_of_a_grid_add_up_to_one(num_filters):
    density = DeepFactorized.of(list(weights(num_filters, 3.0)))
    grid = tf.range(-2000.0, 2001.0)[:, tf.newaxis] + 0.3
    bits = density.bits(tf.tile(grid, [1, CHANNELS])).numpy()
    assert bits.min() > 0.0
    np.testing.assert_allclose(np.sum(2.0**-bits, axis=0), 1.0, rtol=1e-3)


def test_begins_as_wide_as_asked():
    for scale in (1.0, 10.0, 100.0):
        density = DeepFactorized.of(list(weights(init_scale=scale, spread=0.0)))
        quartile = density.logits(tf.fill([1, CHANNELS], scale)).numpy()
        np.testing.assert_allclose(quartile, quartile.mean(), rtol=0.5)
        assert 0.5 < quartile.mean() < 2.0


def test_bits_and_gradients_are_finite_far_out():
    density = DeepFactorized.of(list(weights()))
    x = tf.constant([[-1e6] * CHANNELS, [-1e3] * CHANNELS, [0.0] * CHANNELS, [1e6] * CHANNELS])
    with tf.GradientTape() as tape:
        tape.watch(x)
        bits = density.bits(x)
    assert np.all(np.isfinite(bits))
    assert np.all(np.isfinite(tape.gradient(bits, x)))


def test_is_the_density_of_tfc_with_the_median_at_zero():
    tfc = pytest.importorskip("tensorflow_compression")
    found = list(weights())
    theirs = tfc.DeepFactorized(batch_shape=(CHANNELS,))
    variables = [*theirs._biases[:-1], *theirs._factors, *theirs._matrices]
    for variable, value in zip(variables, found):
        variable.assign(value)
    ours = DeepFactorized.of(found)
    x = tf.random.stateless_normal([50, CHANNELS], (2, 2), 0.0, 20.0)
    # TFC's has its median elsewhere.
    at_zero = theirs._logits_cumulative(tf.zeros([CHANNELS]))
    np.testing.assert_allclose(
        ours.logits(x), theirs._logits_cumulative(x) - at_zero, rtol=1e-5, atol=1e-5
    )
    theirs._biases[-1].assign_sub(tf.reshape(at_zero, theirs._biases[-1].shape))
    expected = -tfc.UniformNoiseAdapter(theirs).log_prob(x) / np.log(2.0)
    np.testing.assert_allclose(ours.bits(x), expected, rtol=1e-4, atol=1e-5)
