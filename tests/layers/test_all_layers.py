"""Properties that every quantizer layer has, over the rows of the table."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from tests.layers.harness import latents, run_layer_test
from tests.strategies import two_replicas
from tests.surrogate_table import ROWS

every_row = pytest.mark.parametrize("row", ROWS, ids=str)
noisy_rows = pytest.mark.parametrize("row", [r for r in ROWS if r.noise], ids=str)
annealed_rows = pytest.mark.parametrize("row", [r for r in ROWS if r.annealed], ids=str)


# Saving the old HDF5 format is still supported, but not silently.
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@every_row
def test_layer(row, tmp_path):
    run_layer_test(lambda **kwargs: row.make_layer(temperature=0.5, seed=1, **kwargs), tmp_path)


@every_row
def test_layer_is_the_function(row):
    y = latents((100,))
    layer = row.make_layer(temperature=0.5)
    noise = row.draw(np.random.default_rng(0), y.shape).astype(np.float32) if row.noise else None
    expected = row.function(y, noise, 0.5)
    assert np.array_equal(layer(y, training=True, noise=noise), expected)


@every_row
@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8", "bool", "complex64"])
def test_input_that_is_not_floating_point_is_refused(row, dtype):
    layer = row.make_layer(name="my_quantizer")
    with pytest.raises(
        TypeError, match=f"The latent must be floating-point.*my_quantizer.*{dtype}"
    ):
        layer(tf.cast([0, 1], dtype), training=False)


@noisy_rows
def test_noise_of_another_shape_is_refused(row):
    with pytest.raises(ValueError, match="`noise` must have the shape of `y`"):
        row.make_layer()(tf.zeros([2, 3]), training=True, noise=tf.zeros([3]))


@noisy_rows
def test_noise_repeats_with_the_global_seed(row):
    y = latents((50,))

    def draws(seed):
        tf.keras.utils.set_random_seed(seed)
        layer = row.make_layer(temperature=0.5)
        return np.stack([layer(y, training=True), layer(y, training=True)])

    first = draws(5)
    assert np.array_equal(first, draws(5))
    assert not np.array_equal(first, draws(6))
    assert not np.array_equal(first[0], first[1])


@noisy_rows
@pytest.mark.parametrize("jit_compile", [None, False, True])
def test_noise_repeats_with_the_seed_of_the_layer(row, jit_compile):
    y = latents((50,))

    def draws(seed):
        layer = row.make_layer(temperature=0.5, seed=seed)
        call = lambda y: layer(y, training=True)  # noqa: E731
        if jit_compile is not None:
            call = tf.function(call, jit_compile=jit_compile)
        return np.stack([call(y), call(y)])

    first = draws(5)
    assert np.array_equal(first, draws(5))
    assert not np.array_equal(first, draws(6))
    assert not np.array_equal(first[0], first[1])


@noisy_rows
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_noise_has_the_law_of_the_table(row, dtype):
    layer = row.make_layer(seed=7)
    # Of one element an example, so that shared noise is not shared.
    noise = tf.cast(layer.sample_noise((40_000, 1), dtype), tf.float64).numpy()
    assert noise.shape == (40_000, 1, *row.noise_axes)
    cumulative = noise + 0.5 if row.noise == "uniform" else np.exp(-np.exp(-noise))
    assert scipy.stats.kstest(cumulative.ravel(), "uniform").pvalue > 1e-3 or dtype == "bfloat16"
    assert abs(cumulative.mean() - 0.5) < 0.01
    assert abs(cumulative.var() - 1 / 12) < 0.002


@noisy_rows
@pytest.mark.parametrize("seed", [None, 3])
def test_replicas_draw_different_noise(row, seed):
    strategy = two_replicas()
    with strategy.scope():
        layer = row.make_layer(temperature=0.5, seed=seed)
    y = latents((50,))
    step = tf.function(lambda: strategy.run(lambda: layer(y, training=True)))
    first, second = strategy.experimental_local_results(step())
    assert first.shape == second.shape == y.shape
    assert not np.array_equal(first, second)


@annealed_rows
@pytest.mark.parametrize("temperature", [0.0, -0.1, 1.5, 1e-60, float("nan"), float("inf")])
def test_temperature_outside_of_its_domain_is_refused(row, temperature):
    message = r"`temperature` must be in \(0, 1\]. Received: temperature="
    with pytest.raises(ValueError, match=message):
        row.make_layer(temperature=temperature)
    layer = row.make_layer(temperature=0.5)
    with pytest.raises(ValueError, match=message):
        layer.temperature = temperature
    assert float(layer.temperature) == 0.5


@annealed_rows
def test_temperature_is_a_float32_weight_that_is_not_trained(row):
    for policy in ("float32", "float64", "mixed_float16"):
        layer = row.make_layer(temperature=1e-5, dtype=policy)
        assert layer.trainable_weights == []
        assert {weight.dtype for weight in layer.non_trainable_weights} == {tf.float32}
        assert float(layer.temperature) == np.float32(1e-5)


@annealed_rows
def test_temperature_is_read_when_a_traced_layer_runs(row):
    layer = row.make_layer(temperature=1.0)
    y = latents((50,))
    noise = tf.fill((50, *row.noise_axes), 0.3)
    call = tf.function(lambda: layer(y, training=True, noise=noise))
    for temperature in (1.0, 0.25):
        layer.temperature = temperature
        np.testing.assert_allclose(call(), row.function(y, noise, temperature), rtol=1e-6)


@annealed_rows
def test_temperature_survives_a_checkpoint(row, tmp_path):
    layer = row.make_layer(temperature=0.25)
    path = tf.train.Checkpoint(layer=layer).save(tmp_path / "checkpoint")
    other = row.make_layer(temperature=1.0)
    tf.train.Checkpoint(layer=other).restore(path).assert_consumed()
    assert float(other.temperature) == 0.25


@annealed_rows
def test_temperature_is_one_under_a_strategy(row):
    strategy = two_replicas()
    with strategy.scope():
        layer = row.make_layer(temperature=1.0)
    layer.temperature = 0.125
    read = tf.function(lambda: strategy.run(lambda: tf.identity(layer.temperature)))
    assert [float(value) for value in strategy.experimental_local_results(read())] == [0.125] * 2
