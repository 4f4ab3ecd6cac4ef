"""Properties that every surrogate has, over the rows of the table."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from tests.surrogate_table import ROWS

DTYPES = ("float16", "bfloat16", "float32", "float64")
TEMPERATURES = (1.0, 0.5, 0.1, 1e-3)


def _daily(*names):
    """All dtypes, those not named for `.ci/slow`."""
    return [pytest.param(n, marks=() if n in names else pytest.mark.slow) for n in DTYPES]


every_row = pytest.mark.parametrize("row", ROWS, ids=str)
annealed_rows = pytest.mark.parametrize("row", [r for r in ROWS if r.annealed], ids=str)


def sample(row, dtype, shape=(2000,), scale=4.0, seed=0):
    """Latents and noise as NumPy arrays of a dtype."""
    rng = np.random.default_rng(seed)
    as_numpy = tf.as_dtype(dtype).as_numpy_dtype
    y = rng.normal(scale=scale, size=shape).astype(as_numpy)
    return y, row.draw(rng, shape).astype(as_numpy)


def wide(array, dtype):
    return array.astype(np.float64 if dtype == "float64" else np.float32)


def exact(array, dtype):
    return wide(array, dtype).astype(np.longdouble)


def eps(dtype):
    if dtype == "bfloat16":
        return 2.0**-7
    return float(np.finfo(dtype).eps)


def oracle_and_spread(oracle, y, noise, t, dtype):
    """The oracle's answer, and how far it moves with the rounding errors of the arithmetic."""
    y, noise, t = exact(y, dtype), exact(noise, dtype), exact(np.array(t), dtype)
    expected = oracle(y, noise, t)
    error = 8 * np.finfo(np.float64 if dtype == "float64" else np.float32).eps
    spread = np.zeros_like(expected)
    for sign in (-1, 1):
        shift = sign * error
        for moved in (
            oracle(y + shift * (1 + np.abs(y)), noise, t),
            oracle(y, noise + shift * (1 + np.abs(noise)), t),
        ):
            spread = np.maximum(spread, np.abs(moved - expected))
    return expected, spread


def value_and_gradient(row, y, u, t, upstream=None):
    y = tf.convert_to_tensor(y)
    with tf.GradientTape() as tape:
        tape.watch(y)
        y_tilde = row.function(y, u, t)
    return y_tilde, tape.gradient(y_tilde, y, output_gradients=upstream)


@every_row
@pytest.mark.parametrize("dtype", _daily("bfloat16", "float32"))
@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_agrees_with_the_oracle(row, dtype, temperature):
    y, u = sample(row, dtype)
    y_tilde = row.function(y, u, temperature)
    assert y_tilde.dtype == dtype
    expected, spread = oracle_and_spread(row.oracle, y, u, temperature, dtype)
    tolerance = 2 * eps(dtype) * np.maximum(1, np.abs(expected))
    error = np.abs(exact(y_tilde.numpy(), dtype) - expected)
    assert np.all(error <= tolerance + spread)
    # The spread excuses few: the ties, and the ends of the noise.
    assert np.mean(spread > 1e-3) < 0.02 or dtype in ("float16", "bfloat16")


@every_row
@pytest.mark.parametrize("dtype", _daily("bfloat16", "float32"))
@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_gradient_is_the_slope_of_the_formula(row, dtype, temperature):
    y, u = sample(row, dtype)
    upstream = tf.cast(tf.linspace(-2.0, 2.0, y.size), dtype)
    _, gradient = value_and_gradient(row, y, u, temperature, upstream)
    assert gradient.dtype == dtype
    slope, spread = oracle_and_spread(row.slope, y, u, temperature, dtype)
    # No steeper than the dtype can tell.
    most = float(tf.as_dtype(dtype).max)
    slope, factor = np.minimum(slope, most), exact(upstream.numpy(), dtype)
    error = np.abs(exact(gradient.numpy(), dtype) - slope * factor)
    smallest = float(np.finfo(np.float16).tiny) if dtype == "float16" else 1e-15
    tolerance = (16 * eps(wide(y, dtype).dtype) + 2 * eps(dtype)) * slope + spread
    assert np.all(error <= tolerance * np.abs(factor) + smallest)
    assert np.mean(spread > 0.01 * (1 + slope)) < 0.02 or dtype in ("float16", "bfloat16")


@pytest.mark.parametrize("row", [r for r in ROWS if r.pathwise], ids=str)
@pytest.mark.parametrize("temperature", (1.0, 0.5, 0.15))
def test_pathwise_gradient_is_the_derivative_at_a_given_noise(row, temperature):
    y, u = sample(row, "float64")
    step = 1e-6
    numeric = (row.function(y + step, u, temperature) - row.function(y - step, u, temperature)) / (
        2 * step
    )
    _, gradient = value_and_gradient(row, y, u, temperature)
    smooth = np.abs(gradient - numeric) <= 1e-4 * (1 + np.abs(numeric))
    # What straddles a kink within a step is not smooth.
    assert np.mean(smooth) > 0.999


@every_row
def test_noise_and_temperature_receive_no_gradient(row):
    y, u = map(tf.constant, sample(row, "float32"))
    t = tf.constant(0.5)
    with tf.GradientTape() as tape:
        tape.watch([u, t])
        y_tilde = row.function(y, u, t)
    assert tape.gradient(y_tilde, [u, t]) == [None, None]


