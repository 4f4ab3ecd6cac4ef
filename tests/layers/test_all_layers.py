"""Properties that every quantizer layer has, over the rows of the table."""

import re

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from tests.keras_versions import has_format
from tests.layers.harness import check_functional_model_files, latents, run_layer_test
from tests.strategies import two_replicas
from tests.surrogate_table import ROWS
from tfsq import layers, surrogates
from tfsq.layers import AdditiveUniformNoise


def one_of_each_name(rows):
    """Rows, of which the further forms of one layer are slow."""
    first = {row.name.split("-")[0]: row for row in reversed(rows)}
    return [
        pytest.param(row, marks=() if row in first.values() else pytest.mark.slow) for row in rows
    ]


every_row = pytest.mark.parametrize("row", ROWS, ids=str)
# What all layers draw alike is that of their base.
noisy_names = pytest.mark.parametrize(
    "row", one_of_each_name([r for r in ROWS if r.noise]), ids=str
)
noisy_rows = pytest.mark.parametrize("row", [r for r in ROWS if r.noise], ids=str)
# One with noise, one with a temperature, one with both, and one whose noise has an axis more: the
# others differ in no weight from these, and are slow.
_KINDS = {"aun", "soft", "sua-dithered-straight_through", "sga-atanh"}
kinds_of_rows = pytest.mark.parametrize(
    "row",
    [pytest.param(row, marks=() if row.name in _KINDS else pytest.mark.slow) for row in ROWS],
    ids=str,
)
annealed_rows = pytest.mark.parametrize("row", [r for r in ROWS if r.annealed], ids=str)


# Saving the old HDF5 format is still supported, but not silently.
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@kinds_of_rows
def test_layer(row, tmp_path):
    run_layer_test(lambda **kwargs: row.make_layer(temperature=0.5, seed=1, **kwargs), tmp_path)


# Keras traces every method for such a file.
@has_format
@kinds_of_rows
def test_saved_model_keeps_the_layer(row, tmp_path):
    check_functional_model_files(
        lambda **kwargs: row.make_layer(temperature=0.5, seed=1, **kwargs), tmp_path, ["model_tf"]
    )


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


@noisy_names
@pytest.mark.parametrize("jit_compile", [None, False, pytest.param(True, marks=pytest.mark.slow)])
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


def windows(seed, count, jit_compile):
    """A number for each 8 neighbors of a stream, of which no two streams should share one."""
    layer = AdditiveUniformNoise(seed=seed)
    draw = tf.function(lambda: layer.sample_noise((count,)), jit_compile=jit_compile)
    bits = draw().numpy().view(np.uint32).astype(np.uint64)
    odd = np.random.default_rng(0).integers(2**63, size=8, dtype=np.uint64) * 2 + 1
    with np.errstate(over="ignore"):
        found = sum(factor * bits[i : count - 7 + i] for i, factor in enumerate(odd))
    return np.sort(found ^ (found >> np.uint64(29)))


def assert_streams_are_apart(seeds, count, jit_compile=False):
    found = np.concatenate([windows(seed, count, jit_compile) for seed in seeds])
    found.sort(kind="stable")
    assert not (found[1:] == found[:-1]).any()


@pytest.mark.parametrize("jit_compile", [False, True])
def test_streams_of_seeds_are_not_shifts_of_each_other(jit_compile):
    assert_streams_are_apart([*range(10), -1, 2**62], 10_000, jit_compile)


@pytest.mark.slow  # A hundred million windows.
def test_long_streams_of_many_seeds_are_not_shifts_of_each_other():
    assert_streams_are_apart(range(100), 10**6)


def test_noise_is_reseeded_as_at_the_start():
    first, again = AdditiveUniformNoise(seed=3), AdditiveUniformNoise(seed=4)
    again.sample_noise((5,))
    tf.function(again.seed_noise)(tf.constant(3, tf.int64))
    assert np.array_equal(first.sample_noise((20,)), again.sample_noise((20,)))


@pytest.mark.parametrize("seed", [2**63, -(2**63) - 1, 1.5, True, "1"])
def test_seeds_of_more_than_64_bits_are_refused(seed):
    with pytest.raises(ValueError, match="`seed` must be.*Received: seed="):
        AdditiveUniformNoise(seed=seed)


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


@noisy_names
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
@pytest.mark.parametrize(
    "temperature", [0.0, -0.1, 1.5, 1e-60, -1e300, float("nan"), float("inf"), "0.5"]
)
def test_temperature_outside_of_its_domain_is_refused(row, temperature):
    message = (
        rf"`temperature` must be in \(0, 1\]. Received: temperature={re.escape(repr(temperature))}"
    )
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
        assert {tf.as_dtype(w.dtype) for w in layer.non_trainable_weights} == {tf.float32}
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


@pytest.mark.parametrize(
    ("layer", "function"),
    [
        (
            layers.StochasticGumbelAnnealing(0.5, "sigmoid", sharpness=1.0),
            lambda y, n: surrogates.stochastic_gumbel_annealing(y, n, 0.5, "sigmoid", 1.0),
        ),
        (
            layers.KumaraswamySoftRounding(0.5, shape=1.25),
            lambda y, n: surrogates.kumaraswamy_soft_rounding(y, n, 0.5, 1.25),
        ),
    ],
)
def test_arguments_reach_the_function_and_the_config(layer, function):
    y = latents((100,))
    for made in (layer, type(layer).from_config(layer.get_config())):
        noise = made.draw_noise(y)
        np.testing.assert_array_equal(made(y, training=True, noise=noise), function(y, noise))