@every_row
@pytest.mark.parametrize("dtype", _daily("float32"))
@pytest.mark.parametrize("temperature", (pytest.param(0.3, marks=pytest.mark.slow), 1e-4))
def test_eager_traced_and_compiled_agree(row, dtype, temperature):
    y, u = sample(row, dtype, (500,))
    # Near ties, and where there are no more fractions.
    y[:5] = [-0.5, 0.4999, -2.5001, 2.0**15, -(2.0**15)]
    if dtype in ("float32", "float64"):
        y[5:8] = [2.0**24 + 2, -(2.0**25), -0.5 - 2**-20]

    def both(y, u, t):
        return value_and_gradient(row, y, u, t)

    t = tf.constant(temperature)
    eager = both(y, u, t)
    # Where the last bit decides, as at the ends of the noise, XLA may decide otherwise.
    spreads = [oracle_and_spread(f, y, u, temperature, dtype)[1] for f in (row.oracle, row.slope)]
    for function in (tf.function(both), tf.function(both, jit_compile=True)):
        for a, b, spread in zip(eager, function(y, u, t), spreads):
            a, b = wide(a.numpy(), dtype), wide(b.numpy(), dtype)
            assert np.all(np.abs(a - b) <= 16 * eps(dtype) * np.maximum(1, np.abs(a)) + spread)


@every_row
@pytest.mark.parametrize("dtype", _daily("bfloat16", "float32"))
@pytest.mark.parametrize("temperature", (1.0, 0.5, 1e-4, 1e-6))
def test_everything_is_finite(row, dtype, temperature):
    if dtype == "float16":
        temperature = max(temperature, 1e-4)
    y = np.concatenate(
        [
            np.linspace(-2, 2, 401),
            [0.0, -0.0, 1e-30, 1e4, -1e4],
            [] if dtype == "float16" else [1e30, -1e30, 2.0**24 + 1, 0.5 - 2**-25],
        ]
    ).astype(tf.as_dtype(dtype).as_numpy_dtype)
    # For Gumbel noise (floor, ceiling): equal, and with either of them far ahead.
    levels = ([0, 0], [-4, 15], [15, -4]) if row.noise == "gumbel" else (-0.5, 0.0, 0.25)
    for level in levels:
        u = np.broadcast_to(np.array(level, y.dtype), y.shape + row.noise_axes)
        y_tilde, gradient = value_and_gradient(row, y, u, temperature)
        assert np.isfinite(wide(y_tilde.numpy(), dtype)).all()
        assert np.isfinite(wide(gradient.numpy(), dtype)).all()


@every_row
@pytest.mark.parametrize("dtype", DTYPES)
def test_nan_stays_nan_and_infinity_infinite(row, dtype):
    y = tf.constant([np.nan, np.inf, -np.inf], dtype)
    u = tf.fill((3, *row.noise_axes), tf.constant(0.2, dtype))
    y_tilde = tf.cast(row.function(y, u, 0.5), tf.float64).numpy()
    assert np.isnan(y_tilde[0])
    assert y_tilde[1] == np.inf
    assert y_tilde[2] == -np.inf


@every_row
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (2, 3, 4)])
def test_shape_is_kept(row, shape):
    y, u = sample(row, "float32", shape)
    y_tilde, gradient = value_and_gradient(row, y, u, 0.5)
    assert y_tilde.shape == shape
    assert gradient.shape == shape


@pytest.mark.parametrize("row", [r for r in ROWS if r.risers], ids=str)
@pytest.mark.parametrize("dtype", ("float32", "float64"))
@given(data=st.data())
def test_is_within_half_a_temperature_of_rounding(row, dtype, data):
    width = 32 if dtype == "float32" else 64
    t = data.draw(st.floats(2.0**-19, 1.0, width=32))
    values = st.floats(-1e4, 1e4, width=width)
    y = np.array(data.draw(st.lists(values, min_size=1, max_size=20)), dtype)
    u = np.array(
        data.draw(st.lists(st.floats(-0.5, 0.5, width=width), min_size=len(y), max_size=len(y))),
        dtype,
    )
    y_tilde = row.function(y, u, t).numpy()
    hard = np.round(y)
    distance_to_tie = 0.5 - np.abs(y.astype(np.float64) - hard)
    far = distance_to_tie > np.float64(t) / 2
    bound = t / 2 + 2 * eps(dtype) * np.maximum(1, np.abs(y))
    assert np.all(np.abs(y_tilde - hard)[far] <= bound[far])
    if "rounding" in row.name:
        assert np.array_equal(y_tilde[far], hard[far])


@annealed_rows
@pytest.mark.parametrize("dtype", DTYPES)
def test_tends_to_rounding(row, dtype):
    y, u = sample(row, dtype)
    temperature = 1e-4 if dtype == "float16" else 1e-6
    y_tilde = wide(row.function(y, u, temperature).numpy(), dtype)
    y = wide(y, dtype)
    # The noise of some is unbounded, or bounded after a division by the temperature.
    far = np.abs(np.abs(y - np.round(y)) - 0.5) > 50 * temperature
    assert far.mean() > 0.9
    assert np.max(np.abs(y_tilde - np.round(y))[far]) <= 10 * temperature + eps(dtype)


@pytest.mark.parametrize("row", [r for r in ROWS if r.at_one], ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_limit_at_temperature_one(row, dtype):
    y, u = sample(row, dtype, (20_000,))
    expected = row.at_one(wide(y, dtype), wide(u, dtype))
    y_tilde = wide(row.function(y, u, 1.0).numpy(), dtype)
    error = np.abs(y_tilde - expected)
    # At a tie, frequent among few digits, either neighbour is the rounded one.
    tie = (wide(y, dtype) + wide(u, dtype)) % 1 == 0.5
    assert np.all((error <= 2 * eps(dtype) * np.maximum(1, np.abs(expected))) | tie)
    assert np.all(error <= 1)
    assert np.mean(tie) < 0.01
